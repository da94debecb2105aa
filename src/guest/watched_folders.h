// The folders of one watcher: a root and all below it, each with an inotify watch. The kernel names folders by watch
// numbers; what is kept here turns them into paths, also after a folder has moved.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/message.h"

namespace cofferdam::guest {

class WatchedFolders {
 public:
  // `root` is a folder's absolute path with no link in it.
  static Result<WatchedFolders> create(std::string root);

  [[nodiscard]] int fd() const { return inotify_.get(); }
  [[nodiscard]] const std::string& root() const { return root_; }
  [[nodiscard]] int root_id() const { return root_id_; }
  [[nodiscard]] std::size_t size() const { return folders_.size(); }
  // The path below the root, "" for the root itself; nothing when the folder is not watched, or not below it any more.
  [[nodiscard]] std::optional<std::string> path_of(int id) const;
  // A folder for reading; no link is followed on the way.
  [[nodiscard]] UniqueFd open(const std::string& path) const;

  enum class Outcome { added, known, full, gone };
  struct Added {
    Outcome outcome = Outcome::gone;
    int id = -1;  // when added or known
  };
  // Watches the folder `name` in `parent`. One that is known has moved there, with all below it.
  Added add(int parent, const std::string& name);
  // `name` has left `parent`: it and all below it have no path until it is added again.
  void detach(int parent, std::string_view name);
  // Lets go of those that were not.
  void remove_detached();
  // The kernel has ended the watch.
  void forget(int id) { folders_.erase(id); }

  // Folders that add() has not seen between the two, the root aside, are let go.
  void begin_census() { ++census_; }
  void end_census();

 private:
  struct Folder {
    int parent = kNone;  // kNone: the root, or detached
    std::string name;
    std::uint32_t census = 0;
  };
  static constexpr int kNone = -1;

  WatchedFolders() = default;
  [[nodiscard]] bool is_below(int id, int above) const;
  void remove(int id);

  UniqueFd inotify_;
  std::string root_;
  int root_id_ = kNone;
  std::uint32_t census_ = 0;
  bool some_detached_ = false;
  std::unordered_map<int, Folder> folders_;
};

}  // namespace cofferdam::guest
