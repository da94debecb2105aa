// Snapshots, forks, holds, and what a removal leaves and says.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

#include "base/file.h"
#include "base/id.h"
#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

using model::Mode;
using model::State;

class SnapshotTest : public WorkspaceTest {
 protected:
  void SetUp() override {
    WorkspaceTest::SetUp();
    open();
  }
  void reopen(Manager::Permanent permanent) {
    close(permanent);
    open();
    ASSERT_TRUE(run(manager_->reconcile()));
  }
  Info make(Mode mode = Mode::permanent) {
    auto wanted = spec("box", mode);
    wanted.env = {"MARK=e7a1"};
    return run(manager_->create(wanted)).value();
  }
  std::string folder_of(const Snapshot& snapshot) {
    return state_ + "/workspaces/" + snapshot.workspace_id + "/snapshots/" + snapshot.id;
  }
  void flip(const std::string& path, off_t at) {
    const UniqueFd file = open_file(path, O_RDWR).value();
    char byte = 0;
    ASSERT_EQ(::pread(file.get(), &byte, 1, at), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(::pwrite(file.get(), &byte, 1, at), 1);
  }
};

TEST_F(SnapshotTest, a_snapshot_is_listed_and_kept_over_a_restart) {
  make();
  const auto taken = run(manager_->snapshot("box", AfterSnapshot::resume)).value();
  EXPECT_EQ(manager_->get("box").value().state, State::running);
  EXPECT_EQ(manager_->get("box").value().snapshots, 1U);
  EXPECT_EQ(taken.pause, std::chrono::microseconds(7));
  EXPECT_GT(taken.bytes, 0U);
  reopen(Manager::Permanent::stop);
  const auto all = manager_->snapshots("box").value();
  ASSERT_EQ(all.size(), 1U);
  EXPECT_EQ(all[0].id, taken.id);
  EXPECT_EQ(all[0].pause, taken.pause);
}

TEST_F(SnapshotTest, afterwards_it_runs_stands_still_or_stops) {
  make();
  ASSERT_TRUE(run(manager_->snapshot("box", AfterSnapshot::pause)));
  EXPECT_EQ(manager_->get("box").value().state, State::paused);
  // One that stands still may be taken again, and goes on only when it is asked to.
  ASSERT_TRUE(run(manager_->snapshot("box", AfterSnapshot::resume)));
  EXPECT_EQ(manager_->get("box").value().state, State::running);
  ASSERT_TRUE(run(manager_->snapshot("box", AfterSnapshot::stop)));
  EXPECT_EQ(manager_->get("box").value().state, State::stopped);
  EXPECT_EQ(manager_->snapshots("box").value().size(), 3U);
  EXPECT_EQ(run(manager_->snapshot("box", AfterSnapshot::resume)).error().code, Code::FailedPrecondition);
}

TEST_F(SnapshotTest, a_failed_one_leaves_nothing_and_the_workspace_as_it_was) {
  make();
  driver_.saves_that_fail = 1;
  EXPECT_FALSE(run(manager_->snapshot("box", AfterSnapshot::pause)));
  EXPECT_EQ(manager_->get("box").value().state, State::running);
  EXPECT_TRUE(manager_->snapshots("box").value().empty());
  const auto info = manager_->get("box").value();
  EXPECT_TRUE(list_directory(state_ + "/workspaces/" + info.id + "/snapshots").value().empty());
  EXPECT_EQ(keys_->list(info.id).value().size(), 1U);
}

TEST_F(SnapshotTest, a_restore_has_another_machine_and_another_disk_under_another_key) {
  const auto before = make();
  ASSERT_TRUE(run(manager_->snapshot("box", AfterSnapshot::resume)));
  const auto after = run(manager_->restore("box", "")).value();
  EXPECT_EQ(after.id, before.id);
  EXPECT_EQ(after.state, State::running);
  EXPECT_NE(after.vm_id, before.vm_id);
  EXPECT_NE(after.disk_key_id, before.disk_key_id);
  EXPECT_FALSE(path_exists(disk_of(before)));
  EXPECT_TRUE(path_exists(disk_of(after)));
  EXPECT_TRUE(fake(after.vm_id)->spec().saved);
  EXPECT_EQ(driver_.alive.size(), 1U);
  EXPECT_EQ(keys_->list(after.id).value().size(), 2U);  // of the disk and of the snapshot
  reopen(Manager::Permanent::stop);
  EXPECT_EQ(run(manager_->start("box")).value().state, State::running);
  EXPECT_EQ(manager_->get("box").value().spec.env, std::vector<std::string>{"MARK=e7a1"});
}

TEST_F(SnapshotTest, what_is_damaged_is_named_and_what_runs_is_untouched) {
  const auto info = make();
  const auto taken = run(manager_->snapshot("box", AfterSnapshot::resume)).value();
  for (const std::string part : {"memory", "state", "manifest"}) {
    flip(folder_of(taken) + "/" + part, 30);
    const auto refused = run(manager_->restore("box", taken.id));
    ASSERT_FALSE(refused) << part;
    EXPECT_EQ(refused.error().code, Code::DataLoss) << part;
    EXPECT_NE(refused.error().message.find(part), std::string::npos) << refused.error().message;
    flip(folder_of(taken) + "/" + part, 30);
  }
  ASSERT_EQ(::rename((folder_of(taken) + "/manifest").c_str(), (state_ + "/elsewhere").c_str()), 0);
  const auto missing = run(manager_->restore("box", taken.id));
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::NotFound);
  EXPECT_NE(missing.error().message.find("manifest"), std::string::npos) << missing.error().message;
  ASSERT_EQ(::rename((state_ + "/elsewhere").c_str(), (folder_of(taken) + "/manifest").c_str()), 0);
  EXPECT_EQ(manager_->get("box").value().vm_id, info.vm_id);
  EXPECT_TRUE(fake(info.vm_id)->alive());
  EXPECT_TRUE(run(manager_->restore("box", taken.id)));
}

TEST_F(SnapshotTest, another_vmm_or_image_is_refused_by_name) {
  make();
  ASSERT_TRUE(run(manager_->snapshot("box", AfterSnapshot::resume)));
  driver_.vmm_version = "fake 2";
  const auto refused = run(manager_->restore("box", ""));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_NE(refused.error().message.find("vmm"), std::string::npos);
  driver_.vmm_version = "fake 1";
  add_image("small", "d2");
  EXPECT_NE(run(manager_->restore("box", "")).error().message.find("image"), std::string::npos);
}

TEST_F(SnapshotTest, forks_are_workspaces_of_their_own) {
  const auto source = make();
  ForkWish wish;
  wish.count = 3;
  wish.name = "child";
  const auto all = run(manager_->fork("box", wish)).value();
  ASSERT_EQ(all.size(), 3U);
  EXPECT_EQ(all[2].spec.name, "child-3");
  EXPECT_EQ(all[0].spec.env, source.spec.env);
  std::set<std::string> keys{source.disk_key_id};
  for (const auto& one : all) {
    EXPECT_EQ(one.state, State::running);
    keys.insert(one.disk_key_id);
  }
  EXPECT_EQ(keys.size(), 4U);
  // One memory, from which each has what it does not change.
  EXPECT_EQ(fake(all[0].vm_id)->spec().saved, fake(all[1].vm_id)->spec().saved);
  // What was taken on the way is nobody's to keep.
  EXPECT_TRUE(manager_->snapshots("box").value().empty());
  EXPECT_EQ(keys_->list(source.id).value().size(), 1U);
}

TEST_F(SnapshotTest, a_fork_that_fails_leaves_none_of_them) {
  make();
  ASSERT_TRUE(run(manager_->snapshot("box", AfterSnapshot::resume)));
  ForkWish wish;
  wish.snapshot = manager_->snapshots("box").value()[0].id;
  wish.count = 3;
  wish.name = "child";
  driver_.wakes_that_fail = 0;
  driver_.claims_that_fail = 1;
  EXPECT_FALSE(run(manager_->fork("box", wish)));
  EXPECT_EQ(manager_->list().size(), 1U);
  EXPECT_EQ(driver_.alive.size(), 1U);
}

TEST_F(SnapshotTest, one_that_holds_secrets_is_forked_only_when_asked_for) {
  close(Manager::Permanent::stop);
  options_.reveal_secrets = [](std::string,
                               std::vector<std::string>) -> Task<std::vector<std::pair<std::string, SecureBytes>>> {
    co_return std::vector<std::pair<std::string, SecureBytes>>{};
  };
  open();
  auto wanted = spec("box", Mode::permanent);
  wanted.secrets = {"API_KEY"};
  ASSERT_TRUE(run(manager_->create(wanted)));
  ForkWish wish;
  const auto refused = run(manager_->fork("box", wish));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  wish.secrets = ForkWish::Secrets::pass_on;
  EXPECT_TRUE(run(manager_->fork("box", wish)));
}

TEST_F(SnapshotTest, a_removal_leaves_no_file_and_no_key_and_answers_its_receipt) {
  const auto info = make();
  ASSERT_TRUE(run(manager_->snapshot("box", AfterSnapshot::resume)));
  EXPECT_EQ(keys_->list(info.id).value().size(), 2U);
  const auto removal = run(manager_->remove("box")).value();
  EXPECT_FALSE(removal.receipt_id.empty());
  EXPECT_GT(removal.keys_gone_us, 0);
  EXPECT_LE(removal.keys_gone_us, removal.took_us);
  EXPECT_TRUE(folders().empty());
  EXPECT_TRUE(keys_->list(info.id).value().empty());
  auto rows = [](store::Connection& connection) { return connection.query("SELECT id FROM snapshots"); };
  EXPECT_TRUE(database_->run_now(rows).value().empty());
}

TEST_F(SnapshotTest, a_temporary_ones_key_is_in_no_tree) {
  const auto info = make(Mode::temporary);
  EXPECT_TRUE(keys_->list(info.id).value().empty());
  EXPECT_FALSE(info.disk_key_id.empty());
  EXPECT_FALSE(run(manager_->remove("box")).value().receipt_id.empty());
}

TEST_F(SnapshotTest, the_environment_is_in_no_row) {
  const auto info = make();
  auto read = [](store::Connection& connection) { return connection.query("SELECT record FROM workspaces"); };
  const auto rows = database_->run_now(read).value();
  ASSERT_FALSE(rows.empty());
  EXPECT_EQ(rows.begin()->text(0).find("e7a1"), std::string::npos);
  reopen(Manager::Permanent::keep_running);
  EXPECT_EQ(manager_->get("box").value().spec.env, info.spec.env);
}

TEST_F(SnapshotTest, nothing_deletes_one_on_hold) {
  const auto info = make(Mode::temporary);
  ASSERT_TRUE(run(manager_->snapshot("box", AfterSnapshot::resume)));
  const auto held = run(manager_->hold("box", "case 7")).value();
  EXPECT_TRUE(held.held);
  EXPECT_TRUE(held.disk_kept);
  EXPECT_FALSE(held.expires_at);
  const auto refused = run(manager_->remove("box"));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_NE(refused.error().message.find("case 7"), std::string::npos);
  const auto snapshot = manager_->snapshots("box").value()[0].id;
  EXPECT_EQ(run(manager_->remove_snapshot("box", snapshot)).error().code, Code::FailedPrecondition);
  // Neither the end of its machine, nor the end of the daemon.
  fake(info.vm_id)->die(vm::ExitReason::ttl);
  ASSERT_TRUE(until([&] { return manager_->get("box").value().state == State::stopped; }));
  reopen(Manager::Permanent::stop);
  ASSERT_TRUE(manager_->get("box"));
  EXPECT_EQ(manager_->get("box").value().hold_reason, "case 7");
  EXPECT_EQ(run(manager_->start("box")).value().state, State::running);
  EXPECT_TRUE(run(manager_->unhold("box")).value().expires_at);
  EXPECT_TRUE(run(manager_->remove("box")));
  EXPECT_TRUE(folders().empty());
}

TEST_F(SnapshotTest, what_a_died_daemon_left_unfinished_is_removed) {
  const auto info = make();
  const auto kept = run(manager_->snapshot("box", AfterSnapshot::resume)).value();
  const auto folder = state_ + "/workspaces/" + info.id + "/snapshots/";
  // Killed before the rename, and between the rename and the row.
  ASSERT_TRUE(make_directories(folder + new_id("snap") + ".tmp"));
  const auto strange = new_id("snap");
  ASSERT_TRUE(make_directories(folder + strange));
  ASSERT_TRUE(keys_->keep({info.id, "snapshot/" + strange}, keys::make_key(64)));
  // And while a restored disk took the place of the old one.
  const auto disk = keys::make_key(64);
  ASSERT_TRUE(keys_->keep({info.id, "disk/" + disk.id}, disk));
  ASSERT_TRUE(write_file_atomically(state_ + "/workspaces/" + info.id + "/disk-" + disk.id + ".img", "x"));
  // The key of another was destroyed already, its file not.
  const auto keyless = keys::make_key(64);
  ASSERT_TRUE(write_file_atomically(state_ + "/workspaces/" + info.id + "/disk-" + keyless.id + ".img", "x"));
  reopen(Manager::Permanent::stop);
  EXPECT_EQ(manager_->snapshots("box").value().size(), 1U);
  EXPECT_EQ(keys_->list(info.id).value().size(), 2U);
  EXPECT_FALSE(path_exists(state_ + "/workspaces/" + info.id + "/disk-" + keyless.id + ".img"));
  EXPECT_FALSE(path_exists(folder + strange));
  EXPECT_FALSE(path_exists(state_ + "/workspaces/" + info.id + "/disk-" + disk.id + ".img"));
  EXPECT_TRUE(run(manager_->restore("box", kept.id)));
}

TEST_F(SnapshotTest, a_scratch_never_has_a_network_and_is_gone_with_its_time) {
  std::vector<std::string> attached;
  close(Manager::Permanent::stop);
  options_.network.attach = [&attached](std::string id, std::shared_ptr<vm::Machine> /*machine*/) -> loop::Task<void> {
    attached.push_back(std::move(id));
    co_return Status{};
  };
  options_.reveal_secrets =
      [](std::string, std::vector<std::string>) -> loop::Task<std::vector<std::pair<std::string, SecureBytes>>> {
    co_return std::vector<std::pair<std::string, SecureBytes>>();
  };
  open();
  auto wanted = spec("box", Mode::permanent);
  wanted.env = {"MARK=e7a1"};
  wanted.secrets = {"KEY"};
  wanted.restart_policy = model::RestartPolicy::always;
  const auto source = run(manager_->create(wanted)).value();
  const auto taken = run(manager_->snapshot("box", AfterSnapshot::resume)).value();
  const auto scratch = run(manager_->scratch("box", taken.id, {"look", 5min})).value();
  EXPECT_EQ(scratch.state, State::running);
  EXPECT_TRUE(scratch.isolated);
  EXPECT_EQ(scratch.spec.mode, Mode::temporary);
  EXPECT_EQ(scratch.spec.at_end_of_ttl(), model::TtlAction::remove);
  EXPECT_TRUE(scratch.expires_at);
  EXPECT_TRUE(scratch.spec.secrets.empty());
  EXPECT_EQ(scratch.spec.env, wanted.env);
  EXPECT_EQ(attached, std::vector<std::string>{source.id});
  // Nor when it goes on after a pause, nor do those that are made of it, nor under another daemon.
  ASSERT_TRUE(run(manager_->pause("look")));
  ASSERT_TRUE(run(manager_->resume("look")));
  const auto fork = run(manager_->fork("look", {})).value().at(0);
  EXPECT_TRUE(fork.isolated);
  EXPECT_EQ(attached.size(), 1U);
  ASSERT_TRUE(run(manager_->make_permanent("look", std::nullopt)));
  ASSERT_TRUE(run(manager_->stop("look")));
  reopen(Manager::Permanent::stop);
  EXPECT_TRUE(manager_->get("look").value().isolated);
  ASSERT_TRUE(run(manager_->start("look")));
  EXPECT_EQ(std::count(attached.begin(), attached.end(), scratch.id), 0);
}

TEST_F(SnapshotTest, its_files_grow_elsewhere_with_their_key_and_here_without) {
  const auto info = make();
  const auto taken = run(manager_->snapshot("box", AfterSnapshot::resume)).value();
  auto sealed = run(manager_->sealed_snapshot("box", "")).value();
  EXPECT_EQ(sealed.snapshot.id, taken.id);
  const auto folder = state_ + "/brought";
  ASSERT_TRUE(make_directories(folder));
  ASSERT_EQ(sealed.files.size(), std::size(kSnapshotFiles));
  for (const auto& file : sealed.files) {
    const auto bytes = read_fd(file.fd.get(), 1U << 30).value();
    EXPECT_EQ(bytes.size(), file.bytes);
    EXPECT_EQ(bytes.find("MARK=e7a1"), std::string::npos) << file.name;
    ASSERT_TRUE(write_file_atomically(folder + "/" + file.name, bytes));
  }
  EXPECT_TRUE(run(manager_->scratch_from({folder, info.id, taken.id, std::nullopt}, {"here"})).value().isolated);
  ASSERT_TRUE(run(manager_->remove("box")));
  // Its key went with it.
  const auto lost = run(manager_->scratch_from({folder, info.id, taken.id, std::nullopt}, {"lost"}));
  EXPECT_EQ(lost.error().code, Code::NotFound);
  EXPECT_NE(lost.error().hint.find("--recipient"), std::string::npos);
  keys::Key key{sealed.key.id, sealed.key.bytes.clone()};
  EXPECT_TRUE(run(manager_->scratch_from({folder, info.id, taken.id, std::move(key)}, {"there"})));
  // What was changed on the way is found.
  flip(folder + "/memory", 100);
  const auto changed = run(manager_->scratch_from({folder, info.id, taken.id, std::move(sealed.key)}, {"changed"}));
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, Code::DataLoss);
  EXPECT_FALSE(manager_->get("changed"));
}

}  // namespace
}  // namespace cofferdam::workspace
