// The processes the host has started, by stream: starts them, hands frames and ends to them, keeps the last ones'
// exits.
#pragma once
#include <sys/resource.h>

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "guest/cgroups.h"
#include "guest/loop.h"
#include "guest/mount_watch.h"
#include "guest/passwd.h"
#include "guest/serial_link.h"
#include "guest/task.h"
#include "wire/message.h"

namespace cofferdam::guest {

// What a ProcessStart that leaves it empty gets; of the image's configuration.
struct ImageDefaults {
  std::string user;
  std::string cwd;
  std::vector<std::string> env;
};

class ProcessTable {
 public:
  ProcessTable(Loop& loop, SerialLink& link) : loop_(loop), link_(link) {}

  void set_defaults(ImageDefaults defaults) { defaults_ = std::move(defaults); }
  [[nodiscard]] const ImageDefaults& defaults() const { return defaults_; }
  // Every task gets a cgroup of its own from here on.
  void use_cgroups(CgroupPool pool) { cgroups_ = std::move(pool); }

  // Answers the call itself, now or when the program runs.
  void start(std::uint32_t stream, const wire::ProcessStart& request);
  void on_frame(const wire::FrameView& frame);
  void on_child_end(pid_t pid, int wait_status, const rusage& usage);
  void on_writable();
  void detach_all();
  Result<wire::AttachResult> attach(const wire::Attach& request);
  [[nodiscard]] wire::TaskListResult list() const;
  Status forget(std::uint32_t stream);
  void pump(std::uint32_t stream);

 private:
  Status try_start(std::uint32_t stream, const wire::ProcessStart& request);
  Result<SpawnPlan> make_plan(const wire::ProcessStart& request);
  Task* find(std::uint32_t stream);
  void make_room();

  Loop& loop_;
  SerialLink& link_;
  ImageDefaults defaults_;
  MountWatch mounts_;
  UserCache users_;
  std::optional<CgroupPool> cgroups_;  // before the tasks, which give theirs back
  std::map<std::uint32_t, std::unique_ptr<Task>> tasks_;
  std::uint32_t last_pumped_ = 0;
  bool pump_scheduled_ = false;
};

}  // namespace cofferdam::guest
