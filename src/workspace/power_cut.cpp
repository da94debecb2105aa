#include "workspace/power_cut.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::workspace {
namespace {

std::atomic<PowerCut*> watching = nullptr;

// The C library's own.
template <class Function>
Function* real(const char* name) {
  void* found = ::dlsym(RTLD_NEXT, name);
  if (found == nullptr) std::abort();
  return reinterpret_cast<Function*>(found);
}

using Pwrite = ssize_t(int, const void*, size_t, off_t);
using Ftruncate = int(int, off_t);
using TwoPaths = int(const char*, const char*);
using OnePath = int(const char*);
using Link = int(int, const char*, int, const char*, int);
using OpenAt = int(int, const char*, int, mode_t);

std::string parent_of(const std::string& path) { return std::filesystem::path(path).parent_path().string(); }
std::string name_of(const std::string& path) { return std::filesystem::path(path).filename().string(); }

ino_t inode_of(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 ? st.st_ino : 0;
}

// SQLite maps its index into memory and makes it anew after a crash: what is written to it is nobody's.
bool is_index(const std::string& path) { return path.ends_with("-shm"); }

}  // namespace

PowerCut::PowerCut(std::string folder, std::size_t at)
    : folder_(std::move(folder)), aside_(folder_ + ".aside"), at_(at) {
  (void)make_directories(aside_);
  if (watching.exchange(this) != nullptr) std::abort();
}

PowerCut::~PowerCut() {
  watching = nullptr;
  (void)remove_tree(aside_);
}

std::vector<std::string> PowerCut::steps() const {
  const std::lock_guard lock(mutex_);
  return steps_;
}

bool PowerCut::is_off() const {
  const std::lock_guard lock(mutex_);
  return off_;
}

bool PowerCut::is_inside(const std::string& path) const { return starts_with(path, folder_ + "/") && !is_index(path); }

std::string PowerCut::path_of(int file) const {
  char buffer[4096];
  const ssize_t n = ::readlink(cat("/proc/self/fd/", file).c_str(), buffer, sizeof buffer);
  const std::string path(buffer, n > 0 ? static_cast<std::size_t>(n) : 0);
  return is_inside(path) || path == folder_ ? path : std::string();
}

int PowerCut::count(const std::string& what) {
  if (off_) return EIO;
  steps_.push_back(what);
  off_ = at_ != 0 && steps_.size() == at_;
  return off_ ? EIO : 0;
}

Status PowerCut::step(const std::string& what) {
  const std::lock_guard lock(mutex_);
  if (count(what) == 0) return {};
  return fail(Code::Internal, "the power is gone");
}

void PowerCut::note(ino_t belongs_to, std::function<void()> take_back) {
  changes_.push_back({belongs_to, false, std::move(take_back)});
}

// What lies where something is about to be written, to be put back.
void PowerCut::note_bytes(int file, off_t offset, std::size_t size) {
  struct stat st{};
  if (::fstat(file, &st) != 0) return;
  const int own = real<OpenAt>("openat")(AT_FDCWD, cat("/proc/self/fd/", file).c_str(), O_RDWR | O_CLOEXEC, 0);
  auto copy = std::make_shared<UniqueFd>(own);
  std::string before;
  if (offset < st.st_size) {
    before.resize(std::min<std::size_t>(size, static_cast<std::size_t>(st.st_size - offset)));
    if (::pread(own, before.data(), before.size(), offset) != static_cast<ssize_t>(before.size())) std::abort();
  }
  note(st.st_ino, [copy, offset, old_size = st.st_size, before = std::move(before)] {
    const auto wrote = real<Pwrite>("pwrite")(copy->get(), before.data(), before.size(), offset);
    if (wrote != static_cast<ssize_t>(before.size())) std::abort();
    if (real<Ftruncate>("ftruncate")(copy->get(), old_size) != 0) std::abort();
  });
}

int PowerCut::before_write(int file, off_t offset, std::size_t size, std::size_t& allowed) {
  const std::string path = path_of(file);
  if (path.empty()) return 0;
  const std::lock_guard lock(mutex_);
  const bool was_off = off_;
  const int error = count("write " + name_of(path));
  if (was_off) return error;
  note_bytes(file, offset, size);
  if (error != 0) allowed = size / 2;
  return error;
}

int PowerCut::before_cut(int file, off_t new_size) {
  const std::string path = path_of(file);
  if (path.empty()) return 0;
  const std::lock_guard lock(mutex_);
  if (const int error = count("cut " + name_of(path)); error != 0) return error;
  struct stat st{};
  if (::fstat(file, &st) != 0) return errno;
  const off_t from = std::min(new_size, st.st_size);
  note_bytes(file, from, static_cast<std::size_t>(st.st_size - from));
  return 0;
}

int PowerCut::before_sync(int file) {
  const std::string path = path_of(file);
  if (path.empty()) return 0;
  const std::lock_guard lock(mutex_);
  return count("sync " + name_of(path));
}

void PowerCut::synced(int file) {
  struct stat st{};
  if (path_of(file).empty() || ::fstat(file, &st) != 0) return;
  const std::lock_guard lock(mutex_);
  for (auto& change : changes_) change.lasts |= change.belongs_to == st.st_ino;
}

int PowerCut::before_make(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return count("make " + name_of(path));
}

void PowerCut::made(const std::string& path) {
  const std::lock_guard lock(mutex_);
  note(inode_of(parent_of(path)), [path] { (void)real<OnePath>("unlink")(path.c_str()); });
}

int PowerCut::before_make_folder(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return count("make folder " + name_of(path));
}

void PowerCut::made_folder(const std::string& path) {
  const std::lock_guard lock(mutex_);
  // With whatever lasts in it: nobody finds that any more.
  note(inode_of(parent_of(path)), [path] { (void)remove_tree(path); });
}

std::string PowerCut::keep_aside(const std::string& path) {
  if (!path_exists(path)) return {};
  std::string other = cat(aside_, "/", ++kept_aside_);
  if (real<Link>("linkat")(AT_FDCWD, path.c_str(), AT_FDCWD, other.c_str(), 0) != 0) return {};
  return other;
}

int PowerCut::before_remove(const std::string& path) {
  const std::lock_guard lock(mutex_);
  if (const int error = count("remove " + name_of(path)); error != 0) return error;
  const std::string other = keep_aside(path);
  if (other.empty()) return 0;
  note(inode_of(parent_of(path)), [path, other] { (void)real<TwoPaths>("rename")(other.c_str(), path.c_str()); });
  return 0;
}

int PowerCut::before_remove_folder(const std::string& path) {
  const std::lock_guard lock(mutex_);
  return count("remove folder " + name_of(path));
}

void PowerCut::removed_folder(const std::string& path) {
  const std::lock_guard lock(mutex_);
  // Not with its parent: when that is gone for good, so is this.
  note(inode_of(parent_of(path)), [path] { (void)real<int(const char*, mode_t)>("mkdir")(path.c_str(), 0700); });
}

int PowerCut::before_rename(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  if (const int error = count(cat("rename ", name_of(from), " to ", name_of(to))); error != 0) return error;
  // Of the new name first, so that it is taken back last.
  const std::string other = keep_aside(to);
  if (other.empty()) return 0;
  note(inode_of(parent_of(to)), [to, other] { (void)real<TwoPaths>("rename")(other.c_str(), to.c_str()); });
  return 0;
}

void PowerCut::renamed(const std::string& from, const std::string& to) {
  const std::lock_guard lock(mutex_);
  note(inode_of(parent_of(to)), [from, to] { (void)real<TwoPaths>("rename")(to.c_str(), from.c_str()); });
}

void PowerCut::come_back(Unsynced unsynced) {
  watching = nullptr;  // what it does itself is no step
  const std::lock_guard lock(mutex_);
  if (unsynced == Unsynced::lost) {
    for (auto change = changes_.rbegin(); change != changes_.rend(); ++change) {
      if (!change->lasts) change->take_back();
    }
  }
  changes_.clear();
}

// The calls themselves, in the place of the C library's for the whole program.
namespace {

int refuse(int error) {
  errno = error;
  return -1;
}

// Of a path as these calls take it.
std::string whole_path(int folder, const char* path) {
  if (path[0] == '/' || folder == AT_FDCWD) return path;
  char buffer[4096];
  const ssize_t n = ::readlink(cat("/proc/self/fd/", folder).c_str(), buffer, sizeof buffer);
  return cat(std::string_view(buffer, n > 0 ? static_cast<std::size_t>(n) : 0), "/", path);
}

ssize_t write_at(int file, const void* bytes, size_t size, off_t offset) {
  static const auto call = real<Pwrite>("pwrite");
  PowerCut* const power = watching;
  std::size_t allowed = 0;
  const int error = power != nullptr ? power->before_write(file, offset, size, allowed) : 0;
  if (error == 0) return call(file, bytes, size, offset);
  if (allowed > 0) (void)call(file, bytes, allowed, offset);
  return refuse(error);
}

template <class Call>
int sync_file(int file, Call call) {
  PowerCut* const power = watching;
  const int error = power != nullptr ? power->before_sync(file) : 0;
  if (error != 0) return refuse(error);
  const int done = call(file);
  if (power != nullptr && done == 0) power->synced(file);
  return done;
}

int cut_file(int file, off_t size) {
  static const auto call = real<Ftruncate>("ftruncate");
  PowerCut* const power = watching;
  const int error = power != nullptr ? power->before_cut(file, size) : 0;
  return error != 0 ? refuse(error) : call(file, size);
}

int punch_file(int file, int mode, off_t offset, off_t size) {
  static const auto call = real<int(int, int, off_t, off_t)>("fallocate");
  PowerCut* const power = watching;
  std::size_t allowed = 0;
  const int error = power != nullptr ? power->before_write(file, offset, static_cast<std::size_t>(size), allowed) : 0;
  return error != 0 ? refuse(error) : call(file, mode, offset, size);
}

int open_at(int folder, const char* name, int flags, mode_t mode) {
  static const auto call = real<OpenAt>("openat");
  PowerCut* const power = watching;
  const bool makes = (flags & O_CREAT) != 0 && (flags & O_TMPFILE) != O_TMPFILE;
  if (power == nullptr || !makes) return call(folder, name, flags, mode);
  const auto path = whole_path(folder, name);
  if (!power->is_inside(path) || path_exists(path)) return call(folder, name, flags, mode);
  if (const int error = power->before_make(path); error != 0) return refuse(error);
  const int file = call(folder, name, flags, mode);
  if (file >= 0) power->made(path);
  return file;
}

int rename_path(const std::string& from, const std::string& to) {
  static const auto call = real<TwoPaths>("rename");
  PowerCut* const power = watching;
  if (power == nullptr || !power->is_inside(to)) return call(from.c_str(), to.c_str());
  if (const int error = power->before_rename(from, to); error != 0) return refuse(error);
  const int done = call(from.c_str(), to.c_str());
  if (done == 0) power->renamed(from, to);
  return done;
}

int unlink_path(const std::string& path) {
  static const auto call = real<OnePath>("unlink");
  PowerCut* const power = watching;
  if (power == nullptr || !power->is_inside(path) || !path_exists(path)) return call(path.c_str());
  const int error = power->before_remove(path);
  return error != 0 ? refuse(error) : call(path.c_str());
}

int rmdir_path(const std::string& path) {
  static const auto call = real<OnePath>("rmdir");
  PowerCut* const power = watching;
  if (power == nullptr || !power->is_inside(path)) return call(path.c_str());
  if (const int error = power->before_remove_folder(path); error != 0) return refuse(error);
  const int done = call(path.c_str());
  if (done == 0) power->removed_folder(path);
  return done;
}

int mkdir_path(const std::string& path, mode_t mode) {
  static const auto call = real<int(const char*, mode_t)>("mkdir");
  PowerCut* const power = watching;
  if (power == nullptr || !power->is_inside(path) || path_exists(path)) return call(path.c_str(), mode);
  if (const int error = power->before_make_folder(path); error != 0) return refuse(error);
  const int done = call(path.c_str(), mode);
  if (done == 0) power->made_folder(path);
  return done;
}

mode_t mode_of(int flags, va_list arguments) {
  const bool given = (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE;
  return given ? va_arg(arguments, mode_t) : 0;
}

}  // namespace
}  // namespace cofferdam::workspace

// Under names of their own, so that the headers' declarations are in nobody's way.
#define IN_PLACE_OF(name) __asm__(name) __attribute__((visibility("default")))
namespace power = cofferdam::workspace;
extern "C" {
ssize_t power_pwrite(int file, const void* bytes, size_t size, off_t offset) IN_PLACE_OF("pwrite");
ssize_t power_pwrite64(int file, const void* bytes, size_t size, off_t offset) IN_PLACE_OF("pwrite64");
ssize_t power_write(int file, const void* bytes, size_t size) IN_PLACE_OF("write");
int power_fsync(int file) IN_PLACE_OF("fsync");
int power_fdatasync(int file) IN_PLACE_OF("fdatasync");
int power_ftruncate(int file, off_t size) IN_PLACE_OF("ftruncate");
int power_ftruncate64(int file, off_t size) IN_PLACE_OF("ftruncate64");
int power_fallocate(int file, int mode, off_t offset, off_t size) IN_PLACE_OF("fallocate");
int power_fallocate64(int file, int mode, off_t offset, off_t size) IN_PLACE_OF("fallocate64");
int power_open(const char* path, int flags, ...) IN_PLACE_OF("open");
int power_open64(const char* path, int flags, ...) IN_PLACE_OF("open64");
int power_openat(int folder, const char* path, int flags, ...) IN_PLACE_OF("openat");
int power_openat64(int folder, const char* path, int flags, ...) IN_PLACE_OF("openat64");
int power_rename(const char* from, const char* to) IN_PLACE_OF("rename");
int power_unlink(const char* path) IN_PLACE_OF("unlink");
int power_unlinkat(int folder, const char* path, int flags) IN_PLACE_OF("unlinkat");
int power_rmdir(const char* path) IN_PLACE_OF("rmdir");
int power_mkdir(const char* path, mode_t mode) IN_PLACE_OF("mkdir");
int power_linkat(int from, const char* old_path, int to, const char* new_path, int flags) IN_PLACE_OF("linkat");

ssize_t power_pwrite(int file, const void* bytes, size_t size, off_t offset) {
  return power::write_at(file, bytes, size, offset);
}
ssize_t power_pwrite64(int file, const void* bytes, size_t size, off_t offset) {
  return power::write_at(file, bytes, size, offset);
}
ssize_t power_write(int file, const void* bytes, size_t size) {
  static const auto call = power::real<ssize_t(int, const void*, size_t)>("write");
  power::PowerCut* const cut = power::watching;
  if (cut == nullptr || cut->path_of(file).empty()) return call(file, bytes, size);
  const int flags = ::fcntl(file, F_GETFL);
  const off_t offset = ::lseek(file, 0, (flags & O_APPEND) != 0 ? SEEK_END : SEEK_CUR);
  std::size_t allowed = 0;
  const int error = cut->before_write(file, offset, size, allowed);
  if (error == 0) return call(file, bytes, size);
  if (allowed > 0) (void)call(file, bytes, allowed);
  return power::refuse(error);
}
int power_fsync(int file) { return power::sync_file(file, power::real<int(int)>("fsync")); }
int power_fdatasync(int file) { return power::sync_file(file, power::real<int(int)>("fdatasync")); }
int power_ftruncate(int file, off_t size) { return power::cut_file(file, size); }
int power_ftruncate64(int file, off_t size) { return power::cut_file(file, size); }
int power_fallocate(int file, int mode, off_t offset, off_t size) {
  return power::punch_file(file, mode, offset, size);
}
int power_fallocate64(int file, int mode, off_t offset, off_t size) {
  return power::punch_file(file, mode, offset, size);
}
int power_open(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = power::mode_of(flags, rest);
  va_end(rest);
  return power::open_at(AT_FDCWD, path, flags, mode);
}
int power_open64(const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = power::mode_of(flags, rest);
  va_end(rest);
  return power::open_at(AT_FDCWD, path, flags, mode);
}
int power_openat(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = power::mode_of(flags, rest);
  va_end(rest);
  return power::open_at(folder, path, flags, mode);
}
int power_openat64(int folder, const char* path, int flags, ...) {
  va_list rest;
  va_start(rest, flags);
  const mode_t mode = power::mode_of(flags, rest);
  va_end(rest);
  return power::open_at(folder, path, flags, mode);
}
int power_rename(const char* from, const char* to) {
  return power::rename_path(power::whole_path(AT_FDCWD, from), power::whole_path(AT_FDCWD, to));
}
int power_unlink(const char* path) { return power::unlink_path(path); }
int power_unlinkat(int folder, const char* path, int flags) {
  const auto whole = power::whole_path(folder, path);
  return (flags & AT_REMOVEDIR) != 0 ? power::rmdir_path(whole) : power::unlink_path(whole);
}
int power_rmdir(const char* path) { return power::rmdir_path(path); }
int power_mkdir(const char* path, mode_t mode) { return power::mkdir_path(path, mode); }
int power_linkat(int from, const char* old_path, int to, const char* new_path, int flags) {
  static const auto call = power::real<power::Link>("linkat");
  power::PowerCut* const cut = power::watching;
  const auto path = power::whole_path(to, new_path);
  if (cut == nullptr || !cut->is_inside(path)) return call(from, old_path, to, new_path, flags);
  if (const int error = cut->before_make(path); error != 0) return power::refuse(error);
  const int done = call(from, old_path, to, new_path, flags);
  if (done == 0) cut->made(path);
  return done;
}
}  // extern "C"
