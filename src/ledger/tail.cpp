#include "ledger/tail.h"

namespace cofferdam::ledger {
namespace {

constexpr std::size_t kReadAtOnce = 256;

}  // namespace

Task<std::optional<Decoded>> Tail::next() {
  for (;;) {
    if (!read_.empty()) {
      CO_TRY_ASSIGN(Decoded entry, decode(read_.front()));
      read_.pop_front();
      next_ = entry.stamp.number + 1;
      co_return std::optional(std::move(entry));
    }
    if (behind_) {
      if (!reader_) reader_ = std::make_shared<EntryReader>(ledger_.folder(), next_);
      CO_TRY_ASSIGN(auto more, co_await ledger_.read(reader_, kReadAtOnce));
      read_.assign(std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
      behind_ = !read_.empty();
      if (!behind_) reader_.reset();
      continue;
    }
    if (!ahead_) {
      CO_TRY_ASSIGN(auto news, co_await feed_->next());
      if (!news) co_return std::nullopt;
      ahead_ = std::move(*news);
    }
    const auto number = ahead_->entry.stamp.number;
    // Some were missed while nobody read.
    behind_ = number > next_;
    if (behind_) continue;
    const auto news = std::exchange(ahead_, nullptr);
    if (number < next_) continue;
    next_ = number + 1;
    co_return std::optional(news->entry);
  }
}

}  // namespace cofferdam::ledger
