#include "jail/cgroup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cofferdam::jail {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string all_controllers(const std::string&) { return "cpuset cpu io memory hugetlb pids rdma\n"; }
std::string no_controllers(const std::string&) { return "\n"; }

constexpr std::string_view kUnified =
    "24 30 0:22 / /proc rw - proc proc rw\n"
    "35 24 0:30 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
constexpr std::string_view kLegacy =
    "40 32 0:35 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct\n"
    "41 32 0:36 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
    "42 32 0:37 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids\n"
    "43 32 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";

TEST(Cgroups, v2_is_taken_when_its_controllers_are_there) {
  const auto layout = detect_cgroups(kUnified, all_controllers);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->version, CgroupLayout::Version::v2);
  EXPECT_THAT(layout->roots(), ElementsAre("/sys/fs/cgroup"));
}

TEST(Cgroups, v1_is_taken_when_v2_is_bare) {
  const auto layout = detect_cgroups(kLegacy, no_controllers);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->version, CgroupLayout::Version::v1);
  EXPECT_THAT(layout->roots(),
              ElementsAre("/sys/fs/cgroup/cpu,cpuacct", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"));
}

TEST(Cgroups, controllers_mounted_together_are_one_folder) {
  const auto layout = detect_cgroups("1 2 0:3 / /cg rw - cgroup cgroup rw,cpu,memory,pids\n", no_controllers);
  ASSERT_TRUE(layout);
  EXPECT_THAT(layout->roots(), ElementsAre("/cg"));
}

TEST(Cgroups, a_missing_controller_is_named) {
  const auto layout = detect_cgroups("1 2 0:3 / /cg rw - cgroup cgroup rw,cpu,cpuacct\n", no_controllers);
  ASSERT_FALSE(layout);
  EXPECT_EQ(layout.error().code, Code::FailedPrecondition);
  EXPECT_THAT(layout.error().message, HasSubstr("memory pids"));
}

}  // namespace
}  // namespace cofferdam::jail
