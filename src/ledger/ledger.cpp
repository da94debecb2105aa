#include "ledger/ledger.h"

#include <algorithm>
#include <array>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "ledger/folder.h"
#include "loop/deadline.h"

namespace cofferdam::ledger {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kBatch = 8192;
constexpr std::size_t kBatchWithoutRoom = 64;  // so that some still fit
constexpr auto kTick = 1000ms;                 // between tries when something is wrong
constexpr auto kPruneEvery = 1h;
constexpr auto kSettleLimit = 30s;
constexpr auto kSignLimit = 5s;
constexpr auto kCatchUpLimit = 1s;
// So long an entry waits for others to be written with, unless somebody hurries. The start of a command: while it is on
// its way into its guest, every core is busy with that. Its end: nobody waits for it.
constexpr auto kCompany = 20ms;
constexpr std::size_t kCrowd = 1024;
constexpr std::int64_t kClockJumpUs = 1'000'000;

// Kinds that a guest can cause as many of as it likes.
bool may_flood(const model::Event& event) {
  constexpr std::array kFloods = {model::ConnectionAllowed::kKind.number, model::ConnectionRefused::kKind.number,
                                  model::ConnectionClosed::kKind.number, model::TokenRefused::kKind.number,
                                  model::ApiRefused::kKind.number};
  return std::find(kFloods.begin(), kFloods.end(), event.kind().number) != kFloods.end();
}

std::chrono::milliseconds company_of(const model::Event& event) {
  const bool waits = event.as<model::ExecStarted>() != nullptr || event.as<model::SecretUsed>() != nullptr ||
                     event.as<model::ExecEnded>() != nullptr;
  return waits ? kCompany : 0ms;
}

// `proof` has its number and its checkpoint.
Status fill_proof(EntryProof& proof, const std::string& folder, const Checkpoint& tree, const NodeFile& nodes) {
  const auto read = [&](unsigned level, std::uint64_t index) { return nodes.read(level, index); };
  TRY_ASSIGN(proof.hashes, inclusion_proof(proof.number, tree.size, read));
  TRY_ASSIGN(proof.entry, read_entry(folder, proof.number));
  // What was written down of the tree is no evidence: a proof that does not hold is not given out.
  return check_inclusion(proof.number, tree.size, leaf_hash(proof.entry), proof.hashes, tree.root);
}

}  // namespace

struct Ledger::Waiter {
  // Its timer is the deadline, too: thousands may wait at once, and each costs no more than that.
  explicit Waiter(const loop::asio::any_io_executor& executor) : timer_(executor, kSettleLimit) {}

  void end(Status with) {
    outcome_ = std::move(with);
    ended_ = true;
    timer_.cancel();
  }
  Task<void> wait() {
    if (!ended_) (void)co_await timer_.async_wait(loop::as_result);
    if (ended_) co_return outcome_;
    const auto state = co_await loop::asio::this_coro::cancellation_state;
    if (state.cancelled() != loop::asio::cancellation_type::none) co_return fail(Code::Cancelled, "wait cancelled");
    co_return fail(Code::DeadlineExceeded, "write to the ledger: the disk has not answered in time");
  }

 private:
  loop::asio::steady_timer timer_;
  Status outcome_;
  bool ended_ = false;
};

struct Ledger::Work {
  std::vector<Queued> batch;
  bool gap = false;  // its first is the count of what was dropped
  Sign sign = Sign::no;
  bool advance_key = false, prune = false;
};

struct Ledger::Outcome {
  Work work;
  Result<std::vector<std::string>> written;
  Status keyed, pruned;
  State state;
};

Result<std::unique_ptr<Ledger>> Ledger::open(const loop::asio::any_io_executor& executor, LedgerOptions options) {
  TRY_ASSIGN(auto appender, Appender::open(options.files));
  if (const auto& left = appender->recovery(); left.cut_bytes > 0 || left.unsigned_count > 0) {
    model::LedgerRecovered recovered;
    recovered.cut_bytes = static_cast<std::int64_t>(left.cut_bytes);
    recovered.unsigned_from = static_cast<std::int64_t>(left.unsigned_from);
    recovered.unsigned_count = static_cast<std::int64_t>(left.unsigned_count);
    const std::vector<Pending> entry{happened_now({{}, {}, recovered})};
    TRY(appender->commit(entry, Sign::no));
  }
  TRY(appender->advance_key());
  return std::unique_ptr<Ledger>(new Ledger(executor, std::move(options), std::move(appender)));
}

Ledger::Ledger(const loop::asio::any_io_executor& executor, LedgerOptions options, std::unique_ptr<Appender> appender)
    : executor_(executor),
      options_(std::move(options)),
      appender_(std::move(appender)),
      state_(look()),
      signed_at_(Clock::now()),
      keyed_at_(Clock::now()),
      wake_(executor),
      tasks_(executor) {}

Ledger::~Ledger() = default;

Ledger::State Ledger::look() const {
  return {appender_->origin(), appender_->checkpoint(), appender_->size(), appender_->unsigned_entries(),
          appender_->has_room()};
}

void Ledger::start() {
  started_ = true;
  tasks_.spawn("ledger", pump());
}

Task<void> Ledger::close() {
  if (!started_) co_return Status{};
  closing_ = true;
  wake_.cancel();
  CO_TRY(co_await tasks_.join());
  for (const auto& queued : queue_) {
    if (!queued.waiter) continue;
    queued.waiter->end(trouble_ ? Status(fail(*trouble_)) : Status(fail(Code::Unavailable, "the ledger was closed")));
  }
  feeds_.close();
  auto close = [this] { return appender_->close(); };
  co_return co_await writer_.run(std::move(close));
}

// -- what comes in
// -----------------------------------------------------------------------------------------------------

Status Ledger::ready() const {
  if (closing_) return fail(Code::Unavailable, "the ledger has been closed: the daemon is ending");
  if (!state_.has_room) {
    return fail(Code::ResourceExhausted,
                cat("nothing is changed now: the ledger has no room to write it down in '", folder(), "'"),
                "make room on that disk; what runs goes on, and changes are taken again within a second");
  }
  if (trouble_) {
    return fail(Code::Unavailable, cat("nothing is changed now: the ledger cannot write it down: ", trouble_->message),
                trouble_->hint);
  }
  if (queue_.size() >= options_.max_queued) {
    return fail(Code::ResourceExhausted, "nothing is changed now: the ledger has more to write than it can hold",
                "ask again in a moment");
  }
  return {};
}

void Ledger::conceal(const std::string& namespace_id, std::string_view value) {
  redactor_.conceal(namespace_id, value);
}

// Two clocks that go at one speed: a step of the wall clock shows as soon as something happens.
void Ledger::notice_clock(const Pending& now) {
  const std::int64_t offset = now.time_us - static_cast<std::int64_t>(now.uptime_us);
  const std::int64_t by = clock_offset_us_ ? offset - *clock_offset_us_ : 0;
  clock_offset_us_ = offset;
  if (std::abs(by) < kClockJumpUs) return;
  model::ClockJumped jumped;
  jumped.by_us = by;
  queue_.push_back({{{{}, {}, jumped}, now.time_us, now.uptime_us}, nullptr});
  ++enqueued_;
}

void Ledger::enqueue(model::Entry entry, std::shared_ptr<Waiter> waiter, std::chrono::milliseconds company) {
  redactor_.clean(entry);
  Pending pending = options_.stamp(std::move(entry));
  notice_clock(pending);
  queue_.push_back({std::move(pending), std::move(waiter)});
  ++enqueued_;
  write_by(queue_.size() >= kCrowd ? Clock::time_point::min() : Clock::now() + company);
}

void Ledger::write_by(Clock::time_point when) {
  if (write_by_ && *write_by_ <= when) return;
  write_by_ = when;
  if (when < wake_.expiry()) wake_.cancel();
}

void Ledger::hurry() {
  if (!queue_.empty()) write_by(Clock::time_point::min());
}

Task<void> Ledger::record(model::Entry entry) {
  CO_TRY(ready());
  auto waiter = std::make_shared<Waiter>(executor_);
  enqueue(std::move(entry), waiter, 0ms);
  co_return co_await waiter->wait();
}

void Ledger::note(model::Entry entry) {
  const std::size_t most = may_flood(entry.event) ? options_.max_queued / 2 : options_.max_queued;
  if (closing_ || queue_.size() >= most) {
    drop(options_.stamp(std::move(entry)));
    return;
  }
  const auto company = company_of(entry.event);
  enqueue(std::move(entry), nullptr, company);
}

void Ledger::drop(const Pending& pending) {
  if (gap_.empty()) gap_since_us_ = pending.time_us;
  gap_until_us_ = pending.time_us;
  ++gap_[std::string(pending.entry.event.kind().name)];
  ++dropped_;
}

Task<void> Ledger::settled(std::uint64_t mark) {
  if (finished_ >= mark) co_return Status{};
  if (trouble_) co_return fail(*trouble_);
  auto waiter = std::make_shared<Waiter>(executor_);
  // Few marks are older than those that others wait for.
  const auto behind =
      std::find_if(barriers_.rbegin(), barriers_.rend(), [&](const auto& barrier) { return barrier.first <= mark; });
  barriers_.emplace(behind.base(), mark, waiter);
  hurry();
  co_return co_await waiter->wait();
}

Task<void> Ledger::catch_up() {
  const auto done = co_await loop::with_deadline(settled(), kCatchUpLimit, "what was noted before");
  if (!done && done.error().code == Code::Cancelled) co_return done;
  co_return Status{};
}

// -- the one who writes
// ------------------------------------------------------------------------------------------------

Task<void> Ledger::pump() {
  for (;;) {
    CO_TRY(co_await wait_for_work());
    Work work = take_work();
    const bool last = closing_ && work.batch.empty();
    auto write = [this, work = std::move(work)]() mutable { return do_work(std::move(work)); };
    take_outcome(co_await writer_.run(std::move(write)));
    // What cannot be written when the daemon ends is lost: there is nobody left to try again.
    if (last || (closing_ && trouble_)) co_return Status{};
  }
}

Task<void> Ledger::wait_for_work() {
  const auto began = Clock::now();
  for (;;) {
    const bool unwell = trouble_ || !state_.has_room;
    auto until = began + kPruneEvery;
    if (!unwell) until = std::min(until, keyed_at_ + options_.key_epoch);
    if (state_.unsigned_entries > 0) until = std::min(until, signed_at_ + options_.sign_every);
    if (unwell) until = std::min(until, began + kTick);
    if (write_by_ && !trouble_) until = std::min(until, *write_by_);
    if (closing_ || sign_now_ || until <= Clock::now()) co_return Status{};
    wake_.expires_at(until);
    (void)co_await wake_.async_wait(loop::as_result);
    const auto state = co_await loop::asio::this_coro::cancellation_state;
    if (state.cancelled() != loop::asio::cancellation_type::none) co_return fail(Code::Cancelled, "wait cancelled");
  }
}

Ledger::Work Ledger::take_work() {
  Work work;
  const auto now = Clock::now();
  if (!gap_.empty()) {
    model::LedgerGap gap;
    for (const auto& [kind, count] : gap_) {
      gap.dropped += static_cast<std::int64_t>(count);
      gap.kinds.push_back(cat(kind, " ", count));
    }
    gap.since_us = gap_since_us_;
    gap.until_us = gap_until_us_;
    work.batch.push_back({options_.stamp({{}, {}, gap}), nullptr});
    work.gap = true;
    gap_.clear();
  }
  const bool unwell = trouble_ || !state_.has_room;
  const std::size_t most = unwell ? kBatchWithoutRoom : kBatch;
  while (!queue_.empty() && work.batch.size() < most) {
    work.batch.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  write_by_.reset();
  if (!queue_.empty()) write_by_ = now;
  const auto without = state_.unsigned_entries + work.batch.size();
  const bool due = now - signed_at_ >= options_.sign_every || without >= options_.sign_after || sign_now_ || closing_;
  work.sign = without > 0 && due ? Sign::yes : Sign::no;
  work.advance_key = !unwell && now - keyed_at_ >= options_.key_epoch;
  work.prune = !unwell && options_.keep && now - pruned_at_ >= kPruneEvery;
  sign_now_ = false;
  return work;
}

// On the thread that writes.
Ledger::Outcome Ledger::do_work(Work work) {
  Outcome outcome;
  appender_->reserve();
  std::vector<Pending> batch;
  batch.reserve(work.batch.size());
  for (auto& queued : work.batch) batch.push_back(std::move(queued.pending));
  outcome.written = appender_->commit(batch, work.sign);
  for (std::size_t i = 0; i < batch.size(); ++i) work.batch[i].pending = std::move(batch[i]);
  if (outcome.written && work.advance_key) outcome.keyed = appender_->advance_key();
  if (outcome.written && work.prune) {
    const auto now = std::chrono::system_clock::now().time_since_epoch() - *options_.keep;
    auto pruned = appender_->prune(std::chrono::duration_cast<std::chrono::microseconds>(now).count());
    if (!pruned) outcome.pruned = fail(std::move(pruned.error()));
  }
  outcome.state = look();
  outcome.work = std::move(work);
  return outcome;
}

void Ledger::take_outcome(Outcome outcome) {
  const auto now = Clock::now();
  Work& work = outcome.work;
  if (outcome.state.unsigned_entries == 0 || work.sign == Sign::yes) signed_at_ = now;
  if (work.advance_key) keyed_at_ = now;
  if (work.prune) pruned_at_ = now;
  for (const auto* also : {&outcome.keyed, &outcome.pruned}) {
    if (!*also) log_error("the upkeep of the ledger failed", {{"error", also->error().message}});
  }
  state_ = std::move(outcome.state);
  if (!outcome.written) {
    if (!trouble_) log_error("the ledger cannot be written", {{"error", outcome.written.error().message}});
    trouble_ = outcome.written.error();
    // From the back, so that what stays queued stays in order.
    for (auto queued = work.batch.rbegin(); queued != work.batch.rend(); ++queued) {
      const bool is_gap = work.gap && std::next(queued) == work.batch.rend();
      if (is_gap) {
        const auto& gap = *queued->pending.entry.event.as<model::LedgerGap>();
        for (const auto& kind : gap.kinds) {
          const auto blank = kind.rfind(' ');
          gap_[kind.substr(0, blank)] += parse_whole(kind.substr(blank + 1)).value_or(0);
        }
        gap_since_us_ = gap.since_us;
        gap_until_us_ = std::max(gap_until_us_, static_cast<std::int64_t>(gap.until_us));
      } else if (queued->waiter) {
        ++finished_;
        queued->waiter->end(fail(*trouble_));
      } else {
        queue_.push_front(std::move(*queued));
        write_by_ = now;  // once it can be written again
      }
    }
    release_barriers();
    return;
  }
  if (trouble_) log_info("the ledger is written again");
  trouble_.reset();
  finished_ += work.batch.size() - (work.gap ? 1 : 0);
  for (const auto& queued : work.batch) {
    if (queued.waiter) queued.waiter->end({});
  }
  release_barriers();
  if (!feeds_.wanted()) return;
  for (auto& bytes : *outcome.written) {
    auto entry = decode(bytes);
    if (!entry) continue;
    const auto news = std::make_shared<const News>(News{std::move(bytes), std::move(*entry)});
    feeds_.push(news);
  }
}

void Ledger::release_barriers() {
  while (!barriers_.empty() && (trouble_ || barriers_.front().first <= finished_)) {
    const auto waiter = std::move(barriers_.front().second);
    barriers_.pop_front();
    waiter->end(trouble_ ? Status(fail(*trouble_)) : Status());
  }
}

// -- what goes out
// -----------------------------------------------------------------------------------------------------

LedgerStatus Ledger::status() const {
  LedgerStatus status{state_.origin, state_.size, state_.unsigned_entries, dropped_, {}};
  if (const auto well = ready(); !well) status.trouble = well.error().message;
  return status;
}

Task<std::string> Ledger::keys() {
  auto work = [path = keys_path(folder())] { return read_file(path, kMaxKeysBytes); };
  co_return co_await reader_.run(std::move(work));
}

Task<LedgerCopy> Ledger::copy() {
  auto work = [this]() -> Result<std::pair<LedgerCopy, State>> {
    auto made = appender_->copy();
    if (!made) return fail(std::move(made.error()).in("copy the ledger"));
    return std::pair(std::move(*made), look());
  };
  CO_TRY_ASSIGN(auto made, co_await writer_.run(std::move(work)));
  // A batch that was written since may have told of itself before.
  if (made.second.size > state_.size) state_ = std::move(made.second);
  co_return std::move(made.first);
}

Task<EventPage> Ledger::events(EventFilter filter, std::optional<std::uint64_t> before, std::size_t limit) {
  if (!before) {
    CO_TRY(co_await catch_up());
  }
  const auto end = std::min(before.value_or(state_.size), state_.size);
  auto work = [folder = folder(), filter = std::move(filter), end, limit] {
    return find_events(folder, filter, end, limit);
  };
  co_return co_await reader_.run(std::move(work));
}

Task<std::vector<std::string>> Ledger::read(std::shared_ptr<EntryReader> reader, std::size_t limit) {
  auto work = [reader = std::move(reader), until = state_.size, limit] { return reader->read(until, limit); };
  co_return co_await reader_.run(std::move(work));
}

Task<void> Ledger::wait_until_signed(std::uint64_t size) {
  const auto end = Clock::now() + kSignLimit;
  for (;;) {
    CO_TRY_ASSIGN(const Note note, parse_note(state_.checkpoint));
    CO_TRY_ASSIGN(const Checkpoint newest, parse_checkpoint(note.text));
    if (newest.size >= size) co_return Status{};
    if (Clock::now() >= end) {
      co_return fail(Code::FailedPrecondition, "no checkpoint holds that entry yet", "ask again in a moment");
    }
    sign_now_ = true;
    wake_.cancel();
    CO_TRY(co_await loop::sleep_for(5ms));
  }
}

Task<EntryProof> Ledger::prove(std::uint64_t number) {
  if (number >= state_.size) co_return fail(Code::NotFound, cat("the ledger has no entry ", number));
  CO_TRY(co_await wait_until_signed(number + 1));
  CO_TRY_ASSIGN(auto proofs, co_await prove_under({number}, state_.checkpoint));
  co_return std::move(proofs.front());
}

Task<std::vector<EntryProof>> Ledger::prove_under(std::vector<std::uint64_t> numbers, std::string checkpoint) {
  auto work = [folder = folder(), numbers = std::move(numbers),
               checkpoint = std::move(checkpoint)]() -> Result<std::vector<EntryProof>> {
    TRY_ASSIGN(const Note note, parse_note(checkpoint));
    TRY_ASSIGN(const Checkpoint tree, parse_checkpoint(note.text));
    TRY_ASSIGN(const NodeFile nodes, NodeFile::open(folder));
    std::vector<EntryProof> proofs;
    for (const auto number : numbers) {
      EntryProof proof;
      proof.number = number;
      proof.checkpoint = note;
      TRY(fill_proof(proof, folder, tree, nodes));
      proofs.push_back(std::move(proof));
    }
    return proofs;
  };
  co_return co_await reader_.run(std::move(work));
}

Task<std::string> Ledger::checkpoint_of_now() {
  CO_TRY(co_await catch_up());
  CO_TRY(co_await wait_until_signed(state_.size));
  co_return state_.checkpoint;
}

Task<std::vector<Hash>> Ledger::prove_consistency(std::uint64_t from, std::uint64_t to) {
  CO_TRY_ASSIGN(const Note note, parse_note(state_.checkpoint));
  CO_TRY_ASSIGN(const Checkpoint newest, parse_checkpoint(note.text));
  const auto end = to == 0 ? newest.size : to;
  if (end > state_.size) co_return fail(Code::NotFound, cat("the ledger has not ", end, " entries yet"));
  CO_TRY(co_await wait_until_signed(end));
  auto work = [folder = folder(), from, end]() -> Result<std::vector<Hash>> {
    TRY_ASSIGN(const NodeFile nodes, NodeFile::open(folder));
    const auto read = [&](unsigned level, std::uint64_t index) { return nodes.read(level, index); };
    return consistency_proof(from, end, read);
  };
  co_return co_await reader_.run(std::move(work));
}

}  // namespace cofferdam::ledger
