// A state folder from a backup, on a host whose daemon does not run.
//
// What the folder still has is newer than any backup, and what has been destroyed since must stay so. A key tree that
// is there stays, and no key of the backup is put into it; a ledger that is there stays, when it is the continuation of
// the backup's. What that ledger, or one that is named, says has ended since the backup is ended in what is put back.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "backup/bundle.h"
#include "base/result.h"
#include "base/secure_bytes.h"
#include "keys/root_holder.h"
#include "store/migration.h"

namespace cofferdam::backup {

enum class Present { refuse, replace };

struct RestoreOptions {
  std::string file;                   // the backup
  std::string state_dir;              // locked by the caller
  std::string newer_ledger;           // the folder of one that went on after the backup; empty: none
  Present present = Present::refuse;  // what becomes of a state that is there
};

// Made when all of the backup has been found to be right: a holder's place is not touched before.
using MakeHolder = std::function<Result<std::unique_ptr<keys::RootHolder>>()>;

struct Restored {
  Manifest manifest;
  bool tree_stayed = false, ledger_stayed = false;
  std::size_t keys = 0;                                      // put into a new tree
  std::size_t keys_ended = 0;                                // of the backup that were not
  std::size_t workspaces = 0, credentials = 0, secrets = 0;  // of the backup that have ended since
  std::size_t contained = 0;                                 // workspaces that are still contained
  std::optional<std::uint64_t> looked_until;                 // the size of the newer ledger; nullopt: there was none
};

// Blocks. After an error nothing of the state has changed. FailedPrecondition: there is a state already; a wrong
// passphrase; a backup, or a database in it, of a newer cofferdam; a newer ledger that is no continuation. DataLoss:
// the backup is damaged. And the errors of what is restored.
Result<Restored> restore(const RestoreOptions& options, const SecureBytes& passphrase, const MakeHolder& make_holder,
                         const store::Schema& schema);

// What the last restore of this folder did, as it wrote it down; nullopt: there was none since it was forgotten.
Result<std::optional<Restored>> read_note(const std::string& state_dir);
Status forget_note(const std::string& state_dir);

}  // namespace cofferdam::backup
