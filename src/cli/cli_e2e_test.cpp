// The program itself against a server that speaks the API: exit statuses, streams, signals, terminals, copies.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include <array>
#include <boost/json/parse.hpp>
#include <cstring>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/scripted_daemon.h"
#include "crypto/signature.h"

namespace cofferdam::cli {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::Not;

constexpr auto kLimit = std::chrono::seconds(30);

class Cli : public testing::Test {
 protected:
  Cli() {
    char name[] = "/tmp/cli_e2e-XXXXXX";
    scratch_ = ::mkdtemp(name);
  }
  ~Cli() override { (void)remove_tree(scratch_); }

  [[nodiscard]] std::vector<std::string> words(std::vector<std::string> given) const {
    given.insert(given.begin(), {COFFER_BINARY, "--run", daemon_.run_dir(), "--state", scratch_ + "/state"});
    return given;
  }
  [[nodiscard]] Finished coffer(std::vector<std::string> given, std::string input = "") const {
    RunOptions options;
    options.argv = words(std::move(given));
    options.input = std::move(input);
    options.extra_env = {"SECRET=s3cret"};
    options.timeout = kLimit;
    auto finished = cofferdam::run(options);
    EXPECT_TRUE(finished) << finished.error().message;
    return finished.value_or(Finished{-1, "", ""});
  }

  ScriptedDaemon daemon_;
  std::string scratch_;
};

// A program with a pipe or terminal on our side.
struct Running {
  Process process;
  UniqueFd fd;

  std::string read_until(std::string_view text) {
    std::string got;
    const auto deadline = std::chrono::steady_clock::now() + kLimit;
    while (got.find(text) == std::string::npos && std::chrono::steady_clock::now() < deadline) {
      pollfd poll{fd.get(), POLLIN, 0};
      if (::poll(&poll, 1, 100) <= 0) continue;
      char buffer[4096];
      const ssize_t n = ::read(fd.get(), buffer, sizeof buffer);
      if (n <= 0) break;
      got.append(buffer, static_cast<std::size_t>(n));
    }
    return got;
  }
};

Running with_pipe(const std::vector<std::string>& argv) {
  std::array<int, 2> pipe{};
  EXPECT_EQ(::pipe2(pipe.data(), O_CLOEXEC), 0);
  UniqueFd ours(pipe[0]);
  const UniqueFd theirs(pipe[1]);
  const UniqueFd nothing(::open("/dev/null", O_RDWR | O_CLOEXEC));
  SpawnOptions options;
  options.argv = argv;
  options.env = current_environment();
  options.fds = {{nothing.get(), 0}, {theirs.get(), 1}, {theirs.get(), 2}};
  return {Process::spawn(options).value(), std::move(ours)};
}

Running with_terminal(const std::vector<std::string>& argv, UniqueFd& slave) {
  int master = -1;
  int other = -1;
  winsize size{};
  size.ws_row = 33;
  size.ws_col = 91;
  EXPECT_EQ(::openpty(&master, &other, nullptr, nullptr, &size), 0);
  slave = UniqueFd(other);
  SpawnOptions options;
  options.argv = argv;
  options.env = current_environment();
  options.fds = {{other, 0}, {other, 1}, {other, 2}};
  options.new_session = true;
  return {Process::spawn(options).value(), UniqueFd(master)};
}

// Nothing is said on a terminal beyond what the command says.
void expect_quiet(Running& running) {
  pollfd poll{running.fd.get(), POLLIN, 0};
  if (::poll(&poll, 1, 0) <= 0) return;
  char buffer[4096];
  const ssize_t n = ::read(running.fd.get(), buffer, sizeof buffer);
  EXPECT_THAT(std::string(buffer, static_cast<std::size_t>(std::max<ssize_t>(n, 0))), Not(HasSubstr("coffer:")));
}

TEST_F(Cli, output_and_status_are_the_commands_own) {
  const auto echo = coffer({"run", "--", "echo", "a b", "c"});
  EXPECT_EQ(echo.status, 0);
  EXPECT_EQ(echo.out, "a b c\n");
  EXPECT_EQ(echo.err, "");
  const auto warn = coffer({"exec", "ws_1", "--", "warn", "x"});
  EXPECT_EQ(warn.out, "");
  EXPECT_EQ(warn.err, "x\n");
  EXPECT_EQ(coffer({"run", "--", "exit", "7"}).status, 7);
  EXPECT_EQ(coffer({"exec", "ws_1", "--", "exit", "139"}).status, 139);
}

TEST_F(Cli, run_asks_for_the_end_of_its_workspace_and_keep_does_not) {
  EXPECT_EQ(coffer({"run", "--", "exit", "0"}).status, 0);
  EXPECT_THAT(daemon_.seen(), Contains("exec destroy"));
  EXPECT_EQ(coffer({"run", "--keep", "--", "exit", "0"}).status, 0);
  EXPECT_THAT(daemon_.seen(), Contains("exec"));
  const auto body = boost::json::parse(daemon_.body_of("POST /workspace"));
  EXPECT_EQ(body.at("config").at("ttl").to_number<double>(), 120);
  EXPECT_EQ(body.at("mode").as_string(), "temporary");
}

TEST_F(Cli, failures_have_their_statuses_and_say_what_to_do) {
  const auto slow = coffer({"run", "--", "slow"});
  EXPECT_EQ(slow.status, 124);
  EXPECT_EQ(slow.out, "started\n");
  EXPECT_THAT(slow.err, HasSubstr("time"));
  const auto refused = coffer({"exec", "ws_1", "--", "refuse"});
  EXPECT_EQ(refused.status, 125);
  EXPECT_THAT(refused.err, HasSubstr("coffer: it is not running\nhint: start it\n"));
  const auto lost = coffer({"exec", "ws_1", "--", "vanish"});
  EXPECT_EQ(lost.status, 125);
  EXPECT_THAT(lost.err, HasSubstr("connection"));
  const auto unknown = coffer({"exec", "ws_9", "--", "echo"});
  EXPECT_EQ(unknown.status, 125);
  EXPECT_THAT(unknown.err, HasSubstr("ws_9"));
  EXPECT_EQ(coffer({"run", "--no-such"}).status, 2);
  EXPECT_EQ(coffer({"run"}).status, 2);
}

TEST_F(Cli, without_a_daemon_it_says_how_to_start_one) {
  RunOptions options;
  options.argv = {COFFER_BINARY, "--run", scratch_, "run", "--", "true"};
  options.timeout = kLimit;
  const auto done = cofferdam::run(options).value();
  EXPECT_EQ(done.status, 125);
  EXPECT_THAT(done.err, HasSubstr(cat("coffer up --run ", scratch_)));
  options.argv = {COFFER_BINARY, "--run", scratch_, "ls"};
  EXPECT_EQ(cofferdam::run(options).value().status, 1);
}

TEST_F(Cli, a_url_it_cannot_speak_to_is_refused) {
  RunOptions options;
  options.argv = {COFFER_BINARY, "ls"};
  options.extra_env = {"COFFER_URL=ftp://example.org"};
  options.timeout = kLimit;
  auto done = cofferdam::run(options).value();
  EXPECT_EQ(done.status, 2);
  EXPECT_THAT(done.err, HasSubstr("ftp://example.org"));
  options.extra_env = {cat("COFFER_URL=unix:", daemon_.run_dir(), "/cofferd.sock")};
  EXPECT_EQ(cofferdam::run(options).value().status, 0);
}

TEST_F(Cli, a_token_is_asked_for_as_it_was_described_and_printed) {
  const auto minted = coffer({"token", "create", "--workspace", "box", "--verbs", "read,exec", "--ttl", "1h"});
  EXPECT_EQ(minted.status, 0) << minted.err;
  EXPECT_EQ(minted.out, "cof_ctl_told\n");
  const auto body = boost::json::parse(daemon_.body_of("POST /tokens"));
  EXPECT_EQ(body.at("scope").as_string(), "workspace");
  EXPECT_EQ(body.at("workspaceId").as_string(), "box");
  EXPECT_EQ(body.at("verbs").as_array().size(), 2U);
  EXPECT_EQ(coffer({"token", "create", "--workspace", "a", "--namespace", "b"}).status, 2);
  EXPECT_THAT(coffer({"token", "ls"}).out, HasSubstr("read,exec"));
  EXPECT_THAT(coffer({"--json", "token", "ls"}).out, HasSubstr("\"tokens\""));
  EXPECT_EQ(coffer({"token", "rm", "tok_1"}).status, 0);
  EXPECT_THAT(daemon_.seen(), Contains("DELETE /tokens/tok_1"));
}

TEST_F(Cli, a_secret_comes_from_stdin_or_a_file_and_never_from_an_argument) {
  EXPECT_EQ(coffer({"secret", "set", "KEY"}, "from stdin\n").status, 0);
  EXPECT_EQ(boost::json::parse(daemon_.body_of("PUT /secrets/KEY")).at("value").as_string(), "from stdin");
  ASSERT_TRUE(write_file_atomically(scratch_ + "/secret", "from a file"));
  EXPECT_EQ(coffer({"secret", "set", "KEY", "--file", scratch_ + "/secret"}).status, 0);
  EXPECT_EQ(boost::json::parse(daemon_.body_of("PUT /secrets/KEY")).at("value").as_string(), "from a file");
  EXPECT_EQ(coffer({"secret", "set", "KEY", "value"}).status, 2);
}

TEST_F(Cli, namespaces_webhooks_and_workloads_are_asked_for) {
  EXPECT_EQ(coffer({"namespace", "create", "Team A", "--max-workspaces", "3"}).out, "team-a\n");
  const auto space = boost::json::parse(daemon_.body_of("POST /namespaces"));
  EXPECT_EQ(space.at("resource_limits").at("max_workspaces"), 3);
  EXPECT_EQ(coffer({"namespace", "create", "x", "--max-workspaces", "many"}).status, 2);
  EXPECT_EQ(coffer({"namespace", "suspend", "team-a"}).status, 0);
  EXPECT_THAT(daemon_.seen(), Contains("POST /namespaces/team-a/suspend"));
  EXPECT_EQ(coffer({"webhook", "create", "https://example.com/", "--secret-file", "-"}, "sesame\n").out, "7\n");
  EXPECT_EQ(boost::json::parse(daemon_.body_of("POST /webhooks")).at("secret").as_string(), "sesame");
  EXPECT_EQ(coffer({"workload", "create", "ws_1", "--name", "app", "--", "sleep", "1"}).status, 0);
  const auto workload = boost::json::parse(daemon_.body_of("POST /workspace/ws_1/workloads"));
  EXPECT_EQ(workload.at("cmd").as_array().size(), 2U);
  EXPECT_EQ(coffer({"workload", "create", "ws_1"}).status, 2);
}

TEST_F(Cli, receipts_are_listed_shown_and_verified_without_a_daemon) {
  EXPECT_THAT(coffer({"receipt", "ls", "--workspace", "ws_gone"}).out, HasSubstr("ws_gone"));
  const auto shown = coffer({"receipt", "show", "rcp_1"});
  EXPECT_EQ(shown.status, 0) << shown.err;
  ASSERT_TRUE(write_file_atomically(scratch_ + "/receipt", shown.out));
  const auto key = SecureBytes::copy_of(kReceiptKey);
  const auto public_key = to_hex(crypto::public_key_of(key));
  RunOptions alone;  // no daemon in reach
  alone.timeout = kLimit;
  const auto verify = [&](std::vector<std::string> more) {
    alone.argv = {COFFER_BINARY, "--run", scratch_, "--state", scratch_, "receipt", "verify"};
    alone.argv.insert(alone.argv.end(), more.begin(), more.end());
    return cofferdam::run(alone).value();
  };
  const auto good = verify({scratch_ + "/receipt", "--key", public_key});
  EXPECT_EQ(good.status, 0) << good.err;
  EXPECT_THAT(good.out, HasSubstr("workspace ws_gone was erased"));
  // Without a key given it is this host's own that counts.
  const auto keyless = verify({scratch_ + "/receipt"});
  EXPECT_EQ(keyless.status, 1);
  EXPECT_THAT(keyless.err, HasSubstr("--key"));
  ASSERT_TRUE(write_file_atomically(scratch_ + "/receipt.pub", crypto::public_key_to_pem(crypto::public_key_of(key))));
  EXPECT_EQ(verify({scratch_ + "/receipt"}).status, 0);
  auto changed = shown.out;
  changed.replace(changed.find("ws_gone"), 7, "ws_kept");
  ASSERT_TRUE(write_file_atomically(scratch_ + "/receipt", changed));
  const auto bad = verify({scratch_ + "/receipt"});
  EXPECT_EQ(bad.status, 1);
  EXPECT_THAT(bad.err, HasSubstr("changed after it was signed"));
  EXPECT_EQ(verify({}).status, 2);
}

TEST_F(Cli, logs_are_followed_with_their_control_characters_shown) {
  const auto followed = coffer({"logs", "ws_1", "--follow"});
  EXPECT_EQ(followed.status, 0) << followed.err;
  EXPECT_EQ(followed.out, "T started\\x1b[2J\n");
  EXPECT_EQ(coffer({"logs", "ws_1", "--source", "kernel"}).status, 2);
}

TEST_F(Cli, input_goes_in_whole_and_ends) {
  std::string sent(3 << 20, '\0');
  for (std::size_t i = 0; i < sent.size(); ++i) sent[i] = static_cast<char>(i * 7919 >> 3);
  const auto echoed = coffer({"run", "-i", "--", "cat"}, sent);
  EXPECT_EQ(echoed.status, 0);
  EXPECT_TRUE(echoed.out == sent);
  EXPECT_EQ(coffer({"run", "-i", "--", "input"}, "").out, "0\n");
  ASSERT_TRUE(write_file_atomically(scratch_ + "/in", "from a file"));
  auto running = with_pipe(
      {"/bin/sh", "-c", cat(COFFER_BINARY, " --run ", daemon_.run_dir(), " run -i -- cat <", scratch_, "/in")});
  EXPECT_EQ(running.read_until("from a file"), "from a file");
  EXPECT_EQ(running.process.wait().value(), 0);
}

TEST_F(Cli, much_output_arrives_whole) {
  const auto flood = coffer({"run", "--", "flood", "12345678"});
  EXPECT_EQ(flood.status, 0);
  EXPECT_EQ(flood.out.size(), 12345678U);
}

TEST_F(Cli, a_reader_that_leaves_ends_the_command_quietly) {
  auto running = with_pipe({"/bin/bash", "-c",
                            cat(COFFER_BINARY, " --run ", daemon_.run_dir(),
                                " run -- flood 999999999 | head -c 5; echo \" ${PIPESTATUS[0]}\"")});
  EXPECT_EQ(running.read_until("\n"), "xxxxx 141\n");
  EXPECT_EQ(running.process.wait().value(), 0);
}

TEST_F(Cli, signals_reach_the_command) {
  auto running = with_pipe(words({"run", "--", "trap"}));
  EXPECT_THAT(running.read_until("ready\n"), HasSubstr("ready"));
  running.process.kill(SIGINT);
  EXPECT_THAT(running.read_until("got 2\n"), HasSubstr("got 2"));
  running.process.kill(SIGTERM);
  EXPECT_THAT(running.read_until("got 15\n"), HasSubstr("got 15"));
  EXPECT_EQ(running.process.wait().value(), 9);
}

TEST_F(Cli, a_command_that_hears_nothing_ends_at_the_third_signal) {
  auto running = with_pipe(words({"run", "--", "deaf"}));
  EXPECT_THAT(running.read_until("ready\n"), HasSubstr("ready"));
  for (int i = 0; i < 3; ++i) {
    running.process.kill(SIGTERM);
    ::usleep(100'000);
  }
  EXPECT_EQ(running.process.wait().value(), 128 + SIGTERM);
}

TEST_F(Cli, an_interrupt_before_the_command_takes_the_workspace_away) {
  daemon_.hold_creates(true);
  auto running = with_pipe(words({"run", "--", "echo", "ran"}));
  while (daemon_.seen().empty()) ::usleep(10'000);
  running.process.kill(SIGTERM);
  const auto said = running.read_until("at once\n");
  daemon_.hold_creates(false);
  EXPECT_EQ(running.process.wait().value(), 128 + SIGTERM);
  EXPECT_THAT(daemon_.seen(), Contains("DELETE /workspace/ws_1"));
  EXPECT_THAT(daemon_.seen(), Not(Contains("exec destroy")));
  EXPECT_THAT(said, HasSubstr("interrupted"));
}

TEST_F(Cli, a_terminal_is_raw_meanwhile_has_its_size_and_is_put_back) {
  UniqueFd slave;
  auto running = with_terminal(words({"run", "-it", "--", "size"}), slave);
  EXPECT_THAT(running.read_until("33x91"), HasSubstr("33x91"));
  termios now{};
  ASSERT_EQ(::tcgetattr(slave.get(), &now), 0);
  EXPECT_EQ(now.c_lflag & static_cast<tcflag_t>(ECHO | ICANON | ISIG), 0U);
  winsize size{};
  size.ws_row = 50;
  size.ws_col = 120;
  ASSERT_EQ(::ioctl(running.fd.get(), TIOCSWINSZ, &size), 0);
  running.process.kill(SIGWINCH);
  EXPECT_THAT(running.read_until("}"), HasSubstr("120"));
  EXPECT_EQ(running.process.wait().value(), 4);
  expect_quiet(running);
  ASSERT_EQ(::tcgetattr(slave.get(), &now), 0);
  EXPECT_NE(now.c_lflag & static_cast<tcflag_t>(ECHO), 0U);
  EXPECT_NE(now.c_lflag & static_cast<tcflag_t>(ICANON), 0U);
}

TEST_F(Cli, environment_travels_in_the_body_only) {
  ASSERT_TRUE(write_file_atomically(scratch_ + "/env", "FROM_FILE=a=b c\n# x\nGIVEN=file\n"));
  const auto done = coffer({"run", "-e", "GIVEN=x y", "-e", "SECRET", "--env-file", scratch_ + "/env", "--", "env"});
  EXPECT_EQ(done.out, "FROM_FILE=a=b c\nGIVEN=x y\nSECRET=s3cret\n");
  for (const auto& line : daemon_.seen()) EXPECT_THAT(line, Not(HasSubstr("s3cret")));
}

TEST_F(Cli, files_are_there_before_the_command) {
  ASSERT_TRUE(write_file_atomically(scratch_ + "/tool.sh", "#!/bin/sh\n", 0755));
  const auto done =
      coffer({"run", "--file", scratch_ + "/tool.sh:/opt/tool.sh", "--file", scratch_ + "/tool.sh", "--", "echo", "x"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_EQ(daemon_.file("/opt/tool.sh"), "#!/bin/sh\n");
  EXPECT_EQ(daemon_.file("/opt/tool.sh mode"), "0755");
  EXPECT_EQ(daemon_.file("/work/tool.sh"), "#!/bin/sh\n");
}

TEST_F(Cli, json_holds_output_and_status) {
  const auto done = coffer({"--json", "run", "--", "echo", "x"});
  const auto value = boost::json::parse(done.out);
  EXPECT_EQ(value.at("stdout").as_string(), "x\n");
  EXPECT_EQ(value.at("exit_code").as_int64(), 0);
  EXPECT_TRUE(value.at("success").as_bool());
  const auto failed = coffer({"--json", "exec", "ws_9", "--", "echo"});
  EXPECT_EQ(failed.status, 125);
  EXPECT_FALSE(boost::json::parse(failed.out).at("success").as_bool());
}

TEST_F(Cli, verbose_tells_the_steps) {
  const auto done = coffer({"run", "-v", "--", "echo", "x"});
  EXPECT_EQ(done.out, "x\n");
  for (const char* word : {"created ws_1", "first byte", "ended with status 0", "destroyed in 1.5 ms"}) {
    EXPECT_THAT(done.err, HasSubstr(word));
  }
}

TEST_F(Cli, names_from_the_daemon_cannot_drive_the_terminal) {
  const auto done = coffer({"ls"});
  EXPECT_EQ(done.status, 0);
  EXPECT_THAT(done.out, HasSubstr("evil\\x1b[2J"));
  EXPECT_THAT(done.out, Not(HasSubstr("\033")));
}

TEST_F(Cli, several_workspaces_go_on_after_a_failure) {
  const auto done = coffer({"rm", "ws_8", "ws_1"});
  EXPECT_EQ(done.status, 1);
  EXPECT_EQ(done.out, "ws_1\n");
  EXPECT_THAT(done.err, HasSubstr("ws_8"));
}

TEST_F(Cli, an_image_build_tells_its_progress_and_its_end) {
  const auto done = coffer({"image", "build", "minimal"});
  EXPECT_EQ(done.status, 0) << done.err;
  EXPECT_THAT(done.err, HasSubstr("packages  apt\\x1b[2J"));
  EXPECT_THAT(done.out, HasSubstr("1 MiB"));
  const auto failed = coffer({"image", "build", "other"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_THAT(failed.err, HasSubstr("no such recipe"));
}

TEST_F(Cli, copies_go_both_ways) {
  const std::string bytes("a\0b\r\n\xff", 6);
  ASSERT_TRUE(write_file_atomically(scratch_ + "/up", bytes, 0750));
  ASSERT_EQ(coffer({"cp", scratch_ + "/up", "ws_1:/x/data"}).status, 0);
  EXPECT_EQ(daemon_.file("/x/data"), bytes);
  EXPECT_EQ(daemon_.file("/x/data mode"), "0750");
  ASSERT_EQ(coffer({"cp", "ws_1:/x/data", scratch_ + "/down"}).status, 0);
  EXPECT_EQ(read_file(scratch_ + "/down", 100).value(), bytes);
  struct stat st{};
  ASSERT_EQ(::stat((scratch_ + "/down").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0640U);
  EXPECT_EQ(coffer({"cp", "ws_1:/x/data", "-"}).out, bytes);
  EXPECT_EQ(coffer({"cp", "-", "ws_1:/y"}, "streamed").status, 0);
  EXPECT_EQ(daemon_.file("/y"), "streamed");
  const auto missing = coffer({"cp", "ws_1:/missing", scratch_ + "/none"});
  EXPECT_EQ(missing.status, 1);
  EXPECT_THAT(missing.err, HasSubstr("/missing"));
  EXPECT_FALSE(path_exists(scratch_ + "/none"));
  EXPECT_EQ(coffer({"cp", "ws_1:/x/data", "/dev/null"}).status, 0);
  ASSERT_EQ(::stat("/dev/null", &st), 0);
  EXPECT_TRUE(S_ISCHR(st.st_mode));
}

TEST_F(Cli, a_folder_goes_in_with_all_below_it_but_links) {
  const std::string base = scratch_ + "/tree";
  ASSERT_TRUE(make_directories(base + "/sub"));
  ASSERT_TRUE(write_file_atomically(base + "/sub/f", "content"));
  ASSERT_EQ(::symlink("/etc/passwd", (base + "/link").c_str()), 0);
  const auto done = coffer({"cp", base, "ws_1:/new"});
  EXPECT_EQ(done.status, 1);
  EXPECT_THAT(done.err, HasSubstr("symbolic link"));
  EXPECT_EQ(daemon_.file("/new/sub/f"), "content");
  EXPECT_EQ(daemon_.file("/new/link"), "<absent>");
  daemon_.put_file("/there/", "");
  EXPECT_EQ(coffer({"cp", base + "/sub", "ws_1:/there"}).status, 0);
  EXPECT_EQ(daemon_.file("/there/sub/f"), "content");
}

TEST_F(Cli, hostile_names_from_a_guest_stay_inside_the_target) {
  daemon_.put_file("/evil/good", "fine");
  daemon_.set_listing("/evil",
                      R"([{"name":"../out","type":"file"},{"name":"..","type":"directory"},{"name":"","type":"file"},
      {"name":"/abs","type":"file"},{"name":"l","type":"symlink"},{"name":"good","type":"file","mode":"4755"}])");
  const auto done = coffer({"cp", "ws_1:/evil", scratch_ + "/target"});
  EXPECT_EQ(done.status, 1);
  EXPECT_THAT(list_directory(scratch_).value(), testing::ElementsAre("target"));
  EXPECT_THAT(list_directory(scratch_ + "/target").value(), testing::ElementsAre("good"));
  struct stat st{};
  ASSERT_EQ(::stat((scratch_ + "/target/good").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0755U);
}

}  // namespace
}  // namespace cofferdam::cli
