#include "disk/volume.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <thread>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "disk/volume_store.h"
#include "model/units.h"

namespace cofferdam::disk {
namespace {

class VolumeTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "coffer-disk-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { (void)remove_tree(dir_); }
  VolumeStore store() { return VolumeStore::open(dir_ + "/disks").value(); }
  static std::uint64_t allocated(int fd) {
    struct stat st{};
    EXPECT_EQ(::fstat(fd, &st), 0);
    return static_cast<std::uint64_t>(st.st_blocks) * 512;
  }
  struct Kept {
    keys::Key original;
    VolumeFacts facts;
    [[nodiscard]] keys::Key key() const { return {original.id, original.bytes.clone()}; }
  };
  // A volume of 64 MiB that is no longer in use, with `text` far behind what it holds.
  Kept keep(const std::string& path, std::string_view text = {}) {
    auto volume = store().make_ephemeral(64).value();
    const auto fd = volume.descriptor().value();
    EXPECT_EQ(::pwrite(fd.get(), text.data(), text.size(), 32 << 20), static_cast<ssize_t>(text.size()));
    EXPECT_TRUE(volume.persist(path));
    EXPECT_EQ(volume.persist(path).error().code, Code::AlreadyExists);
    return {{volume.key().id, volume.key().bytes.clone()}, volume.facts()};
  }
  std::string dir_;
};

TEST_F(VolumeTest, a_new_volume_is_an_ext4_of_the_asked_size_without_a_name) {
  auto volume = store().make_ephemeral(4096).value();
  EXPECT_EQ(volume.bytes(), 4096 * model::kMiB);
  EXPECT_EQ(list_directory(dir_ + "/disks").value(), std::vector<std::string>{"formats"});
  const auto fd = volume.descriptor().value();
  EXPECT_LT(allocated(fd.get()), model::kMiB);
  EXPECT_EQ(volume.key().bytes.size(), keys::kDiskKeyBytes);
  EXPECT_EQ(volume.facts().header_sha256.size(), 64U);

  const UniqueFd format = store().empty_disk(4096).value();
  RunOptions check;
  check.argv = {"/usr/sbin/e2fsck", "-fn", cat("/proc/", ::getpid(), "/fd/", format.get())};
  const auto checked = run(check).value();
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
}

TEST_F(VolumeTest, the_inode_tables_need_no_work_in_the_guest) {
  const UniqueFd fd = store().empty_disk(1024).value();
  RunOptions dump;
  dump.argv = {"/usr/sbin/dumpe2fs", cat("/proc/", ::getpid(), "/fd/", fd.get())};
  const auto text = run_checked(dump).value();
  std::size_t groups = 0;
  std::size_t zeroed = 0;
  for (const auto& line : split(text, '\n')) {
    if (starts_with(line, "Group ") && line.find(": (Blocks") != std::string::npos) ++groups;
    if (line.find("ITABLE_ZEROED") != std::string::npos) ++zeroed;
  }
  EXPECT_EQ(groups, 8U);
  EXPECT_EQ(zeroed, groups);
}

TEST_F(VolumeTest, two_volumes_share_neither_bytes_nor_keys) {
  const auto disks = store();
  auto one = disks.make_ephemeral(64).value();
  auto two = disks.make_ephemeral(64).value();
  EXPECT_FALSE(one.key().bytes.view() == two.key().bytes.view());
  EXPECT_NE(one.key().id, two.key().id);
  EXPECT_NE(one.facts().header_sha256, two.facts().header_sha256);
  const auto a = one.descriptor().value();
  const auto b = two.descriptor().value();
  ASSERT_EQ(::pwrite(a.get(), "mine", 4, 32 << 20), 4);
  struct stat st{};
  ASSERT_EQ(::fstat(b.get(), &st), 0);
  EXPECT_LT(st.st_size, 32 << 20);
}

TEST_F(VolumeTest, a_persisted_volume_keeps_its_bytes) {
  const std::string path = dir_ + "/disk.img";
  const Kept kept = keep(path, "kept");
  auto again = Volume::open(path, kept.key(), kept.facts).value();
  const auto fd = again.descriptor().value();
  char seen[4];
  ASSERT_EQ(::pread(fd.get(), seen, 4, 32 << 20), 4);
  EXPECT_EQ(std::string(seen, 4), "kept");
  struct stat st{};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777, 0600U);
}

TEST_F(VolumeTest, a_volume_that_any_descriptor_still_holds_is_refused) {
  const std::string path = dir_ + "/disk.img";
  const Kept kept = keep(path);
  auto first = std::make_unique<Volume>(Volume::open(path, kept.key(), kept.facts).value());
  UniqueFd held = first->descriptor().value();  // what a VMM would have
  first.reset();
  const auto refused = Volume::open(path, kept.key(), kept.facts);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_NE(refused.error().message.find("in use"), std::string::npos);
  held.reset();
  EXPECT_TRUE(Volume::open(path, kept.key(), kept.facts));
}

TEST_F(VolumeTest, a_volume_may_be_opened_as_a_larger_one) {
  const std::string path = dir_ + "/disk.img";
  const Kept kept = keep(path);
  auto facts = kept.facts;
  facts.bytes = 512 * model::kMiB;
  EXPECT_EQ(Volume::open(path, kept.key(), facts).value().bytes(), 512 * model::kMiB);
  facts.bytes = 32 * model::kMiB;
  EXPECT_EQ(Volume::open(path, kept.key(), facts).error().code, Code::DataLoss);
}

TEST_F(VolumeTest, a_damaged_header_or_another_disk_is_refused) {
  const std::string path = dir_ + "/disk.img";
  const Kept kept = keep(path);
  const Kept other = keep(dir_ + "/other.img");
  const auto moved = Volume::open(dir_ + "/other.img", kept.key(), kept.facts);
  ASSERT_FALSE(moved);
  EXPECT_EQ(moved.error().code, Code::DataLoss);
  EXPECT_NE(moved.error().message.find("header"), std::string::npos);
  // The first byte of the key slot.
  const auto bytes = read_file(path, 8U << 20).value();
  const auto at = bytes.find("LUKS\xba\xbe") + 4096;
  {
    const UniqueFd file = open_file(path, O_RDWR).value();
    const char flipped = static_cast<char>(bytes[at] ^ 1);
    ASSERT_EQ(::pwrite(file.get(), &flipped, 1, static_cast<off_t>(at)), 1);
  }
  EXPECT_EQ(Volume::open(path, kept.key(), kept.facts).error().code, Code::DataLoss);
}

TEST_F(VolumeTest, nothing_is_left_of_a_discarded_volume) {
  const std::string path = dir_ + "/disk.img";
  const Kept kept = keep(path);
  auto volume = Volume::open(path, kept.key(), kept.facts).value();
  const auto fd = volume.descriptor().value();
  const auto before = allocated(fd.get());
  EXPECT_EQ(volume.discard().value(), before);
  EXPECT_EQ(allocated(fd.get()), 0U);
  EXPECT_TRUE(read_file(path, 1).value().empty());
}

TEST_F(VolumeTest, what_is_no_disk_is_refused) {
  const std::string path = dir_ + "/disk.img";
  const VolumeFacts facts{64 * model::kMiB, std::string(64, '0')};
  EXPECT_EQ(Volume::open(path, {}, facts).error().code, Code::NotFound);
  ASSERT_TRUE(write_file_atomically(path, "torn"));
  EXPECT_EQ(Volume::open(path, {}, facts).error().code, Code::DataLoss);
}

TEST_F(VolumeTest, a_torn_format_is_made_again) {
  const auto disks = store();
  ASSERT_TRUE(disks.make_ephemeral(64));
  const std::string format = dir_ + "/disks/formats/64-ext4-2.img";
  ASSERT_TRUE(path_exists(format));
  ASSERT_EQ(::truncate(format.c_str(), 4096), 0);
  auto volume = disks.make_ephemeral(64);
  ASSERT_TRUE(volume) << volume.error().message;
  EXPECT_EQ(volume->bytes(), 64 * model::kMiB);
}

TEST_F(VolumeTest, several_may_ask_for_a_new_size_at_once) {
  const auto disks = store();
  std::vector<std::thread> threads;
  std::vector<int> ok(4, 0);
  for (std::size_t i = 0; i < ok.size(); ++i) {
    threads.emplace_back([&, i] { ok[i] = disks.make_ephemeral(128).has_value() ? 1 : 0; });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(ok, std::vector<int>(4, 1));
}

TEST_F(VolumeTest, leftovers_of_dead_processes_and_old_versions_go) {
  const auto disks = store();
  ASSERT_TRUE(disks.make_ephemeral(64));
  for (const auto* name : {"/disks/disk.tmp-00", "/disks/formats/64-ext4-1.img", "/disks/formats/64-ext4-2.img.tmp"}) {
    ASSERT_TRUE(write_file_atomically(dir_ + name, "x"));
  }
  ASSERT_TRUE(disks.remove_leftovers());
  EXPECT_EQ(list_directory(dir_ + "/disks").value(), std::vector<std::string>{"formats"});
  EXPECT_EQ(list_directory(dir_ + "/disks/formats").value(), (std::vector<std::string>{"64-ext4-2.img", "lock"}));
}

TEST(HostRoom, a_nearly_full_or_too_small_host_is_named) {
  HostRoom room{.total_bytes = std::uint64_t{100} * 1024 * model::kMiB,
                .free_bytes = 500 * model::kMiB,
                .reserve_bytes = 1024 * model::kMiB};
  const auto full = check_room(room, 64);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code, Code::ResourceExhausted);
  EXPECT_NE(full.error().message.find("500 MiB"), std::string::npos);
  EXPECT_FALSE(full.error().hint.empty());
  room.free_bytes = 2048 * model::kMiB;
  EXPECT_TRUE(check_room(room, 64));
  EXPECT_EQ(check_room(room, 1U << 20).error().code, Code::ResourceExhausted);
}

}  // namespace
}  // namespace cofferdam::disk
