#include "ledger/appender.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ledger/folder.h"
#include "ledger/query.h"
#include "ledger/test_support.h"

namespace cofferdam::ledger {
namespace {

using AppenderTest = LogTest;

TEST_F(AppenderTest, a_new_log_begins_with_its_key_and_is_good) {
  auto log = open();
  EXPECT_EQ(log->size(), 1U);
  ASSERT_TRUE(log->close());
  const auto report = check();
  EXPECT_TRUE(report.good()) << findings(report);
  EXPECT_EQ(report.size, 1U);
  EXPECT_EQ(report.keys, 1U);
}

TEST_F(AppenderTest, what_was_written_is_there_after_it_was_opened_again) {
  write_log(100);
  auto log = open();
  EXPECT_EQ(log->size(), 101U);
  EXPECT_EQ(log->recovery().cut_bytes, 0U);
  EXPECT_EQ(log->recovery().unsigned_count, 0U);
  ASSERT_TRUE(log->commit(batch(10, 100), Sign::yes));
  ASSERT_TRUE(log->close());
  const auto report = check();
  EXPECT_TRUE(report.good()) << findings(report);
  EXPECT_EQ(report.size, 111U);
  const auto entry = decode(read_entry(options_.folder, 42).value()).value();
  EXPECT_EQ(entry.text(kWorkspace), "ws_41");
}

TEST_F(AppenderTest, files_are_sealed_and_the_next_goes_on) {
  options_.segment_bytes = 4096;
  write_log(200, 7);
  EXPECT_GT(list_segments(options_.folder).value().size(), 5U);
  auto report = check();
  EXPECT_TRUE(report.good()) << findings(report);
  // Entries of any file are found at once.
  for (const std::uint64_t number : {1, 50, 120, 200}) {
    EXPECT_EQ(decode(read_entry(options_.folder, number).value()).value().text(kWorkspace), cat("ws_", number - 1));
  }
  // What is made from the entries is made again.
  ASSERT_TRUE(remove_tree(nodes_path(options_.folder)));
  ASSERT_TRUE(remove_tree(offsets_path(options_.folder)));
  ASSERT_TRUE(open()->close());
  report = check();
  EXPECT_TRUE(report.good()) << findings(report);
  EXPECT_TRUE(NodeFile::open(options_.folder).value().read(0, 3));
  EXPECT_TRUE(read_entry(options_.folder, 3));
}

TEST_F(AppenderTest, keys_take_over_and_the_old_ones_are_gone) {
  auto log = open();
  const std::string first = read_file(options_.key_path, 64).value();
  for (int epoch = 0; epoch < 5; ++epoch) {
    ASSERT_TRUE(log->commit(batch(3), Sign::yes));
    ASSERT_TRUE(log->advance_key());
  }
  EXPECT_NE(read_file(options_.key_path, 64).value(), first);
  EXPECT_FALSE(path_exists(options_.key_path + ".next"));
  ASSERT_TRUE(log->close());
  const auto report = check();
  EXPECT_TRUE(report.good()) << findings(report);
  EXPECT_EQ(report.keys, 6U);
}

TEST_F(AppenderTest, a_key_that_had_not_come_into_its_file_is_found_again) {
  auto log = open();
  const std::string keys = read_file(keys_path(options_.folder), 1 << 20).value();
  ASSERT_TRUE(log->advance_key());
  log.reset();
  // As a crash would leave it between the entry and the rest.
  const std::string now = read_file(options_.key_path, 64).value();
  ASSERT_TRUE(write_file_atomically(options_.key_path + ".next", now));
  ASSERT_TRUE(write_file_atomically(options_.key_path, std::string(32, '\0')));
  ASSERT_TRUE(write_file_atomically(keys_path(options_.folder), keys));
  // Its checkpoint had not been written either.
  const std::string bytes = bytes_of(0);
  SegmentReader reader(bytes);
  std::size_t end = 0;
  while (const auto frame = reader.next()) end = frame->offset;
  put_bytes(0, bytes.substr(0, end));
  ASSERT_TRUE(remove_tree(checkpoint_path(options_.folder)));
  log = open();
  ASSERT_NE(log, nullptr);
  ASSERT_TRUE(log->commit(batch(1), Sign::yes));
  ASSERT_TRUE(log->close());
  const auto report = check();
  EXPECT_TRUE(report.good()) << findings(report);
  EXPECT_EQ(report.keys, 2U);
}

TEST_F(AppenderTest, a_key_that_never_signed_is_removed) {
  write_log(10);
  ASSERT_TRUE(write_file_atomically(options_.key_path + ".next", std::string(32, 'x')));
  EXPECT_NE(open(), nullptr);
  EXPECT_FALSE(path_exists(options_.key_path + ".next"));
}

TEST_F(AppenderTest, without_its_key_it_does_not_go_on) {
  write_log(10);
  ASSERT_TRUE(write_file_atomically(options_.key_path, std::string(32, 'x')));
  EXPECT_EQ(Appender::open(options_).error().code, Code::FailedPrecondition);
  ASSERT_TRUE(remove_tree(options_.folder));
  EXPECT_EQ(Appender::open(options_).error().code, Code::FailedPrecondition);
  ASSERT_TRUE(remove_tree(options_.key_path));
  EXPECT_NE(open(), nullptr);
}

TEST_F(AppenderTest, a_torn_end_is_cut_wherever_it_is_torn) {
  {
    auto log = open();
    ASSERT_TRUE(log->commit(batch(5), Sign::yes));
    ASSERT_TRUE(log->close());
  }
  const std::string whole = bytes_of(0);
  {
    auto log = open();
    ASSERT_TRUE(log->commit(batch(3, 5), Sign::no));
  }
  std::string longer = bytes_of(0);
  while (!longer.empty() && longer.back() == '\0') longer.pop_back();
  for (std::size_t size = whole.size(); size <= longer.size(); size += 7) {
    for (const bool zeros : {false, true}) {
      std::string torn = longer.substr(0, size);
      if (zeros) torn.resize(longer.size());
      put_bytes(0, torn);
      auto log = open();
      ASSERT_NE(log, nullptr) << size;
      EXPECT_GE(log->size(), 6U);
      EXPECT_LE(log->size(), 9U);
      ASSERT_TRUE(log->commit(batch(1, 99), Sign::yes));
      ASSERT_TRUE(log->close());
      const auto report = check();
      EXPECT_TRUE(report.good()) << size << ": " << findings(report);
      ASSERT_TRUE(remove_tree(checkpoint_path(options_.folder)));
    }
  }
}

TEST_F(AppenderTest, what_was_signed_and_is_damaged_is_not_gone_on_with) {
  write_log(100);
  const std::string bytes = bytes_of(0);
  std::string bad = bytes;
  bad[bytes.size() / 2] ^= 1;
  put_bytes(0, bad);
  EXPECT_EQ(Appender::open(options_).error().code, Code::DataLoss);
  put_bytes(0, bytes.substr(0, bytes.size() / 2));
  EXPECT_EQ(Appender::open(options_).error().code, Code::DataLoss);
  put_bytes(0, bytes);
  EXPECT_NE(open(), nullptr);
}

TEST_F(AppenderTest, a_batch_that_does_not_fit_leaves_nothing_of_itself) {
  auto log = open();
  ASSERT_TRUE(log->commit(batch(10), Sign::yes));
  const auto size = log->size();
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit tight{bytes_of(0).size() + 1000, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  EXPECT_FALSE(log->commit(batch(100, 10), Sign::yes));
  EXPECT_FALSE(log->has_room());
  EXPECT_EQ(log->size(), size);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  log->reserve();
  EXPECT_TRUE(log->has_room());
  ASSERT_TRUE(log->commit(batch(100, 10), Sign::yes));
  ASSERT_TRUE(log->close());
  const auto report = check();
  EXPECT_TRUE(report.good()) << findings(report);
  EXPECT_EQ(report.size, size + 100);
}

TEST_F(AppenderTest, a_copy_goes_on_by_itself_with_a_key_that_signs_nothing_here_any_more) {
  options_.segment_bytes = 4096;
  auto log = open();
  for (unsigned i = 0; i < 5; ++i) ASSERT_TRUE(log->commit(batch(10, std::uint64_t{10} * i), Sign::yes));
  auto copy = log->copy().value();
  for (unsigned i = 5; i < 10; ++i) ASSERT_TRUE(log->commit(batch(10, std::uint64_t{10} * i), Sign::yes));
  EXPECT_GT(copy.segments.size(), 1U);
  const auto own_key = read_file(options_.key_path, 64).value();
  EXPECT_NE(own_key, copy.signing_key.view());
  ASSERT_TRUE(log->close());
  EXPECT_TRUE(check().good()) << findings(check());
  const auto newest = parse_note(read_file(checkpoint_path(options_.folder), 1U << 16).value()).value();
  const auto copied = parse_note(copy.checkpoint).value();
  EXPECT_TRUE(check({copied}).good()) << "what it is a copy of leads to where it ends";

  // Put down elsewhere.
  AppenderOptions elsewhere = options_;
  elsewhere.folder = state_ + "/copy";
  elsewhere.key_path = state_ + "/copy.key";
  ASSERT_TRUE(make_directories(elsewhere.folder));
  for (const auto& file : copy.segments) {
    const auto bytes = read_fd(file.fd.get(), 1U << 20).value();
    ASSERT_TRUE(write_file_atomically(cat(elsewhere.folder, "/", file.name), bytes.substr(0, file.bytes)));
  }
  ASSERT_TRUE(write_file_atomically(keys_path(elsewhere.folder), copy.keys));
  ASSERT_TRUE(write_file_atomically(checkpoint_path(elsewhere.folder), copy.checkpoint));
  ASSERT_TRUE(write_file_atomically(elsewhere.key_path, copy.signing_key.view()));
  options_ = elsewhere;
  EXPECT_TRUE(check().good()) << findings(check());
  auto again = open();
  EXPECT_EQ(again->size(), copy.size);
  EXPECT_EQ(again->recovery().cut_bytes, 0U);
  ASSERT_TRUE(again->advance_key());
  ASSERT_TRUE(again->commit(batch(10, 50), Sign::yes));
  ASSERT_TRUE(again->close());
  EXPECT_TRUE(check().good()) << findings(check());
  EXPECT_FALSE(check({newest}).good()) << "it is not what the log has become";
}

TEST_F(AppenderTest, old_files_are_given_up_whole_and_said_to_be) {
  options_.segment_bytes = 4096;
  write_log(200);
  auto log = open();
  const auto checkpoint = parse_note(read_file(checkpoint_path(options_.folder), 1 << 16).value()).value();
  EXPECT_EQ(log->prune(0).value(), 0U);
  const auto gone = log->prune(INT64_MAX).value();
  EXPECT_GT(gone, 100U);
  ASSERT_TRUE(log->commit(batch(5), Sign::yes));
  ASSERT_TRUE(log->close());
  auto report = check({checkpoint});
  EXPECT_TRUE(report.good()) << findings(report);
  EXPECT_EQ(report.first, gone);
  EXPECT_FALSE(read_entry(options_.folder, 5));
  // A file more that goes without a word is found.
  ASSERT_TRUE(remove_tree(options_.folder + "/" + segment_name(list_segments(options_.folder).value().front())));
  if (list_segments(options_.folder).value().empty()) return;
  report = check();
  EXPECT_FALSE(report.good());
}

// Writes batches for ever; tells of the size that each left.
[[noreturn]] void write_for_ever(const AppenderOptions& options, int told) {
  auto log = Appender::open(options);
  if (!log) ::_exit(1);
  for (std::uint64_t i = 0;; ++i) {
    std::vector<Pending> entries;
    for (int j = 0; j < 20; ++j) entries.push_back(happened_now({{}, {}, model::DaemonStopped{"x"}}));
    if (!(*log)->commit(entries, i % 3 == 0 ? Sign::yes : Sign::no)) ::_exit(1);
    if (i % 10 == 9 && !(*log)->advance_key()) ::_exit(1);
    const auto size = (*log)->size();
    if (::write(told, &size, sizeof size) != sizeof size) ::_exit(1);
  }
}

TEST_F(AppenderTest, killed_at_any_moment_all_that_was_told_of_is_there) {
  options_.segment_bytes = 16U << 10;
  for (int round = 0; round < 12; ++round) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
      ::close(ends[0]);
      write_for_ever(options_, ends[1]);
    }
    ::close(ends[1]);
    std::uint64_t told = 0;
    for (int i = 0; i < 1 + 3 * round; ++i) {
      ASSERT_EQ(::read(ends[0], &told, sizeof told), static_cast<ssize_t>(sizeof told)) << "the writer failed";
    }
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    for (std::uint64_t more = 0; ::read(ends[0], &more, sizeof more) == sizeof more;) told = more;
    ::close(ends[0]);
    auto log = open();
    ASSERT_NE(log, nullptr);
    EXPECT_GE(log->size(), told);
    ASSERT_TRUE(log->close());
    const auto report = check();
    EXPECT_TRUE(report.good()) << findings(report);
  }
}

}  // namespace
}  // namespace cofferdam::ledger
