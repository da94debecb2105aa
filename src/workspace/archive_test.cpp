// Archives: kept as they come, found again after a restart, and named when they are damaged.
#include <fcntl.h>
#include <unistd.h>

#include "base/file.h"
#include "base/id.h"
#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

using model::Mode;

class ArchiveTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    open();
  }
  void reopen() {
    close(Manager::Permanent::stop);
    open();
    ASSERT_TRUE(run(manager_->reconcile()));
  }
  static ArchiveBytes pieces(std::vector<std::string> all) {
    auto left = std::make_shared<std::vector<std::string>>(std::move(all));
    return [left]() -> Task<std::string> {
      if (left->empty()) co_return std::string();
      std::string next = std::move(left->front());
      left->erase(left->begin());
      co_return next;
    };
  }
  Result<Archive> add(const std::string& bytes, const std::string& version = {}) {
    ArchiveWish wish;
    wish.version = version;
    wish.paths = {"/root"};
    return run(manager_->add_archive("box", std::move(wish), pieces({bytes})));
  }
  Result<std::string> read(const std::string& version) {
    TRY_ASSIGN(const auto next, run(manager_->read_archive("box", version)));
    std::string all;
    for (;;) {
      TRY_ASSIGN(const auto piece, run(next()));
      if (piece.empty()) return all;
      all += piece;
    }
  }
  std::string path_of(const Archive& archive) {
    return state_ + "/workspaces/" + archive.workspace_id + "/archives/" + archive.id;
  }
};

TEST_F(ArchiveTest, what_was_kept_is_read_again_also_after_a_restart) {
  const auto info = run(manager_->create(spec("box", Mode::permanent))).value();
  const std::string text(3'000'000, 'm');
  const auto first = add(text).value();
  EXPECT_EQ(first.version, "1");
  EXPECT_EQ(add("small", "named").value().version, "named");
  EXPECT_EQ(add("third").value().version, "2");
  EXPECT_EQ(add("again", "2").error().code, Code::AlreadyExists);
  EXPECT_EQ(add("bad", "../x").error().code, Code::InvalidArgument);
  EXPECT_TRUE(read("1").value() == text);
  EXPECT_EQ(read_file(path_of(first), 8U << 20).value().find("mmmmmmmm"), std::string::npos);
  EXPECT_EQ(keys_->list(info.id).value().size(), 4U);
  reopen();
  const auto all = manager_->archives("box").value();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[0].paths, std::vector<std::string>{"/root"});
  EXPECT_EQ(read("named").value(), "small");
  ASSERT_TRUE(run(manager_->remove_archive("box", "1")));
  EXPECT_FALSE(path_exists(path_of(first)));
  EXPECT_EQ(read("1").error().code, Code::NotFound);
  EXPECT_EQ(keys_->list(info.id).value().size(), 3U);
  EXPECT_FALSE(run(manager_->remove("box")).value().receipt_id.empty());
  EXPECT_TRUE(keys_->list(info.id).value().empty());
}

TEST_F(ArchiveTest, one_whose_bytes_break_off_leaves_nothing) {
  const auto info = run(manager_->create(spec("box", Mode::permanent))).value();
  ArchiveBytes broken = []() -> Task<std::string> { co_return fail(Code::Unavailable, "the machine has ended"); };
  EXPECT_EQ(run(manager_->add_archive("box", {}, broken)).error().code, Code::Unavailable);
  EXPECT_TRUE(manager_->archives("box").value().empty());
  EXPECT_TRUE(list_directory(state_ + "/workspaces/" + info.id + "/archives").value().empty());
  EXPECT_EQ(keys_->list(info.id).value().size(), 1U);
}

TEST_F(ArchiveTest, a_flipped_bit_and_a_lost_file_are_named) {
  ASSERT_TRUE(run(manager_->create(spec("box", Mode::permanent))));
  const auto archive = add("text").value();
  {
    const UniqueFd file = open_file(path_of(archive), O_RDWR).value();
    char byte = 0;
    ASSERT_EQ(::pread(file.get(), &byte, 1, 20), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, 20), 1);
  }
  const auto damaged = read("1");
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, Code::DataLoss);
  EXPECT_NE(damaged.error().message.find("block 0 of archive " + archive.id), std::string::npos);
  ASSERT_EQ(::unlink(path_of(archive).c_str()), 0);
  EXPECT_EQ(read("1").error().code, Code::NotFound);
  reopen();
  EXPECT_TRUE(manager_->archives("box").value().empty());
}

TEST_F(ArchiveTest, what_was_never_finished_goes_and_a_hold_keeps_the_rest) {
  const auto info = run(manager_->create(spec("box", Mode::permanent))).value();
  ASSERT_TRUE(add("text"));
  const auto strange = state_ + "/workspaces/" + info.id + "/archives/" + new_id("arc");
  ASSERT_TRUE(write_file_atomically(strange, "half"));
  reopen();
  EXPECT_FALSE(path_exists(strange));
  ASSERT_TRUE(run(manager_->hold("box", "case 7")));
  EXPECT_EQ(run(manager_->remove_archive("box", "1")).error().code, Code::FailedPrecondition);
  ASSERT_TRUE(run(manager_->unhold("box")));
  EXPECT_TRUE(run(manager_->remove_archive("box", "1")));
}

}  // namespace
}  // namespace cofferdam::workspace
