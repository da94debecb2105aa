// Archives: kept as they come, read again, removed.
#include "workspace/archive.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "disk/sealed_file.h"
#include "disk/volume_file.h"
#include "workspace/folders.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {
namespace {

constexpr std::size_t kMaxVersion = 64;

keys::KeyName archive_key_name(const Archive& archive) { return {archive.workspace_id, "archive/" + archive.id}; }

std::string archives_folder(const std::string& workspace_folder) { return workspace_folder + "/archives"; }

std::string name_of(const Archive& archive) { return cat("archive ", archive.id); }

Status check_version(const std::string& version) {
  const bool clean = std::all_of(version.begin(), version.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
  if (clean && version.size() <= kMaxVersion) return {};
  return fail(Code::InvalidArgument, cat("/version: not 1 to ", kMaxVersion, " of letters, digits, _, - and ."));
}

const Archive* find_version(const std::vector<Archive>& all, const std::string& version) {
  const auto found = std::find_if(all.begin(), all.end(), [&](const Archive& one) { return one.version == version; });
  return found == all.end() ? nullptr : &*found;
}

// One more than the largest that is a number.
std::string next_version(const std::vector<Archive>& all) {
  std::uint64_t largest = 0;
  for (const auto& one : all) {
    const auto number = parse_int("version", one.version, 1, 1'000'000'000);
    if (number) largest = std::max(largest, static_cast<std::uint64_t>(*number));
  }
  return cat(largest + 1);
}

}  // namespace

// One on its way to the disk. The calls of its writer block.
struct ManagerImpl::NewArchive {
  Archive archive;
  UniqueFd file;
  keys::Key key;
  std::unique_ptr<disk::SealedWriter> writer;
};

std::string ManagerImpl::archive_path(const Archive& archive) const {
  return cat(archives_folder(table_.folder(archive.workspace_id)), "/", archive.id);
}

Result<std::vector<Archive>> ManagerImpl::archives(const std::string& id) const {
  TRY_ASSIGN(const auto entry, find(id));
  return entry->archives;
}

Task<Archive> ManagerImpl::add_archive(std::string id, ArchiveWish wish, ArchiveBytes bytes) {
  if (closing_) co_return fail(Code::Unavailable, "the daemon is shutting down");
  CO_TRY(check_version(wish.version));
  CO_TRY_ASSIGN(const auto entry, find(id));
  if (entry->archives.size() >= kMaxArchives) {
    co_return fail(Code::ResourceExhausted,
                   cat("the workspace has ", kMaxArchives, " archives, the most that are kept"),
                   "remove some with `coffer archive rm`");
  }
  Archive archive;
  archive.id = new_id("arc");
  archive.workspace_id = entry->record.id;
  archive.version = std::move(wish.version);
  if (archive.version.empty()) archive.version = next_version(entry->archives);
  if (find_version(entry->archives, archive.version) != nullptr) {
    co_return fail(Code::AlreadyExists, cat("/version: there is an archive '", archive.version, "' already"));
  }
  archive.created_at = std::chrono::system_clock::now();
  archive.paths = std::move(wish.paths);
  archive.excludes = std::move(wish.excludes);
  auto made = std::make_shared<NewArchive>();
  made->archive = std::move(archive);
  co_return co_await run_owned<Archive>(operations_, "archive", do_add_archive(std::move(made), std::move(bytes)));
}

// It takes as long as its bytes take to come: the workspace is used and changed meanwhile, and may be removed.
Task<Archive> ManagerImpl::do_add_archive(std::shared_ptr<NewArchive> made, ArchiveBytes bytes) {
  auto kept = co_await write_archive(made, std::move(bytes));
  if (!kept) (void)co_await clear_archive(made->archive);
  co_return kept;
}

Task<Archive> ManagerImpl::write_archive(std::shared_ptr<NewArchive> made, ArchiveBytes bytes) {
  auto open = [this, made]() -> Status {
    TRY(table_.make_folder(made->archive.workspace_id));
    TRY(make_lasting_folder(archives_folder(table_.folder(made->archive.workspace_id))));
    TRY_ASSIGN(made->file, open_file(archive_path(made->archive), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    made->key = keys::make_key(crypto::kAeadKeyBytes);
    made->writer =
        std::make_unique<disk::SealedWriter>(made->file.get(), made->key.bytes.clone(), name_of(made->archive));
    return {};
  };
  CO_TRY(co_await workers_.run(std::move(open)));
  for (;;) {
    CO_TRY_ASSIGN(auto piece, co_await bytes());
    if (piece.empty()) break;
    auto write = [made, piece = std::move(piece)] { return made->writer->write(piece); };
    CO_TRY(co_await workers_.run(std::move(write)));
  }
  auto finish = [this, made](EntryPtr entry) { return finish_archive(std::move(entry), made); };
  co_return co_await with_place<Archive>(made->archive.workspace_id, std::move(finish));
}

// From here on it is there.
Task<Archive> ManagerImpl::finish_archive(EntryPtr entry, std::shared_ptr<NewArchive> made) {
  Archive& archive = made->archive;
  if (find_version(entry->archives, archive.version) != nullptr) {
    co_return fail(Code::AlreadyExists, cat("/version: there is an archive '", archive.version, "' already"));
  }
  auto keep = [this, made]() -> Status {
    TRY(made->writer->finish());
    made->archive.bytes = made->writer->file_bytes();
    TRY(sync_folder(archives_folder(table_.folder(made->archive.workspace_id))));
    return keys_.keep(archive_key_name(made->archive), made->key);
  };
  CO_TRY(co_await workers_.run(std::move(keep)));
  CO_TRY(co_await archive_table_.add(archive));
  entry->archives.push_back(archive);
  tell(entry, EventKind::archive_made, archive.version);
  co_return archive;
}

Task<ArchiveBytes> ManagerImpl::read_archive(std::string id, std::string version) {
  CO_TRY_ASSIGN(const auto entry, find(id));
  const Archive* found = find_version(entry->archives, version);
  if (found == nullptr) {
    co_return fail(Code::NotFound, cat("the workspace '", entry->record.id, "' has no archive '", version, "'"),
                   "list them with `coffer archive ls`");
  }
  struct Reading {
    UniqueFd file;
    std::unique_ptr<disk::SealedReader> reader;
  };
  auto reading = std::make_shared<Reading>();
  auto open = [this, archive = *found, reading]() -> Status {
    TRY_ASSIGN(auto key, keys_.get(archive_key_name(archive)));
    auto file = open_file(archive_path(archive), O_RDONLY | O_NOFOLLOW);
    if (!file) return fail(std::move(file.error()).in(name_of(archive)));
    reading->file = std::move(*file);
    reading->reader = std::make_unique<disk::SealedReader>(reading->file.get(), std::move(key.bytes), name_of(archive));
    return {};
  };
  CO_TRY(co_await workers_.run(std::move(open)));
  ArchiveBytes next = [this, reading] { return read_block([reading] { return reading->reader->next(); }); };
  co_return next;
}

Task<std::string> ManagerImpl::read_block(std::function<Result<std::optional<std::string_view>>()> next) {
  auto read = [next = std::move(next)]() -> Result<std::string> {
    TRY_ASSIGN(const auto block, next());
    return std::string(block.value_or(std::string_view()));
  };
  co_return co_await workers_.run(std::move(read));
}

// Row, key and file, as far as they are there. Without the row the next start finishes what is left.
Task<void> ManagerImpl::clear_archive(Archive archive) {
  CO_TRY(co_await archive_table_.remove(archive.workspace_id, archive.id));
  auto clear = [this, archive]() -> Result<keys::Erasure> {
    const std::array<keys::KeyName, 1> names{archive_key_name(archive)};
    TRY_ASSIGN(auto erased, keys_.erase(names));
    const auto path = archive_path(archive);
    const auto file = open_file(path, O_RDWR | O_NOFOLLOW);
    if (file) TRY(disk::discard_file(file->get()));
    TRY(remove_tree(path));
    return erased;
  };
  CO_TRY_ASSIGN(const auto erased, co_await workers_.run(std::move(clear)));
  note_erasure(archive.workspace_id, "an archive", erased);
  co_return Status{};
}

Task<void> ManagerImpl::remove_archive(std::string id, std::string version) {
  auto operation = [this, version](EntryPtr entry) { return do_remove_archive(std::move(entry), version); };
  return in_turn<void>(std::move(id), "removal of an archive", std::move(operation));
}

Task<void> ManagerImpl::do_remove_archive(EntryPtr entry, std::string version) {
  CO_TRY(check_not_held(entry->record));
  const Archive* found = find_version(entry->archives, version);
  if (found == nullptr) {
    co_return fail(Code::NotFound, cat("the workspace '", entry->record.id, "' has no archive '", version, "'"),
                   "list them with `coffer archive ls`");
  }
  const Archive archive = *found;
  CO_TRY(co_await clear_archive(archive));
  std::erase_if(entry->archives, [&](const Archive& one) { return one.id == archive.id; });
  tell(entry, EventKind::archive_removed, archive.version);
  co_return Status{};
}

// At the daemon's start: files without a row were never archives, rows without a file are told of and removed.
Task<void> ManagerImpl::load_archives(EntryPtr entry) {
  CO_TRY_ASSIGN(auto rows, co_await archive_table_.list(entry->record.id));
  auto look = [folder = archives_folder(table_.folder(entry->record.id))]() -> Result<std::vector<std::string>> {
    if (!path_exists(folder)) return std::vector<std::string>{};
    return list_directory(folder);
  };
  CO_TRY_ASSIGN(const auto names, co_await workers_.run(std::move(look)));
  for (const auto& name : names) {
    if (std::any_of(rows.begin(), rows.end(), [&](const Archive& row) { return row.id == name; })) continue;
    Archive leftover;
    leftover.id = name;
    leftover.workspace_id = entry->record.id;
    if (!is_id(name, "arc")) continue;
    log_info("an archive that was never finished is removed", {{"archive", name}});
    CO_TRY(co_await clear_archive(leftover));
  }
  for (auto& row : rows) {
    if (std::find(names.begin(), names.end(), row.id) == names.end()) {
      log_error("the file of an archive is gone", {{"workspace", row.workspace_id}, {"archive", row.id}});
      CO_TRY(co_await clear_archive(row));
    } else {
      entry->archives.push_back(std::move(row));
    }
  }
  co_return Status{};
}

}  // namespace cofferdam::workspace
