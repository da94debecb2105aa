#include "vm/bundle.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "base/text.h"

namespace cofferdam::vm {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::UnorderedElementsAre;

class BundleTest : public testing::Test {
 protected:
  void SetUp() override {
    state_ = "/tmp/cofferdam-bundle-test-" + to_hex(random_bytes(6));
    ASSERT_TRUE(make_directories(state_));
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(state_)); }
  std::string state_;
};

TEST_F(BundleTest, holds_qemu_and_what_it_needs_and_nothing_else) {
  const auto bundle = ensure_bundle(state_);
  ASSERT_TRUE(bundle) << bundle.error().message;
  EXPECT_THAT(bundle->qemu_version, MatchesRegex("[0-9]+\\.[0-9]+\\.[0-9]+"));
  EXPECT_EQ(bundle->digest.size(), 64U);
  EXPECT_EQ(bundle->root, state_ + "/vmm/" + bundle->digest);
  std::uint64_t bytes = 0;
  for (const auto& entry : fs::recursive_directory_iterator(bundle->root)) {
    struct stat st{};
    ASSERT_EQ(::lstat(entry.path().c_str(), &st), 0);
    const auto inside = entry.path().string().substr(bundle->root.size());
    EXPECT_EQ(st.st_uid, ::geteuid()) << inside;
    EXPECT_EQ(st.st_mode & 07022, 0U) << inside;
    EXPECT_EQ(st.st_mode & 0444, 0444U) << inside;
    EXPECT_FALSE(S_ISLNK(st.st_mode)) << inside;
    if (S_ISDIR(st.st_mode)) continue;
    EXPECT_EQ(st.st_nlink, 1U) << inside;
    EXPECT_TRUE(inside == bundle->program || inside == "/etc/ld.so.cache" || inside.find(".so") != std::string::npos ||
                starts_with(inside, bundle->firmware_folder))
        << inside;
    if (inside != "/etc/ld.so.cache") bytes += static_cast<std::uint64_t>(st.st_size);
  }
  EXPECT_EQ(bytes, bundle->size_bytes);
  EXPECT_TRUE(fs::is_empty(bundle->root + "/proc"));
  EXPECT_TRUE(fs::is_empty(bundle->root + "/dev"));
}

TEST_F(BundleTest, qemu_runs_with_nothing_but_its_bundle) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  const auto bundle = ensure_bundle(state_).value();
  RunOptions options;
  options.argv = {"chroot", bundle.root, bundle.program, "-L",  bundle.firmware_folder,
                  "-M",     "microvm",   "-accel",       "help"};
  const auto finished = run(options);
  ASSERT_TRUE(finished) << finished.error().message;
  EXPECT_EQ(finished->status, 0) << finished->err;
  EXPECT_THAT(finished->out, HasSubstr("tcg"));
}

TEST_F(BundleTest, is_made_once) {
  const auto first = ensure_bundle(state_).value();
  const auto made = fs::last_write_time(first.root);
  const auto again = ensure_bundle(state_).value();
  EXPECT_EQ(again, first);
  EXPECT_EQ(fs::last_write_time(first.root), made);
  EXPECT_THAT(list_directory(state_ + "/vmm").value(), UnorderedElementsAre(first.digest, "current", "lock"));
}

// qemu-img in QEMU's place, with firmware beside it, so that it can be changed.
TEST_F(BundleTest, an_upgrade_makes_a_new_one_beside_the_old) {
  const auto prefix = state_ + "/prefix";
  const auto program = prefix + "/bin/qemu-system-x86_64";
  ASSERT_TRUE(make_directories(prefix + "/bin", 0755));
  ASSERT_TRUE(make_directories(prefix + "/share/qemu", 0755));
  fs::copy_file("/usr/bin/qemu-img", program);
  for (const char* name : {"bios-microvm.bin", "linuxboot_dma.bin"}) {
    std::ofstream(prefix + "/share/qemu/" + name) << "firmware";
  }
  const auto first = ensure_bundle(state_, program);
  ASSERT_TRUE(first) << first.error().message;
  std::ofstream(program, std::ios::app) << "upgraded";
  const auto second = ensure_bundle(state_, program).value();
  EXPECT_NE(second.digest, first->digest);
  EXPECT_TRUE(path_exists(first->root + first->program)) << "a VMM may still run from it";
  std::ofstream(prefix + "/share/qemu/bios-microvm.bin") << "other firmware";
  EXPECT_NE(ensure_bundle(state_, program).value().digest, second.digest);
}

TEST_F(BundleTest, unused_ones_and_interrupted_builds_are_removed) {
  const auto current = ensure_bundle(state_).value();
  const std::string old_digest(64, 'a');
  const std::string used_digest(64, 'b');
  for (const auto& name : {old_digest, used_digest, std::string(".new-123")}) {
    ASSERT_TRUE(make_directories(state_ + "/vmm/" + name + "/usr", 0755));
  }
  EXPECT_THAT(remove_unused_bundles(state_, {used_digest}).value(), ElementsAre(old_digest));
  EXPECT_THAT(list_directory(state_ + "/vmm").value(),
              UnorderedElementsAre(current.digest, used_digest, "current", "lock"));
  EXPECT_EQ(ensure_bundle(state_).value(), current);
}

TEST_F(BundleTest, a_damaged_record_or_a_lost_bundle_is_made_again) {
  const auto first = ensure_bundle(state_).value();
  ASSERT_TRUE(write_file_atomically(state_ + "/vmm/current", "nonsense\nsource\n"));
  EXPECT_EQ(ensure_bundle(state_).value(), first);
  ASSERT_TRUE(remove_tree(first.root));
  EXPECT_EQ(ensure_bundle(state_).value(), first);
  EXPECT_TRUE(path_exists(first.root + first.program));
}

TEST_F(BundleTest, a_missing_qemu_is_named_with_its_package) {
  const auto bundle = ensure_bundle(state_, "/nowhere/qemu");
  ASSERT_FALSE(bundle);
  EXPECT_EQ(bundle.error().code, Code::NotFound);
  EXPECT_THAT(bundle.error().message, HasSubstr("/nowhere/qemu"));
  EXPECT_THAT(bundle.error().hint, HasSubstr("qemu-system-x86"));
}

}  // namespace
}  // namespace cofferdam::vm
