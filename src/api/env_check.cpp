#include "api/env_check.h"

#include "base/text.h"
#include "identity/token_text.h"
#include "model/json.h"

namespace cofferdam::api {

Status check_env(const std::vector<std::string>& env, std::string_view path, const boost::json::object& body) {
  TRY_ASSIGN(const auto force, model::get_flag(body, "", "force"));
  if (force.value_or(false)) return {};
  for (std::size_t i = 0; i < env.size(); ++i) {
    const auto value = std::string_view(env[i]).substr(env[i].find('=') + 1);
    if (!identity::looks_like_control_token(value)) continue;
    return fail(
        Code::InvalidArgument,
        cat(path, "/env/", i, ": holds a control token of this host: whatever runs inside could manage the host"),
        "mint a runtime token for what the workspace is to do; or send \"force\": true, when that is the purpose");
  }
  return {};
}

}  // namespace cofferdam::api
