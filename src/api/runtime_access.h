// Runtime tokens that were handed out and are still good, so that asking again tells the same one. In memory alone:
// after a restart the next to ask gets a new one, and the old ones stay good until they end.
#pragma once
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "base/secure_bytes.h"
#include "identity/clock.h"

namespace cofferdam::api {

// Used on the loop only.
class RuntimeAccess {
 public:
  struct Held {
    std::string token_id;
    SecureBytes secret;
    identity::Time expires_at;
  };
  // Of one workspace and the one who asked for it: nobody is told a token that somebody else might mint wider.
  // Null: none, or one that ends before `good_until`. Valid until the next call.
  [[nodiscard]] const Held* find(const std::string& workspace_id, const std::string& who,
                                 identity::Time good_until) const;
  void keep(const std::string& workspace_id, const std::string& who, Held held);
  void forget(const std::string& workspace_id);

 private:
  std::map<std::pair<std::string, std::string>, Held> held_;  // by workspace and principal
};

}  // namespace cofferdam::api
