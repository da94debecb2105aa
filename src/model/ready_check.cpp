#include "model/ready_check.h"

#include <boost/json/array.hpp>

#include "base/text.h"
#include "model/workspace_spec.h"

namespace cofferdam::model {

Status validate(const ReadyCheck& check) {
  ExecSpec spec;
  spec.argv = check.command;
  if (check.command.empty()) return fail(Code::InvalidArgument, "/command: is missing");
  if (auto good = validate(spec); !good) return fail(std::move(good.error()).in("/command"));
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(check.limit);
  if (seconds != check.limit || seconds.count() < 1 || seconds.count() > static_cast<std::int64_t>(kMaxReadySeconds)) {
    return fail(Code::InvalidArgument, cat("/timeout_seconds: must be a whole number from 1 to ", kMaxReadySeconds));
  }
  return {};
}

boost::json::object ready_check_to_json(const ReadyCheck& check) {
  boost::json::array command;
  for (const auto& word : check.command) command.emplace_back(word);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(check.limit);
  return {{"command", std::move(command)}, {"timeout_seconds", seconds.count()}};
}

}  // namespace cofferdam::model
