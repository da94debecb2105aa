#include "guest/watched_folders.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/inotify.h>
#include <sys/syscall.h>

#include <cerrno>
#include <utility>
#include <vector>

#include "base/text.h"
#include "guest/file_info.h"

namespace cofferdam::guest {
namespace {

constexpr std::uint32_t kEvents =
    IN_CREATE | IN_MODIFY | IN_ATTRIB | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_EXCL_UNLINK;
constexpr std::uint32_t kRootEvents = kEvents | IN_DELETE_SELF | IN_MOVE_SELF;

UniqueFd open_without_links(const std::string& path, int flags) {
  open_how how{};
  how.flags = static_cast<std::uint64_t>(flags | O_DIRECTORY | O_CLOEXEC);
  how.resolve = RESOLVE_NO_SYMLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how)));
}

// By descriptor: between a check and the watch nobody can put a link in the way.
int add_watch(int inotify, const std::string& path, std::uint32_t events) {
  const UniqueFd folder = open_without_links(path, O_PATH);
  if (!folder) return -1;
  return ::inotify_add_watch(inotify, cat("/proc/self/fd/", folder.get()).c_str(), events);
}

}  // namespace

Result<WatchedFolders> WatchedFolders::create(std::string root) {
  WatchedFolders folders;
  folders.inotify_ = UniqueFd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  if (!folders.inotify_) return fail_errno("make a watcher");
  folders.root_id_ = add_watch(folders.inotify_.get(), root, kRootEvents);
  if (folders.root_id_ < 0) {
    const int error = errno;
    return fail(errno_error(cat("watch '", root, "'"), error)
                    .with_hint(error == ENOSPC ? "the guest's fs.inotify.max_user_watches are used up" : ""));
  }
  folders.root_ = std::move(root);
  folders.folders_[folders.root_id_] = {};
  return folders;
}

std::optional<std::string> WatchedFolders::path_of(int id) const {
  std::vector<const std::string*> names;
  for (int at = id; at != root_id_;) {
    const auto folder = folders_.find(at);
    if (folder == folders_.end() || folder->second.parent == kNone) return std::nullopt;
    names.push_back(&folder->second.name);
    at = folder->second.parent;
  }
  std::string path;
  for (auto name = names.rbegin(); name != names.rend(); ++name) {
    if (!path.empty()) path += '/';
    path += **name;
  }
  return path;
}

UniqueFd WatchedFolders::open(const std::string& path) const {
  return open_without_links(join_path(root_, path), O_RDONLY | O_NONBLOCK);
}

WatchedFolders::Added WatchedFolders::add(int parent, const std::string& name) {
  const auto above = path_of(parent);
  if (!above) return {};
  const int id = add_watch(inotify_.get(), join_path(root_, join_path(*above, name)), kEvents);
  if (id < 0) return {errno == ENOSPC ? Outcome::full : Outcome::gone};
  // The same folder in two places, by a mount: it stays where it was, and no folder comes to lie below itself.
  if (id == root_id_ || is_below(parent, id)) return {};
  const auto known = folders_.find(id);
  if (known == folders_.end() && folders_.size() >= wire::kMaxWatchedFolders) {
    ::inotify_rm_watch(inotify_.get(), id);
    return {Outcome::full};
  }
  folders_[id] = {parent, name, census_};
  return {known == folders_.end() ? Outcome::added : Outcome::known, id};
}

void WatchedFolders::detach(int parent, std::string_view name) {
  for (auto& [id, folder] : folders_) {
    if (folder.parent != parent || folder.name != name) continue;
    folder.parent = kNone;
    some_detached_ = true;
    return;
  }
}

void WatchedFolders::remove_detached() {
  if (!std::exchange(some_detached_, false)) return;
  std::vector<int> gone;
  for (const auto& [id, folder] : folders_) {
    if (!path_of(id)) gone.push_back(id);
  }
  for (const int id : gone) remove(id);
}

void WatchedFolders::end_census() {
  std::vector<int> gone;
  for (const auto& [id, folder] : folders_) {
    if (id != root_id_ && folder.census != census_) gone.push_back(id);
  }
  for (const int id : gone) remove(id);
}

bool WatchedFolders::is_below(int id, int above) const {
  for (int at = id; at != kNone;) {
    if (at == above) return true;
    const auto folder = folders_.find(at);
    if (folder == folders_.end()) return false;
    at = folder->second.parent;
  }
  return false;
}

void WatchedFolders::remove(int id) {
  ::inotify_rm_watch(inotify_.get(), id);
  folders_.erase(id);
}

}  // namespace cofferdam::guest
