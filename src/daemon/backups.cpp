#include "daemon/backups.h"

#include <chrono>
#include <memory>
#include <optional>

#include "backup/place.h"
#include "backup/restore.h"
#include "backup/restored_json.h"
#include "backup/seal.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/passphrase.h"
#include "base/text.h"
#include "daemon/folder_lock.h"
#include "daemon/ledger.h"
#include "daemon/schema.h"

namespace cofferdam::daemon {
namespace {

using loop::Task;
using std::chrono::duration_cast;
using std::chrono::microseconds;

constexpr std::chrono::milliseconds kNoWait{1};
constexpr auto kPassphraseLimit = std::chrono::minutes(5);

std::int64_t now_us() {
  return duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

}  // namespace

Task<UniqueFd> Backups::make(SecureBytes passphrase) {
  if (turn_.busy() > 0) {
    co_return fail(Code::Unavailable, "a backup is being made already", "ask again when it has ended");
  }
  CO_TRY_ASSIGN(const auto place, co_await turn_.enter(kNoWait));
  auto made = co_await make_one(std::move(passphrase));
  if (!made) co_return fail(std::move(made.error()).in("make a backup"));
  co_return std::move(*made);
}

Task<UniqueFd> Backups::make_one(SecureBytes passphrase) {
  backup::Manifest manifest;
  manifest.id = new_id("bak");
  manifest.made_us = now_us();
  manifest.program = version_;
  manifest.config_digest = digest_of(config_);
  if (ledger_ != nullptr) {
    // What was noted up to here is in the database, and must not be taken for what came after it.
    CO_TRY(co_await ledger_->settled());
    manifest.database_at = ledger_->size();
  }
  auto begin = [&keys = keys_, state = config_.state_dir]() -> Result<std::shared_ptr<backup::Draft>> {
    TRY_ASSIGN(auto draft, backup::Draft::begin(state, keys));
    return std::make_shared<backup::Draft>(std::move(draft));
  };
  CO_TRY_ASSIGN(const auto draft, co_await worker_.run(std::move(begin)));
  auto ledger = std::make_shared<std::optional<ledger::LedgerCopy>>();
  if (ledger_ != nullptr) {
    CO_TRY_ASSIGN(*ledger, co_await ledger_->copy());
  }
  model::StateBackedUp told;
  told.backup = manifest.id;
  told.keys = static_cast<std::int64_t>(draft->keys());
  told.entries = *ledger ? static_cast<std::int64_t>((*ledger)->size) : 0;
  auto seal = [draft, ledger, manifest = std::move(manifest),
               secret = std::make_shared<SecureBytes>(std::move(passphrase))]() {
    return draft->seal(*secret, manifest, *ledger);
  };
  CO_TRY_ASSIGN(UniqueFd file, co_await worker_.run(std::move(seal)));
  // Who holds a backup holds keys: it is written down before it is handed out.
  if (ledger_ != nullptr) CO_TRY(co_await ledger_->record({{}, {}, std::move(told)}));
  co_return std::move(file);
}

Result<std::string> restore_state(const Config& config, const RestoreWish& wish) {
  TRY(make_directories(config.state_dir, 0700));
  TRY_ASSIGN(const FileLock lock, lock_folder(config.state_dir, "--state"));
  TRY_ASSIGN(const SecureBytes passphrase, read_passphrase(wish.passphrase_file, kPassphraseLimit,
                                                           "the passphrase file", "Passphrase of the backup: "));
  backup::RestoreOptions options;
  options.file = wish.file;
  options.state_dir = config.state_dir;
  options.newer_ledger = wish.ledger;
  options.present = wish.replace ? backup::Present::replace : backup::Present::refuse;
  const auto make_holder = [&config] { return keys::make_holder(config.root); };
  TRY_ASSIGN(const auto restored, backup::restore(options, passphrase, make_holder, schema_of_all_rooms()));
  return backup::text_of(restored);
}

Status take_restored(const std::string& state_dir) {
  TRY(backup::remove_drafts(state_dir));
  return backup::finish_place(state_dir);
}

Status forget_unfinished(const std::string& state_dir, keys::RootHolder& holder) {
  if (backup::look_for_unfinished(state_dir) == backup::Unfinished::nothing) return {};
  log_warn("a restore that did not come to its end is forgotten");
  return backup::discard_place(state_dir, [&holder]() -> Result<keys::RootHolder*> { return &holder; });
}

void write_down_restore(const std::string& state_dir, ledger::Recorder& recorder) {
  auto note = backup::read_note(state_dir);
  if (note && !*note) return;
  if (note) {
    const auto& restored = **note;
    model::StateRestored entry;
    entry.backup = restored.manifest.id;
    entry.made_us = restored.manifest.made_us;
    entry.ledger = restored.ledger_stayed ? "newer" : "of the backup";
    entry.ended_at = restored.looked_until ? static_cast<std::int64_t>(*restored.looked_until) : -1;
    entry.keys = static_cast<std::int64_t>(restored.keys);
    entry.ended =
        static_cast<std::int64_t>(restored.keys_ended + restored.workspaces + restored.credentials + restored.secrets);
    recorder.note({{}, {}, std::move(entry)});
  } else {
    log_warn("what the last restore did cannot be read", {{"error", note.error().message}});
  }
}

void forget_restore(const std::string& state_dir) {
  if (const auto forgotten = backup::forget_note(state_dir); !forgotten) {
    log_warn("the note of a restore cannot be removed", {{"error", forgotten.error().message}});
  }
}

}  // namespace cofferdam::daemon
