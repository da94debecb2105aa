// Backups of the daemon's own state: made while it works, put back while it does not.
#pragma once
#include <string>

#include "base/secure_bytes.h"
#include "base/unique_fd.h"
#include "daemon/config.h"
#include "keys/key_store.h"
#include "ledger/ledger.h"
#include "loop/lane.h"
#include "loop/worker_pool.h"

namespace cofferdam::daemon {

class Backups {
 public:
  // All outlive the object; `ledger` null: none is kept.
  Backups(const loop::asio::any_io_executor& executor, const Config& config, std::string version, keys::KeyStore& keys,
          ledger::Ledger* ledger)
      : config_(config),
        version_(std::move(version)),
        keys_(keys),
        ledger_(ledger),
        turn_(executor, "the making of backups") {}

  // A backup under the passphrase, in a file without a name that stands at its start. Unavailable: one is being made.
  loop::Task<UniqueFd> make(SecureBytes passphrase);

 private:
  loop::Task<UniqueFd> make_one(SecureBytes passphrase);
  const Config& config_;
  std::string version_;
  keys::KeyStore& keys_;
  ledger::Ledger* ledger_;
  loop::Lane turn_;
  loop::WorkerPool worker_{1};  // what it does may take minutes
};

// Does what `cofferd --restore` asks for; what was done, as JSON. Blocks.
Result<std::string> restore_state(const Config& config, const RestoreWish& wish);

// At the start, with the state folder locked: finishes a restore that was committed, and clears up after one that was
// not, and after backups that were being made.
Status take_restored(const std::string& state_dir);
Status forget_unfinished(const std::string& state_dir, keys::RootHolder& holder);
// The first entry of a ledger after a restore. What cannot be read is said and no reason to stay away.
void write_down_restore(const std::string& state_dir, ledger::Recorder& recorder);
// Once that is durable.
void forget_restore(const std::string& state_dir);

}  // namespace cofferdam::daemon
