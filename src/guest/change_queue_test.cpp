#include "guest/change_queue.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace cofferdam::guest {
namespace {

using wire::WatchLoss;
using wire::WatchOp;

constexpr std::size_t kPlenty = 1U << 20;

std::string describe(const wire::WatchEvents& batch) {
  std::string text;
  for (const auto& event : batch.events) text += cat("CWRNU"[static_cast<int>(event.op)], event.path, " ");
  return text;
}

wire::WatchEvents take(ChangeQueue& queue, std::size_t max_bytes = kPlenty) {
  const auto bytes = queue.take(max_bytes);
  return bytes ? *wire::decode<wire::WatchEvents>(*bytes) : wire::WatchEvents{};
}

TEST(ChangeQueue, a_change_that_comes_again_is_told_once_by_its_last_time) {
  ChangeQueue queue;
  for (const auto op : {WatchOp::Create, WatchOp::Write, WatchOp::Write, WatchOp::Remove, WatchOp::Create}) {
    queue.add("a", op);
  }
  queue.add("b", WatchOp::Write);
  EXPECT_EQ(describe(take(queue)), "Wa Ra Ca Wb ");
  EXPECT_TRUE(queue.empty());
  queue.add("a", WatchOp::Write);
  EXPECT_EQ(describe(take(queue)), "Wa ");
}

TEST(ChangeQueue, a_batch_takes_what_fits_and_leaves_the_rest) {
  ChangeQueue queue;
  queue.add("aaaa", WatchOp::Create);
  queue.add("bbbb", WatchOp::Create);
  EXPECT_FALSE(queue.take(13));
  const auto first = queue.take(14);
  ASSERT_TRUE(first);
  EXPECT_EQ(first->size(), 14U);
  EXPECT_EQ(describe(take(queue)), "Cbbbb ");
  EXPECT_FALSE(queue.take(kPlenty));
}

TEST(ChangeQueue, changes_over_the_bound_are_lost_and_that_is_told_last) {
  ChangeQueue queue;
  for (std::size_t i = 0; i < ChangeQueue::kMaxChanges + 10; ++i) queue.add(cat(i), WatchOp::Create);
  queue.lose(WatchLoss::Folders);
  std::size_t told = 0;
  std::vector<WatchLoss> losses;
  while (!queue.empty()) {
    const auto batch = take(queue, 4096);
    told += batch.events.size();
    if (batch.loss != WatchLoss::None) losses.push_back(batch.loss);
  }
  EXPECT_EQ(told, ChangeQueue::kMaxChanges);
  EXPECT_EQ(losses, (std::vector{WatchLoss::Events, WatchLoss::Folders}));
}

TEST(ChangeQueue, long_paths_are_bounded_together_and_one_that_no_message_holds_is_lost) {
  ChangeQueue queue;
  queue.add(std::string(wire::kMaxPath + 1, 'a'), WatchOp::Create);
  EXPECT_EQ(take(queue).loss, WatchLoss::Events);
  const std::size_t fit = ChangeQueue::kMaxPathBytes / 4000;
  for (std::size_t i = 0; i < fit + 1; ++i) queue.add(std::string(4000 - 3, 'a') + cat(100 + i), WatchOp::Create);
  const auto batch = take(queue);
  EXPECT_EQ(batch.events.size(), fit);
  EXPECT_EQ(batch.loss, WatchLoss::Events);
}

}  // namespace
}  // namespace cofferdam::guest
