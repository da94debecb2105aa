#include "base/file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <vector>

#include "base/text.h"

namespace cofferdam {
namespace {

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    char name[] = "/tmp/cofferdam-file-XXXXXX";
    folder_ = ::mkdtemp(name);
  }
  ~FileTest() override { (void)remove_tree(folder_); }
  std::string folder_;
};

TEST_F(FileTest, atomic_write_replaces_and_leaves_no_temporary) {
  const auto path = folder_ + "/f";
  ASSERT_TRUE(write_file_atomically(path, "one"));
  ASSERT_TRUE(write_file_atomically(path, "two"));
  EXPECT_EQ(read_file(path, 100).value(), "two");
  EXPECT_EQ(list_directory(folder_).value(), std::vector<std::string>{"f"});
}

TEST_F(FileTest, a_read_over_its_bound_is_an_error) {
  ASSERT_TRUE(write_file_atomically(folder_ + "/f", "12345"));
  EXPECT_EQ(read_file(folder_ + "/f", 4).error().code, Code::ResourceExhausted);
  EXPECT_EQ(read_file(folder_ + "/absent", 4).error().code, Code::NotFound);
}

TEST_F(FileTest, sparse_copy_keeps_holes_and_data) {
  auto from = open_file(folder_ + "/a", O_RDWR | O_CREAT).value();
  auto to = open_file(folder_ + "/b", O_RDWR | O_CREAT).value();
  constexpr off_t kFar = 64 << 20;
  ASSERT_EQ(::pwrite(from.get(), "x", 1, 0), 1);
  ASSERT_EQ(::pwrite(from.get(), "y", 1, kFar), 1);
  ASSERT_TRUE(copy_sparse(from.get(), to.get()));
  struct stat st{};
  ASSERT_EQ(::fstat(to.get(), &st), 0);
  EXPECT_EQ(st.st_size, kFar + 1);
  EXPECT_LT(st.st_blocks * 512, 1 << 20);
  char byte = 0;
  ASSERT_EQ(::pread(to.get(), &byte, 1, kFar), 1);
  EXPECT_EQ(byte, 'y');
}

TEST_F(FileTest, a_lock_is_exclusive_until_it_is_dropped) {
  {
    auto held = FileLock::try_acquire(folder_ + "/lock");
    ASSERT_TRUE(held);
    EXPECT_EQ(FileLock::try_acquire(folder_ + "/lock").error().code, Code::Unavailable);
  }
  EXPECT_TRUE(FileLock::try_acquire(folder_ + "/lock"));
}

TEST_F(FileTest, a_passing_lock_takes_its_file_along_and_still_excludes) {
  const auto path = folder_ + "/passing";
  std::atomic<int> inside = 0;
  std::atomic<bool> alone = true;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int turn = 0; turn < 200; ++turn) {
        const auto lock = FileLock::acquire_passing(path);
        ASSERT_TRUE(lock);
        if (++inside != 1) alone = false;
        std::this_thread::yield();
        --inside;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_TRUE(alone);
  EXPECT_FALSE(path_exists(path));
}

}  // namespace
}  // namespace cofferdam
