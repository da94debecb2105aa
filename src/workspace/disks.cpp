// A workspace's disk and its key: given a name, opened again, destroyed.
#include <fcntl.h>

#include <array>
#include <set>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/hmac.h"
#include "disk/luks.h"
#include "disk/volume_file.h"
#include "workspace/folders.h"
#include "workspace/key_names.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {
namespace {

// Of the key that a disk's file is named after; "": no disk's.
std::string key_id_in(const std::string& name) {
  constexpr std::string_view kBefore = "disk-";
  constexpr std::string_view kAfter = ".img";
  if (!starts_with(name, kBefore) || !name.ends_with(kAfter)) return {};
  auto id = name.substr(kBefore.size(), name.size() - kBefore.size() - kAfter.size());
  return is_id(id, "key") ? id : std::string();
}

// What lies beside the disk and is the guest's: under a key that ends with the disk's.
SecureBytes seal_key_of(const SecureBytes& passphrase) {
  return crypto::derive_key(passphrase, "cofferdam workspace 1");
}

}  // namespace

Task<void> ManagerImpl::keep_disk(EntryPtr entry) {
  Record& record = entry->record;
  if (record.disk_kept) co_return Status{};
  if (!entry->volume) {
    co_return fail(Code::FailedPrecondition,
                   cat("the disk of the workspace '", record.id, "' has no name and cannot be given one any more"),
                   "copy what it holds into a permanent workspace");
  }
  // The row comes first, and lasts as long as the disk: a folder without one is taken for somebody's lost disk.
  CO_TRY(co_await save_as(entry, store::Durability::power_loss));
  CO_TRY(co_await name_disk(entry));
  record.disk_kept = true;
  co_return co_await save(entry);
}

// Its key in the key store, and a name for its file.
Task<void> ManagerImpl::name_disk(EntryPtr entry) {
  auto keep = [this, record = entry->record, volume = std::move(*entry->volume)]() mutable -> Status {
    TRY(table_.make_folder(record.id));
    TRY(keys_.keep(disk_key_name(record), volume.key()));
    return volume.persist(table_.disk_path(record.id, record.disk_key_id));
  };
  entry->volume.reset();
  co_return co_await workers_.run(std::move(keep));
}

// Of a record that the workspace had before: nobody opens that disk any more.
Task<void> ManagerImpl::remove_old_disk(Record old) {
  auto remove = [this, old]() -> Result<keys::Erasure> {
    const std::array<keys::KeyName, 1> names{disk_key_name(old)};
    TRY_ASSIGN(auto erased, keys_.erase(names));
    const auto path = table_.disk_path(old.id, old.disk_key_id);
    const auto file = open_file(path, O_RDWR | O_NOFOLLOW);
    if (file) TRY(disk::discard_file(file->get()));
    if (path_exists(path)) TRY(remove_for_good(path));
    return erased;
  };
  CO_TRY_ASSIGN(const auto erased, co_await workers_.run(std::move(remove)));
  note_erasure(old.id, "a disk that another one replaced", erased);
  co_return Status{};
}

// What a daemon left that died while one disk took the place of another.
Task<void> ManagerImpl::remove_strange_disks(EntryPtr entry) {
  // A disk, its key, or both may be left.
  auto look = [this, id = entry->record.id]() -> Result<std::set<std::string>> {
    std::set<std::string> found;
    TRY_ASSIGN(const auto all, keys_.list(id));
    for (const auto& key : all) {
      Record strange;
      strange.id = id;
      strange.disk_key_id = key.id;
      if (key.name == disk_key_name(strange)) found.insert(key.id);
    }
    if (!path_exists(table_.folder(id))) return found;
    TRY_ASSIGN(const auto names, list_directory(table_.folder(id)));
    for (const auto& name : names) {
      const auto key = key_id_in(name);
      if (!key.empty()) found.insert(key);
    }
    return found;
  };
  CO_TRY_ASSIGN(auto found, co_await workers_.run(std::move(look)));
  found.erase(entry->record.disk_key_id);
  for (const auto& key : found) {
    Record strange;
    strange.id = entry->record.id;
    strange.disk_key_id = key;
    log_info("a disk that is no longer a workspace's is removed", {{"workspace", strange.id}, {"key", key}});
    CO_TRY(co_await remove_old_disk(std::move(strange)));
  }
  if (!has_plain_disk(entry->record)) CO_TRY(co_await remove_plain_disk(entry));
  co_return Status{};
}

Task<disk::Volume> ManagerImpl::open_disk(EntryPtr entry) {
  const Record& record = entry->record;
  if (has_plain_disk(record)) CO_TRY(co_await encrypt_disk(entry));
  disk::VolumeFacts facts{record.spec.disk_mib * model::kMiB, record.disk_header};
  auto open = [this, name = disk_key_name(record), path = table_.disk_path(record.id, record.disk_key_id),
               facts = std::move(facts)]() -> Result<disk::Volume> {
    TRY_ASSIGN(auto key, keys_.get(name));
    return disk::Volume::open(path, std::move(key), facts);
  };
  co_return co_await workers_.run(std::move(open));
}

void ManagerImpl::take_disk(Entry& entry, disk::Volume volume) {
  entry.record.disk_header = volume.facts().header_sha256;
  entry.record.disk_key_id = volume.key().id;
  entry.seal_key = seal_key_of(volume.passphrase());
  entry.volume = std::move(volume);
}

// For a workspace of a former daemon: its key is in the key store, or with its machine alone.
Task<void> ManagerImpl::unseal(EntryPtr entry) {
  if (has_plain_disk(entry->record)) co_return Status{};  // nothing of it is sealed
  if (entry->record.disk_kept) {
    auto load = [this, name = disk_key_name(entry->record)]() -> Result<SecureBytes> {
      TRY_ASSIGN(const auto key, keys_.get(name));
      return seal_key_of(disk::passphrase_of(key.bytes));
    };
    CO_TRY_ASSIGN(entry->seal_key, co_await workers_.run(std::move(load)));
  } else if (entry->machine) {
    CO_TRY_ASSIGN(const auto passphrase, entry->machine->disk_passphrase());
    entry->seal_key = seal_key_of(passphrase);
  } else {
    co_return Status{};
  }
  co_return unseal_env(entry->record, entry->seal_key);
}

}  // namespace cofferdam::workspace
