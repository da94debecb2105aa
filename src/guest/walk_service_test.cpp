// Walks of the real agent through real folders.
#include <signal.h>

#include <algorithm>
#include <map>

#include "guest/test_fixture.h"

namespace cofferdam::guest {
namespace {

using wire::Op;
using wire::WalkStop;

class WalkTest : public AgentTest {
 protected:
  WalkTest() : AgentTest(COFFER_GUEST_PROGRAM) {}

  struct Walked {
    std::vector<wire::FileInfo> entries;
    std::size_t batches = 0;
    std::optional<wire::WalkEnd> end;
  };
  // What a stream has brought, put together again.
  Walked parse(std::uint32_t stream) {
    Walked walked;
    ByteReader reader(as_bytes(host_.log(stream).out));
    while (!reader.at_end()) {
      const auto batch = wire::decode<wire::WalkBatch>(reader.text(wire::kMaxWalkBatch));
      EXPECT_TRUE(reader.ok() && batch && !walked.end);
      if (!reader.ok() || !batch) break;
      ++walked.batches;
      walked.entries.insert(walked.entries.end(), batch->entries.begin(), batch->entries.end());
      walked.end = batch->end;
    }
    return walked;
  }
  Walked walk(const wire::Walk& request) {
    const auto stream = host_.new_stream();
    EXPECT_TRUE(host_.call_on<wire::Empty>(stream, Op::Walk, request));
    EXPECT_TRUE(host_.run_until([&] { return host_.log(stream).out_ended; }));
    auto walked = parse(stream);
    EXPECT_TRUE(walked.end);
    close(stream);
    return walked;
  }
  static std::vector<std::string> names(const Walked& walked) {
    std::vector<std::string> all;
    all.reserve(walked.entries.size());
    for (const auto& entry : walked.entries) all.push_back(entry.name);
    std::sort(all.begin(), all.end());
    return all;
  }
};

TEST_F(WalkTest, a_tree_is_told_whole_each_folder_before_what_it_holds) {
  make("a/b");
  put("a/b/file", "12345");
  put("a/z");
  make("outside_of_nothing");
  ASSERT_EQ(::symlink("b", at("a/link").c_str()), 0);
  ASSERT_EQ(::symlink("/nowhere/at/all", at("dangling").c_str()), 0);
  const auto walked = walk({.path = folder_});
  EXPECT_EQ(names(walked),
            (std::vector<std::string>{"a", "a/b", "a/b/file", "a/link", "a/z", "dangling", "outside_of_nothing"}));
  EXPECT_EQ(walked.end->stop, WalkStop::Complete);
  EXPECT_EQ(walked.end->unreadable, 0U);
  std::map<std::string, std::size_t> place;
  for (std::size_t i = 0; i < walked.entries.size(); ++i) place[walked.entries[i].name] = i;
  EXPECT_LT(place["a"], place["a/b"]);
  EXPECT_LT(place["a/b"], place["a/b/file"]);
  const auto& file = walked.entries[place["a/b/file"]];
  EXPECT_EQ(file.kind, wire::FileKind::File);
  EXPECT_EQ(file.size, 5U);
  EXPECT_EQ(file.mode, 0644U);
  EXPECT_GT(file.mtime_ns, 0);
  const auto& link = walked.entries[place["a/link"]];
  EXPECT_EQ(link.kind, wire::FileKind::Symlink);
  EXPECT_EQ(link.link_target, "b");
  EXPECT_EQ(walked.entries[place["dangling"]].link_target, "/nowhere/at/all");
}

TEST_F(WalkTest, an_empty_folder_is_an_end_and_nothing_else) {
  const auto walked = walk({.path = folder_});
  EXPECT_TRUE(walked.entries.empty());
  EXPECT_EQ(walked.batches, 1U);
}

TEST_F(WalkTest, many_files_come_each_once_in_few_pieces_however_small_the_credit) {
  constexpr int kFolders = 10;
  constexpr int kFiles = 200;
  for (int i = 0; i < kFolders; ++i) {
    make(cat("d", i));
    for (int j = 0; j < kFiles; ++j) put(cat("d", i, "/file-number-", j), "");
  }
  const auto walked = walk({.path = folder_, .credit = 1000});
  EXPECT_EQ(walked.entries.size(), static_cast<std::size_t>(kFolders * (kFiles + 1)));
  auto all = names(walked);
  EXPECT_EQ(std::unique(all.begin(), all.end()), all.end());
  EXPECT_LE(walked.batches, 10U);
}

TEST_F(WalkTest, a_walk_stops_at_its_most_entries_and_says_so) {
  for (int i = 0; i < 10; ++i) put(cat(i));
  const auto cut = walk({.path = folder_, .max_entries = 9});
  EXPECT_EQ(cut.entries.size(), 9U);
  EXPECT_EQ(cut.end->stop, WalkStop::TooManyEntries);
  const auto whole = walk({.path = folder_, .max_entries = 10});
  EXPECT_EQ(whole.entries.size(), 10U);
  EXPECT_EQ(whole.end->stop, WalkStop::Complete);
}

TEST_F(WalkTest, depth_and_excludes_leave_out_what_they_say) {
  make("a/b/c");
  make("node_modules/x");
  put("a/x.o");
  EXPECT_EQ(names(walk({.path = folder_, .max_depth = 1})), (std::vector<std::string>{"a", "node_modules"}));
  EXPECT_EQ(names(walk({.path = folder_, .max_depth = 2, .excludes = {"node_modules", "*.o"}})),
            (std::vector<std::string>{"a", "a/b"}));
}

TEST_F(WalkTest, the_kernel_s_folders_are_entered_only_when_they_are_asked_for) {
  const auto root = walk({.path = "/", .max_depth = 2, .max_entries = wire::kMaxWalkEntries});
  const auto all = names(root);
  EXPECT_TRUE(std::binary_search(all.begin(), all.end(), "proc"));
  for (const auto& name : all) {
    EXPECT_FALSE(name.starts_with("proc/") || name.starts_with("sys/") || name.starts_with("dev/")) << name;
  }
  EXPECT_FALSE(walk({.path = "/proc/sys", .max_depth = 1}).entries.empty());
}

TEST_F(WalkTest, a_tree_deeper_than_the_bound_is_cut_and_one_with_too_long_paths_says_so) {
  const std::string name(200, 'n');
  UniqueFd folder(::open(folder_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 40; ++i) {
    ASSERT_EQ(::mkdirat(folder.get(), name.c_str(), 0755), 0);
    folder = UniqueFd(::openat(folder.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(folder);
  }
  const auto walked = walk({.path = folder_});
  EXPECT_EQ(walked.entries.size(), 20U);  // 20 * 201 - 1 bytes
  EXPECT_EQ(walked.end->unreadable, 1U);
}

TEST_F(WalkTest, a_walk_that_is_closed_leaves_no_helper) {
  put_crowd();
  host_.grant_automatically(false);
  const auto stream = host_.new_stream();
  ASSERT_TRUE(host_.call_on<wire::Empty>(stream, Op::Walk, wire::Walk{.path = folder_, .credit = 100}));
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out.size() == 100; }));
  close(stream);
  EXPECT_TRUE(host_.run_until([&] {
    const auto children = read_file(cat("/proc/", host_.agent_pid(), "/task/", host_.agent_pid(), "/children"), 4096);
    return children && trim(*children).empty();
  }));
}

TEST_F(WalkTest, a_helper_that_dies_is_an_end_without_an_end_mark) {
  put_crowd();
  host_.grant_automatically(false);
  const auto stream = host_.new_stream();
  ASSERT_TRUE(host_.call_on<wire::Empty>(stream, Op::Walk, wire::Walk{.path = folder_, .credit = 100}));
  const auto children = read_file(cat("/proc/", host_.agent_pid(), "/task/", host_.agent_pid(), "/children"), 4096);
  ASSERT_TRUE(children);
  ASSERT_EQ(::kill(static_cast<pid_t>(*parse_int("pid", trim(*children), 2, 1 << 22)), SIGKILL), 0);
  host_.queue().push_credit(stream, {wire::Channel::Stdout, 1U << 20});
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out_ended; }));
  EXPECT_LT(host_.log(stream).out.size(), 100'000U);
}

TEST_F(WalkTest, walks_over_the_bound_are_refused_until_one_is_closed) {
  std::vector<std::uint32_t> streams;
  for (std::size_t i = 0; i < wire::kMaxWalks; ++i) {
    streams.push_back(host_.new_stream());
    ASSERT_TRUE(host_.call_on<wire::Empty>(streams.back(), Op::Walk, wire::Walk{.path = folder_}));
  }
  EXPECT_EQ(host_.call<wire::Empty>(Op::Walk, wire::Walk{.path = folder_}).error().code, Code::ResourceExhausted);
  close(streams[0]);
  ASSERT_TRUE(host_.run_until([&] { return host_.queue().empty(); }));
  EXPECT_TRUE(host_.call<wire::Empty>(Op::Walk, wire::Walk{.path = folder_}));
}

TEST_F(WalkTest, what_is_no_folder_is_refused_by_name) {
  put("file");
  const auto refusal = [&](const std::string& path) {
    return host_.call<wire::Empty>(Op::Walk, wire::Walk{.path = path}).error().code;
  };
  EXPECT_EQ(refusal(at("none")), Code::NotFound);
  EXPECT_EQ(refusal(at("file")), Code::FailedPrecondition);
  EXPECT_EQ(refusal("relative"), Code::InvalidArgument);
}

}  // namespace
}  // namespace cofferdam::guest
