#include "wire/message.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace cofferdam::wire {
namespace {

ProcessStart full_start() {
  ProcessStart start;
  start.argv = {"sh", "-c", std::string("a\0b", 3)};
  start.env = {"A=1", "B="};
  start.cwd = "/tmp";
  start.user = "1000:1000";
  start.limits.open_files = 64;
  start.limits.file_size_bytes = 1ULL << 40;
  start.stdin_mode = StdinMode::Open;
  start.terminal = TerminalSize{50, 132};
  start.timeout_ms = 60'000;
  return start;
}

TEST(Message, a_process_start_comes_back_field_by_field) {
  const auto back = decode<ProcessStart>(encode(full_start()));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->argv, full_start().argv);
  EXPECT_EQ(back->env, full_start().env);
  EXPECT_EQ(back->user, "1000:1000");
  EXPECT_EQ(back->limits.open_files, 64U);
  EXPECT_FALSE(back->limits.processes);
  EXPECT_EQ(back->limits.file_size_bytes, 1ULL << 40);
  EXPECT_EQ(back->terminal->cols, 132);
  EXPECT_EQ(back->stdin_mode, StdinMode::Open);
  EXPECT_EQ(back->timeout_ms, 60'000U);
  EXPECT_EQ(back->drain_ms, 2000U);
}

template <class Message>
void expect_every_cut_refused(const Message& message) {
  const std::string bytes = encode(message);
  ASSERT_TRUE(decode<Message>(bytes));
  EXPECT_EQ(encode(*decode<Message>(bytes)), bytes);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(decode<Message>(std::string_view(bytes).substr(0, size))) << "cut to " << size;
  }
  EXPECT_FALSE(decode<Message>(bytes + "x"));
}

TEST(Message, every_cut_and_every_extra_byte_is_refused) {
  expect_every_cut_refused(full_start());
  expect_every_cut_refused(HelloAck{});
  expect_every_cut_refused(Exit{.kind = ExitKind::Signaled, .value = 9, .oom_killed = true});
  Identity identity;
  identity.hostname = "ws-1";
  identity.machine_id = std::string(32, 'a');
  identity.mac = {2, 0, 0, 0, 0, 1};
  expect_every_cut_refused(identity);
  Network network;
  network.address = "10.0.0.2";
  network.prefix = 24;
  network.dns = {"10.0.0.1"};
  expect_every_cut_refused(network);
  FileListResult listing;
  listing.entries.push_back({.name = "a", .kind = FileKind::File, .mode = 0644, .size = 5});
  listing.next_cursor = 9;
  expect_every_cut_refused(listing);
  ProcessListResult processes;
  processes.processes.push_back({.pid = 1, .state = 'S', .command = "init"});
  expect_every_cut_refused(processes);
  expect_every_cut_refused(Place{.root = "/a", .path = "b/c", .kind = PlacedKind::Symlink, .target = "d"});
  expect_every_cut_refused(SetAttributes{.path = "/a", .mode = 0600, .mtime_ns = -1});
  expect_every_cut_refused(Walk{.path = "/a", .max_depth = 3, .excludes = {"*.o", "build"}});
  WalkBatch batch;
  batch.entries.push_back({.name = "a/b", .kind = FileKind::Symlink, .link_target = "c"});
  batch.end = WalkEnd{WalkStop::TooManyEntries, 2};
  expect_every_cut_refused(batch);
  WatchEvents changes;
  changes.events = {{"a/b", WatchOp::Rename}, {"", WatchOp::Remove}};
  changes.loss = WatchLoss::Folders;
  expect_every_cut_refused(changes);
  expect_every_cut_refused(WatchOpen{.root = "/a", .excludes = {".git"}});
  expect_every_cut_refused(Dial{.port = 80});
}

TEST(Message, a_start_without_a_command_is_refused) {
  ProcessStart start = full_start();
  start.argv.clear();
  EXPECT_FALSE(decode<ProcessStart>(encode(start)));
}

TEST(Message, a_start_over_its_bounds_is_refused) {
  ProcessStart many = full_start();
  many.argv.assign(kMaxArgs + 1, "x");
  EXPECT_FALSE(decode<ProcessStart>(encode(many)));
  ProcessStart large = full_start();
  large.argv = {"echo", std::string(kMaxArgBytes / 2, 'x')};
  EXPECT_TRUE(decode<ProcessStart>(encode(large)));
  large.env = {std::string(kMaxArgBytes / 2, 'x')};
  EXPECT_FALSE(decode<ProcessStart>(encode(large)));
}

TEST(Message, a_count_that_the_bytes_cannot_hold_is_refused) {
  std::string bytes;
  ByteWriter(bytes).u32(kMaxArgs);  // so many arguments, and nothing after
  EXPECT_FALSE(decode<ProcessStart>(bytes));
}

TEST(Message, numbers_out_of_range_are_refused) {
  EXPECT_TRUE(decode<Signal>(encode(Signal{.number = 64})));
  EXPECT_FALSE(decode<Signal>(encode(Signal{.number = 0})));
  EXPECT_FALSE(decode<Signal>(encode(Signal{.number = 65})));
  EXPECT_FALSE(decode<Credit>(encode(Credit{Channel::Stdout, kMaxCredit + 1})));
  EXPECT_FALSE(decode<Eof>(std::string("\x03", 1)));
  EXPECT_FALSE(decode<FileRead>(encode(FileRead{"/a", 0, kMaxChunk + 1})));
  EXPECT_FALSE(decode<FileStat>(encode(FileStat{std::string(kMaxPath + 1, 'a')})));
  EXPECT_FALSE(decode<Dial>(encode(Dial{.port = 0})));
  EXPECT_FALSE(decode<Dial>(encode(Dial{.port = 80, .credit = kMaxCredit + 1})));
  EXPECT_FALSE(decode<Walk>(encode(Walk{.path = "/a", .max_depth = kMaxWalkDepth + 1})));
  EXPECT_FALSE(decode<Walk>(encode(Walk{.path = "/a", .max_entries = 0})));
  EXPECT_FALSE(decode<WatchOpen>(encode(WatchOpen{.root = "/a", .excludes = {std::string(kMaxPattern + 1, 'a')}})));
  EXPECT_FALSE(
      decode<WatchOpen>(encode(WatchOpen{.root = "/a", .excludes = std::vector<std::string>(kMaxExcludes + 1, "a")})));
  EXPECT_FALSE(decode<Request>(std::string("\0\0", 2)));
  EXPECT_FALSE(decode<Request>(std::string("\xff\0", 2)));
}

TEST(Message, a_response_carries_an_error_or_a_body) {
  const auto bad = decode<Response>(encode(refusal({Code::NotFound, std::string(kMaxText + 5, 'm'), "look again"})));
  ASSERT_TRUE(bad);
  EXPECT_EQ(bad->error->code, Code::NotFound);
  EXPECT_EQ(bad->error->message.size(), kMaxText);
  EXPECT_EQ(bad->error->hint, "look again");
  EXPECT_EQ(result_of<Clock>(*bad).error().code, Code::NotFound);

  const auto good = decode<Response>(encode(Response{{}, encode(Clock{42})}));
  ASSERT_TRUE(good);
  EXPECT_EQ(result_of<Clock>(*good)->realtime_ns, 42);
  EXPECT_FALSE(result_of<Identity>(*good));
}

TEST(Message, data_is_binary_safe) {
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte.push_back(static_cast<char>(i));
  const std::string encoded = encode(Data{Channel::Stderr, every_byte});
  const auto back = decode<Data>(encoded);
  ASSERT_TRUE(back);
  EXPECT_EQ(back->bytes, every_byte);
  EXPECT_EQ(back->channel, Channel::Stderr);
}

TEST(Message, failed_starts_map_to_the_shell_s_statuses) {
  EXPECT_EQ(exit_status_of(StartFailure::NotFound), 127);
  EXPECT_EQ(exit_status_of(StartFailure::NotExecutable), 126);
  EXPECT_EQ(exit_status_of(StartFailure::NoSuchUser), 125);
}

}  // namespace
}  // namespace cofferdam::wire
