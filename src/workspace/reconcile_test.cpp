#include <fcntl.h>
#include <unistd.h>

#include "base/id.h"
#include "disk/volume_store.h"
#include "workspace/test_support.h"

namespace cofferdam::workspace {
namespace {

using model::Mode;
using model::State;
using std::chrono::system_clock;

class ReconcileTest : public WorkspaceTest {
 protected:
  // What a daemon that was killed leaves: a record, and perhaps a machine and a disk.
  enum class Left { record_only, with_machine };
  Record leave(State state, Mode mode, Left left) {
    Record record;
    record.id = new_id("ws");
    record.spec = spec("left", mode);
    record.state = state;
    record.created_at = record.updated_at = system_clock::now();
    if (state != State::creating) record.started_at = record.created_at;
    if (state == State::running && record.spec.ttl) record.expires_at = record.created_at + *record.spec.ttl;
    record.vm_id = new_id("vm");
    record.disk_kept = mode == Mode::permanent && state != State::creating;
    if (mode == Mode::permanent) {
      EXPECT_TRUE(table().make_folder(record.id));
      auto volume = disk::VolumeStore::open(state_ + "/disks").value().make_ephemeral(64).value();
      open_keys();
      record.disk_header = volume.facts().header_sha256;
      record.disk_key_id = volume.key().id;
      EXPECT_TRUE(keys_->keep({record.id, "disk/" + record.disk_key_id}, volume.key()));
      EXPECT_TRUE(volume.persist(table().disk_path(record.id, record.disk_key_id)));
    }
    if (left == Left::with_machine) run_machine(record.vm_id);
    rewrite(record);
    return record;
  }
  void run_machine(const std::string& id) {
    vm::MachineSpec machine;
    machine.id = id;
    auto made = run(driver_.create(std::move(machine))).value();
    vm::Claim claim;
    EXPECT_TRUE(run(made->claim(claim)));
  }
  WorkspaceTable table() {
    open_database();
    EXPECT_TRUE(make_directories(state_ + "/workspaces"));
    return {state_ + "/workspaces", *database_, workers_};
  }
  void rewrite(const Record& record) { EXPECT_TRUE(run(table().write(record, store::Durability::power_loss))); }
  Result<std::int64_t> execute(const std::string& sql, const store::Values& values) {
    auto work = [=](store::Connection& connection) { return connection.execute(sql, values); };
    return database_->run_now(work);
  }
  void reconcile() {
    open();
    const auto done = run(manager_->reconcile());
    ASSERT_TRUE(done) << done.error().message;
  }
};

TEST_F(ReconcileTest, running_workspaces_are_taken_over) {
  const auto record = leave(State::running, Mode::temporary, Left::with_machine);
  reconcile();
  const auto info = manager_->get("left").value();
  EXPECT_EQ(info.id, record.id);
  EXPECT_EQ(info.state, State::running);
  EXPECT_TRUE(manager_->machine("left"));
  // And watched from now on.
  fake(record.vm_id)->die(vm::ExitReason::ttl);
  EXPECT_TRUE(until([&] { return manager_->list().empty(); }));
  EXPECT_TRUE(folders().empty());
}

// The key of a disk without a name was in the memory of the daemon that made it, and nowhere else: that is what makes
// it forgettable. So the next daemon says no, by name, and leaves everything as it is.
TEST_F(ReconcileTest, a_temporary_workspace_that_was_taken_over_stays_temporary) {
  (void)leave(State::running, Mode::temporary, Left::with_machine);
  reconcile();
  const auto refused = run(manager_->make_permanent("left", std::nullopt));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_NE(refused.error().hint.find("copy what it holds"), std::string::npos) << refused.error().hint;
  const auto info = manager_->get("left").value();
  EXPECT_EQ(info.spec.mode, Mode::temporary);
  EXPECT_EQ(info.state, State::running);
}

TEST_F(ReconcileTest, a_permanent_workspace_survives_a_daemon_and_keeps_its_memory_promised) {
  open();
  const auto before = run(manager_->create(spec("box", Mode::permanent))).value();
  close(Manager::Permanent::keep_running);
  host_memory_ = {400, 4000};  // 320 of at most 800 are promised to it
  reconcile();
  EXPECT_EQ(manager_->get("box").value().vm_id, before.vm_id);
  auto second = spec();
  second.memory_mib = 512;
  EXPECT_EQ(run(manager_->create(second)).error().code, Code::ResourceExhausted);
}

TEST_F(ReconcileTest, a_machine_that_no_record_names_is_removed) {
  run_machine("vm_stray");
  reconcile();
  EXPECT_TRUE(driver_.alive.empty());
  EXPECT_EQ(driver_.removed_orphans, std::vector<std::string>{"vm_stray"});
}

TEST_F(ReconcileTest, a_temporary_workspace_without_a_machine_is_removed) {
  leave(State::running, Mode::temporary, Left::record_only);
  reconcile();
  EXPECT_TRUE(manager_->list().empty());
  EXPECT_TRUE(folders().empty());
}

TEST_F(ReconcileTest, a_permanent_workspace_without_a_machine_is_stopped_and_can_be_started) {
  const auto record = leave(State::running, Mode::permanent, Left::record_only);
  reconcile();
  EXPECT_EQ(manager_->get(record.id).value().state, State::stopped);
  EXPECT_NE(manager_->get(record.id).value().state_detail.find("daemon was down"), std::string::npos);
  EXPECT_EQ(run(manager_->start(record.id)).value().state, State::running);
}

TEST_F(ReconcileTest, a_machine_that_does_not_answer_is_removed_and_its_workspace_dealt_with) {
  const auto temporary = leave(State::running, Mode::temporary, Left::with_machine);
  const auto permanent = leave(State::running, Mode::permanent, Left::with_machine);
  driver_.adoption_fails = true;
  reconcile();
  EXPECT_TRUE(driver_.alive.empty());
  EXPECT_EQ(driver_.removed_orphans.size(), 2U);
  EXPECT_EQ(manager_->list().size(), 1U);
  EXPECT_EQ(manager_->get(permanent.id).value().state, State::stopped);
  EXPECT_FALSE(manager_->get(temporary.id));
}

TEST_F(ReconcileTest, a_create_that_was_never_answered_leaves_nothing) {
  leave(State::creating, Mode::permanent, Left::with_machine);
  reconcile();
  EXPECT_TRUE(manager_->list().empty());
  EXPECT_TRUE(folders().empty());
  EXPECT_TRUE(driver_.alive.empty());
}

TEST_F(ReconcileTest, a_removal_that_was_begun_is_ended) {
  leave(State::removing, Mode::permanent, Left::with_machine);
  reconcile();
  EXPECT_TRUE(manager_->list().empty());
  EXPECT_TRUE(folders().empty());
  EXPECT_TRUE(driver_.alive.empty());
}

TEST_F(ReconcileTest, a_stop_that_was_begun_is_ended) {
  const auto record = leave(State::stopping, Mode::permanent, Left::with_machine);
  reconcile();
  EXPECT_EQ(manager_->get(record.id).value().state, State::stopped);
  EXPECT_TRUE(driver_.alive.empty());
}

TEST_F(ReconcileTest, a_workspace_whose_command_lost_its_client_is_removed) {
  auto record = leave(State::running, Mode::temporary, Left::with_machine);
  record.after_exec = AfterExec::remove;
  rewrite(record);
  reconcile();
  EXPECT_TRUE(manager_->list().empty());
  EXPECT_TRUE(driver_.alive.empty());
}

TEST_F(ReconcileTest, the_wish_to_be_removed_after_a_command_is_written_down) {
  open();
  const auto info = run(manager_->create(spec())).value();
  model::ExecSpec command;
  command.argv = {"print", "x"};
  ASSERT_TRUE(run(manager_->exec(info.id, command, AfterExec::remove)));
  const auto stored = run(table().load()).value();
  ASSERT_EQ(stored.size(), 1U);
  EXPECT_EQ(stored[0].record.value().after_exec, AfterExec::remove);
}

TEST_F(ReconcileTest, a_time_to_live_that_passed_meanwhile_is_kept) {
  auto temporary = leave(State::running, Mode::temporary, Left::with_machine);
  temporary.expires_at = system_clock::now() - 1s;
  rewrite(temporary);
  auto permanent = leave(State::running, Mode::permanent, Left::with_machine);
  permanent.expires_at = temporary.expires_at;
  rewrite(permanent);
  reconcile();
  EXPECT_TRUE(driver_.alive.empty());
  ASSERT_EQ(manager_->list().size(), 1U);
  EXPECT_EQ(manager_->get(permanent.id).value().state, State::stopped);
  EXPECT_NE(manager_->get(permanent.id).value().state_detail.find("time to live"), std::string::npos);
}

TEST_F(ReconcileTest, records_of_former_versions_are_taken_over_once) {
  Record record;
  record.id = new_id("ws");
  record.spec = spec("old", Mode::permanent);
  record.state = State::stopped;
  record.created_at = record.updated_at = system_clock::now();
  record.started_at = record.created_at;
  const std::string folder = state_ + "/workspaces/" + record.id;
  ASSERT_TRUE(make_directories(folder));
  auto volume = disk::VolumeStore::open(state_ + "/disks").value().make_ephemeral(64).value();
  open_keys();
  record.disk_header = volume.facts().header_sha256;
  record.disk_key_id = volume.key().id;
  ASSERT_TRUE(keys_->keep({record.id, "disk/" + record.disk_key_id}, volume.key()));
  ASSERT_TRUE(volume.persist(folder + "/disk-" + record.disk_key_id + ".img"));
  volume = disk::Volume();
  // As it was written before there was a database.
  std::string text = record_to_text(record);
  const auto field = text.find(",\"disk_kept\":false");
  ASSERT_NE(field, std::string::npos);
  text.erase(field, std::string(",\"disk_kept\":false").size());
  ASSERT_TRUE(write_file_atomically(folder + "/workspace.json", text));
  reconcile();
  EXPECT_EQ(manager_->get("old").value().id, record.id);
  EXPECT_FALSE(path_exists(folder + "/workspace.json"));
  EXPECT_EQ(run(manager_->start("old")).value().state, State::running);
  close(Manager::Permanent::stop);
  reconcile();
  EXPECT_EQ(manager_->get("old").value().state, State::stopped);
}

TEST_F(ReconcileTest, a_disk_without_a_record_is_kept) {
  const auto record = leave(State::stopped, Mode::permanent, Left::record_only);
  ASSERT_TRUE(execute("DELETE FROM workspaces", {}));
  reconcile();
  EXPECT_EQ(manager_->get(record.id).value().state, State::failed);
  EXPECT_TRUE(path_exists(table().disk_path(record.id, record.disk_key_id)));
}

TEST_F(ReconcileTest, a_rest_that_was_due_meanwhile_is_begun) {
  auto record = leave(State::running, Mode::temporary, Left::with_machine);
  record.spec.ttl_action = model::TtlAction::suspend;
  record.expires_at = system_clock::now() - 1s;
  rewrite(record);
  reconcile();
  EXPECT_TRUE(until([&] { return manager_->get(record.id).value().state == State::suspended; }));
  EXPECT_TRUE(fake(record.vm_id)->alive());
}

TEST_F(ReconcileTest, what_is_always_to_run_runs_again) {
  auto record = leave(State::running, Mode::permanent, Left::record_only);
  record.spec.restart_policy = model::RestartPolicy::always;
  rewrite(record);
  reconcile();
  EXPECT_TRUE(until([&] { return manager_->get(record.id).value().state == State::running; }));
}

TEST_F(ReconcileTest, stray_folders_and_files_are_removed) {
  for (const auto* name : {"/workspaces/ws_half", "/workspaces/other", "/disks"}) {
    ASSERT_TRUE(make_directories(state_ + name));
  }
  ASSERT_TRUE(write_file_atomically(state_ + "/workspaces/ws_half/workspace.json.tmp", "{"));
  ASSERT_TRUE(write_file_atomically(state_ + "/disks/disk.tmp-1", "x"));
  reconcile();
  EXPECT_TRUE(folders().empty());
  EXPECT_FALSE(path_exists(state_ + "/disks/disk.tmp-1"));
}

TEST_F(ReconcileTest, a_damaged_record_does_not_cost_a_person_the_disk) {
  const auto record = leave(State::stopped, Mode::permanent, Left::record_only);
  ASSERT_TRUE(execute("UPDATE workspaces SET record = $2 WHERE id = $1", {record.id, std::string("{torn")}));
  reconcile();
  EXPECT_EQ(manager_->get(record.id).value().state, State::failed);
  EXPECT_TRUE(path_exists(table().disk_path(record.id, record.disk_key_id)));
  EXPECT_TRUE(run(manager_->remove(record.id)));
  EXPECT_TRUE(folders().empty());
}

class PlainDiskTest : public ReconcileTest {
 protected:
  // As a daemon left it that knew no encryption.
  Record leave_plain(std::uint64_t bytes = 64 << 20) {
    Record record;
    record.id = new_id("ws");
    record.spec = spec("left", Mode::permanent);
    record.spec.env = {"OLD=value"};
    record.state = State::stopped;
    record.created_at = record.updated_at = system_clock::now();
    record.started_at = record.created_at;
    record.disk_kept = true;
    EXPECT_TRUE(table().make_folder(record.id));
    const UniqueFd file = open_file(plain(record.id), O_RDWR | O_CREAT, 0600).value();
    EXPECT_EQ(::ftruncate(file.get(), static_cast<off_t>(bytes)), 0);
    EXPECT_EQ(::pwrite(file.get(), "plain content", 13, 5 << 20), 13);
    EXPECT_TRUE(write_file_atomically(state_ + "/workspaces/" + record.id + "/boot.log", "an old line\n"));
    rewrite(record);
    return record;
  }
  [[nodiscard]] std::string plain(const std::string& id) const { return state_ + "/workspaces/" + id + "/disk.img"; }
  std::string content_of(const Info& info) {
    const auto key = keys_->get({info.id, "disk/" + info.disk_key_id}).value();
    keys::Key copy{key.id, key.bytes.clone()};
    const auto stored = run(table().load()).value();
    const auto disk =
        disk::Volume::open_to_read(disk_of(info), std::move(copy), {64 << 20, stored.at(0).record.value().disk_header});
    if (!disk) return disk.error().message;
    const auto source = disk::VolumeStore::open_source(*disk).value();
    const auto target = disk::VolumeStore::open(state_ + "/disks").value().make_from(source, 64).value();
    return target.bytes() == 64 << 20 ? "whole" : "cut";
  }
  [[nodiscard]] std::vector<std::string> left_in(const std::string& id) const {
    auto names = list_directory(state_ + "/workspaces/" + id).value();
    std::erase_if(names, [](const auto& name) { return name.ends_with(".log"); });
    return names;
  }
};

TEST_F(PlainDiskTest, it_is_encrypted_at_the_next_start_and_nothing_is_left_in_the_clear) {
  const auto record = leave_plain();
  reconcile();
  EXPECT_EQ(manager_->get("left").value().state, State::stopped);
  EXPECT_TRUE(path_exists(plain(record.id)));
  close(Manager::Permanent::stop);  // its environment is not lost by being looked at
  reconcile();
  const auto up = run(manager_->start("left"));
  ASSERT_TRUE(up) << up.error().message;
  EXPECT_EQ(up->spec.env, record.spec.env);
  EXPECT_FALSE(up->disk_key_id.empty());
  EXPECT_EQ(left_in(record.id), std::vector<std::string>{"disk-" + up->disk_key_id + ".img"});
  EXPECT_EQ(read_file(state_ + "/workspaces/" + record.id + "/boot.log", 1U << 20).value().find("an old line"),
            std::string::npos);
  ASSERT_TRUE(run(manager_->stop("left")));
  EXPECT_EQ(content_of(*up), "whole");
  const auto row = run(table().load()).value().at(0).record.value();
  EXPECT_TRUE(row.spec.env.empty());
  EXPECT_TRUE(row.fixed_disk);
  const auto grown = run(manager_->resize("left", Resources{{}, {}, 128}, Apply::at_next_start));
  EXPECT_EQ(grown.error().code, Code::FailedPrecondition);
  EXPECT_FALSE(grown.error().hint.empty());
  EXPECT_FALSE(row.sealed_env.empty());
  close(Manager::Permanent::stop);
  reconcile();
  EXPECT_EQ(run(manager_->start("left")).value().disk_key_id, up->disk_key_id);
  EXPECT_EQ(manager_->get("left").value().spec.env, record.spec.env);
}

TEST_F(PlainDiskTest, one_whose_daemon_died_in_the_middle_is_begun_anew) {
  const auto record = leave_plain();
  // The new disk and its key, which no record names yet.
  auto volume = disk::VolumeStore::open(state_ + "/disks").value().make_ephemeral(64).value();
  open_keys();
  ASSERT_TRUE(keys_->keep({record.id, "disk/" + volume.key().id}, volume.key()));
  const auto strange = volume.key().id;
  ASSERT_TRUE(volume.persist(table().disk_path(record.id, strange)));
  volume = disk::Volume();
  reconcile();
  EXPECT_FALSE(path_exists(table().disk_path(record.id, strange)));
  EXPECT_TRUE(keys_->list(record.id).value().empty());
  const auto up = run(manager_->start("left"));
  ASSERT_TRUE(up) << up.error().message;
  EXPECT_NE(up->disk_key_id, strange);
  // And one whose daemon died right after: what was in the clear goes at the next start.
  ASSERT_TRUE(run(manager_->stop("left")));
  ASSERT_TRUE(write_file_atomically(plain(record.id), "plain content"));
  close(Manager::Permanent::stop);
  reconcile();
  EXPECT_FALSE(path_exists(plain(record.id)));
  EXPECT_EQ(run(manager_->start("left")).value().disk_key_id, up->disk_key_id);
}

TEST_F(PlainDiskTest, one_that_cannot_be_taken_over_is_named_and_kept) {
  const auto record = leave_plain(65 << 20);
  reconcile();
  const auto larger = run(manager_->start("left"));
  ASSERT_FALSE(larger);
  EXPECT_NE(larger.error().message.find("from before disks were encrypted"), std::string::npos);
  EXPECT_NE(larger.error().message.find("disk.img' is no disk of 64 MiB"), std::string::npos) << larger.error().message;
  EXPECT_FALSE(larger.error().hint.empty());
  EXPECT_TRUE(path_exists(plain(record.id)));
  EXPECT_TRUE(keys_->list(record.id).value().empty());
  ASSERT_EQ(::truncate(plain(record.id).c_str(), 64 << 20), 0);
  EXPECT_EQ(run(manager_->start("left")).value().state, State::running);
}

TEST_F(PlainDiskTest, it_is_removed_with_its_workspace) {
  const auto record = leave_plain();
  reconcile();
  const auto removed = run(manager_->remove("left"));
  ASSERT_TRUE(removed) << removed.error().message;
  EXPECT_TRUE(folders().empty());
}

TEST_F(PlainDiskTest, one_without_a_record_is_kept) {
  const auto record = leave_plain();
  ASSERT_TRUE(execute("DELETE FROM workspaces", {}));
  reconcile();
  EXPECT_EQ(manager_->get(record.id).value().state, State::failed);
  EXPECT_TRUE(path_exists(plain(record.id)));
}

}  // namespace
}  // namespace cofferdam::workspace
