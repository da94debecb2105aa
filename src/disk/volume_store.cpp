#include "disk/volume_store.h"

#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "disk/format.h"
#include "disk/luks.h"
#include "disk/qcow2.h"
#include "disk/volume_file.h"
#include "model/units.h"

namespace cofferdam::disk {
namespace {

constexpr std::uint64_t kMaxReserveBytes = 1024 * model::kMiB;
constexpr std::uint64_t kReserveShare = 20;

// Where the file system has no O_TMPFILE (overlayfs of older kernels), a file whose name is removed at once.
Result<UniqueFd> make_nameless(const std::string& dir) {
  auto file = open_file(dir, O_TMPFILE | O_RDWR, 0600);
  if (file) return file;
  const std::string path = cat(dir, "/disk.tmp-", to_hex(random_bytes(8)));
  TRY_ASSIGN(UniqueFd named, open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  if (::unlink(path.c_str()) != 0) return fail_errno(cat("remove the name of '", path, "'"));
  return named;
}

}  // namespace

Status check_room(const HostRoom& room, std::uint32_t mib) {
  const std::uint64_t wanted = mib * model::kMiB;
  if (wanted > room.total_bytes) {
    return fail(Code::ResourceExhausted,
                cat("a disk of ", format_size(wanted), " is larger than the host's file system (",
                    format_size(room.total_bytes), ")"),
                "ask for a smaller disk");
  }
  if (room.free_bytes < room.reserve_bytes) {
    return fail(Code::ResourceExhausted,
                cat("the host's disk is nearly full: ", format_size(room.free_bytes), " are free, ",
                    format_size(room.reserve_bytes), " are kept in reserve"),
                "remove workspaces or images (`coffer rm`, `coffer image rm`), or move --state to a larger disk");
  }
  return {};
}

Result<VolumeStore> VolumeStore::open(std::string disks_dir) {
  TRY(make_directories(disks_dir));
  return VolumeStore(std::move(disks_dir));
}

Result<HostRoom> VolumeStore::host_room() const {
  struct statvfs fs{};
  if (::statvfs(dir_.c_str(), &fs) != 0) return fail_errno(cat("ask for the free room of '", dir_, "'"));
  HostRoom room;
  room.total_bytes = static_cast<std::uint64_t>(fs.f_blocks) * fs.f_frsize;
  room.free_bytes = static_cast<std::uint64_t>(fs.f_bavail) * fs.f_frsize;
  room.reserve_bytes = std::min(kMaxReserveBytes, room.total_bytes / kReserveShare);
  return room;
}

Result<Volume> VolumeStore::make_ephemeral(std::uint32_t mib) const {
  TRY_ASSIGN(const HostRoom room, host_room());
  TRY(check_room(room, mib));  // before anything of that size is formatted
  TRY_ASSIGN(const UniqueFd format, open_format(formats_dir(), mib));
  return make_copy(format.get(), mib);
}

Result<UniqueFd> VolumeStore::empty_disk(std::uint32_t mib) const { return open_format(formats_dir(), mib); }

Result<Volume> VolumeStore::make(std::uint32_t mib,
                                 const std::function<Status(int to, const LuksHeader& header)>& fill) const {
  TRY_ASSIGN(const HostRoom room, host_room());
  TRY(check_room(room, mib));
  keys::Key key = keys::make_key(keys::kDiskKeyBytes);
  TRY_ASSIGN(const LuksHeader header, make_luks_header(passphrase_of(key.bytes)));
  TRY_ASSIGN(UniqueFd file, make_nameless(dir_));
  auto written = fill(file.get(), header);
  if (!written) return fail(std::move(written.error()).in(cat("make a disk of ", mib, " MiB")));
  TRY(lock_for_use(file.get(), "a new disk"));
  return Volume(std::move(file), std::move(key), {mib * model::kMiB, crypto::sha256_hex(header.bytes)});
}

Result<Volume> VolumeStore::make_copy(int source, std::uint32_t mib) const {
  return make(mib,
              [&](int to, const LuksHeader& header) { return write_image(to, mib * model::kMiB, header, source); });
}

Result<VolumeStore::Source> VolumeStore::open_source(const Volume& volume) {
  Source source;
  TRY_ASSIGN(source.file, volume.descriptor());
  source.bytes = volume.bytes();
  TRY_ASSIGN(const LuksHeader header, read_header(source.file.get()));
  TRY_ASSIGN(source.volume_key, open_luks_header(header.bytes, volume.passphrase()));
  return source;
}

Result<Volume> VolumeStore::make_from(const Source& source, std::uint32_t mib) const {
  const EncryptedSource from{source.file.get(), source.bytes, source.volume_key};
  return make(mib, [&](int to, const LuksHeader& fresh) { return rewrite_image(to, mib * model::kMiB, fresh, from); });
}

Result<VolumeStore::Target> VolumeStore::make_target(const std::string& path, std::uint32_t mib,
                                                     const keys::Key& key) const {
  TRY_ASSIGN(const HostRoom room, host_room());
  TRY(check_room(room, mib));
  TRY_ASSIGN(const LuksHeader header, make_luks_header(passphrase_of(key.bytes)));
  Target target;
  TRY_ASSIGN(target.file, open_file(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  TRY(write_image(target.file.get(), mib * model::kMiB, header, -1));
  target.facts = {mib * model::kMiB, crypto::sha256_hex(header.bytes)};
  return target;
}

Status VolumeStore::remove_leftovers() const {
  TRY_ASSIGN(const auto names, list_directory(dir_));
  for (const auto& name : names) {
    if (starts_with(name, "disk.tmp-")) TRY(remove_tree(cat(dir_, "/", name)));
  }
  return remove_old_formats(formats_dir());
}

}  // namespace cofferdam::disk
