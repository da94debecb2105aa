// The parts of the command line that need no daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/parse.hpp>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "cli/cp_target.h"
#include "cli/daemon_process.h"
#include "cli/doctor_checks.h"
#include "cli/env_items.h"
#include "cli/local_tree.h"
#include "cli/outline.h"
#include "cli/parser.h"
#include "cli/progress.h"
#include "cli/safe_text.h"
#include "cli/stats_view.h"
#include "cli/table.h"
#include "cli/workspace_options.h"
#include "cli/workspace_view.h"

namespace cofferdam::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/cli_test-XXXXXX";
    path_ = ::mkdtemp(name);
  }
  ~Folder() { (void)remove_tree(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  [[nodiscard]] std::string operator/(std::string_view name) const { return cat(path_, "/", name); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// ---- command line ----

std::string usage_error(const std::vector<std::string>& words) {
  auto parsed = parse_command_line(words);
  if (!parsed) return parsed.error().message;
  if (!parsed->command) return "";
  const Status accepted = parsed->command->accept();
  return accepted ? "" : accepted.error().message;
}

TEST(CommandLine, a_verb_and_its_options_are_read) {
  const auto parsed = parse_command_line(
      {"run", "--image", "minimal", "-it", "--cpus=0.5", "-e", "A=b", "-e", "C=d", "--", "ls", "-la"});
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->command->name(), "run");
  EXPECT_TRUE(parsed->command->accept());
}

TEST(CommandLine, global_options_stand_before_or_after_the_verb) {
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"--json", "--state", "/a", "ls"}, {"ls", "--json", "--state", "/a"}}) {
    const auto parsed = parse_command_line(words);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_TRUE(parsed->globals.json);
    EXPECT_EQ(parsed->globals.state, "/a");
  }
}

TEST(CommandLine, a_command_begins_at_its_first_word_and_its_options_are_not_ours) {
  EXPECT_EQ(usage_error({"run", "python3", "--json", "-c", "1"}), "");
  EXPECT_EQ(usage_error({"run", "--", "--json"}), "");
  EXPECT_EQ(usage_error({"exec", "ws", "ls", "--no-such"}), "");
  EXPECT_FALSE(parse_command_line({"run", "python3", "--json"})->globals.json);
}

TEST(CommandLine, words_behind_the_marker_fill_what_is_missing) {
  EXPECT_EQ(usage_error({"exec", "--timeout=5", "--", "ws", "--", "true"}), "");
  EXPECT_EQ(usage_error({"exec", "--", "ws", "true"}), "");
  EXPECT_EQ(usage_error({"rm", "--", "-odd-name"}), "");
  EXPECT_EQ(usage_error({"cp", "--", "-file", "ws:/x"}), "");
}

TEST(CommandLine, usage_errors_are_named) {
  EXPECT_THAT(usage_error({"run", "--no-such-option", "--", "true"}), HasSubstr("--no-such-option"));
  EXPECT_THAT(usage_error({"run"}), HasSubstr("command"));
  EXPECT_THAT(usage_error({"no-such-verb"}), HasSubstr("no-such-verb"));
  EXPECT_THAT(usage_error({"exec"}), HasSubstr("WORKSPACE"));
  EXPECT_THAT(usage_error({"rm"}), HasSubstr("WORKSPACE"));
  EXPECT_THAT(usage_error({"image"}), HasSubstr("image"));
  EXPECT_THAT(usage_error({"image", "frobnicate"}), HasSubstr("frobnicate"));
  EXPECT_THAT(usage_error({"ls", "extra"}), HasSubstr("extra"));
  EXPECT_THAT(usage_error({"run", "--image", "", "--", "true"}), HasSubstr("--image"));
  EXPECT_THAT(usage_error({"run", "--image"}), HasSubstr("--image"));
  EXPECT_THAT(usage_error({"run", "--image", "-rf", "--", "true"}), HasSubstr("--image"));
  EXPECT_THAT(usage_error({"run", "--memory", "0", "--", "true"}), HasSubstr("--memory"));
}

TEST(CommandLine, absurd_values_are_usage_errors) {
  const std::vector<std::pair<std::string, std::string>> cases{{"--memory", "0"},
                                                               {"--memory", "-1"},
                                                               {"--memory", "1M"},
                                                               {"--memory", "900T"},
                                                               {"--memory", "lots"},
                                                               {"--cpus", "0"},
                                                               {"--cpus", "-2"},
                                                               {"--cpus", "4096"},
                                                               {"--cpus", "nan"},
                                                               {"--disk", "0"},
                                                               {"--disk", "-5"},
                                                               {"--disk", "8E"},
                                                               {"--ttl", "-1"},
                                                               {"--ttl", "x"},
                                                               {"--timeout", "-3"},
                                                               {"--env", "no-equals-sign"},
                                                               {"--env", "=x"},
                                                               {"--workdir", "rel"},
                                                               {"--file", "/no/such:/x"},
                                                               {"--env-file", "/no/such/file"},
                                                               {"--disk-iops", "0"},
                                                               {"--max-output", "much"},
                                                               {"--memory", "99999999999999999999"},
                                                               {"--image", "../../etc"}};
  for (const auto& [option, value] : cases) {
    EXPECT_NE(usage_error({"run", option, value, "--", "true"}), "") << option << " " << value;
  }
}

TEST(CommandLine, help_needs_nothing_else) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"exec", "--help"}, {"--help"}, {"cp", "-h"}}) {
    const auto parsed = parse_command_line(words);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_TRUE(parsed->globals.help);
  }
}

TEST(CommandLine, a_group_lists_its_commands) {
  using Words = std::vector<std::string>;
  for (const auto& words : {Words{"image", "--help"}, {"image", "-h"}, {"--help", "image"}, {"help", "image"}}) {
    const auto parsed = parse_command_line(words);
    ASSERT_TRUE(parsed) << parsed.error().message;
    EXPECT_TRUE(parsed->globals.help);
    EXPECT_FALSE(parsed->command);
    EXPECT_EQ(parsed->group, "image");
  }
  EXPECT_EQ(parse_command_line({"help", "image", "build"}).value().command->name(), "image build");
  EXPECT_NE(group_help("image").find("image build"), std::string::npos);
  EXPECT_EQ(group_help("image").find("snapshot"), std::string::npos);
  for (const auto& words : {Words{"image"}, {"image", "nope"}, {"image", "--json"}}) {
    EXPECT_NE(parse_command_line(words).error().hint.find("coffer image --help"), std::string::npos) << words.size();
  }
}

TEST(CommandLine, a_copy_has_exactly_one_side_in_a_workspace) {
  EXPECT_EQ(usage_error({"cp", "a", "ws:/b"}), "");
  EXPECT_NE(usage_error({"cp", "a", "b"}), "");
  EXPECT_NE(usage_error({"cp", "ws:/a", "ws:/b"}), "");
  EXPECT_NE(usage_error({"cp", "a", "ws:relative"}), "");
  EXPECT_NE(usage_error({"cp", "a", "ws:"}), "");
}

TEST(Help, every_command_has_a_page_and_completions_know_it) {
  const auto text = manual();
  for (const char* verb : {"run", "exec", "image build", "doctor", "up", "down", "cp"}) {
    EXPECT_THAT(text, HasSubstr(cat("## coffer ", verb, "\n")));
  }
  EXPECT_THAT(completion_script("bash"), HasSubstr("--env-file"));
  EXPECT_THAT(completion_script("zsh"), HasSubstr("#compdef coffer"));
  EXPECT_THAT(completion_script("fish"), HasSubstr("-l env-file"));
  EXPECT_EQ(completion_script("tcsh"), "");
}

TEST(Help, the_manual_in_the_docs_is_what_the_program_says) {
  const auto page = read_file(COFFER_SOURCE_DIR "/docs/cli.md", 1 << 20);
  ASSERT_TRUE(page) << page.error().message;
  EXPECT_EQ(*page, manual()) << "write it anew: build/bin/coffer completion markdown >docs/cli.md";
}

// ---- environment ----

std::optional<std::string> lookup(const std::string& name) {
  if (name == "HAVE") return "it";
  return std::nullopt;
}

TEST(EnvFile, lines_are_taken_as_they_are) {
  const auto env =
      parse_env_file("# comment\nA=1\n  B=a=b c \r\n\nEMPTY=\nQUOTED=\"x\"\nHAVE\nHAVE_NOT\nA=2\n", lookup);
  ASSERT_TRUE(env) << env.error().message;
  EXPECT_THAT(*env, ElementsAre("B=a=b c ", "EMPTY=", "QUOTED=\"x\"", "HAVE=it", "A=2"));
}

TEST(EnvFile, an_error_names_the_line_and_not_what_is_in_it) {
  const auto env = parse_env_file("A=1\nhunter2 is no name=x\n", lookup);
  ASSERT_FALSE(env);
  EXPECT_THAT(env.error().message, HasSubstr("line 2"));
  EXPECT_THAT(env.error().message, Not(HasSubstr("hunter2")));
}

TEST(EnvItem, a_name_alone_takes_ours) {
  EXPECT_EQ(parse_env_item("HAVE", lookup).value(), "HAVE=it");
  EXPECT_EQ(parse_env_item("A=", lookup).value(), "A=");
  EXPECT_FALSE(parse_env_item("HAVE_NOT", lookup));
  EXPECT_FALSE(parse_env_item("=x", lookup));
  EXPECT_FALSE(parse_env_item("1A=x", lookup));
  EXPECT_FALSE(parse_env_item(std::string_view("A=\0", 3), lookup));
}

// ---- copies ----

TEST(CpTarget, sides_are_told_apart) {
  struct Case {
    const char* text;
    CpTarget::Kind kind;
    const char *workspace, *path;
  };
  const Case cases[] = {{"ws_1:/a", CpTarget::Kind::remote, "ws_1", "/a"},
                        {"name:/a:b", CpTarget::Kind::remote, "name", "/a:b"},
                        {"./a:b", CpTarget::Kind::local, "", "./a:b"},
                        {"/x/a:b", CpTarget::Kind::local, "", "/x/a:b"},
                        {":a", CpTarget::Kind::local, "", ":a"},
                        {"plain", CpTarget::Kind::local, "", "plain"},
                        {"-", CpTarget::Kind::stream, "", ""}};
  for (const auto& one : cases) {
    const auto target = parse_cp_target(one.text);
    ASSERT_TRUE(target) << one.text;
    EXPECT_EQ(target->kind, one.kind) << one.text;
    EXPECT_EQ(target->workspace, one.workspace) << one.text;
    EXPECT_EQ(target->path, one.path) << one.text;
  }
  EXPECT_FALSE(parse_cp_target(""));
  EXPECT_FALSE(parse_cp_target("ws:"));
}

TEST(FileArgument, the_last_colon_splits) {
  EXPECT_EQ(parse_file_argument("a").value().remote, "");
  EXPECT_EQ(parse_file_argument("a:b:/c").value().local, "a:b");
  EXPECT_EQ(parse_file_argument("a:b:/c").value().remote, "/c");
  for (const char* bad : {"", ":", "a:", ":/b", "/"}) EXPECT_FALSE(parse_file_argument(bad)) << bad;
}

TEST(EntryName, only_one_plain_name_passes) {
  for (const char* good : {"a", ".hidden", "...", "ünï", "a b", "-rf"}) EXPECT_TRUE(check_entry_name(good)) << good;
  for (const std::string_view bad : {std::string_view(""), std::string_view("."), std::string_view(".."),
                                     std::string_view("a/b"), std::string_view("/"), std::string_view("a\0b", 3)}) {
    EXPECT_FALSE(check_entry_name(bad)) << bad;
  }
  EXPECT_FALSE(check_entry_name(std::string(256, 'a')));
  EXPECT_THAT(check_entry_name("a\033[2J/").error().message, Not(HasSubstr("\033")));
}

TEST(LocalTree, nothing_is_written_through_a_link) {
  const Folder inside;
  const Folder outside;
  ASSERT_EQ(::symlink(outside.path().c_str(), (inside / "trap").c_str()), 0);
  ASSERT_EQ(::symlink((outside / "file").c_str(), (inside / "link").c_str()), 0);
  const auto folder = LocalFolder::open(inside.path()).value();
  EXPECT_FALSE(folder.enter("trap"));
  EXPECT_FALSE(folder.enter(".."));
  EXPECT_FALSE(folder.create("../escape", 0644));
  auto file = folder.create("link", 0644);
  ASSERT_TRUE(file) << file.error().message;
  ASSERT_TRUE(write_all(file->fd(), "x"));
  ASSERT_TRUE(file->commit());
  EXPECT_TRUE(list_directory(outside.path()).value().empty());
  EXPECT_TRUE(std::filesystem::is_regular_file(std::filesystem::symlink_status(inside / "link")));
}

TEST(LocalTree, a_file_is_there_whole_or_not_at_all_and_gains_no_privilege) {
  const Folder base;
  const auto folder = LocalFolder::open(base.path()).value();
  {
    auto dropped = folder.create("dropped", 0644);
    ASSERT_TRUE(dropped);
    ASSERT_TRUE(write_all(dropped->fd(), "half"));
  }
  EXPECT_TRUE(list_directory(base.path()).value().empty());
  auto kept = folder.create("kept", 06755);
  ASSERT_TRUE(kept);
  ASSERT_TRUE(write_all(kept->fd(), "whole"));
  ASSERT_TRUE(kept->commit());
  struct stat st{};
  ASSERT_EQ(::stat((base / "kept").c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 07777U, 0755U);
  EXPECT_THAT(list_directory(base.path()).value(), ElementsAre("kept"));
  ASSERT_EQ(::mkdir((base / "folder").c_str(), 0755), 0);
  auto over = folder.create("folder", 0644);
  ASSERT_TRUE(over);
  EXPECT_FALSE(over->commit());
}

// ---- what people see ----

TEST(SafeText, what_a_terminal_would_obey_is_shown) {
  EXPECT_EQ(printable("a\033[31mb\r\n\t\x7f"), "a\\x1b[31mb\\x0d\\n\\t\\x7f");
  EXPECT_EQ(printable("\xc2\x9b"), "\\u009b");
  EXPECT_EQ(printable("\xe2\x80\xae"), "\\u202e");
  EXPECT_EQ(printable("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(printable("\xed\xa0\x80"), "\\xed\\xa0\\x80");
  EXPECT_EQ(printable("ünï 世界"), "ünï 世界");
  EXPECT_EQ(printable_lines("a\nb\r"), "a\nb\\x0d");
  EXPECT_TRUE(is_utf8("ü"));
  EXPECT_FALSE(is_utf8("\xc3"));
}

TEST(Table, columns_line_up_whatever_is_in_them) {
  Table table({{"NAME"}, {"SIZE", Align::right}, {"X"}});
  table.add({"世界", "1", "a"});
  table.add({"long-name", "12345", "\033[2J"});
  table.add({"short"});
  EXPECT_EQ(table.render(),
            "NAME        SIZE  X\n"
            "世界           1  a\n"
            "long-name  12345  \\x1b[2J\n"
            "short\n");
}

TEST(Table, empty_columns_can_be_hidden) {
  Table table({{"A"}, {"B"}, {"C"}});
  table.add({"1", "", "3"});
  EXPECT_EQ(table.render(Table::Empty::hide), "A  C\n1  3\n");
}

TEST(ProgressLine, fits_the_terminal_and_cuts_between_characters) {
  EXPECT_EQ(progress_line("packages", "apt", 0.5, 80), "packages  [############------------]  50%  apt");
  EXPECT_EQ(progress_line("kernel", "x", -1, 80), "kernel  x");
  EXPECT_EQ(progress_line("世界世界", "", -1, 5), "世界");
  EXPECT_EQ(progress_line("aé", "", -1, 2), "aé");
  EXPECT_EQ(progress_line("\033[2J", "", 7, 200).substr(0, 7), "\\x1b[2J");
}

TEST(WorkspaceTable, shows_what_there_is) {
  const auto now = std::chrono::system_clock::from_time_t(seconds_of_rfc3339("2026-01-31T12:00:00Z"));
  const auto list = boost::json::parse(R"([{"id":"ws_1","name":"a","image":"minimal","status":"running",
      "created_at":"2026-01-31T11:58:00.000Z","resources":{"cpus":0.5,"memory_mb":512,"disk_size_mb":4096},
      "lifecycle":{"ttl_expires_at":"2026-01-31T13:00:00.000Z"}}, 7, {"id":"ws_2\u001b[2J"}])");
  EXPECT_EQ(workspace_table(list.as_array(), now),
            "ID           NAME  IMAGE    STATUS   CPUS   MEMORY   DISK  AGE  EXPIRES\n"
            "ws_1         a     minimal  running   0.5  512 MiB  4 GiB   2m       1h\n"
            "ws_2\\x1b[2J\n");
}

TEST(Durations, are_short) {
  using std::chrono::seconds;
  EXPECT_EQ(short_duration(seconds(-5)), "0s");
  EXPECT_EQ(short_duration(seconds(59)), "59s");
  EXPECT_EQ(short_duration(seconds(3600)), "1h");
  EXPECT_EQ(short_duration(seconds(200'000)), "2d");
  EXPECT_EQ(seconds_of_rfc3339("1970-01-02T00:00:01.5Z"), 86'401);
  EXPECT_EQ(seconds_of_rfc3339("soon"), -1);
  EXPECT_EQ(seconds_of_rfc3339(""), -1);
}

TEST(Stats, units_follow_the_names) {
  EXPECT_EQ(figure_text("memory_bytes", 536870912), "512 MiB");
  EXPECT_EQ(figure_text("rss_kib", 1024), "1 MiB");
  EXPECT_EQ(figure_text("cpu_ms", 1500), "1.500 s");
  EXPECT_EQ(figure_text("pid", 1234567), "1234567");
  const auto answer = boost::json::parse(
      R"({"stats":{"guest":{"memory_total_bytes":1048576}},"processes":[{"pid":1,"command":"a\u0007b"}]})");
  const auto text = stats_text("ws_1", answer.as_object());
  EXPECT_THAT(text, HasSubstr("ws_1"));
  EXPECT_THAT(text, HasSubstr("guest memory total  1 MiB"));
  EXPECT_THAT(text, HasSubstr("a\\x07b"));
}

TEST(Cpus, are_thousandths) {
  EXPECT_EQ(parse_cpus("0.5").value(), 500U);
  EXPECT_EQ(parse_cpus("2").value(), 2000U);
  for (const char* bad : {"", "0", "-1", "nan", "inf", "1x", "1e9"}) EXPECT_FALSE(parse_cpus(bad)) << bad;
}

// ---- doctor ----

TEST(Doctor, judges_what_it_reads) {
  using Level = Finding::Level;
  EXPECT_EQ(judge_swap("Filename Type\n").level, Level::ok);
  EXPECT_EQ(judge_swap("Filename Type\n/dev/zram0 partition 1\n").level, Level::ok);
  EXPECT_EQ(judge_swap("Filename Type\n/dev/sda2 partition 1\n").level, Level::warn);
  EXPECT_EQ(judge_memory("MemTotal: 16000000 kB\nMemAvailable: 8000000 kB\n").level, Level::ok);
  EXPECT_EQ(judge_memory("MemTotal: 16000000 kB\nMemAvailable: 800 kB\n").level, Level::warn);
  EXPECT_EQ(judge_core_pattern("core").level, Level::ok);
  EXPECT_EQ(judge_core_pattern("|/usr/lib/systemd/systemd-coredump %P").level, Level::warn);
  EXPECT_EQ(judge_disk_room("/x", 10ULL << 30).level, Level::ok);
  EXPECT_EQ(judge_disk_room("/x", 2ULL << 30).level, Level::warn);
  EXPECT_EQ(judge_disk_room("/x", 1ULL << 20).level, Level::fail);
  EXPECT_EQ(judge_qemu("QEMU emulator version 7.2.17 (Debian 1:7.2+dfsg-7)\n").level, Level::ok);
  EXPECT_EQ(judge_qemu("QEMU emulator version 6.2.0\n").level, Level::fail);
  EXPECT_EQ(judge_qemu("").level, Level::warn);
  const auto networks = judge_network(
      R"({"wire":{"ok":true},"rules":{"ok":false,"text":"no tproxy","hint":""},"gate":{"ok":false,"text":"t","hint":"h"}})");
  ASSERT_EQ(networks.size(), 3U);
  EXPECT_EQ(networks[0].level, Level::ok);
  EXPECT_EQ(networks[1].level, Level::warn);
  EXPECT_EQ(networks[1].text, "no tproxy");
  EXPECT_NE(networks[1].advice.find("modprobe"), std::string::npos);
  EXPECT_EQ(networks[2].advice, "h");
  EXPECT_EQ(judge_network("nonsense").at(0).level, Level::fail);
  EXPECT_EQ(judge_accelerator(R"({"name":"kvm","reason":"r","speed_ratio":0.9})").level, Level::ok);
  EXPECT_EQ(judge_accelerator(R"({"name":"tcg","reason":"r","speed_ratio":0.1})").level, Level::warn);
  EXPECT_EQ(judge_accelerator("garbage").level, Level::fail);
}

TEST(DaemonLog, only_the_end_of_this_start_is_shown) {
  const Folder folder;
  const std::string path = folder / "cofferd.log";
  auto log = open_daemon_log(path);
  ASSERT_TRUE(log) << log.error().message;
  ASSERT_TRUE(write_all(log->get(), "old\n"));
  ASSERT_TRUE(write_all(log->get(), "one\ntwo\033\nthree\n"));
  EXPECT_EQ(log_tail(path, 4), "one\ntwo\\x1b\nthree");
  EXPECT_EQ(log_tail(path, 0, 2), "two\\x1b\nthree");
  struct stat st{};
  ASSERT_EQ(::stat(path.c_str(), &st), 0);
  EXPECT_EQ(st.st_mode & 0777U, 0600U);
  ASSERT_EQ(::truncate(path.c_str(), 11 << 20), 0);
  ASSERT_TRUE(open_daemon_log(path));
  EXPECT_TRUE(path_exists(path + ".1"));
}

}  // namespace
}  // namespace cofferdam::cli
