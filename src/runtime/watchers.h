// Watchers of one workspace.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "loop/task_group.h"
#include "runtime/events.h"
#include "vm/machine.h"

namespace cofferdam::runtime {

inline constexpr std::size_t kMaxWatchers = 5;

struct WatcherInfo {
  std::string id;  // "1"
  std::string root;
  std::vector<std::string> excludes;
  std::uint32_t folders = 0;
  bool active = true;  // false: its folder is gone, or the workspace
};

// Used on the loop's thread only. One per session; what changes goes to the session's hub.
class Watchers {
 public:
  Watchers(loop::TaskGroup& group, std::shared_ptr<vm::Machine> machine, SessionHub& hub);
  ~Watchers();
  Watchers(const Watchers&) = delete;
  Watchers& operator=(const Watchers&) = delete;

  // FailedPrecondition: there are kMaxWatchers already; one that is not active any more makes room.
  Task<WatcherInfo> add(vm::WatchSpec spec);
  [[nodiscard]] std::vector<WatcherInfo> list() const;
  [[nodiscard]] Result<WatcherInfo> get(const std::string& id) const;
  Status remove(const std::string& id);
  // What somebody who attaches now has to hear first.
  void replay(std::deque<SessionEvent>& into) const;

 private:
  struct One;
  using OnePtr = std::shared_ptr<One>;
  Task<void> pump(OnePtr one);
  Task<void> follow(One& one);
  [[nodiscard]] Result<OnePtr> find(const std::string& id) const;

  loop::TaskGroup& group_;
  std::shared_ptr<vm::Machine> machine_;
  SessionHub& hub_;
  std::map<std::string, OnePtr> watchers_;
  std::uint64_t made_ = 0;
  std::size_t starting_ = 0;
};

}  // namespace cofferdam::runtime
