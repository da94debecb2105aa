// What credentials tell: wrong ones by the dozen, and good ones from where they never came from. Used on the loop.
#pragma once
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "monitor/detector.h"
#include "store/database.h"

namespace cofferdam::monitor {

class Logins {
 public:
  static constexpr std::size_t kMaxSources = 4096, kMaxCredentials = 10'000, kMaxAddresses = 64;  // of one credential

  // Blocks. `database` has the tables of schema.h; it and `rules` outlive this.
  static Result<std::unique_ptr<Logins>> open(store::Database& database, const Rules& rules, identity::Clock clock);

  Findings failed(const std::string& address, const std::string& reason, Steady at);
  // The first address of a credential is where it belongs.
  Findings used(const std::string& credential, const std::string& address);
  loop::Task<void> flush();

 private:
  Logins(store::Database& database, const Rules& rules, identity::Clock clock)
      : database_(database), rules_(rules), clock_(std::move(clock)) {}
  store::Database& database_;
  const Rules& rules_;
  identity::Clock clock_;
  struct Source {
    Window failures;
    Steady last;
  };
  std::map<std::string, Source> sources_;
  std::map<std::string, std::set<std::string>, std::less<>> addresses_;  // by credential
  std::vector<std::pair<std::string, std::string>> unwritten_;
};

}  // namespace cofferdam::monitor
