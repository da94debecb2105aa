// News for one subscriber: a bounded queue, of which the oldest is given up when the subscriber is too slow.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "loop/event.h"
#include "loop/task.h"

namespace cofferdam::loop {

template <class T>
class Feed {
 public:
  explicit Feed(const asio::any_io_executor& executor, std::size_t max_queued = 1024)
      : max_queued_(max_queued), news_(executor) {}

  // The next item; nullopt when there will be no more. One reader. Cancelled when the reader was.
  Task<std::optional<T>> next() {
    while (queue_.empty()) {
      if (closed_) co_return std::nullopt;
      CO_TRY(co_await news_.wait());
    }
    std::optional<T> item(std::move(queue_.front()));
    queue_.pop_front();
    co_return item;
  }
  // How many items a slow reader has missed so far.
  [[nodiscard]] std::uint64_t missed() const { return missed_; }

  void push(T item) {
    if (closed_) return;
    if (queue_.size() >= max_queued_) {
      queue_.pop_front();
      ++missed_;
    }
    queue_.push_back(std::move(item));
    news_.notify();
  }
  void close() {
    closed_ = true;
    news_.notify();
  }

 private:
  std::size_t max_queued_;
  std::deque<T> queue_;
  std::uint64_t missed_ = 0;
  bool closed_ = false;
  Event news_;
};

// All feeds of one source; a subscriber that let go of its feed is forgotten.
template <class T>
class Feeds {
 public:
  std::shared_ptr<Feed<T>> open(const asio::any_io_executor& executor) {
    auto feed = std::make_shared<Feed<T>>(executor);
    feeds_.push_back(feed);
    return feed;
  }
  void push(const T& item) {
    std::erase_if(feeds_, [&](const std::weak_ptr<Feed<T>>& weak) {
      const auto feed = weak.lock();
      if (feed) feed->push(item);
      return !feed;
    });
  }
  void close() {
    for (const auto& weak : feeds_) {
      if (const auto feed = weak.lock()) feed->close();
    }
    feeds_.clear();
  }
  [[nodiscard]] bool wanted() const {
    for (const auto& weak : feeds_) {
      if (!weak.expired()) return true;
    }
    return false;
  }

 private:
  std::vector<std::weak_ptr<Feed<T>>> feeds_;
};

}  // namespace cofferdam::loop
