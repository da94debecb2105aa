// A workspace's machine as QEMU runs it: one jailed VMM, its monitor, and the link to the guest's agent.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "vm/guest_files.h"
#include "vm/guest_link.h"
#include "vm/launch.h"
#include "vm/machine.h"

namespace cofferdam::vm {

class QemuMachine : public Machine {
 public:
  // What a guest that has not run yet still has to find.
  struct Clone {
    enum class Root { mounted, to_mount, saved } root = Root::mounted;
    std::uint64_t disk_bytes = 0;
    image::ImageConfig config;
  };
  // `host` outlives the machine. A VMM that has started; its guest is begun by begin() or wake().
  QemuMachine(const loop::asio::any_io_executor& executor, Host& host, std::string id, Launched launched, Clone clone);
  // Takes over a VMM whose guest answers on `link`, or will once it runs.
  QemuMachine(const loop::asio::any_io_executor& executor, Host& host, std::string id, Launched launched,
              std::shared_ptr<GuestLink> link, std::string machine_id, Adopted as);
  ~QemuMachine() override;

  // From the template's state to a guest that has run a first process and is paused.
  Task<void> rehearse_and_pause();
  // After an adoption: commands with a tag wait to be taken, all others are killed, for nobody listens to them any
  // more.
  Task<void> sort_tasks();
  // Runs until the machine has ended and nothing of it is left, or until let_go(). Once, before it is handed out, in a
  // task group that is joined before `host` goes.
  static Task<void> watch_over(std::shared_ptr<QemuMachine> machine);
  // Drops the connections; a machine with a lease of its own runs on without us.
  Task<void> let_go();

  [[nodiscard]] const std::string& id() const override { return id_; }
  Task<void> wake(std::string hostname) override;
  Task<void> claim(Claim claim) override;
  Task<void> set_ttl(std::optional<std::chrono::milliseconds> from_now) override;
  Task<void> pause() override;
  Task<void> resume() override;
  Task<std::unique_ptr<GuestProcess>> start(model::ExecSpec spec) override;
  std::vector<LeftProcess> take_left() override { return std::exchange(left_, {}); }
  GuestFiles& files() override { return *files_; }
  Task<std::unique_ptr<GuestWatch>> watch(WatchSpec spec) override;
  Task<std::unique_ptr<GuestConnection>> dial(std::uint16_t port) override;
  Task<void> configure_network(GuestNetwork network) override;
  [[nodiscard]] Result<UniqueFd> network_namespace() const override;
  Task<GuestMetrics> guest_metrics() override;
  Task<std::vector<GuestProcessInfo>> processes() override;
  Task<HostMetrics> host_metrics() override;
  Task<Figures> figures() override;
  std::optional<Figures> figures_at_hand() override;
  Task<std::string> kernel_log() override;
  Task<std::string> console() override;
  Task<SavedMachine> save(SaveWish wish) override;
  [[nodiscard]] Result<SecureBytes> disk_passphrase() const override;
  Task<void> shut_down(std::chrono::milliseconds grace) override;
  Task<void> kill() override;
  Task<void> destroy() override;
  Task<MachineExit> wait_for_exit() override;
  [[nodiscard]] bool alive() const override { return !exit_; }

 private:
  Task<void> begin(std::string hostname);
  Task<void> wait_until_ended();
  // Of the VMM; empty when it is known to be gone.
  [[nodiscard]] Result<UniqueFd> vmm_pidfd() const;
  // Unavailable when the machine has ended, or its guest has not begun.
  [[nodiscard]] Status check_running() const;
  Task<void> greet_and_name(std::string hostname);

  Host& host_;
  std::string id_;
  Launched launched_;
  std::optional<FigureReader> figure_reader_;  // made when it is first asked for
  KnownTraffic known_traffic_;
  std::set<std::uint32_t> commands_;  // pids of those started, as far as they may still run
  std::shared_ptr<GuestLink> link_;   // null: the guest has not begun
  std::optional<LinkFiles> files_;
  std::vector<LeftProcess> left_;
  std::string machine_id_;
  Clone clone_;
  bool greeting_owed_ = false;          // it was taken over standing still, and its guest has not been asked anything
  std::optional<std::string> runs_as_;  // its identity, when it was not paused since
  loop::asio::steady_timer ended_;      // never expires; cancelled at the end
  std::optional<MachineExit> exit_;
  bool stands_still_ = false;  // by a wish
  bool destroy_asked_ = false;
};

// The record a machine leaves in its run folder, for a daemon that comes after.
struct MachineRecord {
  std::uint32_t uid = 0;
  std::string machine_id;
  std::string bundle;  // the digest of the one it runs from; empty: written by a daemon that did not say
};
Status write_record(const Host& host, const std::string& id, const MachineRecord& record);
Result<MachineRecord> read_record(const Host& host, const std::string& id);

}  // namespace cofferdam::vm
