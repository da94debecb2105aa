#include "keys/receipt.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <cstdlib>

#include "base/id.h"
#include "base/text.h"
#include "base/time.h"
#include "crypto/signature.h"
#include "keys/canonical.h"
#include "model/json.h"

namespace cofferdam::keys {
namespace {

namespace json = boost::json;

constexpr std::string_view kContext = "cofferdam receipt v1\n";
constexpr std::string_view kAlgorithm = "ed25519";
constexpr std::size_t kMaxBytes = 1U << 20;

json::object body_of(const ErasureFacts& facts, const std::string& id, std::chrono::system_clock::time_point now) {
  json::array keys;
  for (const auto& key : facts.keys) {
    keys.push_back(json::object{{"owner", key.name.owner}, {"name", key.name.name}, {"key_id", key.id}});
  }
  json::array checked;
  for (const auto& each : facts.checked) {
    checked.push_back(json::object{{"place", each.place}, {"finding", each.finding}});
  }
  json::object body;
  body["version"] = 1;
  body["id"] = id;
  body["issued_at"] = format_rfc3339(now);
  body["erased_at"] = format_rfc3339(facts.erased_at);
  body["workspace_id"] = facts.workspace_id;
  body["namespace_id"] = facts.namespace_id;
  body["key_id"] = facts.key_id;
  body["key_place"] = facts.key_place == KeyPlace::tree ? "tree" : "memory";
  body["keys"] = std::move(keys);
  body["header_sha256"] = facts.header_sha256 ? json::value(*facts.header_sha256) : json::value(nullptr);
  body["tree_root_before"] = facts.tree_root_before;
  body["tree_root_after"] = facts.tree_root_after;
  body["bytes_discarded"] = facts.bytes_discarded;
  body["checked"] = std::move(checked);
  body["held"] = json::array(facts.held.begin(), facts.held.end());
  return body;
}

std::string signed_bytes(const std::string& canonical) { return cat(kContext, canonical); }

tl::unexpected<Error> no_receipt(std::string_view why) {
  return fail(Code::InvalidArgument, cat("this is no erasure receipt: ", why));
}

Result<std::string> text_at(const json::object& object, std::string_view member) {
  TRY_ASSIGN(auto text, model::get_string(object, "", member));
  if (!text) return no_receipt(cat("it has no '", member, "'"));
  return std::move(*text);
}

Result<const json::object*> object_at(const json::object& object, std::string_view member) {
  const json::value* found = object.if_contains(member);
  if (found == nullptr || !found->is_object()) return no_receipt(cat("it has no '", member, "'"));
  return &found->get_object();
}

Result<std::string> raw_public_key(std::string_view text) {
  const auto trimmed = trim(text);
  if (starts_with(trimmed, "-----BEGIN")) return crypto::public_key_from_pem(trimmed);
  auto raw = from_hex(trimmed);
  if (raw && raw->size() == crypto::kPublicKeyBytes) return raw;
  return fail(Code::InvalidArgument, "the public key is neither PEM nor 64 hex digits",
              "give the file receipt.pub of the host that issued the receipt");
}

}  // namespace

Receipt make_receipt(const ErasureFacts& facts, const SecureBytes& key, std::chrono::system_clock::time_point now) {
  Receipt receipt;
  receipt.id = new_id("rcp");
  receipt.workspace_id = facts.workspace_id;
  receipt.namespace_id = facts.namespace_id;
  receipt.issued_at = now;
  const auto body = canonical_json(body_of(facts, receipt.id, now));
  if (!body) std::abort();  // there is no number in it that is not whole
  const auto signature = crypto::sign(key, signed_bytes(*body));
  receipt.text = cat("{\"receipt\":", *body, ",\"signature\":{\"algorithm\":\"", kAlgorithm, "\",\"public_key\":\"",
                     to_hex(crypto::public_key_of(key)), "\",\"value\":\"", to_hex(signature), "\"}}");
  return receipt;
}

Result<CheckedReceipt> verify_receipt(std::string_view text, std::string_view public_key) {
  TRY_ASSIGN(const std::string key, raw_public_key(public_key));
  if (text.size() > kMaxBytes) return no_receipt("it is too long");
  auto parsed = model::parse_json(text);
  if (!parsed) return no_receipt(parsed.error().message);
  if (!parsed->is_object()) return no_receipt("it is no object");
  TRY_ASSIGN(const json::object* body, object_at(parsed->get_object(), "receipt"));
  TRY_ASSIGN(const json::object* signature, object_at(parsed->get_object(), "signature"));
  TRY_ASSIGN(const std::string algorithm, text_at(*signature, "algorithm"));
  if (algorithm != kAlgorithm) return no_receipt(cat("its signature is not of the kind ", kAlgorithm));
  TRY_ASSIGN(const std::string signer_hex, text_at(*signature, "public_key"));
  TRY_ASSIGN(const std::string value_hex, text_at(*signature, "value"));
  auto value = from_hex(value_hex);
  if (!value) return no_receipt("its signature is not in hex digits");
  TRY_ASSIGN(const std::string canonical, canonical_json(*body));
  // Whose it says it is serves the message alone: what counts is the key that we were given.
  if (signer_hex != to_hex(key)) {
    return fail(Code::DataLoss, "the receipt is not signed with this key",
                "was it issued by another host, or before its key tree was made anew?");
  }
  if (!crypto::verify_signature(key, signed_bytes(canonical), *value)) {
    return fail(Code::DataLoss, "the receipt was changed after it was signed");
  }
  const json::value* version = body->if_contains("version");
  if (version == nullptr || !version->is_int64() || version->get_int64() != 1) {
    return no_receipt("it is of a version that this program does not know");
  }
  CheckedReceipt checked;
  TRY_ASSIGN(checked.id, text_at(*body, "id"));
  TRY_ASSIGN(checked.workspace_id, text_at(*body, "workspace_id"));
  TRY_ASSIGN(checked.key_id, text_at(*body, "key_id"));
  TRY_ASSIGN(checked.erased_at, text_at(*body, "erased_at"));
  return checked;
}

}  // namespace cofferdam::keys
