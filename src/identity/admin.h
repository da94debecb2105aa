// The administrator's client id and secret: STATE/admin.json (0600), made at the first start and then kept.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "identity/principal.h"

namespace cofferdam::identity {

class Administrator {
 public:
  // Reads the file, or makes it. It may have been written by hand: any client_id, a client_secret of at least 16 bytes.
  // The secret is kept as a hash under `key` and is in no message.
  static Result<Administrator> open(const std::string& path, SecureBytes key);

  [[nodiscard]] const std::string& client_id() const { return client_id_; }
  // Takes the same time whichever part is wrong. Unauthenticated.
  [[nodiscard]] Result<Principal> check(std::string_view client_id, std::string_view client_secret) const;

 private:
  Administrator(std::string client_id, std::string_view secret, SecureBytes key);
  [[nodiscard]] std::string hash(std::string_view secret) const;
  std::string client_id_;
  SecureBytes key_;
  std::string hash_;
};

// What a wrong client id or secret is answered with: not which of the two.
Error wrong_client_credentials();

}  // namespace cofferdam::identity
