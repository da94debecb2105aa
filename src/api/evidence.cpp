// Evidence: a bundle of all that is known of a workspace, and workspaces to look into what was kept of one.
#include <boost/json/array.hpp>

#include "api/handlers.h"
#include "api/permission.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

class Bundle final : public http::BodySource {
 public:
  explicit Bundle(incident::EvidenceBytes bytes) : bytes_(std::move(bytes)) {}
  Task<std::string> next() override { return bytes_(); }
  // The ledger signs, and a snapshot is read.
  [[nodiscard]] bool may_wait() const override { return true; }

 private:
  incident::EvidenceBytes bytes_;
};

Task<http::Response> answer_opened(Services& services, Call& call, incident::Opened opened) {
  constexpr int kCreated = 201;
  CO_TRY_ASSIGN(const auto space, co_await slug_of(services, opened.info.spec.namespace_id));
  call.about = {opened.info.id, opened.info.spec.namespace_id};
  json::object whole{{"id", opened.info.id}, {"from", opened.from}, {"snapshot", opened.snapshot}};
  whole["workspace"] = to_json(opened.info, space);
  co_return answer(std::move(whole), kCreated);
}

}  // namespace

Task<http::Response> export_evidence(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  incident::EvidenceWish wish;
  wish.workspace = call.id();
  CO_TRY_ASSIGN(const auto snapshot, model::get_string(body, "", "snapshot"));
  wish.snapshot = snapshot.value_or("");
  CO_TRY_ASSIGN(auto recipients, get_texts(body, "", "recipients"));
  wish.recipients = std::move(recipients).value_or(std::vector<std::string>{});
  wish.by = call.who().origin();
  CO_TRY_ASSIGN(auto bytes, co_await services.evidence.export_of(std::move(wish)));
  http::Response response;
  response.headers.add("Content-Type", "application/octet-stream");
  response.headers.add("Content-Disposition", "attachment; filename=\"evidence\"");
  response.headers.add("Cache-Control", "no-store");
  response.source = std::make_unique<Bundle>(std::move(bytes));
  co_return response;
}

Task<http::Response> open_evidence_of(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  incident::OpenWish wish;
  CO_TRY_ASSIGN(const auto snapshot, model::get_string(body, "", "snapshot"));
  CO_TRY_ASSIGN(const auto name, model::get_string(body, "", "name"));
  CO_TRY_ASSIGN(const auto ttl, get_duration(body, "", "ttl"));
  wish.name = name.value_or("");
  if (ttl) wish.ttl = *ttl;
  wish.by = call.who().origin();
  CO_TRY_ASSIGN(auto opened, co_await services.evidence.look_into(call.id(), snapshot.value_or(""), std::move(wish)));
  co_return co_await answer_opened(services, call, std::move(opened));
}

Task<http::Response> open_evidence(Services& services, Call& call) {
  incident::OpenWish wish;
  CO_TRY_ASSIGN(const auto name, query_text(call, "name"));
  CO_TRY_ASSIGN(const auto ttl, query_text(call, "ttl"));
  CO_TRY_ASSIGN(const auto key, query_text(call, "key"));
  wish.name = name.value_or("");
  if (ttl) {
    CO_TRY_ASSIGN(wish.ttl, parse_duration(*ttl));
  }
  if (key) {
    CO_TRY_ASSIGN(wish.first_key, ledger::VerifierKey::parse(*key));
  }
  wish.by = call.who().origin();
  // The body lives as long as the request, which outlives this.
  incident::EvidenceBytes bundle = [body = call.request.body] { return body->next(); };
  CO_TRY_ASSIGN(auto opened, co_await services.evidence.look_into(std::move(bundle), std::move(wish)));
  co_return co_await answer_opened(services, call, std::move(opened));
}

}  // namespace cofferdam::api
