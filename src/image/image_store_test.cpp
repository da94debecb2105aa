#include "image/image_store.h"

#include <gmock/gmock.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "crypto/digest.h"
#include "image/command.h"
#include "image/kernel.h"
#include "image/testing.h"

namespace cofferdam::image {
namespace {

using ::testing::HasSubstr;

constexpr auto kRecipe = R"(name: tiny
description: for tests
kind: busybox
user: {name: user, uid: 1000}
files:
  - {path: /etc/motd, content: "hello", mode: 0640}
env: {A: b}
workdir: /work
)";

void ignore_progress(const Progress&) {}

// One state folder with the kernel in it for all tests: the archive is asked once. COFFER_TEST_KERNEL may name the
// folder `images/kernel` of another state, whose kernel is then copied instead.
class ImageStoreTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    scratch_ = new ScratchFolder();
    ASSERT_TRUE(make_directories(*scratch_ / "recipes"));
    ASSERT_TRUE(write_file_atomically(*scratch_ / "recipes/tiny.yaml", kRecipe));
    ASSERT_TRUE(write_file_atomically(*scratch_ / "guest", "agent one", 0755));
    const auto store = ContentStore::open(*scratch_ / "state").value();
    if (const char* kernel = ::getenv("COFFER_TEST_KERNEL"); kernel != nullptr) {
      ASSERT_TRUE(run_checked(command({"cp", "-a", cat(kernel, "/."), store.kernel_dir()})));
    }
    const auto ready = ensure_kernel(store, Refresh::no, ignore_progress);
    ASSERT_TRUE(ready) << ready.error().message;
  }
  static void TearDownTestSuite() { delete std::exchange(scratch_, nullptr); }

  static ImageStore open() {
    StoreOptions options;
    options.state_dir = *scratch_ / "state";
    options.recipes_dir = *scratch_ / "recipes";
    options.guest_binary = *scratch_ / "guest";
    return ImageStore::open(options).value();
  }
  static ScratchFolder* scratch_;
};
ScratchFolder* ImageStoreTest::scratch_ = nullptr;

TEST_F(ImageStoreTest, built_image_has_all_its_parts) {
  auto store = open();
  std::set<std::string> stages;
  const auto image = store.build("tiny", Rebuild::yes, [&](const Progress& p) { stages.insert(p.stage); });
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_THAT(stages, ::testing::IsSupersetOf({"packages", "pack"}));
  EXPECT_EQ(image->source, "recipe");
  EXPECT_EQ(image->config.workdir, "/work");
  EXPECT_THAT(image->config.env, ::testing::ElementsAre("A=b"));
  EXPECT_EQ(crypto::sha256_file_hex(image->rootfs_path).value_or("?"), image->digest);
  EXPECT_EQ(crypto::sha256_file_hex(image->kernel_path).value_or("?"), image->kernel_digest);
  EXPECT_EQ(crypto::sha256_file_hex(image->initramfs_path).value_or("?"), image->initramfs_digest);
  // "HdrS" at 0x202: what a loader knows a bzImage by.
  EXPECT_EQ(read_file(image->kernel_path, 128U << 20).value_or("").substr(0x202, 4), "HdrS");
  const auto found = store.find("tiny");
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_EQ(found->digest, image->digest);
  EXPECT_EQ(store.list().value().size(), 1U);
  EXPECT_EQ(store.recipes().value().front().description, "for tests");
}

TEST_F(ImageStoreTest, second_build_is_the_first_and_a_new_one_has_equal_bytes) {
  auto store = open();
  const auto first = store.build("tiny", Rebuild::no, ignore_progress).value();
  std::set<std::string> stages;
  const auto second = store.build("tiny", Rebuild::no, [&](const Progress& p) { stages.insert(p.stage); }).value();
  EXPECT_TRUE(stages.empty());
  EXPECT_EQ(second.created, first.created);
  const auto third = store.build("tiny", Rebuild::yes, ignore_progress).value();
  EXPECT_NE(third.created, first.created);
  EXPECT_EQ(third.digest, first.digest);
}

TEST_F(ImageStoreTest, changed_recipe_is_built_again) {
  auto store = open();
  const auto before = store.build("tiny", Rebuild::no, ignore_progress).value();
  ASSERT_TRUE(write_file_atomically(*scratch_ / "recipes/tiny.yaml", std::string(kRecipe) + "default_user: user\n"));
  const auto after = store.build("tiny", Rebuild::no, ignore_progress).value();
  ASSERT_TRUE(write_file_atomically(*scratch_ / "recipes/tiny.yaml", kRecipe));
  EXPECT_NE(after.created, before.created);
  EXPECT_EQ(after.config.user, "user");
}

TEST_F(ImageStoreTest, two_processes_build_at_once_and_both_have_the_image) {
  ASSERT_TRUE(write_file_atomically(*scratch_ / "recipes/race.yaml", "name: race\nkind: busybox\n"));
  std::vector<pid_t> children;
  for (int i = 0; i < 3; ++i) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) ::_exit(open().build("race", Rebuild::no, ignore_progress) ? 0 : 1);
    children.push_back(child);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  auto store = open();
  EXPECT_TRUE(store.find("race"));
  EXPECT_TRUE(list_directory(*scratch_ / "state/images/tmp").value().empty());
  EXPECT_TRUE(store.remove("race"));
  ASSERT_TRUE(remove_tree(*scratch_ / "recipes/race.yaml"));
}

TEST_F(ImageStoreTest, new_guest_binary_gets_a_new_initramfs_and_the_old_one_goes) {
  auto store = open();
  const auto before = store.build("tiny", Rebuild::no, ignore_progress).value();
  ASSERT_TRUE(write_file_atomically(*scratch_ / "guest", "agent two", 0755));
  const auto after = store.find("tiny").value();
  EXPECT_NE(after.initramfs_digest, before.initramfs_digest);
  EXPECT_EQ(after.digest, before.digest);
  ASSERT_TRUE(store.remove_leftovers());
  EXPECT_FALSE(path_exists(before.initramfs_path));
  EXPECT_TRUE(path_exists(after.initramfs_path));
  EXPECT_TRUE(store.find("tiny"));
}

TEST_F(ImageStoreTest, initramfs_holds_the_agent_and_every_listed_module) {
  auto store = open();
  const auto image = store.build("tiny", Rebuild::no, ignore_progress).value();
  const auto folder = *scratch_ / "unpacked";
  ASSERT_TRUE(make_directories(folder));
  ASSERT_TRUE(run_checked(command({"env", "-C", folder, "busybox", "cpio", "-i", "-d", "-F", image.initramfs_path})));
  EXPECT_THAT(read_file(folder + "/init", 100).value_or("?"), HasSubstr("agent"));
  const auto list = read_file(folder + "/modules.list", 1U << 16).value_or("");
  std::set<std::string> seen;
  for (const auto& path : split(trim(list), '\n')) {
    EXPECT_THAT(read_file(folder + path, 64U << 20).value_or("").substr(0, 4),
                "\x7f"
                "ELF")
        << path;
    seen.insert(path);
  }
  for (const auto* needed :
       {"virtio_mmio", "virtio_blk", "virtio_console", "virtio_net", "virtio-rng", "erofs", "overlay"}) {
    EXPECT_EQ(seen.count(cat("/modules/", needed, ".ko")), 1U) << needed;
  }
  EXPECT_TRUE(std::filesystem::is_character_file(folder + "/dev/console"));
}

TEST_F(ImageStoreTest, imported_folder_is_an_image_with_the_mount_points_it_lacked) {
  const auto source = *scratch_ / "source";
  ASSERT_TRUE(make_directories(source + "/bin", 0755));
  ASSERT_TRUE(write_file_atomically(source + "/bin/tool", "x", 0755));
  auto store = open();
  const auto image = store.import_image(source, "mine", ignore_progress);
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->source, "import");
  EXPECT_TRUE(store.find("mine"));
  EXPECT_FALSE(path_exists(source + "/proc"));
  ASSERT_TRUE(store.remove("mine"));
  EXPECT_FALSE(path_exists(image->rootfs_path));
  EXPECT_EQ(store.find("mine").error().code, Code::NotFound);
  EXPECT_THAT(store.find("mine").error().hint, HasSubstr("coffer image build mine"));
}

TEST_F(ImageStoreTest, what_is_missing_has_a_name) {
  auto store = open();
  EXPECT_EQ(store.build("nonesuch", Rebuild::no, ignore_progress).error().code, Code::NotFound);
  EXPECT_EQ(store.find("../x").error().code, Code::InvalidArgument);
  EXPECT_EQ(store.remove("nonesuch").error().code, Code::NotFound);

  const auto image = store.build("tiny", Rebuild::no, ignore_progress).value();
  ASSERT_EQ(::truncate(image.rootfs_path.c_str(), 100), 0);
  EXPECT_EQ(store.find("tiny").error().code, Code::DataLoss);
  EXPECT_TRUE(store.build("tiny", Rebuild::no, ignore_progress)) << "a damaged image is built again";

  StoreOptions elsewhere;
  elsewhere.state_dir = *scratch_ / "empty-state";
  elsewhere.guest_binary = *scratch_ / "guest";
  EXPECT_EQ(current_kernel(ContentStore::open(elsewhere.state_dir).value()).error().code, Code::FailedPrecondition);
}

}  // namespace
}  // namespace cofferdam::image
