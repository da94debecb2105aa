// The real agent as an ordinary process, driven over a socket pair as a host would.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <cstdlib>

#include "base/text.h"
#include "guest/test_host.h"

namespace cofferdam::guest {
namespace {

using wire::Op;

class GuestTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/guest_test.XXXXXX";
    folder_ = ::mkdtemp(pattern);
    ASSERT_TRUE(host_.connect());
  }
  void TearDown() override { EXPECT_TRUE(remove_tree(folder_)); }

  static wire::ProcessStart shell(const std::string& script) {
    wire::ProcessStart start;
    start.argv = {"sh", "-c", script};
    start.cwd = "/";
    return start;
  }
  Result<wire::FileInfo> write(const std::string& path, const std::vector<std::string>& chunks) {
    TRY_ASSIGN(const auto handle, host_.call<wire::FileHandle>(Op::FileWriteOpen, wire::FileWriteOpen{path, 0640}));
    for (const auto& chunk : chunks) {
      TRY(host_.call<wire::Empty>(Op::FileWriteChunk, wire::FileWriteChunk{handle.handle, chunk}));
    }
    return host_.call<wire::FileInfo>(Op::FileWriteCommit, wire::FileWriteCommit{handle.handle});
  }

  TestHost host_{COFFER_GUEST_PROGRAM};
  std::string folder_;
};

// ---- connection ----

TEST_F(GuestTest, the_handshake_says_version_and_state) {
  EXPECT_EQ(host_.ack()->version, wire::kProtocolVersion);
  EXPECT_EQ(host_.ack()->state, wire::BootState::Booted);
  EXPECT_EQ(host_.ack()->features & wire::kFeatureInit, 0U);
  EXPECT_TRUE(host_.call<wire::Empty>(Op::Ping, wire::Empty{}));
}

TEST_F(GuestTest, another_version_is_answered_and_then_not_served) {
  wire::Hello hello;
  hello.version = 99;
  host_.queue().push_handshake(wire::FrameType::Hello, wire::encode(hello));
  ASSERT_TRUE(host_.run_until([&] { return host_.ack()->nonce == hello.nonce; }));
  EXPECT_EQ(host_.ack()->version, wire::kProtocolVersion);
  host_.queue().push_request(77, Op::Ping, "");
  EXPECT_FALSE(host_.run_until([&] { return false; }, std::chrono::milliseconds(100)));
  ASSERT_TRUE(host_.connect());
  EXPECT_TRUE(host_.call<wire::Empty>(Op::Ping, wire::Empty{}));
}

TEST_F(GuestTest, what_needs_pid_1_is_refused_by_name) {
  wire::Identity identity;
  identity.hostname = "h";
  identity.machine_id = std::string(32, 'a');
  EXPECT_EQ(host_.call<wire::IdentityResult>(Op::Identity, identity).error().code, Code::FailedPrecondition);
  EXPECT_EQ(host_.call<wire::PrepareResult>(Op::Prepare, wire::Prepare{}).error().code, Code::FailedPrecondition);
}

TEST_F(GuestTest, a_malformed_body_is_an_error_and_not_the_end) {
  host_.queue().push_request(50, Op::FileStat, "junk");
  EXPECT_EQ(host_.call_on<wire::FileInfo>(50, Op::Ping, wire::Clock{}).error().code, Code::InvalidArgument);
  EXPECT_TRUE(host_.call<wire::Empty>(Op::Ping, wire::Empty{}));
}

TEST_F(GuestTest, processes_live_through_a_new_host_that_comes_in_the_middle_of_a_frame) {
  host_.grant_automatically(false);
  const std::uint32_t stream = host_.new_stream();
  auto request = shell("read line; printf 'got %s' \"$line\"; seq 1 100000; exit 7");
  request.stdin_mode = wire::StdinMode::Open;
  ASSERT_TRUE(host_.start(stream, request));

  // Half a frame of the old host's is all that arrives of it.
  std::string half;
  append_frame(half, wire::FrameType::Data, 0, stream, encode(wire::Data{wire::Channel::Stdin, "old\n"}));
  half.resize(half.size() - 3);
  ASSERT_TRUE(write_all(host_.raw_fd(), half));
  ASSERT_TRUE(host_.connect());

  const auto tasks = host_.call<wire::TaskListResult>(Op::TaskList, wire::Empty{});
  ASSERT_TRUE(tasks);
  ASSERT_EQ(tasks->tasks.size(), 1U);
  EXPECT_EQ(tasks->tasks[0].stream, stream);
  EXPECT_TRUE(tasks->tasks[0].running);

  host_.grant_automatically(true);
  const auto attached = host_.call<wire::AttachResult>(Op::Attach, wire::Attach{stream});
  ASSERT_TRUE(attached);
  EXPECT_TRUE(attached->running);
  EXPECT_EQ(attached->stdin_bytes, 0U);
  host_.queue().push_data(stream, wire::Channel::Stdin, "new\n");
  ASSERT_TRUE(host_.wait_exit(stream));
  EXPECT_EQ(host_.log(stream).exit->value, 7);
  EXPECT_EQ(host_.log(stream).out.substr(0, 9), "got new1\n");
  EXPECT_TRUE(host_.log(stream).out.ends_with("\n100000\n"));
}

TEST_F(GuestTest, an_exit_that_no_host_heard_is_kept_until_forgotten) {
  const std::uint32_t stream = host_.new_stream();
  ASSERT_TRUE(host_.start(stream, shell("echo out; exit 3")));
  ASSERT_TRUE(host_.wait_exit(stream));
  ASSERT_TRUE(host_.connect());
  const auto attached = host_.call<wire::AttachResult>(Op::Attach, wire::Attach{stream});
  ASSERT_TRUE(attached);
  EXPECT_FALSE(attached->running);
  EXPECT_EQ(attached->stdout_bytes, 4U);
  ASSERT_TRUE(host_.wait_exit(stream));
  EXPECT_EQ(host_.log(stream).exit->value, 3);
  ASSERT_TRUE(host_.call<wire::Empty>(Op::TaskForget, wire::TaskRef{stream}));
  EXPECT_EQ(host_.call<wire::AttachResult>(Op::Attach, wire::Attach{stream}).error().code, Code::NotFound);
}

TEST_F(GuestTest, an_exit_while_no_host_is_attached_waits_for_one) {
  const std::uint32_t stream = host_.new_stream();
  auto request = shell("exec >&- 2>&-; read line; exit 6");
  request.stdin_mode = wire::StdinMode::Open;
  const auto started = host_.start(stream, request);
  ASSERT_TRUE(started);
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).order == "OE"; }));
  ASSERT_TRUE(host_.connect());
  ASSERT_EQ(::kill(started->pid, SIGKILL), 0);
  ASSERT_TRUE(host_.run_until([&] {
    const auto tasks = host_.call<wire::TaskListResult>(Op::TaskList, wire::Empty{});
    return tasks && tasks->tasks.size() == 1 && !tasks->tasks[0].running;
  }));
  EXPECT_EQ(host_.log(stream).order, "");
  ASSERT_TRUE(host_.call<wire::AttachResult>(Op::Attach, wire::Attach{stream}));
  ASSERT_TRUE(host_.wait_exit(stream));
  EXPECT_EQ(host_.log(stream).order, "OEX");
  EXPECT_EQ(host_.log(stream).exit->value, SIGKILL);
}

TEST_F(GuestTest, output_waits_whole_while_there_is_no_host) {
  host_.grant_automatically(false);
  const std::uint32_t stream = host_.new_stream();
  auto request = shell("seq 1 50000");
  request.stdout_credit = 1000;
  ASSERT_TRUE(host_.start(stream, request));
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out.size() == 1000; }));
  const std::string first = host_.log(stream).out;
  ASSERT_TRUE(host_.connect());
  host_.grant_automatically(true);
  const auto attached = host_.call<wire::AttachResult>(Op::Attach, wire::Attach{stream});
  ASSERT_TRUE(attached);
  EXPECT_EQ(attached->stdout_bytes, 1000U);
  ASSERT_TRUE(host_.wait_exit(stream));
  std::string expected;
  for (int i = 1; i <= 50000; ++i) expected += std::to_string(i) + "\n";
  EXPECT_EQ(first + host_.log(stream).out, expected);
}

// ---- processes ----

TEST_F(GuestTest, output_comes_by_channel_and_the_exit_after_it) {
  const auto log = host_.run(shell("echo out; echo err >&2; exit 5"));
  ASSERT_TRUE(log.exit);
  EXPECT_EQ(log.out, "out\n");
  EXPECT_EQ(log.err, "err\n");
  EXPECT_EQ(log.exit->kind, wire::ExitKind::Exited);
  EXPECT_EQ(log.exit->value, 5);
  EXPECT_TRUE(log.out_ended && log.err_ended);
  EXPECT_EQ(log.order.back(), 'X');
}

TEST_F(GuestTest, stdin_reaches_the_process_with_every_byte) {
  std::string bytes;
  for (int i = 0; i < 20000; ++i) bytes.push_back(static_cast<char>(i));
  const auto log = host_.run(shell("cat"), bytes);
  EXPECT_EQ(log.out, bytes);
}

TEST_F(GuestTest, closed_stdin_is_at_its_end) { EXPECT_EQ(host_.run(shell("cat; echo done")).out, "done\n"); }

TEST_F(GuestTest, a_process_that_never_reads_gets_no_more_than_its_credit) {
  const std::uint32_t stream = host_.new_stream();
  auto request = shell("exec sleep 60");
  request.stdin_mode = wire::StdinMode::Open;
  const auto started = host_.start(stream, request);
  ASSERT_TRUE(started);
  std::uint32_t credit = started->stdin_credit;
  ASSERT_GT(credit, 0U);
  for (std::uint64_t sent = 0; sent < std::uint64_t{4} * started->stdin_credit;) {
    const std::uint64_t allowed = credit + host_.log(stream).stdin_credit - sent;
    if (allowed == 0) break;
    const auto size = std::min<std::size_t>(allowed, wire::kMaxDataBytes);
    host_.queue().push_data(stream, wire::Channel::Stdin, std::string(size, 'x'));
    sent += size;
    host_.run_until([&] { return host_.queue().empty(); });
    ASSERT_TRUE(host_.call<wire::Empty>(Op::Ping, wire::Empty{}));
  }
  // A pipe takes 64 KiB, and no more was given back.
  EXPECT_LE(host_.log(stream).stdin_credit, 128U << 10);
  host_.queue().push_signal(stream, {SIGKILL, wire::SignalTarget::Group});
  ASSERT_TRUE(host_.wait_exit(stream));
}

TEST_F(GuestTest, input_that_nobody_will_read_is_said_so) {
  const std::uint32_t stream = host_.new_stream();
  auto request = shell("exec <&-; echo closed; exec sleep 60");
  request.stdin_mode = wire::StdinMode::Open;
  ASSERT_TRUE(host_.start(stream, request));
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out == "closed\n"; }));
  host_.queue().push_data(stream, wire::Channel::Stdin, "anybody?");
  EXPECT_TRUE(host_.run_until([&] { return host_.log(stream).stdin_refused; }));
  host_.queue().push_signal(stream, {SIGKILL, wire::SignalTarget::Group});
  ASSERT_TRUE(host_.wait_exit(stream));
}

TEST_F(GuestTest, failed_starts_say_why) {
  wire::ProcessStart missing;
  missing.argv = {"no-such-program"};
  EXPECT_EQ(host_.start(host_.new_stream(), missing)->failure, wire::StartFailure::NotFound);
  EXPECT_EQ(host_.start(host_.new_stream(), missing)->message, "no-such-program: command not found");

  wire::ProcessStart plain;
  plain.argv = {folder_ + "/plain"};
  ASSERT_TRUE(write(plain.argv[0], {"text"}));
  EXPECT_EQ(host_.start(host_.new_stream(), plain)->failure, wire::StartFailure::NotExecutable);

  wire::ProcessStart nowhere = shell("true");
  nowhere.cwd = folder_ + "/nowhere";
  EXPECT_EQ(host_.start(host_.new_stream(), nowhere)->failure, wire::StartFailure::NoSuchFolder);

  wire::ProcessStart nobody = shell("true");
  nobody.user = "no-such-user";
  EXPECT_EQ(host_.start(host_.new_stream(), nobody)->failure, wire::StartFailure::NoSuchUser);

  wire::ProcessStart zero = shell("true");
  zero.argv.emplace_back("a\0b", 3);
  EXPECT_EQ(host_.start(host_.new_stream(), zero).error().code, Code::InvalidArgument);
}

TEST_F(GuestTest, a_failed_start_frees_its_stream) {
  const std::uint32_t stream = host_.new_stream();
  wire::ProcessStart missing;
  missing.argv = {"no-such-program"};
  ASSERT_EQ(host_.start(stream, missing)->failure, wire::StartFailure::NotFound);
  ASSERT_EQ(host_.start(stream, shell("exit 4"))->failure, wire::StartFailure::None);
  ASSERT_TRUE(host_.wait_exit(stream));
  EXPECT_EQ(host_.log(stream).exit->value, 4);
}

TEST_F(GuestTest, a_script_without_an_interpreter_line_runs_in_the_shell) {
  const std::string path = folder_ + "/script";
  ASSERT_TRUE(write(path, {"echo script $1"}));
  ASSERT_EQ(::chmod(path.c_str(), 0755), 0);
  wire::ProcessStart start;
  start.argv = {path, "arg"};
  EXPECT_EQ(host_.run(start).out, "script arg\n");
}

TEST_F(GuestTest, environment_and_folder_are_as_asked) {
  auto request = shell("echo $A-$HOME-$(pwd); env | grep -c ^PATH=; umask");
  request.env = {"A=1", "A=2", "HOME=/nowhere"};
  request.cwd = folder_;
  EXPECT_EQ(host_.run(request).out, cat("2-/nowhere-", folder_, "\n1\n0022\n"));
}

TEST_F(GuestTest, a_process_has_no_descriptor_but_its_three) {
  EXPECT_EQ(host_.run(shell("ls /proc/self/fd | wc -l")).out, "4\n");  // with the one ls reads
}

TEST_F(GuestTest, a_process_starts_with_signals_as_they_come) {
  const auto log = host_.run(shell("grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\t\\n'"));
  EXPECT_EQ(log.out, "SigBlk:0000000000000000SigIgn:0000000000000000");
}

TEST_F(GuestTest, limits_are_set) {
  auto request = shell("ulimit -n; ulimit -c");
  request.limits.open_files = 77;
  EXPECT_EQ(host_.run(request).out, "77\n0\n");
}

TEST_F(GuestTest, another_user_runs_as_that_user) {
  if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  auto request = shell("id -u; id -g; id -G");
  request.user = "12345:54321";
  EXPECT_EQ(host_.run(request).out, "12345\n54321\n54321\n");
}

TEST_F(GuestTest, death_by_a_signal_is_told) {
  const auto log = host_.run(shell("kill -SEGV $$"));
  ASSERT_TRUE(log.exit);
  EXPECT_EQ(log.exit->kind, wire::ExitKind::Signaled);
  EXPECT_EQ(log.exit->value, SIGSEGV);
}

TEST_F(GuestTest, a_signal_reaches_the_whole_group) {
  const std::uint32_t stream = host_.new_stream();
  ASSERT_TRUE(host_.start(stream, shell("sleep 60 & echo $!; wait")));
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out.ends_with("\n"); }));
  const auto child = static_cast<pid_t>(*parse_int("pid", trim(host_.log(stream).out), 2, 1 << 22));
  host_.queue().push_signal(stream, {SIGTERM, wire::SignalTarget::Group});
  ASSERT_TRUE(host_.wait_exit(stream));
  EXPECT_EQ(host_.log(stream).exit->value, SIGTERM);
  EXPECT_FALSE(host_.log(stream).exit->killed_stragglers);
  EXPECT_TRUE(host_.run_until([&] { return ::kill(child, 0) != 0; }));
}

TEST_F(GuestTest, a_timeout_ends_even_what_ignores_the_first_signal) {
  auto polite = shell("exec sleep 60");
  polite.timeout_ms = 100;
  const auto log = host_.run(polite);
  ASSERT_TRUE(log.exit);
  EXPECT_TRUE(log.exit->timed_out);
  EXPECT_EQ(log.exit->value, SIGTERM);

  auto stubborn = shell("trap '' TERM; echo up; while :; do sleep 0.1; done");
  stubborn.timeout_ms = 300;
  const auto killed = host_.run(stubborn);
  ASSERT_TRUE(killed.exit);
  EXPECT_TRUE(killed.exit->timed_out);
  EXPECT_EQ(killed.exit->value, SIGKILL);
}

TEST_F(GuestTest, all_of_a_large_output_comes_however_slow_the_credit) {
  host_.grant_automatically(false);
  const std::uint32_t stream = host_.new_stream();
  auto request = shell("head -c 1000000 /dev/zero");
  request.stdout_credit = 5000;
  ASSERT_TRUE(host_.start(stream, request));
  for (std::size_t granted = 5000; granted < 1'000'000 + 5000; granted += 50'000) {
    const std::size_t expected = std::min<std::size_t>(granted, 1'000'000);
    ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out.size() == expected; }));
    // Not a byte beyond the credit.
    host_.run_until([] { return false; }, std::chrono::milliseconds(5));
    ASSERT_EQ(host_.log(stream).out.size(), expected);
    if (expected < 1'000'000) ASSERT_FALSE(host_.log(stream).exit);
    host_.queue().push_credit(stream, {wire::Channel::Stdout, 50'000});
  }
  ASSERT_TRUE(host_.wait_exit(stream));
  EXPECT_EQ(host_.log(stream).out.size(), 1'000'000U);
  EXPECT_FALSE(host_.log(stream).exit->killed_stragglers);
}

TEST_F(GuestTest, a_flood_delays_neither_its_kill_nor_its_neighbour) {
  const std::uint32_t flood = host_.new_stream();
  ASSERT_TRUE(host_.start(flood, shell("exec cat /dev/zero")));
  ASSERT_TRUE(host_.run_until([&] { return host_.log(flood).out.size() > (1U << 20); }));
  EXPECT_EQ(host_.run(shell("echo quiet")).out, "quiet\n");
  host_.queue().push_signal(flood, {SIGKILL, wire::SignalTarget::Group});
  ASSERT_TRUE(host_.wait_exit(flood));
  EXPECT_EQ(host_.log(flood).exit->value, SIGKILL);
}

TEST_F(GuestTest, a_flood_that_nobody_reads_can_be_killed) {
  host_.grant_automatically(false);
  const std::uint32_t flood = host_.new_stream();
  ASSERT_TRUE(host_.start(flood, shell("exec cat /dev/zero")));
  ASSERT_TRUE(host_.run_until([&] { return host_.log(flood).out.size() == wire::kInitialCredit; }));
  host_.queue().push_signal(flood, {SIGKILL, wire::SignalTarget::Group});
  host_.queue().push_credit(flood, {wire::Channel::Stdout, 1U << 20});  // for what the pipe still holds
  ASSERT_TRUE(host_.wait_exit(flood));
}

TEST_F(GuestTest, a_process_that_closes_its_output_goes_on) {
  const auto log = host_.run(shell("exec >&- 2>&-; sleep 0.2; exit 9"));
  ASSERT_TRUE(log.exit);
  EXPECT_EQ(log.exit->value, 9);
  EXPECT_EQ(log.order, "OEX");
}

TEST_F(GuestTest, children_that_hold_the_output_open_are_ended_after_the_drain_time) {
  auto request = shell("sleep 60 & echo started");
  request.drain_ms = 200;
  const auto log = host_.run(request);
  ASSERT_TRUE(log.exit);
  EXPECT_EQ(log.exit->value, 0);
  EXPECT_TRUE(log.exit->killed_stragglers);
  EXPECT_EQ(log.out, "started\n");
}

TEST_F(GuestTest, children_with_an_output_of_their_own_live_on) {
  const auto log = host_.run(shell("setsid sleep 60 >/dev/null 2>&1 & echo $!"));
  ASSERT_TRUE(log.exit);
  EXPECT_FALSE(log.exit->killed_stragglers);
  const auto child = static_cast<pid_t>(*parse_int("pid", trim(log.out), 2, 1 << 22));
  EXPECT_EQ(::kill(child, 0), 0);
  EXPECT_EQ(::kill(child, SIGKILL), 0);
}

TEST_F(GuestTest, zombies_of_orphans_are_reaped) {
  // The subshell's child is an orphan when it ends: it comes to the agent.
  ASSERT_TRUE(host_.run(shell("(sleep 0.1 >/dev/null 2>&1 &) ; (sleep 0.1 >/dev/null 2>&1 &); sleep 0.4")).exit);
  const auto children = read_file(cat("/proc/", host_.agent_pid(), "/task/", host_.agent_pid(), "/children"), 4096);
  ASSERT_TRUE(children);
  EXPECT_EQ(trim(*children), "");
}

TEST_F(GuestTest, many_processes_at_once_all_end) {
  std::vector<std::uint32_t> streams;
  for (int i = 0; i < 100; ++i) {
    streams.push_back(host_.new_stream());
    host_.queue().push_request(streams.back(), Op::ProcessStart, encode(shell(cat("echo ", i, "; exit ", i))));
  }
  for (int i = 0; i < 100; ++i) {
    const auto stream = streams[static_cast<std::size_t>(i)];
    ASSERT_TRUE(host_.wait_exit(stream));
    EXPECT_EQ(host_.log(stream).exit->value, i);
    EXPECT_EQ(host_.log(stream).out, cat(i, "\n"));
  }
}

TEST_F(GuestTest, arguments_longer_than_a_frame_arrive) {
  const std::string large(100'000, 'a');
  wire::ProcessStart start = shell("printf %s \"$1\" | wc -c; printf %s \"$2\" | wc -c");
  start.argv.insert(start.argv.end(), {"sh", large, large});
  EXPECT_EQ(host_.run(start).out, "100000\n100000\n");
}

// ---- terminals ----

TEST_F(GuestTest, a_terminal_has_its_size_and_hears_of_a_new_one) {
  const std::uint32_t stream = host_.new_stream();
  auto request = shell("trap 'stty size' WINCH; stty size; echo ready; while :; do sleep 0.05; done");
  request.terminal = wire::TerminalSize{30, 100};
  ASSERT_EQ(host_.start(stream, request)->failure, wire::StartFailure::None);
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out.find("ready") != std::string::npos; }));
  EXPECT_EQ(host_.log(stream).out.substr(0, 8), "30 100\r\n");
  host_.queue().push_resize(stream, {{40, 120}});
  EXPECT_TRUE(host_.run_until([&] { return host_.log(stream).out.find("40 120") != std::string::npos; }));
  host_.queue().push_data(stream, wire::Channel::Stdin, "\x03");
  ASSERT_TRUE(host_.wait_exit(stream));
  EXPECT_EQ(host_.log(stream).exit->value, SIGINT);
}

TEST_F(GuestTest, the_end_of_input_is_an_end_of_file_to_a_terminal) {
  const std::uint32_t stream = host_.new_stream();
  auto request = shell("stty -echo; echo ready; cat; tty >/dev/null && echo terminal");
  request.terminal = wire::TerminalSize{};
  ASSERT_TRUE(host_.start(stream, request));
  ASSERT_TRUE(host_.run_until([&] { return host_.log(stream).out == "ready\r\n"; }));
  host_.queue().push_data(stream, wire::Channel::Stdin, "line\n");
  host_.queue().push_eof(stream, wire::Channel::Stdin);
  ASSERT_TRUE(host_.wait_exit(stream));
  EXPECT_EQ(host_.log(stream).out, "ready\r\nline\r\nterminal\r\n");
}

// ---- files ----

TEST_F(GuestTest, a_written_file_is_whole_and_as_asked) {
  std::string bytes;
  for (int i = 0; i < 40'000; ++i) bytes.push_back(static_cast<char>(i * 7));
  const auto info = write(folder_ + "/file", {bytes, "tail", std::string("\0\n", 2)});
  ASSERT_TRUE(info);
  EXPECT_EQ(info->size, bytes.size() + 6);
  EXPECT_EQ(info->mode, 0640U);
  EXPECT_EQ(*read_file(folder_ + "/file", 1 << 20), bytes + "tail" + std::string("\0\n", 2));
  EXPECT_EQ(list_directory(folder_)->size(), 1U);
}

TEST_F(GuestTest, until_the_commit_the_old_content_stands) {
  const std::string path = folder_ + "/file";
  ASSERT_TRUE(write(path, {"old"}));
  const auto handle = host_.call<wire::FileHandle>(Op::FileWriteOpen, wire::FileWriteOpen{path});
  ASSERT_TRUE(handle);
  ASSERT_TRUE(host_.call<wire::Empty>(Op::FileWriteChunk, wire::FileWriteChunk{handle->handle, "new"}));
  EXPECT_EQ(*read_file(path, 100), "old");
  ASSERT_TRUE(host_.call<wire::Empty>(Op::FileWriteAbort, *handle));
  EXPECT_EQ(*read_file(path, 100), "old");
  EXPECT_EQ(list_directory(folder_)->size(), 1U);
  EXPECT_EQ(host_.call<wire::Empty>(Op::FileWriteChunk, wire::FileWriteChunk{handle->handle, "x"}).error().code,
            Code::NotFound);
}

TEST_F(GuestTest, a_host_that_goes_leaves_no_half_written_file) {
  ASSERT_TRUE(host_.call<wire::FileHandle>(Op::FileWriteOpen, wire::FileWriteOpen{folder_ + "/file"}));
  EXPECT_EQ(list_directory(folder_)->size(), 1U);
  ASSERT_TRUE(host_.connect());
  EXPECT_EQ(list_directory(folder_)->size(), 0U);
}

TEST_F(GuestTest, a_write_makes_parents_when_asked_and_goes_through_links) {
  const std::string path = folder_ + "/a/b/file";
  wire::FileWriteOpen open{path};
  EXPECT_EQ(host_.call<wire::FileHandle>(Op::FileWriteOpen, open).error().code, Code::NotFound);
  open.make_parents = wire::MakeParents::Yes;
  const auto handle = host_.call<wire::FileHandle>(Op::FileWriteOpen, open);
  ASSERT_TRUE(handle);
  ASSERT_TRUE(
      host_.call<wire::FileInfo>(Op::FileWriteCommit, wire::FileWriteCommit{handle->handle, wire::Durable::Yes}));
  ASSERT_EQ(::symlink(path.c_str(), (folder_ + "/link").c_str()), 0);
  ASSERT_TRUE(write(folder_ + "/link", {"through"}));
  EXPECT_EQ(*read_file(path, 100), "through");
  EXPECT_EQ(write(folder_ + "/a", {"x"}).error().code, Code::FailedPrecondition);
}

TEST_F(GuestTest, a_device_is_no_place_for_a_file) {
  const auto handle = host_.call<wire::FileHandle>(Op::FileWriteOpen, wire::FileWriteOpen{"/dev/full"});
  EXPECT_EQ(handle.error().code, Code::FailedPrecondition);
}

TEST_F(GuestTest, a_file_over_the_size_limit_ends_the_process_and_not_the_agent) {
  auto request = shell(cat("head -c 100000 /dev/zero > ", folder_, "/file"));
  request.limits.file_size_bytes = 1000;
  EXPECT_NE(host_.run(request).exit->value, 0);
  EXPECT_EQ(host_.call<wire::FileInfo>(Op::FileStat, wire::FileStat{folder_ + "/file"})->size, 1000U);
}

TEST_F(GuestTest, ranges_of_a_file_are_read) {
  ASSERT_TRUE(write(folder_ + "/file", {"0123456789"}));
  const auto middle = host_.call<wire::FileReadResult>(Op::FileRead, wire::FileRead{folder_ + "/file", 3, 4});
  ASSERT_TRUE(middle);
  EXPECT_EQ(middle->bytes, "3456");
  EXPECT_FALSE(middle->end);
  EXPECT_EQ(middle->size, 10U);
  EXPECT_TRUE(host_.call<wire::FileReadResult>(Op::FileRead, wire::FileRead{folder_ + "/file", 6, 4})->end);
  EXPECT_TRUE(host_.call<wire::FileReadResult>(Op::FileRead, wire::FileRead{folder_ + "/file", 60, 4})->end);
  EXPECT_NE(host_.call<wire::FileReadResult>(Op::FileRead, wire::FileRead{"/proc/self/status"})->bytes, "");
  EXPECT_FALSE(host_.call<wire::FileReadResult>(Op::FileRead, wire::FileRead{folder_}));
  ASSERT_EQ(::mkfifo((folder_ + "/fifo").c_str(), 0600), 0);
  EXPECT_EQ(host_.call<wire::FileReadResult>(Op::FileRead, wire::FileRead{folder_ + "/fifo"}).error().code,
            Code::InvalidArgument);
  EXPECT_EQ(host_.call<wire::FileReadResult>(Op::FileRead, wire::FileRead{"relative"}).error().code,
            Code::InvalidArgument);
}

TEST_F(GuestTest, a_long_listing_comes_in_pages_with_every_name_once) {
  ASSERT_TRUE(host_.run(shell(cat("cd ", folder_, " && seq -f f%g 1 500 | xargs touch"))).exit);
  std::map<std::string, int> seen;
  wire::FileList request{folder_, 0, 64};
  int pages = 0;
  do {
    const auto page = host_.call<wire::FileListResult>(Op::FileList, request);
    ASSERT_TRUE(page);
    EXPECT_LE(page->entries.size(), 64U);
    for (const auto& entry : page->entries) ++seen[entry.name];
    request.cursor = page->next_cursor;
    ++pages;
  } while (request.cursor != 0 && pages < 100);
  EXPECT_EQ(seen.size(), 500U);
  for (const auto& [name, count] : seen) EXPECT_EQ(count, 1) << name;
  EXPECT_GE(pages, 8);
}

TEST_F(GuestTest, folders_are_made_renamed_and_removed) {
  const std::string a = folder_ + "/a";
  wire::Mkdir mkdir{a + "/b", 0711};
  EXPECT_EQ(host_.call<wire::Empty>(Op::Mkdir, mkdir).error().code, Code::NotFound);
  mkdir.make_parents = wire::MakeParents::Yes;
  ASSERT_TRUE(host_.call<wire::Empty>(Op::Mkdir, mkdir));
  ASSERT_TRUE(host_.call<wire::Empty>(Op::Mkdir, mkdir));
  EXPECT_EQ(host_.call<wire::FileInfo>(Op::FileStat, wire::FileStat{a + "/b"})->mode, 0711U);
  EXPECT_FALSE(host_.call<wire::Empty>(Op::Remove, wire::Remove{a}));
  ASSERT_TRUE(host_.call<wire::Empty>(Op::Rename, wire::Rename{a, folder_ + "/c"}));
  ASSERT_TRUE(host_.call<wire::Empty>(Op::Remove, wire::Remove{folder_ + "/c", wire::Recursive::Yes}));
  EXPECT_EQ(host_.call<wire::FileInfo>(Op::FileStat, wire::FileStat{folder_ + "/c"}).error().code, Code::NotFound);
  EXPECT_FALSE(host_.call<wire::Empty>(Op::Remove, wire::Remove{"/", wire::Recursive::Yes}));
}

TEST_F(GuestTest, a_link_is_told_as_one_when_not_followed) {
  ASSERT_EQ(::symlink("/proc/version", (folder_ + "/link").c_str()), 0);
  const auto link = host_.call<wire::FileInfo>(Op::FileStat, wire::FileStat{folder_ + "/link", wire::Follow::No});
  ASSERT_TRUE(link);
  EXPECT_EQ(link->kind, wire::FileKind::Symlink);
  EXPECT_EQ(link->link_target, "/proc/version");
  EXPECT_EQ(host_.call<wire::FileInfo>(Op::FileStat, wire::FileStat{folder_ + "/link"})->kind, wire::FileKind::File);
}

TEST_F(GuestTest, appended_bytes_go_to_the_end_of_what_is_there_and_keep_its_mode) {
  const std::string path = folder_ + "/a/file";
  wire::FileWriteOpen open{path, 0600};
  open.write_mode = wire::WriteMode::Append;
  EXPECT_EQ(host_.call<wire::FileHandle>(Op::FileWriteOpen, open).error().code, Code::NotFound);
  open.make_parents = wire::MakeParents::Yes;
  for (const char* bytes : {"one ", "two "}) {
    const auto handle = host_.call<wire::FileHandle>(Op::FileWriteOpen, open);
    ASSERT_TRUE(handle);
    open.mode = 0644;
    ASSERT_TRUE(host_.call<wire::Empty>(Op::FileWriteChunk, wire::FileWriteChunk{handle->handle, bytes}));
    const auto info =
        host_.call<wire::FileInfo>(Op::FileWriteCommit, wire::FileWriteCommit{handle->handle, wire::Durable::Yes});
    ASSERT_TRUE(info);
    EXPECT_EQ(info->mode, 0600U);
  }
  const auto handle = host_.call<wire::FileHandle>(Op::FileWriteOpen, open);
  ASSERT_TRUE(host_.call<wire::Empty>(Op::FileWriteChunk, wire::FileWriteChunk{handle->handle, "kept"}));
  ASSERT_TRUE(host_.call<wire::Empty>(Op::FileWriteAbort, *handle));
  EXPECT_EQ(*read_file(path, 100), "one two kept");
  EXPECT_EQ(list_directory(folder_ + "/a")->size(), 1U);
}

TEST_F(GuestTest, only_files_can_be_appended_to) {
  wire::FileWriteOpen open{folder_ + "/fifo"};
  open.write_mode = wire::WriteMode::Append;
  ASSERT_EQ(::mkfifo(open.path.c_str(), 0600), 0);
  EXPECT_EQ(host_.call<wire::FileHandle>(Op::FileWriteOpen, open).error().code, Code::FailedPrecondition);
  open.path = folder_;
  EXPECT_EQ(host_.call<wire::FileHandle>(Op::FileWriteOpen, open).error().code, Code::FailedPrecondition);
}

TEST_F(GuestTest, links_are_made_and_never_over_what_is_there) {
  wire::MakeSymlink link{"../any where", folder_ + "/a/link"};
  EXPECT_EQ(host_.call<wire::Empty>(Op::MakeSymlink, link).error().code, Code::NotFound);
  link.make_parents = wire::MakeParents::Yes;
  ASSERT_TRUE(host_.call<wire::Empty>(Op::MakeSymlink, link));
  EXPECT_EQ(host_.call<wire::FileInfo>(Op::FileStat, wire::FileStat{link.path, wire::Follow::No})->link_target,
            "../any where");
  EXPECT_EQ(host_.call<wire::Empty>(Op::MakeSymlink, link).error().code, Code::AlreadyExists);
  link = {"", folder_ + "/empty"};
  EXPECT_EQ(host_.call<wire::Empty>(Op::MakeSymlink, link).error().code, Code::InvalidArgument);
}

TEST_F(GuestTest, mode_and_time_are_set_on_the_path_itself) {
  const std::string file = folder_ + "/file";
  const std::string link = folder_ + "/link";
  ASSERT_TRUE(write(file, {"x"}));
  ASSERT_EQ(::symlink(file.c_str(), link.c_str()), 0);
  ASSERT_TRUE(host_.call<wire::Empty>(Op::SetAttributes, wire::SetAttributes{file, 04711, 1'500'000'000}));
  ASSERT_TRUE(host_.call<wire::Empty>(Op::SetAttributes, wire::SetAttributes{link, {}, -500'000'000}));
  const auto set = host_.call<wire::FileInfo>(Op::FileStat, wire::FileStat{file});
  EXPECT_EQ(set->mode, 04711U);
  EXPECT_EQ(set->mtime_ns, 1'500'000'000);
  EXPECT_EQ(host_.call<wire::FileInfo>(Op::FileStat, wire::FileStat{link, wire::Follow::No})->mtime_ns, -500'000'000);
  EXPECT_EQ(host_.call<wire::Empty>(Op::SetAttributes, wire::SetAttributes{link, 0600, {}}).error().code,
            Code::FailedPrecondition);
  EXPECT_EQ(host_.call<wire::Empty>(Op::SetAttributes, wire::SetAttributes{folder_ + "/none", 0600, {}}).error().code,
            Code::NotFound);
}

// ---- figures ----

TEST_F(GuestTest, figures_are_there) {
  const auto metrics = host_.call<wire::Metrics>(Op::Metrics, wire::Empty{});
  ASSERT_TRUE(metrics);
  EXPECT_GT(metrics->memory_total_kib, metrics->memory_available_kib);
  EXPECT_GT(metrics->cpus, 0U);
  EXPECT_GT(metrics->disk_total_bytes, 0U);
  EXPECT_GT(metrics->uptime_ms, 0U);
}

TEST_F(GuestTest, processes_are_listed_in_pages) {
  const std::uint32_t stream = host_.new_stream();
  wire::ProcessStart request;
  request.argv = {"sleep", "60.125"};
  request.cwd = "/";
  const auto started = host_.start(stream, request);
  ASSERT_TRUE(started);
  bool found = false;
  wire::ProcessListRequest list{0, 20};
  do {
    const auto page = host_.call<wire::ProcessListResult>(Op::ProcessList, list);
    ASSERT_TRUE(page);
    EXPECT_LE(page->processes.size(), 20U);
    for (const auto& process : page->processes) {
      EXPECT_GT(process.pid, list.after_pid);
      if (process.pid != started->pid) continue;
      found = true;
      EXPECT_EQ(process.command, "sleep 60.125");
      EXPECT_EQ(process.ppid, host_.agent_pid());
    }
    list.after_pid = page->next_after_pid;
  } while (list.after_pid != 0);
  EXPECT_TRUE(found);
  host_.queue().push_signal(stream, {SIGKILL, wire::SignalTarget::Process});
  ASSERT_TRUE(host_.wait_exit(stream));
}

TEST_F(GuestTest, warming_reads_files) {
  ASSERT_TRUE(write(folder_ + "/file", {"12345"}));
  const auto warm =
      host_.call<wire::WarmResult>(Op::Warm, wire::Warm{{folder_ + "/file", folder_ + "/none", "/dev/zero"}});
  ASSERT_TRUE(warm);
  EXPECT_EQ(warm->files, 1U);
  EXPECT_EQ(warm->bytes, 5U);
}

}  // namespace
}  // namespace cofferdam::guest
