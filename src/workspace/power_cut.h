// For tests: the host's own disk, whose power can be cut at any write, sync, rename and the like below one folder. What
// was not synced by then can be taken back: the file system may have kept it, and may not.
#pragma once
#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::workspace {

// What the disk has of that which nobody had synced when the power went.
enum class Unsynced { kept, lost };

// While one lives, the program's calls of write(2), fsync(2), rename(2) and so on go through it, from every thread and
// library. At most one at a time.
class PowerCut {
 public:
  // `at`: the number of the operation that does not happen, from 1; of what it writes, half. All after it fail. 0:
  // none.
  PowerCut(std::string folder, std::size_t at);
  PowerCut(const PowerCut&) = delete;
  PowerCut& operator=(const PowerCut&) = delete;
  ~PowerCut();

  // What has happened since the start, in order: "write disk-key_….img", "sync snapshots", …
  [[nodiscard]] std::vector<std::string> steps() const;
  [[nodiscard]] bool is_off() const;
  // The power is back: the files are as they are found then. Nobody may have them open.
  void come_back(Unsynced unsynced);
  // An operation of a kind that is not the file system's.
  Status step(const std::string& what);

  // For the calls that it takes the place of. Each answers 0 when the call may happen, and else the error number.
  int before_write(int file, off_t offset, std::size_t size, std::size_t& allowed);
  int before_cut(int file, off_t new_size);
  int before_sync(int file);
  void synced(int file);
  int before_make(const std::string& path);
  void made(const std::string& path);
  int before_make_folder(const std::string& path);
  void made_folder(const std::string& path);
  int before_remove(const std::string& path);
  int before_remove_folder(const std::string& path);
  void removed_folder(const std::string& path);
  int before_rename(const std::string& from, const std::string& to);
  void renamed(const std::string& from, const std::string& to);
  // Of an open file, "" when it is none of the folder's.
  [[nodiscard]] std::string path_of(int file) const;
  [[nodiscard]] bool is_inside(const std::string& path) const;

 private:
  // One that is not on stable storage before its file, or the folder of its name, is synced.
  struct Change {
    ino_t belongs_to = 0;
    bool lasts = false;
    std::function<void()> take_back;
  };
  int count(const std::string& what);
  void note(ino_t belongs_to, std::function<void()> take_back);
  void note_bytes(int file, off_t offset, std::size_t size);
  // Another name for what lies at `path`, out of the way; "" when nothing does.
  std::string keep_aside(const std::string& path);

  std::string folder_, aside_;
  std::size_t at_;
  mutable std::mutex mutex_;
  std::vector<std::string> steps_;
  std::vector<Change> changes_;
  std::size_t kept_aside_ = 0;
  bool off_ = false;
};

}  // namespace cofferdam::workspace
