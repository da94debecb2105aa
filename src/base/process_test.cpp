#include "base/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include "base/fd_passing.h"
#include "base/file.h"

namespace cofferdam {
namespace {

RunOptions sh(const char* script) {
  RunOptions options;
  options.argv = {"sh", "-c", script};
  return options;
}

TEST(Run, gives_both_streams_and_the_status) {
  auto finished = run(sh("echo out; echo err >&2; exit 7")).value();
  EXPECT_EQ(finished.out, "out\n");
  EXPECT_EQ(finished.err, "err\n");
  EXPECT_EQ(finished.status, 7);
}

TEST(Run, a_signal_is_128_plus_its_number) { EXPECT_EQ(run(sh("kill -9 $$")).value().status, 137); }

TEST(Run, feeds_stdin_larger_than_a_pipe) {
  auto options = sh("wc -c");
  options.input = std::string(1 << 20, 'x');
  EXPECT_EQ(run(options).value().out, "1048576\n");
}

TEST(Run, ends_what_overstays) {
  auto options = sh("sleep 30");
  options.timeout = std::chrono::milliseconds(100);
  EXPECT_EQ(run(options).error().code, Code::DeadlineExceeded);
}

TEST(Run, a_missing_program_is_not_found) {
  RunOptions options;
  options.argv = {"/no/such/program"};
  EXPECT_EQ(run(options).error().code, Code::NotFound);
}

TEST(Spawn, passes_only_the_mapped_descriptors) {
  auto secret = open_file("/dev/null", O_RDONLY).value();
  const int leaked = ::dup(secret.get());  // not close-on-exec on purpose
  auto [ours, theirs] = socket_pair(SOCK_STREAM).value();
  SpawnOptions options;
  options.argv = {"/bin/sh", "-c", "ls /proc/self/fd | tr '\\n' ' ' >&5"};
  options.env = {"PATH=/usr/bin:/bin"};
  options.fds = {{secret.get(), 0}, {theirs.get(), 5}};
  auto child = Process::spawn(options).value();
  EXPECT_EQ(child.wait().value(), 0);
  theirs.reset();
  ::close(leaked);
  // 1 is the pipe of sh, 3 is the folder that ls reads.
  const auto seen = read_fd(ours.get(), 100).value();
  EXPECT_EQ(seen.find(std::to_string(leaked) + " 5"), std::string::npos) << seen;
  EXPECT_NE(seen.find("5"), std::string::npos) << seen;
}

TEST(FdPassing, a_descriptor_arrives) {
  auto [a, b] = socket_pair(SOCK_SEQPACKET).value();
  auto file = open_file("/proc/self/stat", O_RDONLY).value();
  ASSERT_TRUE(send_with_fds(a.get(), "hello", {file.get()}));
  auto got = receive_with_fds(b.get(), 100, 4).value();
  EXPECT_EQ(got.bytes, "hello");
  ASSERT_EQ(got.fds.size(), 1U);
  EXPECT_TRUE(read_fd(got.fds[0].get(), 10000));
}

}  // namespace
}  // namespace cofferdam
