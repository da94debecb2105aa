// One VMM's control groups: memory (swap included), CPU time and number of tasks, on cgroup v2 or v1.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "jail/plan.h"

namespace cofferdam::jail {

// Where the controllers are on this host.
struct CgroupLayout {
  enum class Version : std::uint8_t { v1, v2 };
  Version version = Version::v2;
  std::string unified;  // v2: the mount point
  std::string memory;   // v1: the three mount points, which may be one
  std::string cpu;
  std::string pids;
  // The distinct mount points in use.
  [[nodiscard]] std::vector<std::string> roots() const;
};

// v2 when its root offers cpu, memory and pids, else v1. FailedPrecondition names what is missing.
Result<CgroupLayout> detect_cgroups();
// The same from the text of /proc/self/mountinfo; `controllers_of` reads a v2 root's cgroup.controllers.
Result<CgroupLayout> detect_cgroups(std::string_view mountinfo, std::string (*controllers_of)(const std::string& root));

class Cgroup {
 public:
  virtual ~Cgroup() = default;
  Cgroup(const Cgroup&) = delete;
  Cgroup& operator=(const Cgroup&) = delete;

  // Makes "<root>/<plan.parent>/<id>" and sets its limits. An empty folder of that name left by another life is taken
  // over; one that holds a process is AlreadyExists. A failed create leaves nothing.
  static Result<std::unique_ptr<Cgroup>> create(const CgroupLayout& layout, const CgroupPlan& plan,
                                                const std::string& id);

  // v2: the folder for clone3's CLONE_INTO_CGROUP, which is much cheaper than a later move. v1: -1.
  [[nodiscard]] virtual int clone_target() const = 0;
  // v1: moves the calling process in, which has one thread. v2: nothing, clone_target() did it.
  [[nodiscard]] virtual Status enter() const = 0;
  // Zero leaves that limit as it is.
  virtual Status set_limits(std::uint64_t memory_max_bytes, std::uint32_t cpu_max_millicores,
                            std::uint32_t cpu_weight) = 0;
  [[nodiscard]] virtual std::uint64_t oom_kills() const = 0;
  // Kills whatever is inside and removes the folders; gives up after `patience`. Gone already is fine.
  Status remove(std::chrono::milliseconds patience) const;

 protected:
  explicit Cgroup(std::vector<std::string> folders) : folders_(std::move(folders)) {}
  // The folders exist and are empty.
  virtual Status set_up(const CgroupPlan& plan) = 0;
  [[nodiscard]] const std::vector<std::string>& folders() const { return folders_; }

 private:
  std::vector<std::string> folders_;
};

// The two forms; `create` chooses.
std::unique_ptr<Cgroup> make_cgroup1(const CgroupLayout& layout, const std::string& relative);
std::unique_ptr<Cgroup> make_cgroup2(const CgroupLayout& layout, const std::string& relative);
// Enables the controllers for the children of `parent`, which lies below the v2 root.
Status prepare_cgroup2_parent(const CgroupLayout& layout, const std::string& parent);

// SIGKILL to all in one cgroup folder, then its removal, retried for at most `patience`.
Status remove_cgroup_folder(const std::string& folder, std::chrono::milliseconds patience);

// v2 only: the calling process leaves its service's group for "<parent>/.supervisors", so that it outlives a stop of
// that service and counts towards no VMM's limit. Nothing to do on v1.
Status leave_service_cgroup(const CgroupLayout& layout, const std::string& parent);
inline constexpr std::string_view kSupervisorsFolder = ".supervisors";

}  // namespace cofferdam::jail
