// Watchers of the real agent on real folders.
#include <signal.h>

#include <algorithm>
#include <set>

#include "guest/test_fixture.h"

namespace cofferdam::guest {
namespace {

using wire::Op;
using wire::WatchLoss;

class WatchTest : public AgentTest {
 protected:
  WatchTest() : AgentTest(COFFER_GUEST_PROGRAM) {}

  void SetUp() override {
    AgentTest::SetUp();
    make("root");
  }
  std::uint32_t watch(std::vector<std::string> excludes = {}) {
    const std::uint32_t stream = host_.new_stream();
    opened_ = host_.call_on<wire::WatchOpened>(stream, Op::WatchOpen, wire::WatchOpen{at("root"), std::move(excludes)});
    EXPECT_TRUE(opened_);
    return stream;
  }
  // "C" create, "W" write, "R" remove, "N" rename, "U" anything else, and the path.
  std::vector<std::string> told(std::uint32_t stream) {
    std::vector<std::string> all;
    for (const auto& piece : host_.log(stream).pieces) {
      const auto batch = wire::decode<wire::WatchEvents>(piece);
      if (!batch) return {"a piece that is no batch"};
      for (const auto& event : batch->events) all.push_back("CWRNU"[static_cast<int>(event.op)] + event.path);
      if (batch->loss == WatchLoss::Events) all.emplace_back("lost");
    }
    return all;
  }
  bool is_told(std::uint32_t stream, const std::string& what) {
    const auto all = told(stream);
    return std::find(all.begin(), all.end(), what) != all.end();
  }
  bool wait_for(std::uint32_t stream, const std::string& what) {
    return host_.run_until([&] { return is_told(stream, what); });
  }

  Result<wire::WatchOpened> opened_ = fail(Code::Unknown, "not opened");
};

TEST_F(WatchTest, each_kind_of_change_is_told_in_order) {
  const auto stream = watch();
  put("root/a");
  ASSERT_EQ(::chmod(at("root/a").c_str(), 0600), 0);
  ASSERT_EQ(::rename(at("root/a").c_str(), at("root/b").c_str()), 0);
  ASSERT_EQ(::unlink(at("root/b").c_str()), 0);
  ASSERT_TRUE(wait_for(stream, "Rb"));
  EXPECT_EQ(told(stream), (std::vector<std::string>{"Ca", "Wa", "Ua", "Na", "Cb", "Rb"}));
}

TEST_F(WatchTest, all_folders_that_are_there_are_watched_and_counted) {
  make("root/a/b/c");
  make("root/d");
  const auto stream = watch();
  EXPECT_EQ(opened_->folders, 5U);
  EXPECT_EQ(opened_->root, at("root"));
  put("root/a/b/c/file");
  EXPECT_TRUE(wait_for(stream, "Wa/b/c/file"));
}

TEST_F(WatchTest, a_root_behind_a_link_is_told_by_its_own_path) {
  ASSERT_EQ(::symlink("root", at("link").c_str()), 0);
  const auto opened =
      host_.call_on<wire::WatchOpened>(host_.new_stream(), Op::WatchOpen, wire::WatchOpen{at("link"), {}});
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->root, at("root"));
}

TEST_F(WatchTest, what_is_in_a_new_folder_is_told_whenever_it_came) {
  const auto stream = watch();
  make("root/x/y/z");
  put("root/x/y/z/early");
  for (const char* what : {"Cx", "Cx/y", "Cx/y/z", "Cx/y/z/early"}) EXPECT_TRUE(wait_for(stream, what)) << what;
  put("root/x/y/z/late");
  EXPECT_TRUE(wait_for(stream, "Wx/y/z/late"));
}

TEST_F(WatchTest, excluded_names_and_paths_are_silent) {
  make("root/node_modules");
  const auto stream = watch({"node_modules", "*.o", "a/out"});
  EXPECT_EQ(opened_->folders, 1U);
  make("root/a/out");
  make("root/b/out");
  put("root/node_modules/file");
  put("root/x.o");
  put("root/last");
  ASSERT_TRUE(wait_for(stream, "Wlast"));
  put("root/a/out/file");
  put("root/b/out/file");
  put("root/end");
  ASSERT_TRUE(wait_for(stream, "Wend"));
  ASSERT_TRUE(wait_for(stream, "Wb/out/file"));
  for (const auto& what : told(stream)) {
    EXPECT_EQ(what.find("node_modules"), std::string::npos) << what;
    EXPECT_EQ(what.find(".o"), std::string::npos) << what;
    EXPECT_EQ(what.find("a/out"), std::string::npos) << what;
  }
}

TEST_F(WatchTest, links_are_not_followed) {
  make("outside");
  ASSERT_EQ(::symlink(at("outside").c_str(), at("root/old").c_str()), 0);
  const auto stream = watch();
  EXPECT_EQ(opened_->folders, 1U);
  ASSERT_EQ(::symlink(at("outside").c_str(), at("root/new").c_str()), 0);
  ASSERT_TRUE(wait_for(stream, "Cnew"));
  put("outside/file");
  put("root/last");
  ASSERT_TRUE(wait_for(stream, "Wlast"));
  EXPECT_EQ(told(stream), (std::vector<std::string>{"Cnew", "Clast", "Wlast"}));
}

TEST_F(WatchTest, a_folder_that_moves_inside_keeps_being_watched_under_its_new_path) {
  make("root/a/deep");
  make("root/b");
  const auto stream = watch();
  ASSERT_EQ(::rename(at("root/a").c_str(), at("root/b/c").c_str()), 0);
  ASSERT_TRUE(wait_for(stream, "Cb/c"));
  EXPECT_TRUE(is_told(stream, "Na"));
  put("root/b/c/deep/file");
  EXPECT_TRUE(wait_for(stream, "Wb/c/deep/file"));
  EXPECT_FALSE(is_told(stream, "Cb/c/deep"));  // it only moved
}

TEST_F(WatchTest, a_folder_that_moves_in_is_told_with_what_it_holds_and_one_that_moves_out_is_silent) {
  make("in/deep");
  put("in/deep/file");
  make("root/out/deep");
  const auto stream = watch();
  ASSERT_EQ(::rename(at("in").c_str(), at("root/in").c_str()), 0);
  ASSERT_EQ(::rename(at("root/out").c_str(), at("out").c_str()), 0);
  EXPECT_TRUE(wait_for(stream, "Cin/deep/file"));
  ASSERT_TRUE(wait_for(stream, "Nout"));
  put("out/deep/file");
  put("root/in/deep/more");
  ASSERT_TRUE(wait_for(stream, "Win/deep/more"));
  EXPECT_FALSE(is_told(stream, "Cout/deep/file"));
}

TEST_F(WatchTest, the_end_of_the_root_is_the_end_of_the_stream) {
  const auto stream = watch();
  ASSERT_EQ(::rmdir(at("root").c_str()), 0);
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out_ended; }));
  EXPECT_EQ(told(stream), (std::vector<std::string>{"R"}));
}

TEST_F(WatchTest, without_credit_nothing_is_sent_and_later_nothing_is_missing) {
  host_.grant_automatically(false);
  const auto stream = host_.new_stream();
  ASSERT_TRUE(host_.call_on<wire::WatchOpened>(stream, Op::WatchOpen, wire::WatchOpen{at("root"), {}, 0}));
  put("root/a");
  host_.run_until([] { return false; }, std::chrono::milliseconds(100));
  EXPECT_TRUE(told(stream).empty());
  host_.queue().push_credit(stream, {wire::Channel::Stdout, 11});  // of one event
  ASSERT_TRUE(wait_for(stream, "Ca"));
  EXPECT_EQ(host_.log(stream).out.size(), 11U);
  host_.queue().push_credit(stream, {wire::Channel::Stdout, 1000});
  EXPECT_TRUE(wait_for(stream, "Wa"));
}

TEST_F(WatchTest, more_changes_than_the_kernel_keeps_are_told_as_lost_and_new_folders_are_found_again) {
  const auto limit = read_file("/proc/sys/fs/inotify/max_queued_events", 64);
  ASSERT_TRUE(limit);
  const auto most = *parse_int("limit", trim(*limit), 1, 1'000'000);
  make("root/gone");
  const auto stream = watch();
  ASSERT_EQ(::kill(host_.agent_pid(), SIGSTOP), 0);
  put("root/file");
  for (std::int64_t i = 0; i <= most; i += 2) {
    // Two at a time: the kernel joins equal neighbours.
    ASSERT_EQ(::chmod(at("root/file").c_str(), 0600), 0);
    ASSERT_EQ(::truncate(at("root/file").c_str(), 0), 0);
  }
  make("root/late/deep");
  ASSERT_EQ(::rmdir(at("root/gone").c_str()), 0);
  ASSERT_EQ(::kill(host_.agent_pid(), SIGCONT), 0);
  ASSERT_TRUE(wait_for(stream, "lost"));
  int tries = 0;
  EXPECT_TRUE(host_.run_until([&] {
    put(cat("root/late/deep/", tries++));
    return cat(told(stream).back()).find("late/deep/") != std::string::npos;
  }));
}

TEST_F(WatchTest, a_sixth_watcher_is_refused_until_one_is_closed) {
  std::vector<std::uint32_t> streams;
  streams.reserve(wire::kMaxWatchers);
  for (std::size_t i = 0; i < wire::kMaxWatchers; ++i) streams.push_back(watch());
  const wire::WatchOpen open{at("root"), {}};
  EXPECT_EQ(host_.call<wire::WatchOpened>(Op::WatchOpen, open).error().code, Code::ResourceExhausted);
  close(streams[2]);
  ASSERT_TRUE(host_.run_until([&] { return host_.queue().empty(); }));
  EXPECT_TRUE(host_.call<wire::WatchOpened>(Op::WatchOpen, open));
}

TEST_F(WatchTest, a_new_host_finds_no_watcher_of_its_predecessor) {
  for (std::size_t i = 0; i < wire::kMaxWatchers; ++i) watch();
  put("root/a");
  ASSERT_TRUE(host_.connect());
  const auto stream = watch();
  put("root/b");
  ASSERT_TRUE(wait_for(stream, "Wb"));
  EXPECT_EQ(told(stream), (std::vector<std::string>{"Cb", "Wb"}));
}

TEST_F(WatchTest, what_cannot_be_watched_is_refused_by_name) {
  const auto refusal = [&](const wire::WatchOpen& open) {
    return host_.call<wire::WatchOpened>(Op::WatchOpen, open).error().code;
  };
  put("file");
  EXPECT_EQ(refusal({at("none"), {}}), Code::NotFound);
  EXPECT_EQ(refusal({at("file"), {}}), Code::FailedPrecondition);
  EXPECT_EQ(refusal({"relative", {}}), Code::InvalidArgument);
  EXPECT_EQ(refusal({at("root"), {""}}), Code::InvalidArgument);
  const auto stream = watch();
  EXPECT_EQ(host_.call_on<wire::WatchOpened>(stream, Op::WatchOpen, wire::WatchOpen{at("root"), {}}).error().code,
            Code::AlreadyExists);
  wire::ProcessStart start;
  start.argv = {"true"};
  EXPECT_EQ(host_.start(stream, start).error().code, Code::AlreadyExists);
}

// Thousands of folders: in memory, where there is a place for it.
class CrowdedWatchTest : public WatchTest {
 protected:
  void SetUp() override {
    set_up_below(path_exists("/dev/shm") ? "/dev/shm" : "/tmp");
    make("root");
  }
};

TEST_F(CrowdedWatchTest, folders_over_the_bound_are_told_once_and_stay_unwatched) {
  for (std::size_t i = 0; i < wire::kMaxWatchedFolders + 5; ++i) {
    ASSERT_EQ(::mkdir(at(cat("root/", i)).c_str(), 0755), 0);
  }
  const auto stream = watch();
  EXPECT_EQ(opened_->folders, wire::kMaxWatchedFolders);
  put("root/file");
  ASSERT_TRUE(wait_for(stream, "Wfile"));
  const auto losses = std::count_if(
      host_.log(stream).pieces.begin(), host_.log(stream).pieces.end(),
      [](const std::string& piece) { return wire::decode<wire::WatchEvents>(piece)->loss == WatchLoss::Folders; });
  EXPECT_EQ(losses, 1);
}

}  // namespace
}  // namespace cofferdam::guest
