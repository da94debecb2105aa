#include "identity/admin.h"

#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "base/id.h"
#include "base/text.h"
#include "crypto/constant_time.h"
#include "crypto/hmac.h"
#include "identity/key_file.h"
#include "identity/token_text.h"
#include "model/json.h"

namespace cofferdam::identity {
namespace {

constexpr std::size_t kMaxFile = 64U << 10;
constexpr std::size_t kMinSecret = 16;

struct Pair {
  std::string client_id, client_secret;
};

Result<Pair> parse(const std::string& path, std::string_view text) {
  const auto broken = [&](std::string_view why) {
    return fail(Code::DataLoss, cat("'", path, "' ", why), "repair it, or move it away and a new one is made");
  };
  const auto value = model::parse_json(text);
  if (!value || !value->is_object()) return broken("is no JSON object");
  const auto& object = value->get_object();
  const auto id = model::get_string(object, "", "client_id");
  const auto secret = model::get_string(object, "", "client_secret");
  if (!id || !secret || id->value_or("").empty()) return broken("has no client_id and client_secret");
  if (secret->value_or("").size() < kMinSecret) return broken(cat("has a client_secret under ", kMinSecret, " bytes"));
  return Pair{**id, **secret};
}

Result<Pair> make(const std::string& path) {
  Pair pair{new_id("admin"), new_client_secret()};
  const boost::json::object object{{"client_id", pair.client_id}, {"client_secret", pair.client_secret}};
  TRY(write_file_atomically(path, boost::json::serialize(object) + "\n", 0600));
  return pair;
}

}  // namespace

Administrator::Administrator(std::string client_id, std::string_view secret, SecureBytes key)
    : client_id_(std::move(client_id)), key_(std::move(key)), hash_(hash(secret)) {}

std::string Administrator::hash(std::string_view secret) const {
  return crypto::hmac_sha256(key_.view(), cat("administrator ", secret));
}

Result<Administrator> Administrator::open(const std::string& path, SecureBytes key) {
  Pair pair;
  if (path_exists(path)) {
    TRY(check_private(path));
    TRY_ASSIGN(const std::string text, read_file(path, kMaxFile));
    TRY_ASSIGN(pair, parse(path, text));
  } else {
    TRY_ASSIGN(pair, make(path));
  }
  return Administrator(std::move(pair.client_id), pair.client_secret, std::move(key));
}

Result<Principal> Administrator::check(std::string_view client_id, std::string_view client_secret) const {
  const bool same_id = crypto::constant_time_equal(client_id, client_id_);
  const bool same_secret = crypto::constant_time_equal(hash(client_secret), hash_);
  if (!same_id || !same_secret) return fail(wrong_client_credentials());
  Principal principal;
  principal.kind = Principal::Kind::administrator;
  principal.id = client_id_;
  principal.grant = {WholeAccount{}, VerbSet::all(), {}, std::nullopt};
  return principal;
}

Error wrong_client_credentials() {
  return {Code::Unauthenticated, "the client id or the client secret is wrong",
          "the administrator's are in admin.json of the state folder"};
}

}  // namespace cofferdam::identity
