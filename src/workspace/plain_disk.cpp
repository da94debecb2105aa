// A disk from before disks were encrypted: its workspace gets another one that is, with the same content, when it
// starts next. Until its record names that one, the old disk is the workspace's; afterwards nothing of it is left.
#include <fcntl.h>
#include <sys/stat.h>

#include <array>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "disk/volume_file.h"
#include "workspace/folders.h"
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {
namespace {

// What lay in the clear beside it.
constexpr std::array<std::string_view, 4> kPlainLogs{"boot.log", "boot.log.1", "cmd.log", "cmd.log.1"};

}  // namespace

bool has_plain_disk(const Record& record) {
  return record.disk_kept && record.started_at && record.disk_key_id.empty() && record.disk_header.empty();
}

std::string plain_disk_path(const std::string& workspace_folder) { return cat(workspace_folder, "/", kPlainDisk); }

Task<void> ManagerImpl::encrypt_disk(EntryPtr entry) {
  Record& record = entry->record;
  log_info("the disk of a workspace is encrypted", {{"workspace", record.id}});
  auto copy = [this, id = record.id, mib = record.spec.disk_mib] { return copy_plain_disk(id, mib); };
  auto volume = co_await workers_.run(std::move(copy));
  if (!volume) {
    co_return fail(
        std::move(volume.error()).in("the disk is from before disks were encrypted, and cannot be taken over"));
  }
  take_disk(*entry, std::move(*volume));
  record.fixed_disk = true;
  auto named = co_await name_disk(entry);
  if (named) named = co_await save(entry);
  if (!named) {
    // What was made of the new one is removed at the daemon's next start.
    record.disk_key_id.clear();
    record.disk_header.clear();
    record.fixed_disk = false;
    entry->seal_key = SecureBytes();
    co_return fail(std::move(named.error()).in("encrypt the disk"));
  }
  note(entry, LogSource::boot, "its disk was from before disks were encrypted, and is encrypted now");
  co_return co_await remove_plain_disk(entry);
}

Result<disk::Volume> ManagerImpl::copy_plain_disk(const std::string& id, std::uint32_t mib) const {
  const auto path = plain_disk_path(table_.folder(id));
  TRY_ASSIGN(const UniqueFd file, open_file(path, O_RDONLY | O_NOFOLLOW));
  TRY(disk::lock_for_use(file.get(), cat("the disk '", path, "'")));
  struct stat st{};
  if (::fstat(file.get(), &st) != 0) return fail_errno(cat("stat '", path, "'"));
  if (!S_ISREG(st.st_mode) || static_cast<std::uint64_t>(st.st_size) > mib * model::kMiB) {
    return fail(Code::DataLoss, cat("'", path, "' is no disk of ", mib, " MiB"),
                "put back the file that belongs here, or remove the workspace");
  }
  TRY_ASSIGN(auto volume, volumes_.make_copy(file.get(), mib));
  // The logs of today have the same names: those in the clear go before there is a key for others.
  for (const auto& name : kPlainLogs) {
    const auto log = cat(table_.folder(id), "/", name);
    if (path_exists(log)) TRY(remove_for_good(log));
  }
  return volume;
}

// Also what a daemon left that died after its successor was there.
Task<void> ManagerImpl::remove_plain_disk(EntryPtr entry) {
  auto remove = [folder = table_.folder(entry->record.id)]() -> Status {
    const auto path = plain_disk_path(folder);
    const auto file = open_file(path, O_RDWR | O_NOFOLLOW);
    if (file) TRY(disk::discard_file(file->get()));
    if (path_exists(path)) TRY(remove_for_good(path));
    return {};
  };
  co_return co_await workers_.run(std::move(remove));
}

}  // namespace cofferdam::workspace
