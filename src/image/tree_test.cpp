#include "image/tree.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include "image/pack.h"
#include "image/testing.h"

namespace cofferdam::image {
namespace {

using ::testing::ElementsAre;

class TreeTest : public ::testing::Test {
 protected:
  TreeTest() {
    EXPECT_TRUE(make_directories(scratch_ / "root"));
    EXPECT_TRUE(make_directories(scratch_ / "outside"));
    EXPECT_TRUE(write_file_atomically(scratch_ / "outside/secret", "untouched"));
  }
  [[nodiscard]] Tree tree() const { return Tree::open(scratch_ / "root").value(); }
  [[nodiscard]] std::string outside() const { return read_file(scratch_ / "outside/secret", 100).value_or("gone"); }
  void link(const std::string& target, const std::string& name) const {
    ASSERT_EQ(::symlink(target.c_str(), (scratch_ / ("root/" + name)).c_str()), 0);
  }
  ScratchFolder scratch_;
};

TEST_F(TreeTest, written_file_is_read_back_with_its_mode) {
  ASSERT_TRUE(tree().write("/a/b/c", "text", 04751));
  EXPECT_EQ(tree().read("/a/b/c", 100).value_or("?"), "text");
  struct stat st{};
  ASSERT_EQ(::stat((scratch_ / "root/a/b/c").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 04751U);
}

TEST_F(TreeTest, absolute_symlink_means_the_trees_own_root) {
  link(scratch_ / "outside", "way");
  EXPECT_FALSE(tree().read("/way/secret", 100));
  // There is no such folder in the tree, and none is made outside.
  EXPECT_FALSE(tree().write("/way/secret", "changed", 0644));
  EXPECT_EQ(outside(), "untouched");
}

TEST_F(TreeTest, dot_dot_symlink_ends_at_the_root) {
  link("../../../../../../../../" + scratch_.path() + "/outside", "way");
  EXPECT_FALSE(tree().write("/way/secret", "changed", 0644));
  EXPECT_FALSE(tree().read("/way/secret", 100));
  EXPECT_EQ(outside(), "untouched");
}

TEST_F(TreeTest, final_symlink_is_replaced_not_followed) {
  link(scratch_ / "outside/secret", "file");
  ASSERT_TRUE(tree().write("/file", "mine", 0644));
  EXPECT_EQ(outside(), "untouched");
  EXPECT_EQ(tree().read("/file", 100).value_or("?"), "mine");
}

TEST_F(TreeTest, magic_links_are_not_followed) {
  link("/proc/self/root", "magic");
  ASSERT_TRUE(tree().make_directory("/proc", 0755));
  EXPECT_FALSE(tree().read("/magic/etc/passwd", 1U << 20));
}

TEST_F(TreeTest, removal_does_not_follow_symlinks) {
  link(scratch_ / "outside", "way");
  ASSERT_TRUE(tree().make_directory("/d/e", 0755));
  ASSERT_TRUE(tree().symlink("/d/e/out", scratch_ / "outside"));
  EXPECT_TRUE(tree().remove("/way"));
  EXPECT_TRUE(tree().remove("/d"));
  EXPECT_TRUE(tree().remove("/never/was"));
  EXPECT_EQ(outside(), "untouched");
  EXPECT_THAT(list_directory(scratch_ / "root").value(), ElementsAre());
}

TEST_F(TreeTest, a_fifo_does_not_hold_a_read) {
  ASSERT_EQ(::mkfifo((scratch_ / "root/pipe").c_str(), 0600), 0);
  EXPECT_FALSE(tree().read("/pipe", 100));
}

TEST_F(TreeTest, mount_points_are_made_and_a_file_in_their_place_is_refused) {
  ASSERT_TRUE(add_mount_points(tree()));
  EXPECT_TRUE(tree().is_directory("/proc"));
  struct stat st{};
  ASSERT_EQ(::stat((scratch_ / "root/tmp").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 01777U);
  ASSERT_TRUE(tree().remove("/sys"));
  ASSERT_TRUE(tree().write("/sys", "", 0644));
  EXPECT_EQ(add_mount_points(tree()).error().code, Code::InvalidArgument);
}

TEST_F(TreeTest, new_files_get_the_time_of_the_newest_old_one) {
  ASSERT_TRUE(tree().write("/old", "", 0644));
  ASSERT_TRUE(tree().write("/new", "", 0644));
  const timespec old[2] = {{1'700'000'000, 0}, {1'700'000'000, 0}};
  ASSERT_EQ(::utimensat(AT_FDCWD, (scratch_ / "root/old").c_str(), old, 0), 0);
  EXPECT_EQ(settle_times(scratch_ / "root", 1'700'000'001).value_or(0), 1'700'000'000);
  struct stat st{};
  ASSERT_EQ(::stat((scratch_ / "root/new").c_str(), &st), 0);
  EXPECT_EQ(st.st_mtime, 1'700'000'000);
}

TEST_F(TreeTest, equal_trees_give_equal_images) {
  for (const auto* name : {"root", "other"}) {
    const std::string folder = scratch_ / name;
    ASSERT_TRUE(make_directories(folder));
    const auto made = Tree::open(folder).value();
    ASSERT_TRUE(made.write("/etc/a", "text", 0640, {1000, 1000}));
    ASSERT_TRUE(made.symlink("/link", "/etc/a"));
    const auto newest = settle_times(folder, 1);
    ASSERT_TRUE(newest);
    ASSERT_TRUE(make_erofs(folder, folder + ".erofs", *newest));
  }
  EXPECT_EQ(read_file(scratch_ / "root.erofs", 1U << 20).value(),
            read_file(scratch_ / "other.erofs", 1U << 20).value());
}

}  // namespace
}  // namespace cofferdam::image
