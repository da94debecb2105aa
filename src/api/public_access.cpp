// Exposed ports: each has a URL on this host.
#include <algorithm>
#include <boost/json/array.hpp>

#include "api/handlers.h"
#include "api/preview.h"
#include "base/random.h"
#include "base/text.h"
#include "base/time.h"
#include "crypto/digest.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr int kCreated = 201;
constexpr std::uint64_t kMaxPort = 65535;
constexpr std::size_t kTokenBytes = 24;
constexpr std::size_t kSlugBytes = 6;

json::object to_json(const Services& services, const net::Exposure& exposure) {
  const auto urls = preview_urls(services, exposure.slug);
  json::object object{{"port", exposure.port},
                      {"hash", exposure.slug},
                      {"slug", exposure.slug},
                      {"domain", cat("preview.", services.networks.preview_domain())},
                      {"label", exposure.label},
                      {"protected", !exposure.token_digest.empty()},
                      {"url", urls.by_host.empty() ? cat("/preview/", exposure.slug, "/") : urls.by_host},
                      {"path_url", urls.by_path.empty() ? cat("/preview/", exposure.slug, "/") : urls.by_path},
                      {"created_at", format_rfc3339(exposure.created_at)}};
  return object;
}

Result<std::uint16_t> port_of(const Call& call) {
  TRY_ASSIGN(const auto port, parse_int("the port", call.params.at(1), 1, static_cast<std::int64_t>(kMaxPort)));
  return static_cast<std::uint16_t>(port);
}

Result<net::Exposure> find(const Services& services, const Call& call) {
  TRY_ASSIGN(const auto port, port_of(call));
  for (auto& exposure : services.networks.exposures(call.id())) {
    if (exposure.port == port) return exposure;
  }
  return fail(Code::NotFound, cat("port ", port, " is not exposed"));
}

}  // namespace

Task<http::Response> list_exposed(Services& services, Call& call) {
  json::array ports;
  for (const auto& exposure : services.networks.exposures(call.id())) ports.emplace_back(to_json(services, exposure));
  co_return answer({{"ports", std::move(ports)}});
}

// {port, label?, slug?, token?: true, force?: true}.
Task<http::Response> expose_port(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto port, get_whole(body, "", "port", 1, kMaxPort));
  if (!port) co_return fail(Code::InvalidArgument, "/port: is missing");
  CO_TRY_ASSIGN(const auto slug, model::get_string(body, "", "slug"));
  CO_TRY_ASSIGN(const auto label, model::get_string(body, "", "label"));
  CO_TRY_ASSIGN(const auto domain, model::get_string(body, "", "domain"));
  CO_TRY_ASSIGN(const auto with_token, model::get_flag(body, "", "token"));
  CO_TRY_ASSIGN(const auto forced, model::get_flag(body, "", "force"));
  if (domain && !domain->empty() && *domain != cat("preview.", services.networks.preview_domain())) {
    co_return not_supported(call, "/domain: this host serves previews below one domain", "set preview.domain");
  }
  CO_TRY_ASSIGN(const auto info, services.manager.get(call.id()));
  std::optional<model::ForceExpose> force;
  if (forced.value_or(false)) force = model::ForceExpose();
  net::Exposure exposure;
  exposure.workspace = info.id;
  exposure.port = static_cast<std::uint16_t>(*port);
  CO_TRY(net::may_expose(exposure.port, marked_as(info.spec), force));
  exposure.slug = slug.value_or("");
  if (exposure.slug.empty()) exposure.slug = to_hex(random_bytes(kSlugBytes));
  exposure.label = label.value_or("");
  exposure.created_at = std::chrono::system_clock::now();
  std::string token;
  if (with_token.value_or(false)) {
    token = to_hex(random_bytes(kTokenBytes));
    exposure.token_digest = crypto::sha256_hex(token);
  }
  CO_TRY_ASSIGN(const auto made, co_await services.networks.expose(std::move(exposure), call.who().origin()));
  auto shown = to_json(services, made);
  // Told once.
  if (!token.empty()) shown["token"] = token;
  co_return answer({{"port", std::move(shown)}}, kCreated);
}

Task<http::Response> change_exposed(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto slug, required_text(body, "slug"));
  CO_TRY_ASSIGN(auto exposure, find(services, call));
  exposure.slug = slug;
  CO_TRY_ASSIGN(const auto made, co_await services.networks.expose(std::move(exposure), call.who().origin()));
  co_return answer({{"port", to_json(services, made)}});
}

Task<http::Response> revoke_exposed(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto port, port_of(call));
  CO_TRY(co_await services.networks.unexpose(call.id(), port, call.who().origin()));
  co_return answer({{"port", port}});
}

}  // namespace cofferdam::api
