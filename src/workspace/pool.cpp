#include "workspace/pool.h"

#include <algorithm>
#include <cstdlib>
#include <thread>

#include "base/log.h"
#include "base/text.h"
#include "loop/deadline.h"

namespace cofferdam::workspace {
namespace {

using std::chrono::steady_clock;

constexpr auto kMemoryRetry = std::chrono::seconds(5);
constexpr auto kShutDownLimit = std::chrono::seconds(10);

// Everything of an image that a machine is made from.
std::string build_of(const image::Image& image) {
  return cat(image.digest, "/", image.kernel_digest, "/", image.initramfs_digest);
}

bool host_is_busy() {
  double load = 0;
  if (::getloadavg(&load, 1) != 1) return false;
  return load > 2.0 * std::max(1U, std::thread::hardware_concurrency());
}

}  // namespace

struct Pool::Kind {
  image::Image image;
  model::Shape shape;
  std::uint32_t disk_mib = 0;
  enum class Kept { lately_asked, always } kept = Kept::lately_asked;
  steady_clock::time_point last_asked;
  std::list<Prepared> ready, standby;
  bool dropped = false;
  std::chrono::milliseconds backoff{0};
  steady_clock::time_point not_before;

  [[nodiscard]] bool is(const image::Image& other, model::Shape other_shape, std::uint32_t other_disk) const {
    return build_of(image) == build_of(other) && shape == other_shape && disk_mib == other_disk;
  }
};

Pool::Pool(const loop::asio::any_io_executor& executor, loop::WorkerPool& workers, FindImage find_image,
           Machines& machines, MemoryBudget& budget, PoolOptions options)
    : workers_(workers),
      find_image_(std::move(find_image)),
      machines_(machines),
      budget_(budget),
      options_(options),
      wake_(executor),
      tasks_(executor) {}

Pool::~Pool() = default;

void Pool::start(std::string default_image) {
  if (!in_use()) return;
  default_image_ = std::move(default_image);
  tasks_.spawn("pool", run());
}

Task<void> Pool::shut_down() {
  closed_ = true;
  while (!kinds_.empty()) drop(kinds_.front(), "shutdown");
  wake_.notify();
  // What is being made or destroyed should run to its end; what hangs is left to the next start.
  if (co_await loop::with_deadline(tasks_.join(), kShutDownLimit, "end of the pool")) co_return Status{};
  tasks_.cancel();
  co_return co_await tasks_.join();
}

std::shared_ptr<Pool::Kind> Pool::want(const image::Image& image, model::Shape shape, std::uint32_t disk_mib) {
  auto kept = Kind::Kept::lately_asked;
  for (auto it = kinds_.begin(); it != kinds_.end();) {
    const std::shared_ptr<Kind> kind = *it++;
    if (kind->image.name != image.name || build_of(kind->image) == build_of(image)) continue;
    // The image was built again: nobody gets a machine of the old one.
    if (kind->kept == Kind::Kept::always && kind->shape == shape && kind->disk_mib == disk_mib) kept = kind->kept;
    drop(kind, "the image has changed");
  }
  auto same =
      std::find_if(kinds_.begin(), kinds_.end(), [&](const auto& kind) { return kind->is(image, shape, disk_mib); });
  if (same != kinds_.end()) {
    kinds_.splice(kinds_.begin(), kinds_, same);
    return kinds_.front();
  }
  auto kind = std::make_shared<Kind>();
  kind->image = image;
  kind->shape = shape;
  kind->disk_mib = disk_mib;
  kind->kept = kept;
  kind->last_asked = steady_clock::now();
  kinds_.push_front(kind);
  for (auto it = kinds_.rbegin(); kinds_.size() > options_.max_kinds && it != kinds_.rend(); ++it) {
    if ((*it)->kept == Kind::Kept::always) continue;
    drop(*it, "others were asked for since");
    break;
  }
  return kind;
}

std::optional<Prepared> Pool::take(const image::Image& image, model::Shape shape, std::uint32_t disk_mib) {
  if (!in_use()) return std::nullopt;
  const auto kind = want(image, shape, disk_mib);
  const auto now = steady_clock::now();
  kind->last_asked = now;
  if (now > quiet_until_) quiet_from_ = now;
  quiet_until_ = now + pause();
  wake_.notify();
  return first_alive(kind->ready);
}

std::optional<Prepared> Pool::take_standby(const image::Image& image, model::Shape shape, std::uint32_t disk_mib) {
  if (!in_use()) return std::nullopt;
  return first_alive(want(image, shape, disk_mib)->standby);
}

std::optional<Prepared> Pool::first_alive(std::list<Prepared>& members) {
  while (!members.empty()) {
    Prepared member = std::move(members.front());
    members.pop_front();
    if (member.machine->alive()) return member;
    tasks_.spawn("pool discard", discard(std::move(member), "it has died"));
  }
  return std::nullopt;
}

std::chrono::milliseconds Pool::pause() const { return host_is_busy() ? options_.under_load : options_.after_claim; }

void Pool::drop(const std::shared_ptr<Kind>& kind, const std::string& why) {
  kind->dropped = true;
  for (auto* members : {&kind->standby, &kind->ready}) {
    for (auto& member : *members) tasks_.spawn("pool discard", discard(std::move(member), why));
    members->clear();
  }
  kinds_.remove(std::shared_ptr<Kind>(kind));
}

Task<void> Pool::discard(Prepared member, std::string why) {
  log_debug("a pool member is destroyed", {{"vm", member.machine->id()}, {"why", std::move(why)}});
  co_return co_await machines_.end(member.machine);
}

Task<void> Pool::give_up_one() {
  for (auto it = kinds_.rbegin(); it != kinds_.rend(); ++it) {
    const std::shared_ptr<Kind>& kind = *it;
    auto& members = kind->standby.empty() ? kind->ready : kind->standby;
    if (members.empty()) continue;
    Prepared member = std::move(members.back());
    members.pop_back();
    kind->not_before = steady_clock::now() + kMemoryRetry;
    co_return co_await discard(std::move(member), "its memory is needed");
  }
  co_return fail(Code::NotFound, "the pool has no machine to give up");
}

std::vector<PoolStatus> Pool::status() const {
  std::vector<PoolStatus> all;
  for (const auto& kind : kinds_) {
    all.push_back({kind->image.name, kind->shape, kind->disk_mib, static_cast<std::uint32_t>(kind->ready.size()),
                   options_.size, static_cast<std::uint32_t>(kind->standby.size())});
  }
  return all;
}

Task<void> Pool::run() {
  auto last_tidy = steady_clock::time_point();
  while (!closed_) {
    if (steady_clock::now() - last_tidy >= options_.tick) {
      CO_TRY(co_await tidy());
      last_tidy = steady_clock::now();
    }
    const auto now = steady_clock::now();
    std::chrono::milliseconds wait = options_.tick;
    const auto quiet = std::min(quiet_until_, quiet_from_ + options_.longest_quiet);
    if (now < quiet) {
      wait = std::chrono::ceil<std::chrono::milliseconds>(quiet - now);
    } else if (holds_ == 0) {
      if (auto work = find_work()) {
        CO_TRY(co_await fill(std::move(work->kind), work->stage));
        continue;
      }
    }
    (void)co_await loop::with_deadline(wake_.wait(), std::min(wait, options_.tick), "pool");
  }
  co_return Status{};
}

std::optional<Pool::Work> Pool::find_work() const {
  const auto now = steady_clock::now();
  std::shared_ptr<Kind> most_wanted, to_stand_by;
  for (const auto& kind : kinds_) {
    if (now < kind->not_before) continue;
    if (kind->ready.size() < options_.size) {
      if (!most_wanted || kind->ready.size() < most_wanted->ready.size()) most_wanted = kind;
    } else if (kind->standby.size() < options_.standby && !to_stand_by) {
      to_stand_by = kind;
    }
  }
  if (most_wanted) return Work{most_wanted, vm::Stage::rehearsed};
  if (to_stand_by) return Work{to_stand_by, vm::Stage::standby};
  return std::nullopt;
}

Task<void> Pool::tidy() {
  CO_TRY(co_await want_default());
  const auto now = steady_clock::now();
  for (auto it = kinds_.begin(); it != kinds_.end();) {
    const std::shared_ptr<Kind> kind = *it++;
    if (kind->kept != Kind::Kept::always && now - kind->last_asked > options_.keep) {
      drop(kind, "nobody asked for it");
      continue;
    }
    for (auto* members : {&kind->ready, &kind->standby}) {
      for (auto member = members->begin(); member != members->end();) {
        if (member->machine->alive()) {
          ++member;
          continue;
        }
        log_warn("a pool member has died", {{"vm", member->machine->id()}, {"image", kind->image.name}});
        tasks_.spawn("pool discard", discard(std::move(*member), "it has died"));
        member = members->erase(member);
      }
    }
  }
  if (budget_.under_pressure()) (void)co_await give_up_one();
  co_return Status{};
}

// The default image may be built, or built again, while the daemon runs.
Task<void> Pool::want_default() {
  if (default_image_.empty()) co_return Status{};
  auto look = [this] { return find_image_(default_image_); };
  auto image = co_await workers_.run(std::move(look));
  if (closed_) co_return Status{};
  const model::WorkspaceSpec usual;
  if (!image) {
    for (const auto& kind : kinds_) kind->kept = Kind::Kept::lately_asked;
    co_return Status{};
  }
  for (const auto& kind : kinds_) {
    if (kind->is(*image, usual.shape(), usual.disk_mib)) {
      kind->kept = Kind::Kept::always;
      co_return Status{};
    }
  }
  want(*image, usual.shape(), usual.disk_mib)->kept = Kind::Kept::always;
  co_return Status{};
}

Task<void> Pool::fill(std::shared_ptr<Kind> kind, vm::Stage stage) {
  // The image may have been built again, or removed, since somebody asked for it.
  auto look = [this, name = kind->image.name] { return find_image_(name); };
  auto image = co_await workers_.run(std::move(look));
  if (closed_ || kind->dropped) co_return Status{};
  if (!image) {
    drop(kind, "its image is gone");
    co_return Status{};
  }
  if (build_of(*image) != build_of(kind->image)) {
    (void)want(*image, kind->shape, kind->disk_mib);
    co_return Status{};
  }
  auto memory = budget_.reserve(kind->shape.memory_mib);
  if (!memory) {
    if (!waits_for_memory_) log_info("the pool waits for memory", {{"reason", memory.error().message}});
    waits_for_memory_ = true;
    kind->not_before = steady_clock::now() + kMemoryRetry;
    co_return Status{};
  }
  waits_for_memory_ = false;
  MachineWish wish;
  wish.image = std::move(*image);
  wish.shape = kind->shape;
  wish.cpu_millis = kind->shape.vcpus * 1000;
  wish.disk_mib = kind->disk_mib;
  wish.stage = stage;
  auto made = co_await machines_.make(std::move(wish), std::move(*memory));
  if (!made) {
    if (kind->backoff.count() == 0) {
      log_warn("the pool cannot be filled; it will be tried again",
               {{"image", kind->image.name}, {"error", made.error().message}});
    }
    kind->backoff = std::clamp(kind->backoff * 2, options_.first_backoff, options_.max_backoff);
    kind->not_before = steady_clock::now() + kind->backoff;
    co_return Status{};
  }
  if (kind->backoff.count() != 0) log_info("the pool can be filled again", {{"image", kind->image.name}});
  kind->backoff = std::chrono::milliseconds(0);
  if (closed_ || kind->dropped) {
    co_return co_await discard(std::move(*made), "nobody wants it any more");
  }
  (stage == vm::Stage::standby ? kind->standby : kind->ready).push_back(std::move(*made));
  co_return Status{};
}

}  // namespace cofferdam::workspace
