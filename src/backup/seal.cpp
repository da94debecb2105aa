#include "backup/seal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "backup/members.h"
#include "base/file.h"
#include "base/id.h"
#include "base/text.h"
#include "store/sqlite.h"

namespace cofferdam::backup {
namespace {

constexpr std::string_view kPrefix = "backup.tmp-";

// Open, and without a name from now on: nothing of it outlives this process.
Result<UniqueFd> open_and_unname(const std::string& path, int flags) {
  auto file = open_file(path, flags, 0600);
  if (file && ::unlink(path.c_str()) != 0) return fail_errno(cat("remove the name '", path, "'"));
  return file;
}

// Straight into locked memory.
Result<SecureBytes> read_small(const std::string& path) {
  TRY_ASSIGN(const UniqueFd file, open_file(path, O_RDONLY | O_NOFOLLOW));
  SecureBytes room(kMaxSmallFile + 1);
  std::size_t have = 0;
  while (have < room.size()) {
    const ssize_t n = ::read(file.get(), room.writable().data() + have, room.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(cat("read '", path, "'"));
    if (n == 0) return SecureBytes::copy_of(room.view().substr(0, have));
    have += static_cast<std::size_t>(n);
  }
  return fail(Code::ResourceExhausted, cat("'", path, "' is longer than ", kMaxSmallFile, " bytes"));
}

Result<std::uint64_t> size_of(int file) {
  struct stat info{};
  if (::fstat(file, &info) != 0) return fail_errno("look at a file of the backup");
  return static_cast<std::uint64_t>(info.st_size);
}

Status add_ledger(MemberWriter& out, const ledger::LedgerCopy& ledger) {
  for (const auto& file : ledger.segments)
    TRY(out.add_file(cat(kLedgerFolder, "/", file.name), file.fd.get(), file.bytes));
  TRY(out.add(cat(kLedgerFolder, "/keys"), ledger.keys));
  TRY(out.add(cat(kLedgerFolder, "/checkpoint"), ledger.checkpoint));
  return out.add(kLedgerKey, ledger.signing_key.view());
}

}  // namespace

Status remove_drafts(const std::string& state_dir) {
  TRY_ASSIGN(const auto names, list_directory(state_dir));
  for (const auto& name : names) {
    if (name.starts_with(kPrefix)) TRY(remove_tree(cat(state_dir, "/", name)));
  }
  return {};
}

Result<Draft> Draft::begin(const std::string& state_dir, keys::KeyStore& keys) {
  Draft draft(state_dir);
  const std::string copy = cat(state_dir, "/", kPrefix, new_id("db"));
  auto copied = store::copy_sqlite(cat(state_dir, "/", kDatabase), copy);
  auto file = open_and_unname(copy, O_RDONLY);
  if (!copied) return fail(std::move(copied.error()));
  if (!file) return fail(std::move(file.error()));
  draft.database_ = std::move(*file);
  for (const auto& name : small_files(state_dir)) {
    TRY_ASSIGN(SecureBytes bytes, read_small(cat(state_dir, "/", name)));
    draft.small_.push_back({name, std::move(bytes)});
  }
  TRY_ASSIGN(draft.keys_, keys_of(keys));
  return draft;
}

Result<UniqueFd> Draft::seal(const SecureBytes& passphrase, Manifest manifest,
                             const std::optional<ledger::LedgerCopy>& ledger, crypto::DerivationCost cost) {
  TRY_ASSIGN(const auto head, make_head(passphrase, cost));
  TRY_ASSIGN(UniqueFd file, open_and_unname(cat(state_dir_, "/", kPrefix, manifest.id), O_RDWR | O_CREAT | O_EXCL));
  TRY(write_all(file.get(), head.bytes));
  disk::SealedWriter blocks(file.get(), head.key.clone(), "the backup");
  MemberWriter out(blocks);
  TRY_ASSIGN(const auto database_bytes, size_of(database_.get()));
  TRY(out.add_file(kDatabase, database_.get(), database_bytes));
  for (const auto& small : small_) TRY(out.add(small.name, small.bytes.view()));
  TRY_ASSIGN(const auto list, encode_keys(keys_));
  TRY(out.add(kKeyList, list.view()));
  manifest.keys = keys_.size();
  if (ledger) {
    TRY(add_ledger(out, *ledger));
    manifest.ledger_origin = ledger->origin;
    manifest.ledger_size = ledger->size;
  }
  TRY(out.finish(std::move(manifest)));
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return fail_errno("go back to the start of the backup");
  return file;
}

}  // namespace cofferdam::backup
