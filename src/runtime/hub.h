// From one producer to any number of listeners, each with a bounded queue of its own.
#pragma once
#include <algorithm>
#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "loop/deadline.h"
#include "loop/event.h"

namespace cofferdam::runtime {

using loop::Task;

// A listener that takes nothing for so long is let go: it must not hold back the others for ever.
inline constexpr std::chrono::milliseconds kListenerPatience = std::chrono::seconds(10);
inline constexpr std::size_t kListenerBytes = 256U << 10;

// Used on the loop's thread only. `Item` has a member size(): its bytes, for the bound.
template <class Item>
class Hub {
  struct Queue {
    explicit Queue(const loop::asio::any_io_executor& executor) : arrived(executor), room(executor) {}
    std::deque<Item> items;
    std::size_t bytes = 0;
    bool closed = false, gone = false, too_slow = false;
    loop::Event arrived, room;

    void put(Item item) {
      bytes += item.size();
      items.push_back(std::move(item));
      arrived.notify();
    }
    [[nodiscard]] bool has_room(std::size_t more) const { return items.empty() || bytes + more <= kListenerBytes; }
  };

 public:
  // One listener; it stops listening when this goes. May outlive the hub.
  class Listener {
   public:
    Listener(Listener&&) noexcept = default;
    Listener& operator=(Listener&&) = delete;
    ~Listener() {
      if (!queue_) return;
      queue_->gone = true;
      queue_->room.notify();
    }
    // nullopt at the end. ResourceExhausted: this listener was too slow and has missed something. One call at a time.
    Task<std::optional<Item>> next() {
      CO_TRY(co_await wait());
      if (queue_->too_slow) co_return fail(Code::ResourceExhausted, "the reader was too slow for what it listened to");
      if (queue_->items.empty()) co_return std::optional<Item>();
      std::optional<Item> item(std::move(queue_->items.front()));
      queue_->items.pop_front();
      queue_->bytes -= item->size();
      queue_->room.notify();
      co_return item;
    }
    // True when next() would not wait.
    [[nodiscard]] bool ready() const { return !queue_->items.empty() || queue_->closed || queue_->too_slow; }
    // Returns when ready(). May be cancelled: nothing is lost.
    Task<void> wait() {
      const auto queue = queue_;
      while (queue->items.empty() && !queue->closed && !queue->too_slow) CO_TRY(co_await queue->arrived.wait());
      co_return Status{};
    }

   private:
    friend class Hub;
    explicit Listener(std::shared_ptr<Queue> queue) : queue_(std::move(queue)) {}
    std::shared_ptr<Queue> queue_;
  };

  explicit Hub(loop::asio::any_io_executor executor) : executor_(std::move(executor)) {}

  // Hears `replay` first, however long it is, then all that is published from now on.
  Listener listen(std::deque<Item> replay) {
    auto queue = std::make_shared<Queue>(executor_);
    for (auto& item : replay) queue->put(std::move(item));
    queue->closed = closed_;
    std::erase_if(queues_, [](const auto& one) { return one->gone; });
    queues_.push_back(queue);
    return Listener(std::move(queue));
  }
  // Waits for those that are slow, and lets go of the ones that stay so.
  Task<void> publish(Item item) {
    const auto queues = queues_;
    for (const auto& queue : queues) {
      bool waited = false;
      while (!queue->gone && !queue->too_slow && !queue->has_room(item.size())) {
        const Status room = co_await loop::with_deadline(queue->room.wait(), kListenerPatience, "wait for a reader");
        waited = true;
        if (room) continue;
        if (room.error().code == Code::Cancelled) co_return fail(room.error());
        drop(*queue);
      }
      if (!queue->gone && !queue->too_slow) queue->put(item);
      if (waited) queue->room.notify();  // others may wait for the same reader
    }
    std::erase_if(queues_, [](const auto& one) { return one->gone || one->too_slow; });
    co_return Status{};
  }
  // Without waiting: a listener without room is let go.
  void publish_now(const Item& item) {
    for (const auto& queue : queues_) {
      if (queue->gone) continue;
      if (queue->has_room(item.size())) {
        queue->put(item);
      } else {
        drop(*queue);
      }
    }
    std::erase_if(queues_, [](const auto& one) { return one->gone || one->too_slow; });
  }
  // Every listener ends behind what it has not read yet.
  void close() {
    closed_ = true;
    for (const auto& queue : queues_) {
      queue->closed = true;
      queue->arrived.notify();
      queue->room.notify();
    }
    queues_.clear();
  }
  [[nodiscard]] std::size_t listeners() const {
    return static_cast<std::size_t>(
        std::count_if(queues_.begin(), queues_.end(), [](const auto& one) { return !one->gone; }));
  }

 private:
  static void drop(Queue& queue) {
    queue.too_slow = true;
    queue.items.clear();
    queue.arrived.notify();
    queue.room.notify();
  }
  loop::asio::any_io_executor executor_;
  std::vector<std::shared_ptr<Queue>> queues_;
  bool closed_ = false;
};

}  // namespace cofferdam::runtime
