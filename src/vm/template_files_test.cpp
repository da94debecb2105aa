#include "vm/template_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <string_view>

#include "base/file.h"

namespace cofferdam::vm {
namespace {

constexpr std::uint64_t kBytes = 8U << 20;

class TemplateFilesTest : public ::testing::Test {
 protected:
  TemplateFilesTest() {
    char name[] = "/tmp/cofferdam-template-XXXXXX";
    parent_ = ::mkdtemp(name);
    folder_ = parent_ + "/one";
    memory_ = make_memory_file("memory", kBytes).value();
    state_ = make_memory_file("state", 0).value();
    EXPECT_EQ(::pwrite(memory_.get(), "page", 4, 3 << 20), 4);
    EXPECT_EQ(::pwrite(state_.get(), "state", 5, 0), 5);
  }
  ~TemplateFilesTest() override { (void)remove_tree(parent_); }
  std::string parent_, folder_;
  UniqueFd memory_, state_;
};

TEST_F(TemplateFilesTest, what_was_stored_is_loaded_sealed) {
  ASSERT_TRUE(store_template(folder_, "manifest 1\n", memory_.get(), state_.get(), -1));
  auto loaded = load_template(folder_, "manifest 1\n");
  ASSERT_TRUE(loaded) << loaded.error().message;
  char text[4];
  ASSERT_EQ(::pread(loaded->memory.get(), text, 4, 3 << 20), 4);
  EXPECT_EQ(std::string_view(text, 4), "page");
  struct stat st{};
  ASSERT_EQ(::fstat(loaded->memory.get(), &st), 0);
  EXPECT_EQ(static_cast<std::uint64_t>(st.st_size), kBytes);
  // A clone's VMM may open it for writing, and still cannot change it: only map it for itself.
  auto again = open_file("/proc/self/fd/" + std::to_string(loaded->memory.get()), O_RDWR).value();
  EXPECT_EQ(::pwrite(again.get(), "evil", 4, 0), -1);
  EXPECT_EQ(::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, again.get(), 0), MAP_FAILED);
  void* own = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE, again.get(), 0);
  ASSERT_NE(own, MAP_FAILED);
  std::memcpy(own, "mine", 4);
  ASSERT_EQ(::pread(loaded->memory.get(), text, 4, 0), 4);
  EXPECT_NE(std::string_view(text, 4), "mine");
  ::munmap(own, kBytes);
}

TEST_F(TemplateFilesTest, another_manifest_a_flipped_bit_and_a_missing_file_are_named) {
  EXPECT_EQ(load_template(folder_, "manifest 1\n").error().code, Code::NotFound);
  ASSERT_TRUE(store_template(folder_, "manifest 1\n", memory_.get(), state_.get(), -1));
  EXPECT_EQ(load_template(folder_, "manifest 2\n").error().code, Code::DataLoss);
  auto file = open_file(folder_ + "/memory", O_RDWR).value();
  ASSERT_EQ(::pwrite(file.get(), "P", 1, 3 << 20), 1);
  EXPECT_EQ(load_template(folder_, "manifest 1\n").error().code, Code::DataLoss);
  ASSERT_EQ(::pwrite(file.get(), "p", 1, 3 << 20), 1);
  EXPECT_TRUE(load_template(folder_, "manifest 1\n"));
  ASSERT_EQ(::unlink((folder_ + "/state").c_str()), 0);
  EXPECT_EQ(load_template(folder_, "manifest 1\n").error().code, Code::DataLoss);
}

TEST_F(TemplateFilesTest, pruning_keeps_the_latest_and_removes_half_written_ones) {
  for (const char* name : {"a", "b", "c"}) {
    const auto folder = parent_ + "/" + name;
    ASSERT_TRUE(store_template(folder, "m\n", memory_.get(), state_.get(), -1));
    const timespec times[2] = {{1000 + name[0], 0}, {1000 + name[0], 0}};
    ASSERT_EQ(::utimensat(AT_FDCWD, folder.c_str(), times, 0), 0);
  }
  ASSERT_TRUE(make_directories(parent_ + "/d.tmp-0123"));
  ASSERT_TRUE(prune_templates(parent_, 2));
  EXPECT_EQ(list_directory(parent_).value(), (std::vector<std::string>{"b", "c"}));
}

}  // namespace
}  // namespace cofferdam::vm
