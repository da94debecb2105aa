// The power is cut at every operation on the disk and on the root holder, one after the other, and the disk keeps
// nothing, everything, or any part of what was not synced. Whatever is found then must be the state before the change
// or the one after.
#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>

#include "base/log.h"
#include "base/text.h"
#include "keys/holders.h"
#include "keys/key_store.h"
#include "keys/power_cut.h"
#include "keys/root_record.h"

namespace cofferdam::keys {
namespace {

struct Known {
  std::string id, bytes;
};

// A disk, a holder, and what of the store's answers a caller has heard.
class World {
 public:
  explicit World(unsigned seed) : random(seed) { set_log_level(LogLevel::error); }

  // The holder that is to be used: made anew with every start, as a daemon does.
  std::function<std::unique_ptr<RootHolder>()> make_holder;
  PowerSwitch power;
  std::shared_ptr<PowerCutFiles> files = std::make_shared<PowerCutFiles>(power);
  std::mt19937 random;

  bool start() {
    store.reset();
    holder = make_holder();
    auto opened = KeyStore::open(*files, *holder);
    if (!opened) {
      why = opened.error().message;
      return false;
    }
    store = std::move(*opened);
    return true;
  }
  // Each answers whether the power still was there.
  bool keep(const KeyName& name) {
    const Key key = make_key(64);
    unsure[name] = Known{key.id, std::string(key.bytes.view())};
    if (!store->keep(name, key)) return false;
    known[name] = *unsure[name];
    unsure.clear();
    return true;
  }
  bool erase(const std::vector<KeyName>& names) {
    for (const auto& name : names) unsure[name] = std::nullopt;
    if (!store->erase(names)) return false;
    for (const auto& name : names) known.erase(name);
    unsure.clear();
    return true;
  }
  bool erase_owner(const std::string& owner) {
    std::vector<KeyName> names;
    for (const auto& [name, key] : known) {
      if (name.owner == owner) names.push_back(name);
    }
    for (const auto& name : names) unsure[name] = std::nullopt;
    if (!store->erase_owner(owner)) return false;
    for (const auto& name : names) known.erase(name);
    unsure.clear();
    return true;
  }

  // That the store holds what it must, and of an unfinished change all or nothing.
  void check(const std::string& where) {
    std::optional<bool> happened;
    std::set<KeyName> names;
    for (const auto& [name, key] : known) names.insert(name);
    for (const auto& [name, key] : unsure) names.insert(name);
    std::size_t present = 0;
    for (const auto& name : names) {
      const auto got = store->get(name);
      ASSERT_TRUE(got || got.error().code == Code::NotFound) << where << ": " << got.error().message;
      if (got) ++present;
      const auto before = known.find(name);
      const auto change = unsure.find(name);
      const bool as_before = before == known.end() ? !got : got && got->bytes.view() == before->second.bytes;
      if (change == unsure.end()) {
        ASSERT_TRUE(as_before) << where << ": " << name.owner << " " << name.name;
        continue;
      }
      const auto& after = change->second;
      const bool as_after = after ? got && got->bytes.view() == after->bytes : !got;
      ASSERT_TRUE(as_before || as_after) << where << ": " << name.name << " is neither";
      if (as_before == as_after) continue;
      ASSERT_EQ(happened.value_or(as_after), as_after) << where << ": half a change";
      happened = as_after;
    }
    ASSERT_EQ(store->list().value().size(), present) << where;
    if (files->has("root.key")) ASSERT_EQ(roots_in_the_file(), 1U) << where;
    // What happened is known from here on.
    if (happened.value_or(false)) {
      for (const auto& [name, key] : unsure) {
        if (key) {
          known[name] = *key;
        } else {
          known.erase(name);
        }
      }
    }
    unsure.clear();
  }

  [[nodiscard]] std::size_t roots_in_the_file() const {
    const auto bytes = files->content("root.key");
    std::size_t found = 0;
    for (std::size_t at = 0; at + kRecordBytes <= bytes.size(); at += 4096) {
      if (decode_record(std::string_view(bytes).substr(at, kRecordBytes))) ++found;
    }
    return found;
  }

  std::unique_ptr<RootHolder> holder;
  std::unique_ptr<KeyStore> store;
  std::map<KeyName, Known> known;
  std::map<KeyName, std::optional<Known>> unsure;  // nullopt: to be gone
  std::string why;
};

// From a first start on; ends when the power does.
bool live(World& world) {
  return world.start() && world.keep({"ws_a", "disk"}) && world.keep({"ws_b", "disk"}) &&
         world.keep({"ws_a", "snapshot/1"}) && world.erase({{"ws_b", "disk"}}) && world.keep({"ws_c", "disk"}) &&
         world.start() && world.erase({{"ws_a", "snapshot/1"}, {"ws_c", "disk"}}) && world.keep({"ws_c", "disk"}) &&
         world.erase_owner("ws_a") && world.start();
}

using MakeWorld = std::function<std::unique_ptr<World>(unsigned seed)>;

std::size_t steps_of(const MakeWorld& make) {
  const auto world = make(0);
  world->power.cut_at(0);
  EXPECT_TRUE(live(*world)) << world->why;
  return world->power.steps();
}

// One life that is cut at `step`, the start after it at `second` (0: not at all), and the start after that.
void live_and_die(const MakeWorld& make, std::size_t step, std::size_t second, Kept kept, unsigned seed) {
  const std::string where = cat("cut at ", step, ", then at ", second, ", kept ", static_cast<int>(kept));
  const auto world = make(seed);
  world->power.cut_at(step);
  (void)live(*world);
  world->store.reset();
  world->files->come_back(kept, world->random);
  if (second != 0) {
    world->power.cut_at(second);
    (void)world->start();
    world->store.reset();
    world->files->come_back(kept, world->random);
  }
  ASSERT_TRUE(world->start()) << where << ": " << world->why;
  ASSERT_NO_FATAL_FAILURE(world->check(where));
  // It goes on as ever.
  ASSERT_TRUE(world->keep({"ws_d", "disk"})) << where;
  ASSERT_TRUE(world->erase_owner("ws_d")) << where;
  ASSERT_TRUE(world->start()) << where << ": " << world->why;
  ASSERT_NO_FATAL_FAILURE(world->check(where));
}

void cut_everywhere(const MakeWorld& make, std::size_t stride) {
  const auto steps = steps_of(make);
  ASSERT_GT(steps, 30U);
  for (std::size_t step = 1; step <= steps; step += stride) {
    for (const Kept kept : {Kept::nothing, Kept::everything, Kept::some, Kept::some, Kept::some}) {
      const auto seed = static_cast<unsigned>(step * 10 + static_cast<std::size_t>(kept));
      ASSERT_NO_FATAL_FAILURE(live_and_die(make, step, 0, kept, seed));
    }
    // A start that mends is cut as well.
    for (std::size_t second = 1; second <= 8; ++second) {
      ASSERT_NO_FATAL_FAILURE(live_and_die(make, step, second, Kept::some, static_cast<unsigned>(step)));
    }
  }
}

TEST(PowerCut, with_a_file_as_holder_the_old_or_the_new_state) {
  cut_everywhere(
      [](unsigned seed) {
        auto world = std::make_unique<World>(seed);
        world->make_holder = [w = world.get()] { return make_file_holder(w->files, "root.key"); };
        return world;
      },
      1);
}

TEST(PowerCut, with_any_other_holder_the_old_or_the_new_state) {
  struct Both : World {
    using World::World;
    MemoryHolder memory;
  };
  cut_everywhere(
      [](unsigned seed) {
        auto world = std::make_unique<Both>(seed);
        world->make_holder = [w = world.get()] { return std::make_unique<PowerCutHolder>(w->power, w->memory); };
        return world;
      },
      1);
}

TEST(PowerCut, exactly_one_root_is_left_after_a_start) {
  struct Both : World {
    using World::World;
    MemoryHolder memory;
  };
  const auto make = [](unsigned seed) {
    auto world = std::make_unique<Both>(seed);
    world->make_holder = [w = world.get()] { return std::make_unique<PowerCutHolder>(w->power, w->memory); };
    return world;
  };
  const auto steps = steps_of(make);
  for (std::size_t step = 1; step <= steps; ++step) {
    const auto world = make(1);
    world->power.cut_at(step);
    (void)live(*world);
    world->files->come_back(Kept::some, world->random);
    ASSERT_TRUE(world->start()) << world->why;
    ASSERT_EQ(world->memory.roots.size(), 1U) << step;
  }
}

TEST(PowerCut, random_lives_lose_nothing_that_was_kept_and_bring_nothing_back) {
  std::mt19937 random(20);
  World world(21);
  world.make_holder = [&world] { return make_file_holder(world.files, "root.key"); };
  ASSERT_TRUE(world.start());
  for (int round = 0; round < 400; ++round) {
    world.power.cut_at(1 + random() % 40);
    bool alive = world.store != nullptr || world.start();
    while (alive) {
      const KeyName name{cat("ws_", random() % 12), cat("snapshot/", random() % 4)};
      const bool there = world.known.count(name) != 0;
      switch (random() % 8) {
        case 0:
          alive = world.start();
          break;
        case 1:
          alive = world.erase_owner(name.owner);
          break;
        case 2:
          alive = world.erase({name, {cat("ws_", random() % 12), "snapshot/0"}});
          break;
        default:
          alive = there ? world.erase({name}) : world.keep(name);
      }
    }
    world.store.reset();
    world.files->come_back(random() % 4 == 0 ? Kept::everything : Kept::some, random);
    ASSERT_TRUE(world.start()) << round << ": " << world.why;
    ASSERT_NO_FATAL_FAILURE(world.check(cat("round ", round)));
  }
}

}  // namespace
}  // namespace cofferdam::keys
