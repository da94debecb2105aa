#include "backup/restore.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <vector>

#include "backup/endings.h"
#include "backup/key_list.h"
#include "backup/members.h"
#include "backup/place.h"
#include "backup/restored_json.h"
#include "base/file.h"
#include "base/text.h"
#include "identity/afterwards.h"
#include "incident/incident_book.h"
#include "keys/key_store.h"
#include "ledger/key_chain.h"
#include "ledger/segment.h"
#include "ledger/verify.h"
#include "store/sqlite.h"
#include "store/transaction.h"
#include "workspace/workspace_table.h"

namespace cofferdam::backup {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kPiece = 256U << 10;
constexpr std::string_view kName = "the backup";

// -- the bundle ------------------------------------------------------------------------------------------------------

class Blocks final : public Source {
 public:
  Blocks(int file, SecureBytes key)
      : file_(file), blocks_(disk::SealedReader(file, std::move(key), std::string(kName), kHeadBytes)) {}
  Status read(char* to, std::size_t size) override { return blocks_.read(to, size); }
  Result<bool> at_end() override {
    TRY_ASSIGN(const bool over, blocks_.at_end());
    struct stat info{};
    if (::fstat(file_, &info) != 0) return fail_errno("look at the backup");
    return over && static_cast<std::uint64_t>(info.st_size) == blocks_.offset();
  }

 private:
  int file_;
  disk::SealedSource blocks_;
};

Result<SecureBytes> open_bundle(int file, const SecureBytes& passphrase) {
  std::string head(kHeadBytes, '\0');
  const ssize_t n = ::pread(file, head.data(), head.size(), 0);
  if (n < 0) return fail_errno("read the backup");
  head.resize(static_cast<std::size_t>(n));
  return open_head(head, passphrase);
}

Status write_member(MemberReader& reader, const std::string& path) {
  TRY(make_directories(fs::path(path).parent_path().string(), 0700));
  TRY_ASSIGN(const UniqueFd file, open_file(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  SecureBytes room(kPiece);
  for (;;) {
    TRY_ASSIGN(const std::size_t n, reader.read(room.writable()));
    if (n == 0) return {};
    TRY(write_all(file.get(), room.view().substr(0, n)));
  }
}

// All members into `folder`, but for the keys, which touch no disk.
Result<Manifest> extract(Source& source, const std::string& folder, std::vector<KeptKey>& keys) {
  MemberReader reader(source);
  bool has_database = false;
  bool has_keys = false;
  for (;;) {
    TRY_ASSIGN(const auto member, reader.next());
    if (!member) break;
    has_database = has_database || member->name == kDatabase;
    if (member->name == kKeyList) {
      has_keys = true;
      TRY_ASSIGN(const auto list, reader.read_all(kMaxKeyListBytes));
      TRY_ASSIGN(keys, decode_keys(list));
      continue;
    }
    TRY(write_member(reader, cat(folder, "/", member->name)));
  }
  if (!has_database || !has_keys) return fail(Code::DataLoss, "the backup lacks its database or its keys");
  return reader.manifest();
}

// What was written is read again: a disk that does not keep it is found now and not by the daemon.
Status check_written(const Manifest& manifest, const std::string& folder) {
  for (const auto& member : manifest.members) {
    if (member.name == kKeyList) continue;
    TRY_ASSIGN(const auto digest, crypto::sha256_file_hex(cat(folder, "/", member.name)));
    if (digest == member.sha256) continue;
    return fail(Code::DataLoss, cat("'", member.name, "' is not on the disk as it was written"), "look after the disk");
  }
  return {};
}

// -- what is there ---------------------------------------------------------------------------------------------------

struct WhatIsThere {
  std::vector<std::string> names;
  bool tree = false, ledger = false;
};

Result<WhatIsThere> look_at(const std::string& state_dir) {
  WhatIsThere found;
  found.names = small_files(state_dir);
  for (const auto name : {kDatabase, kLedgerKey}) {
    if (path_exists(cat(state_dir, "/", name))) found.names.emplace_back(name);
  }
  found.tree = path_exists(cat(state_dir, "/keys/tree"));
  if (found.tree) found.names.emplace_back("keys/tree");
  const std::string ledger = cat(state_dir, "/", kLedgerFolder);
  if (path_exists(ledger)) {
    TRY_ASSIGN(const auto segments, ledger::list_segments(ledger));
    found.ledger = !segments.empty();
  }
  if (found.ledger) found.names.emplace_back(kLedgerFolder);
  return found;
}

// -- ledgers ---------------------------------------------------------------------------------------------------------

Status check_ledger(const std::string& folder, std::string_view which, std::vector<ledger::Note> checkpoints,
                    std::optional<ledger::VerifierKey> first_key, std::string_view hint) {
  ledger::VerifyOptions options;
  options.folder = folder;
  options.checkpoints = std::move(checkpoints);
  options.first_key = std::move(first_key);
  auto report = ledger::verify(options);
  if (!report) return fail(std::move(report.error()).in(cat("verify ", which)));
  if (report->good()) return {};
  const auto& first = report->findings.front();
  return fail(Code::FailedPrecondition,
              cat(which, " is not what was signed: entries ", first.from, " to ", first.to, ": ", first.what),
              std::string(hint));
}

Status check_own_ledger(const Manifest& manifest, const std::string& folder) {
  if (manifest.ledger_origin.empty()) return {};
  const std::string own = cat(folder, "/", kLedgerFolder);
  if (!path_exists(own) || !path_exists(cat(folder, "/", kLedgerKey))) {
    return fail(Code::DataLoss, "the backup lacks its ledger");
  }
  return check_ledger(own, "the ledger of the backup", {}, std::nullopt, "take another backup");
}

// That the log in `folder` begins with the whole of the backup's.
Status check_continues(const std::string& backed_up, const std::string& folder, const Manifest& manifest) {
  const std::string hint = "name the ledger of the daemon that the backup is of, as it was when that ended";
  if (manifest.ledger_origin.empty()) {
    return fail(Code::FailedPrecondition,
                cat("the backup has no ledger that the one in '", folder, "' could go on with"));
  }
  TRY_ASSIGN(const std::string checkpoint, read_file(cat(backed_up, "/checkpoint"), kMaxSmallFile));
  TRY_ASSIGN(const auto note, ledger::parse_note(checkpoint));
  TRY_ASSIGN(const std::string keys, read_file(cat(backed_up, "/keys"), kMaxMembers * kMaxSmallFile));
  TRY_ASSIGN(const auto chain, ledger::KeyChain::parse(keys));
  if (chain.empty()) return fail(Code::DataLoss, "the ledger of the backup has no keys");
  return check_ledger(folder, cat("the ledger in '", folder, "', as the continuation of the backup's,"), {note},
                      chain.links().front().key, hint);
}

// -- the parts of the new state --------------------------------------------------------------------------------------

incident::Incident incident_of(const std::string& workspace, const Containment& containment) {
  incident::Incident incident;
  incident.id = containment.incident;
  incident.workspace_id = workspace;
  incident.namespace_id = containment.namespace_id;
  incident.why = containment.why;
  incident.by = "restore";
  incident.began_at = std::chrono::system_clock::time_point(std::chrono::microseconds(containment.at_us));
  return incident;
}

Status bring_up_to_date(const std::string& path, const store::Schema& schema, const Endings& endings, Restored& done) {
  TRY_ASSIGN(const auto connection, store::open_sqlite(path, schema));
  auto work = [&](store::Connection& c) -> Status {
    TRY_ASSIGN(done.workspaces, workspace::mark_removed(c, endings.workspaces));
    TRY_ASSIGN(done.credentials, identity::end_credentials(c, endings.credentials, std::chrono::system_clock::now()));
    TRY_ASSIGN(done.secrets, identity::remove_secrets(c, endings.secrets));
    for (const auto& [workspace, containment] : endings.contained) {
      TRY_ASSIGN(const bool there, workspace::is_recorded(c, workspace));
      if (!there || endings.workspaces.contains(workspace)) continue;
      TRY(incident::IncidentBook::contain_still(c, incident_of(workspace, containment)));
      ++done.contained;
    }
    return {};
  };
  TRY(store::in_transaction(*connection, work));
  return connection->checkpoint();
}

// A tree of its own, under a root that has never been anywhere else.
Status plant_keys(const std::string& folder, keys::RootHolder& holder, const std::vector<KeptKey>& keys,
                  const Endings& endings, Restored& done) {
  TRY_ASSIGN(const auto store, keys::KeyStore::open(folder, holder));
  for (const auto& kept : keys) {
    if (endings.has(kept)) {
      ++done.keys_ended;
      continue;
    }
    TRY(store->keep(kept.name, kept.key));
    ++done.keys;
  }
  return {};
}

class Restoring {
 public:
  Restoring(const RestoreOptions& options, const MakeHolder& make_holder, const store::Schema& schema)
      : options_(options), make_holder_(make_holder), schema_(schema) {}

  Result<Restored> run(const SecureBytes& passphrase) {
    TRY_ASSIGN(const UniqueFd file, open_file(options_.file, O_RDONLY));
    TRY(finish_place(options_.state_dir));
    TRY_ASSIGN(present_, look_at(options_.state_dir));
    TRY(check_may_replace());
    TRY_ASSIGN(SecureBytes key, open_bundle(file.get(), passphrase));
    TRY(throw_away());
    auto made = make(file.get(), std::move(key));
    if (!made) {
      (void)throw_away();
      return fail(std::move(made.error()).in("restore a backup"));
    }
    TRY(finish_place(options_.state_dir));
    return made;
  }

 private:
  [[nodiscard]] Status check_may_replace() const {
    if (present_.names.empty() || options_.present == Present::replace) return {};
    std::string names;
    for (const auto& name : present_.names) names += cat(names.empty() ? "" : ", ", name);
    return fail(
        Code::FailedPrecondition, cat("the state folder '", options_.state_dir, "' is not empty: it has ", names),
        "choose another one with --state; or give --replace, which puts the backup in the place of what is there, "
        "but for its key tree and its ledger");
  }

  Result<keys::RootHolder*> holder() {
    if (!holder_) {
      TRY_ASSIGN(holder_, make_holder_());
    }
    return holder_.get();
  }

  // What an earlier restore, or this one, has not finished.
  Status throw_away() {
    return discard_place(options_.state_dir, [this] { return holder(); });
  }

  Result<Restored> make(int file, SecureBytes key) {
    TRY_ASSIGN(const std::string folder, begin_place(options_.state_dir));
    Blocks blocks(file, std::move(key));
    Restored done;
    std::vector<KeptKey> keys;
    TRY_ASSIGN(done.manifest, extract(blocks, folder, keys));
    TRY(check_written(done.manifest, folder));
    TRY(check_own_ledger(done.manifest, folder));
    TRY_ASSIGN(const Endings endings, endings_for(folder, done));
    TRY(bring_up_to_date(cat(folder, "/", kDatabase), schema_, endings, done));
    TRY_ASSIGN(auto* const root, holder());
    if (present_.tree) {
      // Whether it opens is to be known before anything has changed.
      TRY(keys::KeyStore::open(cat(options_.state_dir, "/keys"), *root));
      done.tree_stayed = true;
    } else {
      TRY(plant_keys(cat(folder, "/keys"), *root, keys, endings, done));
    }
    TRY(write_file_atomically(cat(folder, "/", kRestoredNote), text_of(done)));
    TRY(commit_place(options_.state_dir));
    return done;
  }

  // The ledger that stays leaves no place to the backup's.
  Result<Endings> endings_for(const std::string& folder, Restored& done) {
    const std::string own = cat(folder, "/", kLedgerFolder);
    const std::string here = cat(options_.state_dir, "/", kLedgerFolder);
    const auto since = done.manifest.database_at;
    std::vector<std::string> newer;
    if (!options_.newer_ledger.empty()) newer.push_back(options_.newer_ledger);
    if (present_.ledger) newer.push_back(here);
    Endings endings;
    if (newer.empty() && !done.manifest.ledger_origin.empty()) {
      TRY_ASSIGN(endings, endings_in(own, since));
    }
    for (const auto& one : newer) {
      TRY(check_continues(own, one, done.manifest));
      TRY_ASSIGN(Endings found, endings_in(one, since));
      if (found.until < endings.until) continue;  // both begin alike: the longer one says it all
      done.looked_until = found.until;
      endings = std::move(found);
    }
    if (!present_.ledger) return endings;
    if (!path_exists(cat(options_.state_dir, "/", kLedgerKey))) {
      return fail(
          Code::FailedPrecondition, cat("the ledger in '", here, "' has no key that it could go on with"),
          cat("move it elsewhere and name it with --ledger: the backup's goes on then, and what is only in it is "
              "kept there"));
    }
    done.ledger_stayed = true;
    TRY(remove_tree(own));
    TRY(remove_tree(cat(folder, "/", kLedgerKey)));
    return endings;
  }

  const RestoreOptions& options_;
  const MakeHolder& make_holder_;
  const store::Schema& schema_;
  std::unique_ptr<keys::RootHolder> holder_;
  WhatIsThere present_;
};

}  // namespace

Result<Restored> restore(const RestoreOptions& options, const SecureBytes& passphrase, const MakeHolder& make_holder,
                         const store::Schema& schema) {
  return Restoring(options, make_holder, schema).run(passphrase);
}

Result<std::optional<Restored>> read_note(const std::string& state_dir) {
  const std::string path = cat(state_dir, "/", kRestoredNote);
  if (!path_exists(path)) return std::nullopt;
  TRY_ASSIGN(const std::string text, read_file(path, kMaxSmallFile));
  TRY_ASSIGN(Restored restored, restored_from_text(text));
  return std::optional(std::move(restored));
}

Status forget_note(const std::string& state_dir) { return remove_tree(cat(state_dir, "/", kRestoredNote)); }

}  // namespace cofferdam::backup
