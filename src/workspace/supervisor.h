// Keeps workloads running: one task for each that is wanted, from its start over its restarts to its end.
#pragma once
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "loop/lane.h"
#include "loop/task_group.h"
#include "vm/machine.h"
#include "workspace/backoff.h"
#include "workspace/event.h"
#include "workspace/workload_table.h"
#include "workspace/workloads.h"

namespace cofferdam::workspace {

// What the supervisor needs of the workspaces.
struct WorkloadHost {
  std::function<Result<std::string>(const std::string& workspace)> find;  // its id
  std::function<Result<std::shared_ptr<vm::Machine>>(const std::string& id)> machine;
  // With the environment of image and workspace filled in.
  std::function<Task<std::unique_ptr<vm::GuestProcess>>(std::string id, model::ExecSpec spec)> start;
  std::function<void(const std::string& id, EventKind kind, std::string detail)> tell;
  // A line for the workspace's cmd log.
  std::function<void(const std::string& id, std::string line)> keep_line;
  // A workload whose end the workspace shares has ended, and is not started again.
  std::function<void(const std::string& id, VmOnExit what, std::string why)> ended;
};

struct SupervisorOptions {
  std::chrono::milliseconds figures_every{2000};
  std::chrono::milliseconds stop_grace{5000};
};

// What a process and those it started take, by the guest's word.
struct TreeUsage {
  std::uint64_t cpu_ms = 0, rss_kib = 0;
};
TreeUsage tree_usage(const std::vector<vm::GuestProcessInfo>& processes, std::uint32_t root);

// What marks a workload's process in the guest, for whoever finds it there later.
std::string workload_tag(const std::string& id);
std::optional<std::string> workload_of_tag(std::string_view tag);

class Supervisor final : public Workloads {
 public:
  Supervisor(const loop::asio::any_io_executor& executor, WorkloadTable table, WorkloadHost host,
             SupervisorOptions options);
  ~Supervisor() override;

  // What was there before the daemon; nothing is started.
  Task<void> load();
  // The workspace runs on a new machine: what is enabled starts.
  void workspace_is_up(const std::string& id);
  // It runs again after it stood still: what waits for it starts.
  void workspace_goes_on(const std::string& id);
  // A run that goes on since its machine does: before either of the two above.
  void take_up(const std::string& workspace_id, const std::string& id, std::unique_ptr<vm::GuestProcess> process);
  void workspace_is_gone(const std::string& id);
  // Nothing is started any more.
  Task<void> shut_down();

  Task<Workload> create(std::string workspace, WorkloadSpec spec, std::string id) override;
  [[nodiscard]] Result<std::vector<Workload>> list(const std::string& workspace) const override;
  [[nodiscard]] Result<Workload> get(const std::string& workspace, const std::string& id) const override;
  Task<Workload> update(std::string workspace, std::string id, WorkloadChange change) override;
  Task<void> remove(std::string workspace, std::string id) override;
  Task<void> remove_all(std::string workspace) override;
  Task<Workload> start(std::string workspace, std::string id) override;
  Task<Workload> stop(std::string workspace, std::string id) override;
  [[nodiscard]] Result<std::vector<WorkloadLine>> logs(const std::string& workspace, const std::string& id,
                                                       std::size_t tail) const override;
  Result<std::shared_ptr<Feed<WorkloadLine>>> follow_logs(const std::string& workspace, const std::string& id) override;
  Task<WorkloadStats> stats(std::string workspace, std::string id) override;
  Task<std::vector<WorkloadStats>> all_stats(std::string workspace) override;
  Result<std::shared_ptr<Feed<std::vector<WorkloadStats>>>> follow_stats(const std::string& workspace,
                                                                         const std::string& id) override;

 private:
  struct Item;
  class Present;
  using ItemPtr = std::shared_ptr<Item>;
  // How one run ended.
  struct RunEnd {
    enum class How { ended, not_started, machine_gone } how = How::ended;
    int exit_code = 0;
    std::string detail;
  };

  [[nodiscard]] Result<ItemPtr> find(const std::string& workspace, const std::string& id) const;
  [[nodiscard]] Status check_name(const std::string& workspace_id, const std::string& name, const Item* self) const;
  // With `process`: the first run is there already.
  void begin(const ItemPtr& item, std::unique_ptr<vm::GuestProcess> process = nullptr);
  Task<void> keep_running(ItemPtr item, std::uint64_t round, std::unique_ptr<vm::GuestProcess> process);
  Task<std::unique_ptr<vm::GuestProcess>> start_process(const Item& item);
  Task<RunEnd> run_once(ItemPtr item, std::uint64_t round, std::unique_ptr<vm::GuestProcess> process);
  Task<void> end_process(ItemPtr item);
  Task<void> wait_until_gone(ItemPtr item);
  void settle(Item& item, WorkloadState state, std::string detail);
  void keep_line(Item& item, LogStream stream, std::string text);
  void forget(const ItemPtr& item);
  Task<std::vector<WorkloadStats>> figures(std::string workspace_id, std::vector<ItemPtr> items);
  Task<void> feed_figures(std::weak_ptr<Feed<std::vector<WorkloadStats>>> weak, std::string workspace, std::string id);

  loop::asio::any_io_executor executor_;
  loop::Lane changes_;  // what is read, changed and written is one change
  WorkloadTable table_;
  WorkloadHost host_;
  SupervisorOptions options_;
  std::map<std::string, std::map<std::string, ItemPtr>> items_;  // by workspace and id
  std::size_t figure_feeds_ = 0;
  bool closing_ = false;
  loop::TaskGroup tasks_;
};

}  // namespace cofferdam::workspace
