#include "guest/mount_watch.h"

#include <gtest/gtest.h>

namespace cofferdam::guest {
namespace {

constexpr auto kLocal =
    "22 1 0:20 / / rw,noatime - overlay overlay rw,lowerdir=/lower\n"
    "23 22 0:21 / /proc rw shared:3 - proc proc rw\n";

TEST(MountWatch, kernel_and_disk_file_systems_are_local) {
  EXPECT_TRUE(all_local_in(kLocal));
  EXPECT_TRUE(all_local_in(""));
}

TEST(MountWatch, what_waits_for_somebody_is_not) {
  for (const auto* type : {"fuse.sshfs", "fuse", "nfs4", "cifs", "9p", "ceph", "unheard-of"}) {
    EXPECT_FALSE(all_local_in(std::string(kLocal) + "24 22 0:22 / /mnt\\040x rw - " + type + " x rw\n")) << type;
  }
}

TEST(MountWatch, a_line_it_cannot_read_counts_as_one_that_waits) { EXPECT_FALSE(all_local_in("22 1 0:20 / / rw\n")); }

TEST(MountWatch, it_answers_the_same_twice_while_nothing_changes) {
  MountWatch watch;
  EXPECT_EQ(watch.all_local(), watch.all_local());
}

}  // namespace
}  // namespace cofferdam::guest
