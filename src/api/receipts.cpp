// Erasure receipts: what was destroyed, signed.
#include <algorithm>

#include "api/handlers.h"
#include "api/permission.h"
#include "base/text.h"
#include "base/time.h"
#include "keys/receipt_book.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using identity::Verb;
using keys::Receipt;
using keys::ReceiptFilter;

constexpr std::size_t kMost = 1000;
constexpr std::size_t kUsual = 100;

// What was signed, member by member: a client that keeps the answer can have it verified as it is.
Result<json::object> shape(const Receipt& receipt) {
  TRY_ASSIGN(auto parsed, model::parse_json(receipt.text));
  return parsed.as_object();
}

// The caller's own words for a filter, narrowed to what the caller may see; a scope of single workspaces is asked for
// one by one.
Task<std::vector<Receipt>> find_all(Services& services, const Call& call, ReceiptFilter filter) {
  const auto& scope = call.who().grant.scope;
  if (const auto* space = std::get_if<identity::OneNamespace>(&scope)) filter.namespace_id = space->id;
  const auto* some = std::get_if<identity::SomeWorkspaces>(&scope);
  if (some == nullptr) co_return co_await services.receipts.list(std::move(filter));
  std::vector<Receipt> found;
  for (const auto& id : some->ids) {
    if (filter.workspace_id && *filter.workspace_id != id) continue;
    ReceiptFilter one = filter;
    one.workspace_id = id;
    CO_TRY_ASSIGN(auto more, co_await services.receipts.list(std::move(one)));
    std::move(more.begin(), more.end(), std::back_inserter(found));
  }
  std::sort(found.begin(), found.end(), [](const Receipt& a, const Receipt& b) { return a.id > b.id; });
  if (found.size() > filter.limit) found.resize(filter.limit);
  co_return found;
}

}  // namespace

Task<http::Response> list_receipts(Services& services, Call& call) {
  CO_TRY(may(*call.caller, Verb::read));
  ReceiptFilter filter;
  CO_TRY_ASSIGN(filter.workspace_id, query_text(call, "workspace"));
  CO_TRY_ASSIGN(filter.before, query_text(call, "before"));
  CO_TRY_ASSIGN(filter.limit, query_whole(call, "limit", kUsual, 1, kMost));
  CO_TRY_ASSIGN(const auto found, co_await find_all(services, call, std::move(filter)));
  json::array receipts;
  for (const auto& receipt : found) {
    CO_TRY_ASSIGN(auto object, shape(receipt));
    receipts.emplace_back(std::move(object));
  }
  co_return answer({{"receipts", std::move(receipts)}});
}

Task<http::Response> get_receipt(Services& services, Call& call) {
  CO_TRY(may(*call.caller, Verb::read));
  CO_TRY_ASSIGN(const auto receipt, co_await services.receipts.get(call.id()));
  // In the words of one that does not exist.
  if (!call.who().sees(receipt.workspace_id, receipt.namespace_id)) {
    co_return fail(Code::NotFound, cat("there is no receipt ", receipt.id));
  }
  CO_TRY_ASSIGN(auto object, shape(receipt));
  co_return answer(std::move(object));
}

Task<http::Response> get_receipt_key(Services& services, Call& call) {
  CO_TRY(may(*call.caller, Verb::read));
  co_return answer({{"algorithm", "ed25519"},
                    {"public_key", services.receipts.public_key_hex()},
                    {"pem", services.receipts.public_key_pem()}});
}

}  // namespace cofferdam::api
