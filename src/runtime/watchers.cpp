#include "runtime/watchers.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "base/text.h"

namespace cofferdam::runtime {

struct Watchers::One {
  explicit One(const loop::asio::any_io_executor& executor) : removed(executor) {}
  WatcherInfo info;
  std::unique_ptr<vm::GuestWatch> watch;
  loop::Event removed;
  bool remove_asked = false;
};

Watchers::Watchers(loop::TaskGroup& group, std::shared_ptr<vm::Machine> machine, SessionHub& hub)
    : group_(group), machine_(std::move(machine)), hub_(hub) {}
Watchers::~Watchers() = default;

Task<WatcherInfo> Watchers::add(vm::WatchSpec spec) {
  std::erase_if(watchers_, [](const auto& item) { return !item.second->info.active; });
  if (watchers_.size() + starting_ >= kMaxWatchers) {
    co_return fail(Code::FailedPrecondition, cat("the workspace already has ", kMaxWatchers, " watchers"),
                   "delete one");
  }
  auto one = std::make_shared<One>(group_.executor());
  one->info.excludes = spec.excludes;
  ++starting_;
  auto watch = co_await machine_->watch(std::move(spec));
  --starting_;
  if (!watch) co_return fail(std::move(watch.error()));
  if (group_.closed()) co_return fail(Code::Unavailable, "the workspace was restarted meanwhile", "ask again");
  one->watch = std::move(*watch);
  one->info.id = std::to_string(++made_);
  one->info.root = one->watch->root();
  one->info.folders = one->watch->directory_count();
  watchers_[one->info.id] = one;
  hub_.publish_now({WatcherReady{one->info.id, one->info.root, one->info.folders}});
  group_.spawn("watcher", pump(one));
  co_return one->info;
}

Task<void> Watchers::follow(One& one) {
  using loop::asio::experimental::awaitable_operators::operator||;
  while (!one.remove_asked) {
    auto first = co_await (one.watch->read() || one.removed.wait());
    if (first.index() == 1) {
      CO_TRY(std::get<1>(first));
      continue;
    }
    CO_TRY_ASSIGN(const auto batch, std::get<0>(std::move(first)));
    if (!batch) {
      co_return co_await hub_.publish({WatcherChange{one.info.id, one.info.root, vm::ChangeOp::remove}});
    }
    for (const auto& change : batch->changes) {
      if (one.remove_asked) break;
      CO_TRY(co_await hub_.publish({WatcherChange{one.info.id, change.path, change.op}}));
    }
    if (batch->loss == vm::WatchLoss::none) continue;
    const char* message = batch->loss == vm::WatchLoss::events
                              ? "more changed than could be kept; look at the files again"
                              : "there are more folders than can be watched; some are not";
    CO_TRY(co_await hub_.publish({WatcherOverflow{one.info.id, message}}));
  }
  co_return Status{};
}

Task<void> Watchers::pump(OnePtr one) {
  struct Ending {
    One& one;
    explicit Ending(One& of) : one(of) {}
    Ending(const Ending&) = delete;
    Ending& operator=(const Ending&) = delete;
    ~Ending() {
      one.info.active = false;
      one.watch.reset();
    }
  };
  const Ending ending(*one);
  const Status followed = co_await follow(*one);
  // A workspace that ended takes its watchers along, which is no news.
  if (!followed && followed.error().code == Code::Unavailable) co_return Status{};
  co_return followed;
}

Result<Watchers::OnePtr> Watchers::find(const std::string& id) const {
  const auto found = watchers_.find(id);
  if (found == watchers_.end()) return fail(Code::NotFound, cat("there is no watcher '", id, "' in this workspace"));
  return found->second;
}

std::vector<WatcherInfo> Watchers::list() const {
  std::vector<WatcherInfo> all;
  all.reserve(watchers_.size());
  for (const auto& [id, one] : watchers_) all.push_back(one->info);
  return all;
}

Result<WatcherInfo> Watchers::get(const std::string& id) const {
  TRY_ASSIGN(const OnePtr one, find(id));
  return one->info;
}

Status Watchers::remove(const std::string& id) {
  TRY_ASSIGN(const OnePtr one, find(id));
  watchers_.erase(id);
  one->remove_asked = true;
  one->removed.notify();
  return {};
}

void Watchers::replay(std::deque<SessionEvent>& into) const {
  for (const auto& [id, one] : watchers_) {
    if (one->info.active) into.push_back({WatcherReady{id, one->info.root, one->info.folders}});
  }
}

}  // namespace cofferdam::runtime
