#include "runtime/terminals.h"

#include <signal.h>

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "base/text.h"

namespace cofferdam::runtime {
namespace {

constexpr std::size_t kMaxTyped = 256U << 10;
constexpr std::chrono::milliseconds kKillGrace = std::chrono::seconds(5);
constexpr int kLastId = 255;
constexpr std::size_t kReplayPiece = 32U << 10;

}  // namespace

struct Terminals::One {
  One(const loop::asio::any_io_executor& executor, std::size_t scrollback)
      : kept(scrollback), closed(executor), typed_something(executor) {}
  TerminalInfo info;
  std::shared_ptr<vm::GuestProcess> process;
  Ring kept;
  loop::Event closed, typed_something;
  std::string typed;
  bool close_asked = false;  // nobody hears of it any more

  void close() {
    if (close_asked) return;
    close_asked = true;
    if (process && info.alive) (void)process->signal(SIGKILL);
    closed.notify();
  }
  void end(std::optional<int> code) {
    info.alive = false;
    info.exit_code = code;
    process.reset();
    typed_something.notify();
  }
};

Terminals::Terminals(loop::TaskGroup& group, StartProcess start, SessionHub& hub)
    : group_(group), start_(std::move(start)), hub_(hub) {}
Terminals::~Terminals() = default;

// The next one in turn, so that an id that a client still knows does not soon mean another terminal.
Result<std::uint8_t> Terminals::free_id() {
  if (terminals_.size() + starting_ >= kMaxTerminals) {
    const auto ended =
        std::find_if(terminals_.begin(), terminals_.end(), [](const auto& item) { return !item.second->info.alive; });
    if (ended == terminals_.end()) {
      return fail(Code::ResourceExhausted, cat("the workspace already has ", kMaxTerminals, " terminals"), "close one");
    }
    terminals_.erase(ended);
  }
  do {
    last_ = last_ == kLastId ? 1 : static_cast<std::uint8_t>(last_ + 1);
  } while (terminals_.contains(last_));
  return last_;
}

Task<TerminalInfo> Terminals::open(TerminalRequest request) {
  model::ExecSpec spec;
  spec.argv = request.command;
  spec.env = {"TERM=xterm-256color"};
  spec.env.insert(spec.env.end(), request.env.begin(), request.env.end());
  spec.cwd = request.cwd;
  spec.user = request.user;
  spec.by = request.by;
  spec.via = "terminal";
  spec.terminal = model::Terminal::yes;
  spec.rows = request.rows;
  spec.cols = request.cols;
  spec.stdin_mode = model::Stdin::open;
  spec.timeout = {};
  spec.max_output_bytes = 0;
  CO_TRY(model::validate(spec));
  CO_TRY_ASSIGN(const std::uint8_t id, free_id());
  auto one = std::make_shared<One>(group_.executor(), request.scrollback);
  one->info.id = id;
  one->info.command = std::move(request.command);
  one->info.rows = request.rows;
  one->info.cols = request.cols;
  one->info.scrollback = request.scrollback;
  one->info.created_at = std::chrono::system_clock::now();
  ++starting_;
  auto process = co_await start_(std::move(spec));
  --starting_;
  if (!process) co_return fail(std::move(process.error()));
  if (group_.closed()) co_return fail(Code::Unavailable, "the workspace was restarted meanwhile", "ask again");
  one->process = std::move(*process);
  terminals_[id] = one;
  group_.spawn("terminal", pump_output(one));
  group_.spawn("input of a terminal", pump_input(one));
  co_return one->info;
}

Task<void> Terminals::follow(One& one) {
  using loop::asio::experimental::awaitable_operators::operator||;
  const auto process = one.process;
  for (;;) {
    std::optional<vm::Output> output;
    if (one.close_asked) {
      CO_TRY_ASSIGN(output, co_await loop::with_deadline(process->read(), kKillGrace, "end a closed terminal"));
    } else {
      auto first = co_await (process->read() || one.closed.wait());
      if (first.index() == 1) {
        CO_TRY(std::get<1>(first));
        continue;
      }
      CO_TRY_ASSIGN(output, std::get<0>(std::move(first)));
    }
    if (!output) co_return Status{};
    one.kept.append(output->bytes);
    if (!one.close_asked) CO_TRY(co_await hub_.publish({TerminalOutput{one.info.id, std::move(output->bytes)}}));
  }
}

Task<void> Terminals::pump_output(OnePtr one) {
  struct Ending {
    One& one;
    explicit Ending(One& of) : one(of) {}
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;
    ~Ending() {
      if (one.info.alive) one.end(std::nullopt);
    }
  };
  const Ending ending(*one);
  const Status followed = co_await follow(*one);
  one->end(followed ? std::optional<int>(one->process->exit_status().code) : std::nullopt);
  if (one->close_asked) co_return Status{};
  co_return co_await hub_.publish({TerminalExit{one->info.id, one->info.exit_code.value_or(-1)}});
}

Task<void> Terminals::pump_input(OnePtr one) {
  for (;;) {
    CO_TRY(co_await one->typed_something.wait());
    const auto process = one->process;
    if (!process) co_return Status{};
    while (!one->typed.empty()) {
      if (!co_await process->write(std::exchange(one->typed, {}))) co_return Status{};
    }
  }
}

Result<Terminals::OnePtr> Terminals::find(std::uint8_t id) const {
  const auto found = terminals_.find(id);
  if (found == terminals_.end()) {
    return fail(Code::NotFound, cat("there is no terminal '", static_cast<int>(id), "' in this workspace"));
  }
  return found->second;
}

std::vector<TerminalInfo> Terminals::list() const {
  std::vector<TerminalInfo> all;
  all.reserve(terminals_.size());
  for (const auto& [id, one] : terminals_) all.push_back(one->info);
  return all;
}

Result<TerminalInfo> Terminals::get(std::uint8_t id) const {
  TRY_ASSIGN(const OnePtr one, find(id));
  return one->info;
}

Status Terminals::close(std::uint8_t id) {
  TRY_ASSIGN(const OnePtr one, find(id));
  terminals_.erase(id);
  const bool was_alive = one->info.alive;
  one->close();
  // 128 + SIGKILL: what those who are attached would have heard.
  if (was_alive) hub_.publish_now({TerminalExit{id, 128 + SIGKILL}});
  return {};
}

Status Terminals::resize(std::uint8_t id, std::uint16_t rows, std::uint16_t cols) {
  TRY_ASSIGN(const OnePtr one, find(id));
  one->info.rows = rows;
  one->info.cols = cols;
  return one->process ? one->process->resize(rows, cols) : Status{};
}

Status Terminals::type(std::uint8_t id, std::string_view bytes) {
  TRY_ASSIGN(const OnePtr one, find(id));
  if (!one->info.alive) return fail(Code::FailedPrecondition, cat("terminal '", static_cast<int>(id), "' has ended"));
  if (one->typed.size() + bytes.size() > kMaxTyped) {
    return fail(Code::ResourceExhausted, cat("the program in terminal '", static_cast<int>(id), "' reads nothing"));
  }
  one->typed += bytes;
  one->typed_something.notify();
  return {};
}

Result<std::string> Terminals::scrollback(std::uint8_t id, std::size_t most) const {
  TRY_ASSIGN(const OnePtr one, find(id));
  return std::string(one->kept.last(most));
}

Status Terminals::clear_scrollback(std::uint8_t id) {
  TRY_ASSIGN(const OnePtr one, find(id));
  one->kept.clear();
  return {};
}

Status Terminals::set_scrollback(std::uint8_t id, std::size_t bound) {
  TRY_ASSIGN(const OnePtr one, find(id));
  one->kept.set_capacity(bound);
  one->info.scrollback = bound;
  return {};
}

void Terminals::replay(std::deque<SessionEvent>& into) const {
  for (const auto& [id, one] : terminals_) {
    std::string_view all = one->kept.all();
    for (; !all.empty(); all.remove_prefix(std::min(all.size(), kReplayPiece))) {
      into.push_back({TerminalOutput{id, std::string(all.substr(0, kReplayPiece))}});
    }
  }
  for (const auto& [id, one] : terminals_) {
    if (!one->info.alive) into.push_back({TerminalExit{id, one->info.exit_code.value_or(-1)}});
  }
}

}  // namespace cofferdam::runtime
