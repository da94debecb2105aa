// What is put below a folder stays there, whoever swaps what lies on the way.
#include "guest/beneath.h"

#include <unistd.h>

#include <atomic>
#include <thread>

#include "guest/test_fixture.h"

namespace cofferdam::guest {
namespace {

using wire::Op;
using wire::PlacedKind;

class BeneathTest : public AgentTest {
 protected:
  BeneathTest() : AgentTest(COFFER_GUEST_PROGRAM) {}

  void SetUp() override {
    AgentTest::SetUp();
    make("root");
    make("outside");
    put("outside/kept", "untouched");
  }
  [[nodiscard]] wire::Place at_root(const std::string& path, PlacedKind kind, const std::string& target = "") const {
    wire::Place place;
    place.root = at("root");
    place.path = path;
    place.kind = kind;
    place.mode = kind == PlacedKind::Folder ? 0750 : 0640;
    place.target = target;
    return place;
  }
  Status place(const wire::Place& request) {
    TRY(host_.call<wire::FileHandle>(Op::Place, request));
    return {};
  }
  Status write(const std::string& path, const std::string& content) {
    TRY_ASSIGN(const auto handle, host_.call<wire::FileHandle>(Op::Place, at_root(path, PlacedKind::File)));
    TRY(host_.call<wire::Empty>(Op::FileWriteChunk, wire::FileWriteChunk{handle.handle, content}));
    TRY(host_.call<wire::FileInfo>(Op::FileWriteCommit, wire::FileWriteCommit{handle.handle}));
    return {};
  }
  [[nodiscard]] std::string content(const std::string& name) const { return read_file(at(name), 4096).value_or("?"); }
  [[nodiscard]] std::size_t entries(const std::string& name) const { return list_directory(at(name)).value().size(); }
};

TEST_F(BeneathTest, files_folders_and_links_are_put_in_place_with_their_folders) {
  ASSERT_TRUE(write("a/b/file", "one"));
  EXPECT_EQ(content("root/a/b/file"), "one");
  ASSERT_TRUE(write("a/b/file", "two"));
  EXPECT_EQ(content("root/a/b/file"), "two");
  ASSERT_TRUE(place(at_root("a/made", PlacedKind::Folder)));
  struct stat info{};
  ASSERT_EQ(::stat(at("root/a/made").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0750U);
  ASSERT_TRUE(place(at_root("a/link", PlacedKind::Symlink, "b/file")));
  EXPECT_EQ(content("root/a/link"), "two");
  ASSERT_TRUE(place(at_root("a/hard", PlacedKind::HardLink, "a/b/file")));
  ASSERT_EQ(::stat(at("root/a/hard").c_str(), &info), 0);
  EXPECT_EQ(info.st_nlink, 2U);
  // Again, over itself: no hidden name is left.
  ASSERT_TRUE(place(at_root("a/hard", PlacedKind::HardLink, "a/b/file")));
  EXPECT_EQ(entries("root/a"), 4U);
}

TEST_F(BeneathTest, what_is_in_the_place_goes_unless_it_is_a_folder) {
  ASSERT_EQ(::symlink("../outside/kept", at("root/link").c_str()), 0);
  ASSERT_TRUE(write("link", "mine"));
  EXPECT_EQ(content("outside/kept"), "untouched");
  EXPECT_EQ(content("root/link"), "mine");
  ASSERT_EQ(::symlink("../outside", at("root/folder").c_str()), 0);
  ASSERT_TRUE(place(at_root("folder", PlacedKind::Folder)));
  ASSERT_TRUE(write("folder/in", "x"));
  EXPECT_EQ(entries("outside"), 1U);
  for (const auto kind : {PlacedKind::File, PlacedKind::Symlink}) {
    EXPECT_EQ(place(at_root("folder", kind, "x")).error().code, Code::FailedPrecondition);
  }
}

TEST_F(BeneathTest, a_named_owner_gets_what_is_put_and_a_folder_that_was_there) {
  const auto self = cat(::geteuid() == 0 ? 1234 : ::geteuid(), ":", ::geteuid() == 0 ? 4321 : ::getegid());
  auto folder = at_root("folder", PlacedKind::Folder);
  ASSERT_TRUE(place(folder));
  folder.mode = 0711;
  ASSERT_TRUE(place(folder));
  struct stat info{};
  ASSERT_EQ(::stat(at("root/folder").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0750U) << "without an owner a folder that is there stays as it is";
  folder.user = self;
  ASSERT_TRUE(place(folder));
  auto file = at_root("folder/file", PlacedKind::File);
  file.user = self;
  file.mode = 04755;
  const auto handle = host_.call<wire::FileHandle>(Op::Place, file);
  ASSERT_TRUE(handle);
  ASSERT_TRUE(host_.call<wire::FileInfo>(Op::FileWriteCommit, wire::FileWriteCommit{handle->handle}));
  auto link = at_root("folder/link", PlacedKind::Symlink, "file");
  link.user = self;
  ASSERT_TRUE(place(link));
  for (const std::string name : {"root/folder", "root/folder/file", "root/folder/link"}) {
    ASSERT_EQ(::lstat(at(name).c_str(), &info), 0);
    EXPECT_EQ(cat(info.st_uid, ":", info.st_gid), self) << name;
    if (name == "root/folder") EXPECT_EQ(info.st_mode & 07777U, 0711U);
    if (name == "root/folder/file") EXPECT_EQ(info.st_mode & 07777U, 04755U);
  }
}

TEST_F(BeneathTest, nothing_is_put_behind_a_link_or_above_the_root) {
  ASSERT_EQ(::symlink("../outside", at("root/out").c_str()), 0);
  for (const std::string path : {"out/file", "out/deep/file"}) {
    EXPECT_EQ(write(path, "x").error().code, Code::InvalidArgument) << path;
    EXPECT_EQ(place(at_root(path, PlacedKind::Folder)).error().code, Code::InvalidArgument) << path;
    EXPECT_EQ(place(at_root("new", PlacedKind::HardLink, path)).error().code, Code::InvalidArgument) << path;
  }
  for (const std::string path : {"../file", "a/../../file", "/etc/file", "", "a//b", "./a", "a/."}) {
    EXPECT_EQ(write(path, "x").error().code, Code::InvalidArgument) << path;
  }
  EXPECT_EQ(write(std::string("a\0b", 3), "x").error().code, Code::InvalidArgument);
  EXPECT_EQ(place(at_root("hard", PlacedKind::HardLink, "out")).error().code, Code::InvalidArgument);
  EXPECT_EQ(entries("outside"), 1U);
  EXPECT_EQ(content("outside/kept"), "untouched");
}

TEST_F(BeneathTest, a_folder_that_becomes_a_link_under_the_writer_leads_nowhere) {
  make("root/swing");
  ASSERT_EQ(::symlink(at("outside").c_str(), at("root/trap").c_str()), 0);
  std::atomic<bool> over = false;
  std::atomic<std::uint64_t> swaps = 0;
  // The folder and the link change places as fast as they can.
  std::thread racer([&] {
    while (!over) {
      if (::renameat2(AT_FDCWD, at("root/swing").c_str(), AT_FDCWD, at("root/trap").c_str(), RENAME_EXCHANGE) == 0) {
        ++swaps;
      }
    }
  });
  std::size_t written = 0, refused = 0;
  for (int i = 0; i < 1500 || ((written == 0 || refused == 0) && i < 100'000); ++i) {
    const auto kind = i % 3;
    const std::string path = cat("swing/", i % 7, "/kept");
    const Status done = kind == 0   ? write(path, "escaped")
                        : kind == 1 ? place(at_root(cat("swing/f", i % 7), PlacedKind::Folder))
                                    : place(at_root(cat("swing/l", i % 7), PlacedKind::Symlink, "x"));
    ++(done ? written : refused);
  }
  over = true;
  racer.join();
  EXPECT_GT(swaps, 0U);
  EXPECT_GT(written, 0U) << "the race was never won";
  EXPECT_GT(refused, 0U) << "the race was never lost";
  EXPECT_EQ(entries("outside"), 1U);
  EXPECT_EQ(content("outside/kept"), "untouched");
}

TEST_F(BeneathTest, the_kernels_log_is_told_or_refused_by_name) {
  const auto log = host_.call<wire::KernelLog>(Op::KernelLog, wire::Empty{});
  // As an ordinary process the agent may not be allowed to read it.
  if (!log) {
    EXPECT_EQ(log.error().code, Code::PermissionDenied);
  } else {
    EXPECT_LE(log->text.size(), wire::kMaxChunk);
  }
}

}  // namespace
}  // namespace cofferdam::guest
