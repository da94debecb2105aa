#include "workspace/exec_record.h"

#include <chrono>
#include <optional>
#include <utility>

#include "base/id.h"
#include "base/text.h"

namespace cofferdam::workspace {
namespace {

using loop::Task;
using std::chrono::duration_cast;
using std::chrono::microseconds;

constexpr std::string_view kTagPrefix = "cmd";
constexpr std::size_t kMaxActor = 128;

std::int64_t now_us() {
  return duration_cast<microseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
}

std::string how_it_ended(const model::ExitStatus& exit) {
  if (exit.timed_out) return "timed out";
  if (exit.output_limited) return "output limit";
  if (exit.oom_killed) return "out of memory";
  return "exited";
}

class RecordedProcess final : public vm::GuestProcess {
 public:
  RecordedProcess(std::unique_ptr<vm::GuestProcess> process, ledger::Recorder& recorder, model::Entry end,
                  ExecRecord::Sleeps sleeps)
      : process_(std::move(process)),
        recorder_(recorder),
        end_(std::move(end)),
        sleeps_(std::move(sleeps)),
        started_(recorder.mark()) {}
  RecordedProcess(const RecordedProcess&) = delete;
  RecordedProcess& operator=(const RecordedProcess&) = delete;
  // Its owner has let go of it: it is killed with its client.
  ~RecordedProcess() override { note_cut("given up"); }

  Task<std::optional<vm::Output>> read() override {
    auto next = co_await process_->read();
    if (!next && next.error().code == Code::Cancelled) {
      // The reader was called away, and comes back.
    } else if (!next) {
      note_cut(next.error().message);
    } else if (*next) {
      bytes_out_ += static_cast<std::int64_t>((*next)->bytes.size());
    } else {
      const auto exit = process_->exit_status();
      note_end(how_it_ended(exit), exit);
      // Long since so, as a rule. A command that runs ends whether or not the ledger can be written.
      (void)co_await recorder_.settled(started_);
    }
    co_return next;
  }
  [[nodiscard]] model::ExitStatus exit_status() const override { return process_->exit_status(); }
  Task<void> write(std::string bytes) override { return process_->write(std::move(bytes)); }
  Task<void> close_stdin() override { return process_->close_stdin(); }
  Status signal(int signal_number) override { return process_->signal(signal_number); }
  Status resize(std::uint16_t rows, std::uint16_t cols) override { return process_->resize(rows, cols); }
  [[nodiscard]] std::uint32_t pid() const override { return process_->pid(); }
  // Its end is for the next daemon to write down.
  void leave() override {
    ended_ = true;
    process_->leave();
  }

 private:
  void note_cut(std::string how) {
    if (sleeps_ && sleeps_()) ended_ = true;
    note_end(std::move(how), {});
  }

  void note_end(std::string how, const model::ExitStatus& exit) {
    if (ended_) return;
    ended_ = true;
    auto& event = *end_.event.as<model::ExecEnded>();
    event.exit = exit.code;
    event.signal = exit.signal;
    event.bytes_out = bytes_out_;
    event.how = std::move(how);
    event.took_us = std::max<std::int64_t>(now_us() - event.started_us, 0);
    recorder_.note(std::move(end_));
  }

  std::unique_ptr<vm::GuestProcess> process_;
  ledger::Recorder& recorder_;
  model::Entry end_;
  ExecRecord::Sleeps sleeps_;
  std::uint64_t started_;
  std::int64_t bytes_out_ = 0;
  bool ended_ = false;
};

}  // namespace

ExecRecord::ExecRecord(ledger::Recorder& recorder, const model::ExecSpec& asked) : recorder_(recorder), by_(asked.by) {
  event_.exec = new_id(kTagPrefix);
  event_.argv = asked.argv;
  event_.user = asked.user;
  event_.cwd = asked.cwd;
  event_.via = asked.via;
  for (const auto& item : asked.env) event_.env_names.push_back(item.substr(0, item.find('=')));
}

void ExecRecord::started(model::Subject about, std::vector<std::string> secrets) {
  about_ = std::move(about);
  started_ = true;
  if (!secrets.empty())
    recorder_.note({by_, about_, model::SecretUsed{std::move(secrets), "environment of a command"}});
  recorder_.note({by_, about_, event_});
}

void ExecRecord::failed(const Error& error, model::Subject about) {
  if (started_) {
    model::ExecEnded ended;
    ended.exec = event_.exec;
    ended.how = cat("not started: ", error.message);
    recorder_.note({by_, about_, ended});
    return;
  }
  recorder_.note({by_, std::move(about), model::ExecRefused{event_.argv, event_.user, event_.via, error.message}});
}

std::unique_ptr<vm::GuestProcess> ExecRecord::follow(std::unique_ptr<vm::GuestProcess> process, Sleeps sleeps) {
  model::ExecEnded ended;
  ended.exec = event_.exec;
  ended.started_us = now_us();
  recorder_.hurry();
  return std::make_unique<RecordedProcess>(std::move(process), recorder_, model::Entry{by_, about_, ended},
                                           std::move(sleeps));
}

std::string ExecRecord::tag(std::string_view rest) const {
  return cat(event_.exec, " ", now_us(), " ", by_.actor.substr(0, kMaxActor), "\n", rest);
}

Result<ExecRecord::Left> ExecRecord::resume(ledger::Recorder& recorder, model::Subject about, vm::LeftProcess left,
                                            Sleeps sleeps) {
  const auto line_end = left.tag.find('\n');
  const auto words = split(std::string_view(left.tag).substr(0, line_end), ' ');
  if (line_end == std::string::npos || words.size() != 3 || !is_id(words[0], kTagPrefix) ||
      words[2].size() > kMaxActor) {
    return fail(Code::InvalidArgument, "a command that was left running has no tag of ours");
  }
  TRY_ASSIGN(const auto started_us, parse_int("its start", words[1], 0, now_us()));
  model::ExecEnded ended;
  ended.exec = words[0];
  ended.started_us = started_us;
  Left taken;
  taken.process = std::make_unique<RecordedProcess>(
      std::move(left.process), recorder, model::Entry{{words[2], {}, {}}, std::move(about), ended}, std::move(sleeps));
  taken.rest = left.tag.substr(line_end + 1);
  return taken;
}

}  // namespace cofferdam::workspace
