// What a ledger says has ended: what must not come back when a database and keys from before are put back.
#pragma once
#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "backup/key_list.h"
#include "base/result.h"

namespace cofferdam::backup {

struct Containment {
  std::string incident, why, namespace_id;
  std::int64_t at_us = 0;
};

struct Endings {
  std::uint64_t until = 0;                                // how far the ledger goes
  std::set<std::string> keys;                             // ids
  std::set<std::string> workspaces;                       // removed, with all their keys
  std::set<std::string> credentials;                      // tokens and API keys: revoked, or with another secret since
  std::set<std::pair<std::string, std::string>> secrets;  // removed: by namespace and name
  std::map<std::string, Containment> contained;           // by workspace: those that nobody has released since

  [[nodiscard]] bool has(const KeptKey& kept) const;
};

// From the entry `from` to the end of the log in `folder`. Whether that is what was signed is another question
// (ledger/verify.h). Blocks.
Result<Endings> endings_in(const std::string& folder, std::uint64_t from);

}  // namespace cofferdam::backup
