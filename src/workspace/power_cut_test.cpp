// The host's power is cut at every operation on its disk while something is made, kept, gone back to or removed, and
// the disk has kept what was not synced, or has not. What is found then is the state before or the one after, whole:
// nothing that was answered is lost, nothing that was removed comes back.
#include "workspace/power_cut.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>

#include "base/log.h"
#include "base/text.h"
#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

using model::Mode;
using model::State;

constexpr std::string_view kText = "what an archive holds";

class PowerCutTest : public WorkspaceTest {
 protected:
  // A workspace with a snapshot and an archive.
  void make_world() {
    set_log_level(LogLevel::error);
    open();
    box_ = run(manager_->create(spec("box", Mode::permanent))).value();
    kept_ = run(manager_->snapshot("box", AfterSnapshot::resume)).value();
    ASSERT_TRUE(add_archive());
  }
  void end_world() {
    forget_daemon();
    (void)remove_tree(state_);
    roots_.forget_all();
    roots_.before_change = nullptr;
  }
  // The daemon and every machine end as a host's do whose power goes.
  void forget_daemon() {
    if (manager_) (void)run(manager_->shut_down(Manager::Permanent::keep_running));
    manager_.reset();
    while (io_.poll() > 0) {
    }
    const auto machines = driver_.alive;
    for (const auto& [id, machine] : machines) machine->die(vm::ExitReason::vmm_died);
    while (io_.poll() > 0) {
    }
    receipts_.reset();
    keys_.reset();
    database_.reset();
  }
  Result<Archive> add_archive() {
    auto given = std::make_shared<bool>(false);
    ArchiveWish wish;
    wish.paths = {"/root"};
    auto bytes = [given]() -> Task<std::string> {
      co_return std::exchange(*given, true) ? std::string() : std::string(kText);
    };
    return run(manager_->add_archive("box", std::move(wish), std::move(bytes)));
  }
  std::string read_archive(const std::string& id, const std::string& version) {
    auto next = run(manager_->read_archive(id, version));
    if (!next) return next.error().message;
    const auto text = run((*next)());
    return text ? *text : text.error().message;
  }
  std::vector<std::string> names_in(const std::string& folder) {
    if (!path_exists(folder)) return {};
    return list_directory(folder).value();
  }

  // Every workspace that there is: whole, and nothing beside it.
  void check_whole() {
    std::vector<std::string> ids;
    for (const auto& info : manager_->list()) {
      SCOPED_TRACE(info.spec.name);
      ids.push_back(info.id);
      const std::string folder = state_ + "/workspaces/" + info.id;
      const auto snapshots = manager_->snapshots(info.id).value();
      const auto archives = manager_->archives(info.id).value();
      std::vector<std::string> expected;
      expected.reserve(snapshots.size());
      for (const auto& one : snapshots) expected.push_back(one.id);
      std::sort(expected.begin(), expected.end());
      EXPECT_EQ(names_in(folder + "/snapshots"), expected);
      expected.clear();
      for (const auto& one : archives) expected.push_back(one.id);
      std::sort(expected.begin(), expected.end());
      EXPECT_EQ(names_in(folder + "/archives"), expected);
      auto disks = names_in(folder);
      std::erase_if(disks, [](const auto& name) { return !starts_with(name, "disk-"); });
      EXPECT_EQ(disks, std::vector<std::string>{cat("disk-", info.disk_key_id, ".img")});
      EXPECT_EQ(keys_->list(info.id).value().size(), 1 + snapshots.size() + archives.size());
      const auto up = run(manager_->start(info.id));
      ASSERT_TRUE(up) << up.error().message;
      EXPECT_EQ(up->state, State::running);
      for (const auto& one : archives) EXPECT_EQ(read_archive(info.id, one.version), kText);
      for (const auto& one : snapshots) {
        const auto back = run(manager_->restore(info.id, one.id));
        ASSERT_TRUE(back) << back.error().message;
      }
    }
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(folders(), ids);
    std::vector<std::string> disks = names_in(state_ + "/disks");
    std::erase(disks, "formats");
    EXPECT_TRUE(disks.empty());
  }
  [[nodiscard]] std::size_t named(const std::string& start) const {
    const auto all = manager_->list();
    return static_cast<std::size_t>(
        std::count_if(all.begin(), all.end(), [&](const Info& info) { return starts_with(info.spec.name, start); }));
  }

  struct Change {
    std::function<bool()> act;                 // whether it was answered
    std::function<void(bool answered)> check;  // beside check_whole()
  };
  // Answers what it has done to the disk.
  std::vector<std::string> live_and_die(const Change& change, std::size_t at, Unsynced unsynced) {
    make_world();
    std::vector<std::string> steps;
    {
      PowerCut power(state_, at);
      roots_.before_change = [&power] { return power.step("root holder"); };
      const bool answered = change.act();
      steps = power.steps();
      EXPECT_TRUE(at != 0 || answered) << "it should work while there is power";
      SCOPED_TRACE(cat("cut at ", at, " of ", steps.size(), ", ", steps.empty() ? "" : steps.back(),
                       ", what was not synced is ", unsynced == Unsynced::kept ? "kept" : "lost",
                       answered ? ", answered" : ""));
      forget_daemon();
      power.come_back(unsynced);
      roots_.before_change = nullptr;
      open();
      const auto mended = run(manager_->reconcile());
      EXPECT_TRUE(mended) << mended.error().message;
      check_whole();
      change.check(answered);
    }
    end_world();
    WorkspaceTest::SetUp();
    return steps;
  }
  // Every operation that differs from the one before it, and the middle of long rows of the same; all of them with
  // COFFER_POWER_CUT_ALL=1.
  void cut_everywhere(const Change& change) {
    const auto steps = live_and_die(change, 0, Unsynced::kept);
    EXPECT_GT(steps.size(), 5U);
    EXPECT_TRUE(std::find(steps.begin(), steps.end(), "sync cofferd.db-wal") != steps.end())
        << "the database's own writes go past the cut";
    const bool all = std::getenv("COFFER_POWER_CUT_ALL") != nullptr;
    std::size_t row = 0, cuts = 0;
    for (std::size_t at = 1; at <= steps.size(); ++at) {
      row = at > 1 && steps[at - 1] == steps[at - 2] ? row + 1 : 0;
      if (!all && row != 0 && row != 7) continue;
      ++cuts;
      // By turns, so that each kind of operation meets both.
      for (const auto unsynced : {Unsynced::kept, Unsynced::lost}) {
        if (!all && (cuts % 2 == 0) != (unsynced == Unsynced::kept) && row == 0 &&
            !starts_with(steps[at - 1], "sync")) {
          continue;
        }
        (void)live_and_die(change, at, unsynced);
        if (HasFailure()) return;
      }
    }
  }

  Info box_;
  Snapshot kept_;
};

TEST_F(PowerCutTest, a_snapshot_is_there_whole_or_not_at_all) {
  Change change;
  change.act = [this] { return run(manager_->snapshot("box", AfterSnapshot::resume)).has_value(); };
  change.check = [this](bool answered) {
    const auto found = manager_->snapshots("box").value().size();
    EXPECT_TRUE(found == 2 || (found == 1 && !answered)) << found;
  };
  cut_everywhere(change);
}

TEST_F(PowerCutTest, a_snapshot_is_removed_or_whole) {
  Change change;
  change.act = [this] { return run(manager_->remove_snapshot("box", kept_.id)).has_value(); };
  change.check = [this](bool answered) {
    const auto found = manager_->snapshots("box").value().size();
    EXPECT_TRUE(found == 0 || (found == 1 && !answered)) << found;
  };
  cut_everywhere(change);
}

TEST_F(PowerCutTest, an_archive_is_there_whole_or_not_at_all) {
  Change change;
  change.act = [this] { return add_archive().has_value(); };
  change.check = [this](bool answered) {
    const auto found = manager_->archives("box").value().size();
    EXPECT_TRUE(found == 2 || (found == 1 && !answered)) << found;
  };
  cut_everywhere(change);
}

TEST_F(PowerCutTest, an_archive_is_removed_or_whole) {
  Change change;
  change.act = [this] { return run(manager_->remove_archive("box", "1")).has_value(); };
  change.check = [this](bool answered) {
    const auto found = manager_->archives("box").value().size();
    EXPECT_TRUE(found == 0 || (found == 1 && !answered)) << found;
  };
  cut_everywhere(change);
}

TEST_F(PowerCutTest, each_fork_is_there_whole_or_not_at_all) {
  Change change;
  change.act = [this] {
    ForkWish wish;
    wish.snapshot = kept_.id;
    wish.count = 2;
    wish.name = "child";
    return run(manager_->fork("box", wish)).has_value();
  };
  change.check = [this](bool answered) {
    EXPECT_EQ(named("box"), 1U);
    EXPECT_TRUE(named("child") == 2 || !answered) << named("child");
    EXPECT_EQ(manager_->snapshots("box").value().size(), 1U);
  };
  cut_everywhere(change);
}

TEST_F(PowerCutTest, a_restore_has_one_disk_or_the_other) {
  Change change;
  change.act = [this] { return run(manager_->restore("box", kept_.id)).has_value(); };
  change.check = [this](bool /*answered*/) {
    EXPECT_EQ(manager_->snapshots("box").value().size(), 1U);
    EXPECT_EQ(manager_->archives("box").value().size(), 1U);
  };
  cut_everywhere(change);
}

TEST_F(PowerCutTest, a_new_workspace_is_there_whole_or_not_at_all) {
  Change change;
  change.act = [this] { return run(manager_->create(spec("new", Mode::permanent))).has_value(); };
  change.check = [this](bool answered) { EXPECT_TRUE(named("new") == 1 || !answered); };
  cut_everywhere(change);
}

TEST_F(PowerCutTest, a_removed_workspace_does_not_come_back) {
  Change change;
  change.act = [this] { return run(manager_->remove("box")).has_value(); };
  change.check = [this](bool answered) {
    EXPECT_TRUE(named("box") == 0 || !answered);
    if (named("box") == 0) EXPECT_TRUE(keys_->list(box_.id).value().empty());
  };
  cut_everywhere(change);
}

TEST_F(PowerCutTest, a_temporary_workspace_that_had_kept_its_disk_is_removed_or_whole) {
  Change change;
  change.act = [this] {
    return run(manager_->create(spec("guest"))).has_value() && run(manager_->hold("guest", "case 7")).has_value() &&
           run(manager_->stop("guest")).has_value() && run(manager_->unhold("guest")).has_value() &&
           run(manager_->remove("guest")).has_value();
  };
  change.check = [this](bool answered) { EXPECT_TRUE(named("guest") == 0 || !answered); };
  cut_everywhere(change);
}

TEST_F(PowerCutTest, an_older_database_is_brought_up_to_date_or_is_as_it_was) {
  const std::string path = state_ + "/cofferd.db";
  const auto old = store::join({migrations().first(2)});
  const auto migrate = [&](std::size_t at, Unsynced unsynced) {
    {
      const auto database = store::Database::open(path, old).value();
      const auto add = [](store::Connection& connection) -> Status {
        TRY(connection.execute("INSERT INTO workspaces VALUES ($1, '', '', '', '', '', NULL, 0, 0, 'kept')", {"ws_1"}));
        return {};
      };
      EXPECT_TRUE(database->run_now(add));
    }
    PowerCut power(state_, at);
    (void)store::Database::open(path, store::join({migrations()}));
    const auto steps = power.steps();
    SCOPED_TRACE(cat("cut at ", at, ", ", steps.back()));
    power.come_back(unsynced);
    auto database = store::Database::open(path, store::join({migrations()}));
    EXPECT_TRUE(database) << database.error().message;
    if (database) {
      const auto look = [](store::Connection& connection) {
        return connection.query("SELECT record, (SELECT count(*) FROM archives) FROM workspaces");
      };
      const auto rows = (*database)->run_now(look);
      EXPECT_TRUE(rows && rows->size() == 1 && rows->front().text(0) == "kept");
    }
    database = fail(Code::Cancelled, "");
    (void)remove_tree(state_);
    EXPECT_TRUE(make_directories(state_));
    return steps.size();
  };
  const auto steps = migrate(0, Unsynced::kept);
  EXPECT_GT(steps, 10U);
  for (std::size_t at = 1; at <= steps && !HasFailure(); ++at) {
    for (const auto unsynced : {Unsynced::kept, Unsynced::lost}) (void)migrate(at, unsynced);
  }
}

TEST_F(PowerCutTest, a_temporary_workspace_is_given_a_disk_that_lasts_or_is_gone) {
  Change change;
  change.act = [this] {
    return run(manager_->create(spec("guest"))).has_value() && run(manager_->hold("guest", "case 7")).has_value();
  };
  change.check = [this](bool answered) { EXPECT_TRUE(named("guest") == 1 || !answered); };
  cut_everywhere(change);
}

}  // namespace
}  // namespace cofferdam::workspace
