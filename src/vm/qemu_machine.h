// A workspace's machine as QEMU runs it: one jailed VMM, its monitor, and the link to the guest's agent.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "vm/guest_files.h"
#include "vm/guest_link.h"
#include "vm/launch.h"
#include "vm/machine.h"

namespace cofferdam::vm {

class QemuMachine : public Machine {
 public:
  // `host` outlives the machine. Takes over a VMM whose guest answers on `link`.
  QemuMachine(loop::asio::any_io_executor executor, Host& host, std::string id, Launched launched,
              std::shared_ptr<GuestLink> link, std::string machine_id);
  ~QemuMachine() override;

  // Gives the clone its identity: the guest must confirm all of it. `hostname` may change again at the claim.
  Task<void> give_identity(std::string hostname);
  // Mounts the disk and the root over it. Once, after the first identity.
  Task<void> prepare(const image::ImageConfig& config);
  // Runs a shell that does nothing: what starting a command takes is then translated and in memory before a user's
  // command comes. An image without a shell just stays cold.
  Task<void> rehearse();
  Task<void> pause();
  // Kills every command that runs in the guest: after an adoption, when nobody listens to them any more.
  Task<void> end_tasks();
  // The VMM of a machine that never came to be watched, for the caller to end.
  Launched take_back() { return std::move(launched_); }
  // Runs until the machine has ended and nothing of it is left, or until let_go(). Once, before it is handed out, in a
  // task group that is joined before `host` goes.
  static Task<void> watch_over(std::shared_ptr<QemuMachine> machine);
  // Drops the connections; a machine with a lease of its own runs on without us.
  Task<void> let_go();

  [[nodiscard]] const std::string& id() const override { return id_; }
  Task<void> claim(Claim claim) override;
  Task<void> set_ttl(std::optional<std::chrono::milliseconds> from_now) override;
  Task<std::unique_ptr<GuestProcess>> start(model::ExecSpec spec) override;
  GuestFiles& files() override { return files_; }
  Task<std::unique_ptr<GuestWatch>> watch(WatchSpec spec) override;
  Task<std::unique_ptr<GuestConnection>> dial(std::uint16_t port) override;
  Task<GuestMetrics> guest_metrics() override;
  Task<std::vector<GuestProcessInfo>> processes() override;
  Task<HostMetrics> host_metrics() override;
  Task<std::string> console() override;
  Task<void> shut_down(std::chrono::milliseconds grace) override;
  Task<void> destroy() override;
  Task<MachineExit> wait_for_exit() override;
  [[nodiscard]] bool alive() const override { return !exit_; }

 private:
  Task<void> set_clock();
  Task<void> wait_until_ended();

  Host& host_;
  std::string id_;
  Launched launched_;
  std::shared_ptr<GuestLink> link_;
  LinkFiles files_;
  std::string machine_id_;
  loop::asio::steady_timer ended_;  // never expires; cancelled at the end
  std::optional<MachineExit> exit_;
  bool destroy_asked_ = false;
};

// The record a machine leaves in its run folder, for a daemon that comes after.
struct MachineRecord {
  std::uint32_t uid = 0;
  std::string machine_id;
};
Status write_record(const Host& host, const std::string& id, const MachineRecord& record);
Result<MachineRecord> read_record(const Host& host, const std::string& id);

}  // namespace cofferdam::vm
