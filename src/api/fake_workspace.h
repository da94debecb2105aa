// A workspace manager in memory, for the tests of this room: routing, shapes, streams and back-pressure without
// machines.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "loop/event.h"
#include "workspace/manager.h"

namespace cofferdam::api {

using loop::Task;

// What the commands and files of a fake machine have seen.
struct FakeRecord {
  int processes_alive = 0;
  std::size_t output_pieces = 0;  // that were asked for
  std::size_t input_bytes = 0;
  std::vector<int> signals;
  int abandoned_writers = 0;
  std::vector<std::string> removed;  // workspaces
  std::optional<workspace::AfterExec> last_after;
  std::optional<model::ExecSpec> last_spec;
  std::map<std::string, std::string> scripts;  // what a command of that name prints, whatever its arguments are
  std::string http_request;                    // what came to port 8080
  std::string http_answer;                     // and what is said there once a whole head has come
};

// The id of the n-th workspace that a fake manager makes.
std::string fake_id(int number);

// Answers Unimplemented, whatever it is asked.
class FakeWorkloads final : public workspace::Workloads {
 public:
  Task<workspace::Workload> create(std::string, workspace::WorkloadSpec, std::string) override { co_return no(); }
  [[nodiscard]] Result<std::vector<workspace::Workload>> list(const std::string&) const override { return no(); }
  [[nodiscard]] Result<workspace::Workload> get(const std::string&, const std::string&) const override { return no(); }
  Task<workspace::Workload> update(std::string, std::string, workspace::WorkloadChange) override { co_return no(); }
  Task<void> remove(std::string, std::string) override { co_return no(); }
  Task<void> remove_all(std::string) override { co_return no(); }
  Task<workspace::Workload> start(std::string, std::string) override { co_return no(); }
  Task<workspace::Workload> stop(std::string, std::string) override { co_return no(); }
  [[nodiscard]] Result<std::vector<workspace::WorkloadLine>> logs(const std::string&, const std::string&,
                                                                  std::size_t) const override {
    return no();
  }
  Result<std::shared_ptr<loop::Feed<workspace::WorkloadLine>>> follow_logs(const std::string&,
                                                                           const std::string&) override {
    return no();
  }
  Task<workspace::WorkloadStats> stats(std::string, std::string) override { co_return no(); }
  Task<std::vector<workspace::WorkloadStats>> all_stats(std::string) override { co_return no(); }
  Result<std::shared_ptr<loop::Feed<std::vector<workspace::WorkloadStats>>>> follow_stats(const std::string&,
                                                                                          const std::string&) override {
    return no();
  }

 private:
  static tl::unexpected<Error> no() { return fail(Code::Unimplemented, "the fake manager has no workloads"); }
};

// Commands: "echo WORD…", "cat" (stdin to stdout), "complain" (to stderr, ends with 3), "flood N" (pieces of 64 KiB),
// "hang" (until a signal), "deaf" (never takes stdin), "size" (prints each resize, until a signal), "vanish" (its
// machine dies). Anything else is not found, as a guest says it. On port 7 of a machine's loopback a server sends back
// what it gets; the one on port 8080 answers the first head as it was told, ends there unless it said 101, and else
// sends back the rest; a watcher hears what is written, removed and renamed over the same interface.
class FakeManager final : public workspace::Manager {
 public:
  FakeManager(loop::asio::any_io_executor executor, FakeRecord& record);
  ~FakeManager() override;

  Task<void> reconcile() override;
  void start_pools() override {}
  Task<void> shut_down(Permanent permanent) override;
  Task<workspace::Info> create(model::WorkspaceSpec spec, std::string idempotency_key) override;
  [[nodiscard]] std::vector<workspace::Info> list() const override;
  [[nodiscard]] Result<workspace::Info> get(const std::string& id) const override;
  [[nodiscard]] Result<workspace::Owner> owner(const std::string& id) const override {
    TRY_ASSIGN(const auto info, get(id));
    return workspace::Owner{info.id, info.spec.namespace_id};
  }
  Task<workspace::Info> start(std::string id) override;
  Task<workspace::Info> stop(std::string id) override;
  Task<workspace::Info> restart(std::string id) override;
  Task<workspace::Info> pause(std::string id) override;
  Task<workspace::Info> suspend(std::string id) override;
  Task<workspace::Info> resume(std::string id) override;
  Task<workspace::Removal> remove(std::string id) override;
  Task<void> seize(std::string id) override;
  Task<workspace::Snapshot> preserve(std::string id) override;
  Task<workspace::Info> keep_still(std::string id) override;
  [[nodiscard]] Status check_free(const std::string& id) const override;
  workspace::ContainedBecause contained;
  workspace::AdmitWorkspace may_run;
  Task<workspace::Info> hold(std::string id, std::string reason) override;
  Task<workspace::Info> unhold(std::string id) override;
  Task<workspace::Snapshot> snapshot(std::string id, workspace::AfterSnapshot after) override;
  [[nodiscard]] Result<std::vector<workspace::Snapshot>> snapshots(const std::string& id) const override;
  Task<void> remove_snapshot(std::string id, std::string snapshot_id) override;
  Task<workspace::Info> restore(std::string id, std::string snapshot_id) override;
  Task<std::vector<workspace::Info>> fork(std::string id, workspace::ForkWish wish) override;
  // The fake keeps no files: there is nothing to be handed out, and what was brought goes nowhere.
  Task<workspace::SealedSnapshot> sealed_snapshot(std::string id, std::string snapshot_id) override;
  Task<workspace::Info> scratch(std::string id, std::string snapshot_id, workspace::ScratchWish wish) override;
  Task<workspace::Info> scratch_from(workspace::BroughtSnapshot brought, workspace::ScratchWish wish) override;
  Task<std::string> console(std::string id) override;
  Task<workspace::Archive> add_archive(std::string id, workspace::ArchiveWish wish,
                                       workspace::ArchiveBytes bytes) override;
  [[nodiscard]] Result<std::vector<workspace::Archive>> archives(const std::string& id) const override;
  Task<workspace::ArchiveBytes> read_archive(std::string id, std::string version) override;
  Task<void> remove_archive(std::string id, std::string version) override;
  Task<workspace::Info> set_ttl(std::string id, std::optional<std::chrono::milliseconds> from_now,
                                std::optional<model::TtlAction> action) override;
  Task<workspace::Info> update(std::string id, workspace::Change change) override;
  Task<workspace::Info> set_metadata(std::string id, model::Metadata values, workspace::MetadataChange how) override;
  Task<workspace::Info> make_permanent(std::string id, std::optional<model::RestartPolicy> restart_policy) override;
  Task<workspace::Info> make_temporary(std::string id, std::optional<std::chrono::milliseconds> ttl,
                                       std::optional<model::TtlAction> action,
                                       std::optional<model::OnExit> on_exit) override;
  Task<workspace::Info> set_idle(std::string id, std::optional<model::IdlePolicy> policy) override;
  Task<workspace::Info> ping(std::string id, std::optional<std::chrono::milliseconds> ttl) override;
  Task<workspace::Resized> resize(std::string id, workspace::Resources resources, workspace::Apply apply) override;
  Result<std::shared_ptr<vm::Machine>> machine(const std::string& id) const override;
  Task<std::shared_ptr<vm::Machine>> wake_machine(std::string id) override;
  void touch(const std::string& id) override;
  Task<std::unique_ptr<vm::GuestProcess>> exec(std::string id, model::ExecSpec spec, workspace::AfterExec after,
                                               workspace::KeepOutput keep_output) override;
  std::vector<vm::LeftProcess> take_left(const std::string& /*id*/) override { return {}; }
  Task<std::vector<workspace::LogLine>> logs(std::string id, workspace::LogSource source, std::size_t tail) override;
  Task<void> clear_logs(std::string id) override;
  Result<std::shared_ptr<loop::Feed<workspace::LogLine>>> follow_logs(const std::string& id,
                                                                      workspace::LogSource source) override;
  [[nodiscard]] identity::Totals usage_of(const std::string& namespace_id) const override;
  void on_event(workspace::OnEvent callback) override;
  workspace::Workloads& workloads() override { return workloads_; }
  [[nodiscard]] workspace::HostInfo host_info() const override;

 private:
  struct Entry;
  [[nodiscard]] Result<Entry*> find(const std::string& id) const;
  void tell(workspace::EventKind kind, const workspace::Info& info) const;
  Task<workspace::Info> change_state(std::string id, model::State to);
  Task<void> check_may_run(std::string id);

  loop::asio::any_io_executor executor_;
  FakeRecord& record_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
  std::map<std::string, std::string> made_for_;  // ids by idempotency key
  std::vector<workspace::OnEvent> listeners_;
  FakeWorkloads workloads_;
  int made_ = 0;
};

}  // namespace cofferdam::api
