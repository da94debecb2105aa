#include "runtime/tar_feed.h"

#include <boost/asio/post.hpp>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "loop/event.h"

namespace cofferdam::runtime {
namespace {

constexpr std::size_t kMaxItems = 16;

}  // namespace

// Held by the loop's side until the thread is done with it, which therefore needs no hold of its own.
struct TarFeed::Shared {
  explicit Shared(const loop::asio::any_io_executor& on) : executor(on), changed(on) {}
  loop::asio::any_io_executor executor;
  loop::Event changed;  // the loop's

  std::mutex mutex;
  std::condition_variable wake;  // the thread's
  std::deque<Item> items;
  std::string input;
  bool has_input = false, wants_input = false, abandoned = false, done = false;
  Status outcome;
  std::string piece;  // the thread's own

  void tell_loop() {
    loop::asio::post(executor, [this] { changed.notify(); });
  }
  Result<std::string_view> take_input() {
    std::unique_lock lock(mutex);
    wants_input = true;
    tell_loop();
    wake.wait(lock, [&] { return has_input || abandoned; });
    wants_input = false;
    if (abandoned) return fail(Code::Cancelled, "nobody wants the archive any more");
    has_input = false;
    piece = std::move(input);
    return std::string_view(piece);
  }
  Status put(Item item) {
    std::unique_lock lock(mutex);
    wake.wait(lock, [&] { return items.size() < kMaxItems || abandoned; });
    if (abandoned) return fail(Code::Cancelled, "nobody wants the archive any more");
    items.push_back(std::move(item));
    tell_loop();
    return {};
  }
  Status unpack() {
    TRY_ASSIGN(const auto reader, TarReader::open([this] { return take_input(); }));
    for (;;) {
      TRY_ASSIGN(auto entry, reader->next());
      if (!entry) return {};
      const bool file = entry->type == TarEntry::Type::file;
      TRY(put(std::move(*entry)));
      while (file) {
        TRY_ASSIGN(std::string bytes, reader->data());
        if (bytes.empty()) break;
        TRY(put(std::move(bytes)));
      }
    }
  }
};

TarFeed::TarFeed(loop::TaskGroup& group, loop::WorkerPool& workers, Source source)
    : shared_(std::make_shared<Shared>(group.executor())), source_(std::move(source)) {
  group.spawn("unpack an archive", watch(shared_, &workers));
}

TarFeed::~TarFeed() {
  const std::lock_guard lock(shared_->mutex);
  shared_->abandoned = true;
  shared_->wake.notify_all();
}

Task<void> TarFeed::watch(std::shared_ptr<Shared> shared, loop::WorkerPool* workers) {
  co_await loop::asio::this_coro::reset_cancellation_state(loop::asio::disable_cancellation());
  Status outcome = co_await workers->run([shared = shared.get()] { return shared->unpack(); });
  {
    const std::lock_guard lock(shared->mutex);
    shared->outcome = std::move(outcome);
    shared->done = true;
  }
  shared->changed.notify();
  co_return Status{};
}

Task<std::optional<TarFeed::Item>> TarFeed::next() {
  const auto shared = shared_;
  for (;;) {
    bool wants_input = false;
    {
      const std::lock_guard lock(shared->mutex);
      if (!shared->items.empty()) {
        std::optional<Item> item(std::move(shared->items.front()));
        shared->items.pop_front();
        shared->wake.notify_all();
        co_return item;
      }
      if (shared->done && !shared->outcome) co_return fail(shared->outcome.error());
      if (shared->done) co_return std::optional<Item>();
      wants_input = shared->wants_input && !shared->has_input;
    }
    if (!wants_input) {
      CO_TRY(co_await shared->changed.wait());
      continue;
    }
    CO_TRY_ASSIGN(std::string piece, co_await source_());
    const std::lock_guard lock(shared->mutex);
    shared->input = std::move(piece);
    shared->has_input = true;
    shared->wake.notify_all();
  }
}

}  // namespace cofferdam::runtime
