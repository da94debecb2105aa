// Making a backup, in the steps that a daemon at work takes: what may be gone a moment later first, then the keys, and
// the ledger last, which so tells of all that ended while the rest was copied.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "backup/bundle.h"
#include "backup/key_list.h"
#include "base/unique_fd.h"
#include "keys/key_store.h"
#include "ledger/appender.h"

namespace cofferdam::backup {

class Draft {
 public:
  // Copies the database and the small files of the state folder, and reads the keys. Blocks.
  static Result<Draft> begin(const std::string& state_dir, keys::KeyStore& keys);

  // All of it under the passphrase, in a file without a name, from whose start it is to be read. `manifest`: what the
  // caller knows of where it is from. Blocks, for a second more than the disk takes.
  Result<UniqueFd> seal(const SecureBytes& passphrase, Manifest manifest,
                        const std::optional<ledger::LedgerCopy>& ledger, crypto::DerivationCost cost = {});
  [[nodiscard]] std::size_t keys() const { return keys_.size(); }

 private:
  explicit Draft(std::string state_dir) : state_dir_(std::move(state_dir)) {}
  struct Small {
    std::string name;
    SecureBytes bytes;
  };
  std::string state_dir_;
  UniqueFd database_;
  std::vector<Small> small_;
  std::vector<KeptKey> keys_;
};

// What a daemon that died left of one.
Status remove_drafts(const std::string& state_dir);

}  // namespace cofferdam::backup
