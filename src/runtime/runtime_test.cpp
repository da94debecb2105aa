// Tasks, terminals and watchers on processes of the test's own.
#include <gtest/gtest.h>
#include <signal.h>

#include <boost/asio/io_context.hpp>

#include "base/text.h"
#include "loop/run.h"
#include "runtime/ignore.h"
#include "runtime/tasks.h"
#include "runtime/terminals.h"

namespace cofferdam::runtime {
namespace {

using namespace std::chrono_literals;

struct Script {
  explicit Script(const loop::asio::any_io_executor& executor) : changed(executor) {}
  std::deque<vm::Output> output;
  std::optional<model::ExitStatus> exit;
  bool ignores_signals = false;
  std::vector<int> signals;
  std::string input;
  bool input_closed = false, gone = false;
  std::size_t pieces_read = 0;
  model::ExecSpec spec;
  loop::Event changed;

  void say(std::string bytes, vm::Channel channel = vm::Channel::stdout_) {
    output.push_back({channel, std::move(bytes)});
    changed.notify();
  }
  void end(int code) {
    model::ExitStatus status;
    status.code = code;
    exit = status;
    changed.notify();
  }
};

class ScriptedProcess final : public vm::GuestProcess {
 public:
  explicit ScriptedProcess(std::shared_ptr<Script> script) : script_(std::move(script)) {}
  ScriptedProcess(const ScriptedProcess&) = delete;
  ScriptedProcess& operator=(const ScriptedProcess&) = delete;
  ~ScriptedProcess() override { script_->gone = true; }
  Task<std::optional<vm::Output>> read() override {
    while (script_->output.empty()) {
      if (script_->exit) co_return std::optional<vm::Output>();
      CO_TRY(co_await script_->changed.wait());
    }
    ++script_->pieces_read;
    std::optional<vm::Output> next(std::move(script_->output.front()));
    script_->output.pop_front();
    co_return next;
  }
  [[nodiscard]] model::ExitStatus exit_status() const override { return *script_->exit; }
  Task<void> write(std::string bytes) override {
    script_->input += bytes;
    co_return Status{};
  }
  Task<void> close_stdin() override {
    script_->input_closed = true;
    co_return Status{};
  }
  Status signal(int number) override {
    script_->signals.push_back(number);
    if (!script_->ignores_signals) script_->end(128 + number);
    return {};
  }
  Status resize(std::uint16_t rows, std::uint16_t cols) override {
    script_->say(cat(rows, "x", cols));
    return {};
  }

 private:
  std::shared_ptr<Script> script_;
};

class RuntimeTest : public ::testing::Test {
 public:
  ~RuntimeTest() override { EXPECT_TRUE(run(end())); }
  Task<void> end() {
    group_.cancel();
    co_return co_await group_.join();
  }
  template <class T>
  Result<T> run(Task<T> task) {
    return loop::run_on(io_, std::move(task), 30s);
  }
  void settle() { EXPECT_TRUE(run(loop::sleep_for(20ms))); }
  StartProcess starter() {
    return [this](model::ExecSpec spec) -> Task<std::unique_ptr<vm::GuestProcess>> {
      auto script = std::make_shared<Script>(io_.get_executor());
      script->spec = std::move(spec);
      scripts_.push_back(script);
      std::unique_ptr<vm::GuestProcess> process = std::make_unique<ScriptedProcess>(script);
      co_return process;
    };
  }
  static TaskRequest request(std::vector<std::string> words = {"x"}) {
    TaskRequest asked;
    asked.command = std::move(words);
    return asked;
  }
  std::string start(TaskRequest asked = request()) { return run(tasks_.start(std::move(asked))).value(); }
  template <class Listener>
  std::string hear(Listener& listener, int most) {
    std::string heard;
    for (int i = 0; i < most; ++i) {
      auto event = run(listener.next());
      if (!event || !*event) return heard + (event ? "end" : "lost");
      heard += cat(static_cast<int>((*event)->kind), ":", (*event)->bytes, (*event)->error_bytes,
                   (*event)->kind == TaskEvent::Kind::exit ? cat((*event)->exit_code) : "", " ");
    }
    return heard;
  }

  loop::asio::io_context io_;
  loop::TaskGroup group_{io_.get_executor()};
  std::vector<std::shared_ptr<Script>> scripts_;
  Tasks tasks_{group_, starter()};
  SessionHub hub_{io_.get_executor()};
  Terminals terminals_{group_, starter(), hub_};
};

TEST_F(RuntimeTest, modes_decide_who_reads_the_words) {
  TaskRequest asked = request({"ls", "-l"});
  EXPECT_EQ(words_to_run(asked), (std::vector<std::string>{"ls", "-l"}));
  asked.mode = ExecMode::shell;
  EXPECT_EQ(words_to_run(asked), (std::vector<std::string>{"/bin/sh", "-c", "ls -l"}));
  asked = request({"ls | wc"});
  EXPECT_EQ(words_to_run(asked), (std::vector<std::string>{"/bin/sh", "-c", "ls | wc"}));
  asked.mode = ExecMode::direct;
  EXPECT_EQ(words_to_run(asked), std::vector<std::string>{"ls | wc"});
  EXPECT_EQ(words_to_run(request({"ls"})), std::vector<std::string>{"ls"});
}

TEST_F(RuntimeTest, a_listener_hears_all_then_the_end_and_a_late_one_a_replay) {
  const auto id = start();
  auto early = tasks_.listen(id).value();
  scripts_[0]->say("one ");
  scripts_[0]->say("bad", vm::Channel::stderr_);
  EXPECT_EQ(hear(early, 2), "0:one  1:bad ");
  auto late = tasks_.listen(id).value();
  EXPECT_EQ(hear(late, 2), "0:one  1:bad ");
  scripts_[0]->say("two");
  scripts_[0]->end(3);
  EXPECT_EQ(hear(early, 9), "0:two 3:3 end");
  EXPECT_EQ(hear(late, 9), "0:two 3:3 end");
  auto after = tasks_.listen(id).value();
  EXPECT_EQ(hear(after, 9), "2:one twobad 3:3 end");
  const auto info = tasks_.get(id).value();
  EXPECT_EQ(info.state, TaskState::exited);
  EXPECT_EQ(info.exit_code, 3);
  EXPECT_EQ(info.output, "one two");
  EXPECT_EQ(info.errors, "bad");
  EXPECT_TRUE(scripts_[0]->gone);
}

TEST_F(RuntimeTest, output_that_is_too_much_loses_its_beginning) {
  const auto id = start();
  for (int i = 0; i < 40; ++i) scripts_[0]->say(std::string(64U << 10, static_cast<char>('a' + i % 26)));
  scripts_[0]->say("the end");
  scripts_[0]->end(0);
  const auto info = run(tasks_.wait(id)).value();
  EXPECT_EQ(info.output.size(), kTaskOutputBytes);
  EXPECT_TRUE(info.output.ends_with("the end"));
  EXPECT_TRUE(info.output_lost);
}

TEST_F(RuntimeTest, a_slow_listener_holds_the_process_back_and_loses_nothing) {
  const auto id = start();
  auto listener = tasks_.listen(id).value();
  for (int i = 0; i < 40; ++i) scripts_[0]->say(std::string(64U << 10, 'x'));
  scripts_[0]->end(0);
  settle();
  EXPECT_LE(scripts_[0]->pieces_read, kListenerBytes / (64U << 10) + 2);
  std::size_t size = 0;
  for (;;) {
    auto event = run(listener.next()).value();
    if (!event) break;
    size += event->bytes.size();
  }
  EXPECT_EQ(size, 40U * (64U << 10));
}

TEST_F(RuntimeTest, a_listener_that_goes_holds_nobody_back) {
  const auto id = start();
  {
    auto listener = tasks_.listen(id).value();
    for (int i = 0; i < 40; ++i) scripts_[0]->say(std::string(64U << 10, 'x'));
    scripts_[0]->end(0);
    settle();
  }
  EXPECT_EQ(run(tasks_.wait(id)).value().exit_code, 0);
}

TEST_F(RuntimeTest, killing_signals_the_group_and_forgets) {
  const auto id = start();
  auto listener = tasks_.listen(id).value();
  EXPECT_TRUE(tasks_.kill(id));
  EXPECT_EQ(scripts_[0]->signals, std::vector<int>{SIGKILL});
  EXPECT_EQ(hear(listener, 9), "3:137 end");
  EXPECT_EQ(tasks_.get(id).error().code, Code::NotFound);
  EXPECT_EQ(tasks_.kill("nonsense").error().code, Code::NotFound);
  EXPECT_EQ(tasks_.kill("1x").error().code, Code::NotFound);
}

TEST_F(RuntimeTest, what_is_started_while_its_workspace_ends_is_refused_and_killed) {
  loop::Event answer(io_.get_executor());
  const auto begin = starter();
  const StartProcess slow = [&](model::ExecSpec spec) -> Task<std::unique_ptr<vm::GuestProcess>> {
    CO_TRY(co_await answer.wait());
    co_return co_await begin(std::move(spec));
  };
  loop::TaskGroup group(io_.get_executor());
  Tasks tasks(group, slow);
  Terminals terminals(group, slow, hub_);
  const auto task = loop::begin(io_, tasks.start(request()));
  io_.restart();
  io_.poll();
  group.cancel();  // as its session does
  answer.notify();
  settle();
  ASSERT_TRUE(task->has_value());
  EXPECT_EQ((*task)->error().code, Code::Unavailable);
  TerminalRequest shell;
  shell.command = {"sh"};
  const auto terminal = loop::begin(io_, terminals.open(std::move(shell)));
  answer.notify();
  settle();
  ASSERT_TRUE(terminal->has_value());
  EXPECT_EQ((*terminal)->error().code, Code::Unavailable);
  for (const auto& script : scripts_) EXPECT_TRUE(script->gone);
  EXPECT_TRUE(tasks.list().empty());
}

TEST_F(RuntimeTest, fifty_tasks_are_the_bound_and_ended_ones_make_room) {
  for (std::size_t i = 0; i < kMaxTasks; ++i) start();
  auto over = run(tasks_.start(request()));
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().code, Code::ResourceExhausted);
  scripts_[3]->end(0);
  settle();
  EXPECT_TRUE(run(tasks_.start(request())));
  EXPECT_EQ(tasks_.get("4").error().code, Code::NotFound);
  EXPECT_EQ(tasks_.list().size(), kMaxTasks);
  EXPECT_EQ(tasks_.kill_all(), kMaxTasks);
  EXPECT_TRUE(tasks_.list().empty());
}

TEST_F(RuntimeTest, kept_tasks_make_no_room) {
  for (std::size_t i = 0; i < kMaxTasks; ++i) {
    TaskRequest asked = request();
    asked.keep_logs = KeepLogs::yes;
    start(std::move(asked));
    scripts_.back()->end(0);
  }
  settle();
  EXPECT_EQ(run(tasks_.start(request())).error().code, Code::ResourceExhausted);
}

TEST_F(RuntimeTest, an_ended_task_is_forgotten_after_its_ttl) {
  TaskRequest asked = request();
  asked.ttl = 30ms;
  const auto id = start(std::move(asked));
  scripts_[0]->end(0);
  settle();
  EXPECT_TRUE(tasks_.get(id));
  EXPECT_TRUE(run(loop::sleep_for(50ms)));
  EXPECT_EQ(tasks_.get(id).error().code, Code::NotFound);
}

TEST_F(RuntimeTest, input_reaches_a_task_that_takes_it) {
  TaskRequest asked = request();
  asked.stdin_mode = model::Stdin::open;
  const auto id = start(std::move(asked));
  EXPECT_TRUE(run(tasks_.input(id, "abc")));
  EXPECT_TRUE(run(tasks_.close_input(id)));
  EXPECT_EQ(scripts_[0]->input, "abc");
  EXPECT_TRUE(scripts_[0]->input_closed);
  scripts_[0]->end(0);
  settle();
  EXPECT_EQ(run(tasks_.input(id, "more")).error().code, Code::FailedPrecondition);
  EXPECT_EQ(run(tasks_.input(start(), "x")).error().code, Code::FailedPrecondition);
}

TEST_F(RuntimeTest, a_timeout_is_a_failure_with_a_reason) {
  TaskRequest asked = request();
  asked.timeout = 1500ms;
  const auto id = start(std::move(asked));
  EXPECT_EQ(scripts_[0]->spec.timeout, 1500ms);
  model::ExitStatus status;
  status.code = 124;
  status.timed_out = true;
  scripts_[0]->exit = status;
  scripts_[0]->changed.notify();
  const auto info = run(tasks_.wait(id)).value();
  EXPECT_EQ(info.state, TaskState::failed);
  EXPECT_EQ(info.exit_code, 124);
  EXPECT_EQ(info.error, "timed out after 1500 ms");
}

TEST_F(RuntimeTest, ten_terminals_are_the_bound_and_ids_go_on) {
  TerminalRequest asked;
  asked.command = {"sh"};
  for (std::size_t i = 0; i < kMaxTerminals; ++i) EXPECT_EQ(run(terminals_.open(asked)).value().id, i + 1);
  EXPECT_EQ(run(terminals_.open(asked)).error().code, Code::ResourceExhausted);
  EXPECT_TRUE(terminals_.close(3));
  EXPECT_EQ(run(terminals_.open(asked)).value().id, 11);
  EXPECT_EQ(terminals_.close(3).error().code, Code::NotFound);
  scripts_[0]->end(7);
  settle();
  EXPECT_EQ(terminals_.get(1).value().exit_code, 7);
  EXPECT_FALSE(terminals_.get(1).value().alive);
  EXPECT_EQ(run(terminals_.open(asked)).value().id, 12);
  EXPECT_EQ(terminals_.get(1).error().code, Code::NotFound);
}

TEST_F(RuntimeTest, a_terminal_is_typed_into_resized_and_scrolled_back) {
  TerminalRequest asked;
  asked.command = {"sh"};
  asked.scrollback = 8;
  EXPECT_TRUE(run(terminals_.open(asked)));
  EXPECT_EQ(scripts_[0]->spec.terminal, model::Terminal::yes);
  EXPECT_TRUE(terminals_.type(1, "ls\n"));
  EXPECT_TRUE(terminals_.resize(1, 40, 120));
  settle();
  EXPECT_EQ(scripts_[0]->input, "ls\n");
  EXPECT_EQ(terminals_.scrollback(1, 100).value(), "40x120");
  scripts_[0]->say("0123456789");
  settle();
  EXPECT_EQ(terminals_.scrollback(1, 100).value(), "23456789");
  EXPECT_EQ(terminals_.scrollback(1, 2).value(), "89");
  EXPECT_TRUE(terminals_.set_scrollback(1, 4));
  EXPECT_EQ(terminals_.scrollback(1, 100).value(), "6789");
  EXPECT_TRUE(terminals_.clear_scrollback(1));
  EXPECT_EQ(terminals_.scrollback(1, 100).value(), "");
}

TEST_F(RuntimeTest, globs_and_gitignore_rules_are_read_as_git_does) {
  EXPECT_TRUE(Glob("*.go").matches("a.go"));
  EXPECT_FALSE(Glob("*.go").matches("x/a.go"));
  EXPECT_TRUE(Glob("**/a.go").matches("a.go"));
  EXPECT_TRUE(Glob("**/a.go").matches("x/y/a.go"));
  EXPECT_FALSE(Glob("**/a.go").matches("xa.go"));
  EXPECT_TRUE(Glob("x/**/y").matches("x/y"));
  EXPECT_TRUE(Glob("x/**").matches("x/a/b"));
  EXPECT_TRUE(Glob("[a-c]?[!d]").matches("bxe"));
  EXPECT_FALSE(Glob("[a-c]?[!d]").matches("bxd"));
  EXPECT_TRUE(Glob("\\*").matches("*"));
  EXPECT_TRUE(Glob("[").matches("["));
  EXPECT_TRUE(Glob("").matches(""));
  EXPECT_FALSE(Glob(std::string(200, '*') + "b").matches(std::string(4000, 'a')));
  const IgnoreRules rules("# comment\n*.log\n!keep.log\nbuild/\n/top\ndocs/*.pdf\r\n");
  using Verdict = IgnoreRules::Verdict;
  using Kind = IgnoreRules::Entry;
  EXPECT_EQ(rules.judge("x/a.log", Kind::file), Verdict::ignored);
  EXPECT_EQ(rules.judge("x/keep.log", Kind::file), Verdict::kept);
  EXPECT_EQ(rules.judge("a/build", Kind::folder), Verdict::ignored);
  EXPECT_EQ(rules.judge("a/build", Kind::file), Verdict::none);
  EXPECT_EQ(rules.judge("top", Kind::file), Verdict::ignored);
  EXPECT_EQ(rules.judge("x/top", Kind::file), Verdict::none);
  EXPECT_EQ(rules.judge("docs/a.pdf", Kind::file), Verdict::ignored);
  EXPECT_EQ(rules.judge("x/docs/a.pdf", Kind::file), Verdict::none);
}

}  // namespace
}  // namespace cofferdam::runtime
