#include "guest/file_service.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/file.h"
#include "base/text.h"
#include "guest/file_info.h"
#include "guest/passwd.h"

namespace cofferdam::guest {
namespace {

// A page of a listing is cut here, whatever its limit: it must fit a message.
constexpr std::size_t kMaxPageBytes = 512U << 10;
constexpr std::int64_t kNsPerSecond = 1'000'000'000;

Result<Owner> find_owner(const std::string& asked, const std::string& otherwise) {
  TRY_ASSIGN(const User user, find_user(asked.empty() ? otherwise : asked));
  return Owner{user.uid, user.gid};
}

Status give(const std::string& path, Owner owner) {
  if (::geteuid() != 0) return {};
  if (::lchown(path.c_str(), owner.uid, owner.gid) != 0) return fail_errno(cat("give '", path, "' to its owner"));
  return {};
}

// The folders above `path` that are missing, each given to the owner.
Status make_parents(const std::string& path, Owner owner) {
  for (std::size_t slash = path.find('/', 1); slash != std::string::npos; slash = path.find('/', slash + 1)) {
    const std::string folder = path.substr(0, slash);
    if (::mkdir(folder.c_str(), 0755) == 0) {
      TRY(give(folder, owner));
    } else if (errno != EEXIST && !path_exists(folder)) {
      return fail_errno(cat("make folder '", folder, "'"));
    }
  }
  return {};
}

}  // namespace

Result<wire::FileInfo> stat_file(const wire::FileStat& request) {
  TRY(check_path(request.path));
  struct stat info{};
  const int flags = request.follow == wire::Follow::Yes ? 0 : AT_SYMLINK_NOFOLLOW;
  if (::fstatat(AT_FDCWD, request.path.c_str(), &info, flags) != 0) return fail_errno(cat("'", request.path, "'"));
  auto answer = info_of(request.path, info);
  if (answer.kind == wire::FileKind::Symlink) answer.link_target = link_target(AT_FDCWD, request.path.c_str());
  return answer;
}

Result<wire::FileListResult> list_folder(const wire::FileList& request) {
  TRY(check_path(request.path));
  TRY_ASSIGN(const UniqueFd folder, open_file(request.path, O_RDONLY | O_DIRECTORY | O_NONBLOCK));
  wire::FileListResult result;
  std::uint64_t last = request.cursor;
  std::size_t bytes = 0;
  TRY_ASSIGN(const bool at_end, each_entry(folder.get(), request.cursor, request.path, [&](const Entry& entry) {
               if (result.entries.size() >= request.limit || bytes >= kMaxPageBytes) return false;
               last = entry.next;
               const std::string name(entry.name);
               struct stat info{};
               // Removed since: nothing to tell.
               if (::fstatat(folder.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return true;
               auto& answer = result.entries.emplace_back(info_of(name, info));
               if (S_ISLNK(info.st_mode)) answer.link_target = link_target(folder.get(), name.c_str());
               bytes += name.size() + answer.link_target.size() + 64;
               return true;
             }));
  result.next_cursor = at_end ? 0 : last;
  return result;
}

Result<wire::FileReadResult> read_range(const wire::FileRead& request) {
  TRY(check_path(request.path));
  TRY_ASSIGN(const UniqueFd file, open_file(request.path, O_RDONLY | O_NONBLOCK | O_NOCTTY));
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return fail_errno(cat("'", request.path, "'"));
  if (!S_ISREG(info.st_mode)) {
    return fail(Code::InvalidArgument, cat("'", request.path, "' is not a regular file"));
  }
  wire::FileReadResult result;
  result.size = static_cast<std::uint64_t>(info.st_size);
  if (request.offset > static_cast<std::uint64_t>(INT64_MAX)) return fail(Code::OutOfRange, "the offset is too large");
  result.bytes.resize(std::min<std::size_t>(request.length, wire::kMaxChunk));
  std::size_t got = 0;
  while (got < result.bytes.size()) {
    const ssize_t n = ::pread(file.get(), result.bytes.data() + got, result.bytes.size() - got,
                              static_cast<off_t>(request.offset + got));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(cat("read '", request.path, "'"));
    if (n == 0) {
      result.end = true;
      break;
    }
    got += static_cast<std::size_t>(n);
  }
  result.bytes.resize(got);
  // Files of /proc say 0 bytes and have some.
  result.end = result.end || (result.size != 0 && request.offset + got >= result.size);
  return result;
}

Status make_folder(const wire::Mkdir& request, const std::string& default_user) {
  TRY(check_path(request.path));
  TRY_ASSIGN(const Owner owner, find_owner(request.user, default_user));
  if (request.make_parents == wire::MakeParents::Yes) TRY(make_parents(request.path, owner));
  if (::mkdir(request.path.c_str(), request.mode) != 0) {
    if (errno == EEXIST && request.make_parents == wire::MakeParents::Yes) {
      TRY_ASSIGN(const wire::FileInfo there, stat_file({request.path}));
      if (there.kind == wire::FileKind::Folder) return {};
      errno = EEXIST;
    }
    return fail_errno(cat("make folder '", request.path, "'"));
  }
  // mkdir(2) takes the umask off.
  if (::chmod(request.path.c_str(), request.mode) != 0) return fail_errno(cat("set mode of '", request.path, "'"));
  return give(request.path, owner);
}

Status remove_path(const wire::Remove& request) {
  TRY(check_path(request.path));
  if (request.recursive == wire::Recursive::Yes) {
    if (request.path.find_first_not_of('/') == std::string::npos) {
      return fail(Code::InvalidArgument, "the guest's root folder cannot be removed");
    }
    return remove_tree(request.path);
  }
  if (::unlink(request.path.c_str()) == 0) return {};
  if (errno == EISDIR && ::rmdir(request.path.c_str()) == 0) return {};
  return fail_errno(cat("remove '", request.path, "'"));
}

Status rename_path(const wire::Rename& request) {
  TRY(check_path(request.from));
  TRY(check_path(request.to));
  if (::rename(request.from.c_str(), request.to.c_str()) != 0) {
    return fail_errno(cat("rename '", request.from, "' to '", request.to, "'"));
  }
  return {};
}

Status make_symlink(const wire::MakeSymlink& request, const std::string& default_user) {
  TRY(check_path(request.path));
  if (request.target.empty() || request.target.find('\0') != std::string::npos) {
    return fail(Code::InvalidArgument, cat("'", request.target, "' is nothing a link can point to"));
  }
  TRY_ASSIGN(const Owner owner, find_owner(request.user, default_user));
  if (request.make_parents == wire::MakeParents::Yes) TRY(make_parents(request.path, owner));
  if (::symlink(request.target.c_str(), request.path.c_str()) != 0) {
    return fail_errno(cat("make link '", request.path, "'"));
  }
  return give(request.path, owner);
}

Status set_attributes(const wire::SetAttributes& request) {
  TRY(check_path(request.path));
  if (request.mode && ::fchmodat(AT_FDCWD, request.path.c_str(), *request.mode, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == EOPNOTSUPP)
      return fail(Code::FailedPrecondition, cat("'", request.path, "' is a link: it has no mode"));
    return fail_errno(cat("set mode of '", request.path, "'"));
  }
  if (!request.mtime_ns) return {};
  // Towards the past: the nanoseconds of a timespec are never negative.
  std::int64_t seconds = *request.mtime_ns / kNsPerSecond;
  std::int64_t rest = *request.mtime_ns % kNsPerSecond;
  if (rest < 0) {
    --seconds;
    rest += kNsPerSecond;
  }
  const std::array<timespec, 2> times{timespec{0, UTIME_OMIT}, timespec{seconds, rest}};
  if (::utimensat(AT_FDCWD, request.path.c_str(), times.data(), AT_SYMLINK_NOFOLLOW) != 0) {
    return fail_errno(cat("set time of '", request.path, "'"));
  }
  return {};
}

Result<wire::WarmResult> warm_files(const wire::Warm& request, const std::string& root) {
  wire::WarmResult result;
  std::array<char, 64U << 10> buffer{};
  for (const auto& path : request.paths) {
    TRY(check_path(path));
    const auto file = open_file(root + path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    struct stat info{};
    if (!file || ::fstat(file->get(), &info) != 0 || !S_ISREG(info.st_mode)) continue;
    ++result.files;
    for (ssize_t n = 0; (n = ::read(file->get(), buffer.data(), buffer.size())) > 0;) {
      result.bytes += static_cast<std::uint64_t>(n);
    }
  }
  return result;
}

Result<wire::FileHandle> FileWrites::open(const wire::FileWriteOpen& request, const std::string& default_user) {
  TRY(check_path(request.path));
  TRY(check_room());
  TRY_ASSIGN(const Owner owner, find_owner(request.user, default_user));
  if (request.make_parents == wire::MakeParents::Yes) TRY(make_parents(request.path, owner));

  Write write;
  write.target = request.path;
  write.mode = request.mode;
  write.uid = owner.uid;
  write.gid = owner.gid;
  // A link is written through, as every program would.
  if (auto real = real_path(request.path)) write.target = *std::move(real);
  if (request.write_mode == wire::WriteMode::Append) {
    TRY(open_for_append(write));
    return keep(std::move(write));
  }
  struct stat info{};
  if (::stat(write.target.c_str(), &info) == 0 && !S_ISREG(info.st_mode)) {
    return fail(Code::FailedPrecondition, cat("'", request.path, "' exists and is not a regular file"));
  }
  const std::size_t slash = write.target.rfind('/');
  write.temporary = write.target.substr(0, slash + 1) + hidden_name();
  TRY_ASSIGN(write.fd, open_file(write.temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  return keep(std::move(write));
}

Result<wire::FileHandle> FileWrites::place(const wire::Place& request, const std::string& default_user) {
  TRY(check_path(request.root));
  TRY(check_room());
  TRY_ASSIGN(const Owner owner, find_owner(request.user, default_user));
  TRY(make_parents(request.root + "/", owner));
  TRY_ASSIGN(Spot spot, open_beneath(request.root, request.path, owner));
  if (request.kind == wire::PlacedKind::Folder) {
    TRY(place_folder(spot, request.mode, owner, request.user.empty() ? Found::stays : Found::takes_owner_and_mode));
    return wire::FileHandle{};
  }
  const bool stays = !request.user.empty() && is_mounted(spot);
  if (stays && request.kind != wire::PlacedKind::File) return wire::FileHandle{};
  if (request.kind == wire::PlacedKind::Symlink) {
    TRY(place_symlink(spot, request.target, owner));
    return wire::FileHandle{};
  }
  if (request.kind == wire::PlacedKind::HardLink) {
    TRY_ASSIGN(const Spot from, open_beneath(request.root, request.target, owner));
    TRY(place_hard_link(spot, from));
    return wire::FileHandle{};
  }
  TRY(check_no_folder(spot));
  Write write;
  write.mode = request.mode;
  write.uid = owner.uid;
  write.gid = owner.gid;
  write.outcome = stays ? Outcome::dropped : Outcome::put_in_place;
  write.temporary = hidden_name();
  write.target = std::move(spot.name);
  write.folder = std::move(spot.folder);
  constexpr int kNew = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
  write.fd = UniqueFd(::openat(write.base(), write.temporary.c_str(), kNew, 0600));
  if (!write.fd) return fail_errno(cat("make '", request.path, "'"));
  return keep(std::move(write));
}

Status FileWrites::check_room() const {
  if (open_.size() < kMaxOpen) return {};
  return fail(Code::ResourceExhausted, cat("the guest already has ", kMaxOpen, " files open for writing"),
              "commit or abort some");
}

int FileWrites::Write::base() const { return folder ? folder.get() : AT_FDCWD; }

wire::FileHandle FileWrites::keep(Write write) {
  while (next_ == 0 || open_.contains(next_)) ++next_;
  open_.emplace(next_, std::move(write));
  return {next_++};
}

// Not to a pipe, whose reader could hold the agent for ever; a new file is whole with its owner and mode from the
// start.
Status FileWrites::open_for_append(Write& write) {
  constexpr int kFlags = O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY;
  auto made = open_file(write.target, kFlags | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
  if (made) {
    write.fd = *std::move(made);
    if (::geteuid() == 0 && ::fchown(write.fd.get(), write.uid, write.gid) != 0) {
      return fail_errno(cat("set owner of '", write.target, "'"));
    }
    if (::fchmod(write.fd.get(), write.mode) != 0) return fail_errno(cat("set mode of '", write.target, "'"));
    return {};
  }
  if (made.error().code != Code::AlreadyExists) return fail(std::move(made.error()));
  // ENXIO of a pipe without a reader comes before anybody can ask what it is.
  struct stat info{};
  if (::stat(write.target.c_str(), &info) != 0) return fail_errno(cat("'", write.target, "'"));
  if (S_ISREG(info.st_mode)) {
    TRY_ASSIGN(write.fd, open_file(write.target, kFlags));
    if (::fstat(write.fd.get(), &info) != 0) return fail_errno(cat("'", write.target, "'"));
  }
  if (S_ISREG(info.st_mode)) return {};
  return fail(Code::FailedPrecondition, cat("'", write.target, "' exists and is not a regular file"));
}

Status FileWrites::write(const wire::FileWriteChunk& request) {
  const auto it = open_.find(request.handle);
  if (it == open_.end()) return fail(Code::NotFound, cat("no file is being written with handle ", request.handle));
  auto written = write_all(it->second.fd.get(), request.bytes);
  if (!written) return fail(std::move(written.error()).in(cat("'", it->second.target, "'")));
  return {};
}

Result<wire::FileInfo> FileWrites::commit(const wire::FileWriteCommit& request) {
  const auto it = open_.find(request.handle);
  if (it == open_.end()) return fail(Code::NotFound, cat("no file is being written with handle ", request.handle));
  const Write write = std::move(it->second);
  open_.erase(it);
  const auto give_up = [&](std::string_view step) {
    auto error = fail_errno(cat(step, " '", write.target, "'"));
    discard(write);
    return error;
  };
  const int fd = write.fd.get();
  if (write.temporary.empty()) {
    if (request.durable == wire::Durable::Yes && ::fsync(fd) != 0) return fail_errno(cat("sync '", write.target, "'"));
    struct stat info{};
    if (::fstat(fd, &info) != 0) return fail_errno(cat("'", write.target, "'"));
    return info_of(write.target, info);
  }
  // The owner before the mode: chown(2) takes set-user-id bits away.
  if (::geteuid() == 0 && ::fchown(fd, write.uid, write.gid) != 0) return give_up("set owner of");
  if (::fchmod(fd, write.mode) != 0) return give_up("set mode of");
  if (request.durable == wire::Durable::Yes && ::fsync(fd) != 0) return give_up("sync");
  if (write.outcome == Outcome::dropped) {
    discard(write);
  } else if (::renameat(write.base(), write.temporary.c_str(), write.base(), write.target.c_str()) != 0) {
    return give_up("put in place");
  }
  struct stat info{};
  if (::fstat(fd, &info) != 0) return fail_errno(cat("'", write.target, "'"));
  return info_of(write.target, info);
}

void FileWrites::abort(std::uint32_t handle) {
  const auto it = open_.find(handle);
  if (it == open_.end()) return;
  discard(it->second);
  open_.erase(it);
}

void FileWrites::abort_all() {
  for (const auto& [handle, write] : open_) discard(write);
  open_.clear();
}

void FileWrites::discard(const Write& write) {
  if (!write.temporary.empty()) ::unlinkat(write.base(), write.temporary.c_str(), 0);
}

}  // namespace cofferdam::guest
