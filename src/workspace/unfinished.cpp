// What is declared and does not work yet.
#include "workspace/manager_impl.h"

namespace cofferdam::workspace {
namespace {

tl::unexpected<Error> not_yet() { return fail(Code::Unimplemented, "this is not built yet"); }

class NoWorkloads final : public Workloads {
 public:
  Task<Workload> create(std::string, WorkloadSpec, std::string) override { co_return not_yet(); }
  [[nodiscard]] Result<std::vector<Workload>> list(const std::string&) const override { return not_yet(); }
  [[nodiscard]] Result<Workload> get(const std::string&, const std::string&) const override { return not_yet(); }
  Task<Workload> update(std::string, std::string, WorkloadChange) override { co_return not_yet(); }
  Task<void> remove(std::string, std::string) override { co_return not_yet(); }
  Task<void> remove_all(std::string) override { co_return not_yet(); }
  Task<Workload> start(std::string, std::string) override { co_return not_yet(); }
  Task<Workload> stop(std::string, std::string) override { co_return not_yet(); }
  [[nodiscard]] Result<std::vector<WorkloadLine>> logs(const std::string&, const std::string&,
                                                       std::size_t) const override {
    return not_yet();
  }
  Result<std::shared_ptr<Feed<WorkloadLine>>> follow_logs(const std::string&, const std::string&) override {
    return not_yet();
  }
  Task<WorkloadStats> stats(std::string, std::string) override { co_return not_yet(); }
  Task<std::vector<WorkloadStats>> all_stats(std::string) override { co_return not_yet(); }
  Result<std::shared_ptr<Feed<std::vector<WorkloadStats>>>> follow_stats(const std::string&,
                                                                         const std::string&) override {
    return not_yet();
  }
};

}  // namespace

std::unique_ptr<Workloads> make_no_workloads() { return std::make_unique<NoWorkloads>(); }

Task<Info> ManagerImpl::restart(std::string) { co_return not_yet(); }
Task<Info> ManagerImpl::pause(std::string) { co_return not_yet(); }
Task<Info> ManagerImpl::suspend(std::string) { co_return not_yet(); }
Task<Info> ManagerImpl::resume(std::string) { co_return not_yet(); }
Task<Info> ManagerImpl::update(std::string, Change) { co_return not_yet(); }
Task<Info> ManagerImpl::set_metadata(std::string, model::Metadata, MetadataChange) { co_return not_yet(); }
Task<Info> ManagerImpl::make_permanent(std::string, std::optional<model::RestartPolicy>) { co_return not_yet(); }
Task<Info> ManagerImpl::make_temporary(std::string, std::optional<std::chrono::milliseconds>,
                                       std::optional<model::TtlAction>, std::optional<model::OnExit>) {
  co_return not_yet();
}
Task<Info> ManagerImpl::set_idle(std::string, std::optional<model::IdlePolicy>) { co_return not_yet(); }
Task<Info> ManagerImpl::ping(std::string, std::optional<std::chrono::milliseconds>) { co_return not_yet(); }
Task<Resized> ManagerImpl::resize(std::string, Resources, Apply) { co_return not_yet(); }
Task<std::shared_ptr<vm::Machine>> ManagerImpl::wake_machine(std::string id) { co_return machine(id); }
void ManagerImpl::touch(const std::string&) {}
Task<std::vector<LogLine>> ManagerImpl::logs(std::string, LogSource, std::size_t) { co_return not_yet(); }
Task<void> ManagerImpl::clear_logs(std::string) { co_return not_yet(); }
Result<std::shared_ptr<Feed<LogLine>>> ManagerImpl::follow_logs(const std::string&, LogSource) { return not_yet(); }
identity::Totals ManagerImpl::usage_of(const std::string&) const { return {}; }
void ManagerImpl::on_event(OnEvent) {}

}  // namespace cofferdam::workspace
