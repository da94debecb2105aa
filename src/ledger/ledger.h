// The ledger of the daemon: a bounded queue on the loop, and one thread that writes what is in it.
//
// Theory of operation. What is recorded or noted is stamped, cleaned of secrets and queued; a single task takes all
// that is there, writes it as one batch on a thread of its own, and then tells those who wait: while one batch is being
// made durable the next one gathers, so that entries share the wait for the disk. The start of a command is written
// when its guest has answered that it runs, since until then every core is busy with that; the end, for which nobody
// waits, with what comes next; both, some milliseconds later anyway: a command costs one batch, not two. A batch that
// cannot be written fails those who wait; what was only noted stays queued for another try, and what there is no room
// for is counted by kind: the count is the first entry that is written again.
#pragma once
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ledger/appender.h"
#include "ledger/proof.h"
#include "ledger/query.h"
#include "ledger/recorder.h"
#include "ledger/redactor.h"
#include "loop/feed.h"
#include "loop/task_group.h"
#include "loop/worker_pool.h"

namespace cofferdam::ledger {

struct LedgerOptions {
  AppenderOptions files;
  std::chrono::milliseconds sign_every{1000};
  std::uint64_t sign_after = 10'000;  // entries without a signature
  std::chrono::milliseconds key_epoch = std::chrono::hours(1);
  std::optional<std::chrono::hours> keep;  // nullopt: for ever
  std::function<Pending(model::Entry)> stamp = happened_now;
  std::size_t max_queued = 65'536;  // of which floods, such as refused connections, get half
};

struct LedgerStatus {
  std::string origin;
  std::uint64_t size = 0, unsigned_entries = 0;
  std::uint64_t dropped = 0;  // since the start
  std::string trouble;        // why nothing can be written now; empty: all is well
};

// A new entry, durable.
struct News {
  std::string bytes;
  Decoded entry;
};

// Used on the loop only, but for the calls that say so.
class Ledger final : public Recorder {
 public:
  // Blocks: opens the log or makes it, lets a new key take over, says what a crash had left.
  static Result<std::unique_ptr<Ledger>> open(const loop::asio::any_io_executor& executor, LedgerOptions options);
  ~Ledger() override;

  void start();
  // Writes and signs what is there, and ends. Nothing is recorded afterwards.
  Task<void> close();

  Task<void> record(model::Entry entry) override;
  void note(model::Entry entry) override;
  void hurry() override;
  [[nodiscard]] std::uint64_t mark() const override { return enqueued_; }
  Task<void> settled(std::uint64_t mark) override;
  using Recorder::settled;
  // As settled(), for those who only read: no longer than a second, and no error when the ledger cannot be written.
  Task<void> catch_up();
  [[nodiscard]] Status ready() const override;
  void conceal(const std::string& namespace_id, std::string_view value) override;

  [[nodiscard]] LedgerStatus status() const;
  [[nodiscard]] std::uint64_t size() const { return state_.size; }
  // The newest, a note.
  [[nodiscard]] const std::string& checkpoint() const { return state_.checkpoint; }
  // The chain of keys as it is written; see key_chain.h.
  Task<std::string> keys();
  // What a backup holds. The key in it signs nothing but the moment of the copy: the one of before has ended with it,
  // and here another one takes over before this answers.
  Task<LedgerCopy> copy();
  // Among durable entries only; `before` absent: from the newest, what was noted before this call among them
  // (catch_up()).
  Task<EventPage> events(EventFilter filter, std::optional<std::uint64_t> before, std::size_t limit);
  // Those durable now, from a number on: see EntryReader::read. The reader is whose turn it is.
  Task<std::vector<std::string>> read(std::shared_ptr<EntryReader> reader, std::size_t limit);
  // Entries from now on, as they become durable. A slow reader misses some, and can read them.
  std::shared_ptr<loop::Feed<std::shared_ptr<const News>>> follow() { return feeds_.open(executor_); }
  // Against the newest checkpoint, which is made first when it does not hold the entry. FailedPrecondition: it was not
  // signed in time.
  Task<EntryProof> prove(std::uint64_t number);
  // Of several, in their order, against one checkpoint of this log that holds them all. InvalidArgument: it does not.
  Task<std::vector<EntryProof>> prove_under(std::vector<std::uint64_t> numbers, std::string checkpoint);
  // Of every entry there is now, noted ones too (catch_up()). FailedPrecondition: it was not made in time.
  Task<std::string> checkpoint_of_now();
  // Between two sizes of the tree. `to` 0: the newest checkpoint's.
  Task<std::vector<Hash>> prove_consistency(std::uint64_t from, std::uint64_t to);
  // Runs blocking work of an exporter on a thread that nobody's entry waits for.
  template <class Work>
  auto offload(Work work) {
    return exporter_.run(std::move(work));
  }
  [[nodiscard]] const std::string& folder() const { return options_.files.folder; }

 private:
  struct Waiter;
  struct Queued {
    Pending pending;
    std::shared_ptr<Waiter> waiter;  // of record()
  };
  // What the thread that writes has left, for the loop to see.
  struct State {
    std::string origin, checkpoint;
    std::uint64_t size = 0, unsigned_entries = 0;
    bool has_room = true;
  };
  struct Work;
  struct Outcome;
  using Clock = std::chrono::steady_clock;

  Ledger(const loop::asio::any_io_executor& executor, LedgerOptions options, std::unique_ptr<Appender> appender);
  [[nodiscard]] State look() const;
  Task<void> pump();
  Task<void> wait_for_work();
  [[nodiscard]] Work take_work();
  Outcome do_work(Work work);
  void take_outcome(Outcome outcome);
  // `company`: so long it may wait for others.
  void enqueue(model::Entry entry, std::shared_ptr<Waiter> waiter, std::chrono::milliseconds company);
  // All that is queued by now.
  void write_by(Clock::time_point when);
  void notice_clock(const Pending& now);
  void drop(const Pending& pending);
  void release_barriers();
  Task<void> wait_until_signed(std::uint64_t size);

  loop::asio::any_io_executor executor_;
  LedgerOptions options_;
  std::unique_ptr<Appender> appender_;  // used on writer_ once it has started
  Redactor redactor_;
  State state_;
  std::deque<Queued> queue_;
  std::optional<Clock::time_point> write_by_;  // what is queued
  std::uint64_t enqueued_ = 0, finished_ = 0;  // entries that ever were queued, and that are durable or given up
  std::deque<std::pair<std::uint64_t, std::shared_ptr<Waiter>>> barriers_;
  std::optional<Error> trouble_;
  std::map<std::string, std::uint64_t, std::less<>> gap_;  // dropped, by kind
  std::int64_t gap_since_us_ = 0, gap_until_us_ = 0;
  std::uint64_t dropped_ = 0;
  std::optional<std::int64_t> clock_offset_us_;  // of the wall clock against the uptime
  Clock::time_point signed_at_, keyed_at_, pruned_at_;
  bool sign_now_ = false, closing_ = false, started_ = false;
  loop::asio::steady_timer wake_;  // of the one who writes
  loop::Feeds<std::shared_ptr<const News>> feeds_;
  loop::WorkerPool writer_{1}, reader_{1}, exporter_{1};
  loop::TaskGroup tasks_;
};

}  // namespace cofferdam::ledger
