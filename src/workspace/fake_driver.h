// A machine driver in memory, for the tests of this room: deterministic, and it does what it is told.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "loop/event.h"
#include "vm/machine.h"

namespace cofferdam::workspace {

class FakeDriver;

// What the guest does with a command, chosen by argv[0]:
//   "print" writes argv[1] and ends; "flood" writes without end until it is killed; "sleep" ends when it is killed;
//   "deaf" never ends and never answers; "fail" ends with 3; "env" writes its environment, cwd and user.
class FakeMachine : public vm::Machine, public std::enable_shared_from_this<FakeMachine> {
 public:
  static constexpr std::uint32_t kPid = 42;  // of every process
  FakeMachine(loop::asio::any_io_executor executor, FakeDriver& driver, vm::MachineSpec spec);
  [[nodiscard]] const std::string& id() const override { return spec_.id; }
  loop::Task<void> wake(std::string hostname) override;
  loop::Task<void> claim(vm::Claim claim) override;
  loop::Task<void> set_ttl(std::optional<std::chrono::milliseconds> from_now) override;
  loop::Task<void> pause() override;
  loop::Task<void> resume() override;
  loop::Task<std::unique_ptr<vm::GuestProcess>> start(model::ExecSpec spec) override;
  vm::GuestFiles& files() override;
  // Unimplemented: nothing in this room calls them.
  loop::Task<std::unique_ptr<vm::GuestWatch>> watch(vm::WatchSpec spec) override;
  loop::Task<std::unique_ptr<vm::GuestConnection>> dial(std::uint16_t port) override;
  loop::Task<void> configure_network(vm::GuestNetwork network) override;
  [[nodiscard]] Result<UniqueFd> network_namespace() const override;
  loop::Task<vm::GuestMetrics> guest_metrics() override;
  loop::Task<std::vector<vm::GuestProcessInfo>> processes() override;
  loop::Task<vm::HostMetrics> host_metrics() override;
  loop::Task<vm::Figures> figures() override;
  loop::Task<std::string> kernel_log() override;
  loop::Task<std::string> console() override;
  loop::Task<vm::SavedMachine> save(vm::SaveWish wish) override;
  std::vector<vm::LeftProcess> take_left() override;
  [[nodiscard]] Result<SecureBytes> disk_passphrase() const override { return spec_.disk_passphrase.clone(); }
  loop::Task<void> shut_down(std::chrono::milliseconds grace) override;
  loop::Task<void> kill() override;
  loop::Task<void> destroy() override;
  loop::Task<vm::MachineExit> wait_for_exit() override;
  [[nodiscard]] bool alive() const override { return !exit_; }

  // Ends it from the outside.
  void die(vm::ExitReason reason, std::string detail = {});
  [[nodiscard]] const vm::MachineSpec& spec() const { return spec_; }
  [[nodiscard]] const std::optional<vm::Claim>& claimed() const { return claim_; }
  [[nodiscard]] bool paused() const { return paused_; }
  void go_on_with(std::vector<model::ExecSpec> processes) { left_ = std::move(processes); }
  // Closes the disk, as the end of a process would.
  void close_disk() { spec_.disk.reset(); }

 private:
  loop::asio::any_io_executor executor_;
  FakeDriver& driver_;
  vm::MachineSpec spec_;
  bool asleep_ = false;
  bool paused_ = false;
  std::optional<vm::Claim> claim_;
  std::optional<vm::MachineExit> exit_;
  std::uint64_t ttl_round_ = 0;
  std::vector<model::ExecSpec> running_, left_;  // those with a tag
  loop::asio::steady_timer ended_;
};

class FakeDriver : public vm::MachineDriver {
 public:
  explicit FakeDriver(loop::asio::any_io_executor executor) : executor_(std::move(executor)) {}
  loop::Task<std::shared_ptr<vm::Machine>> create(vm::MachineSpec spec) override;
  loop::Task<std::shared_ptr<const vm::Seed>> seed(image::Image image, model::Shape shape,
                                                   vm::EmptyDisk empty) override;
  loop::Task<std::vector<std::string>> orphans() override;
  loop::Task<std::shared_ptr<vm::Machine>> adopt(std::string id, vm::Adopted as) override;
  loop::Task<std::vector<std::pair<std::string, std::string>>> remains(std::string id) override;
  loop::Task<void> remove_orphan(std::string id) override;
  // Those that were not claimed end, the others become orphans of the next manager.
  loop::Task<void> release() override;
  [[nodiscard]] const vm::AcceleratorInfo& accelerator() const override { return accelerator_; }
  [[nodiscard]] std::map<std::string, std::string> build_of(const image::Image& image,
                                                            model::Shape shape) const override;

  // What the next calls do.
  std::chrono::milliseconds create_takes{1};
  std::chrono::milliseconds wake_takes{0};
  std::chrono::milliseconds shut_down_takes{1};
  std::chrono::milliseconds destroy_takes{0};  // when its VMM is dead
  int creates_that_fail = 0;
  int wakes_that_fail = 0;
  int claims_that_fail = 0;
  bool adoption_fails = false;
  int saves_that_fail = 0;
  std::string vmm_version = "fake 1";

  // What happened.
  int created = 0;  // up to any stage
  int woken = 0;
  int creating_now = 0, most_creating_at_once = 0;
  std::vector<std::string> killed, destroyed, removed_orphans;
  // What ran, with a tag, in the machine that was saved last; it runs on in the next one that goes on from a save.
  std::vector<model::ExecSpec> asleep;
  // Machines that run, also those of a former manager.
  std::map<std::string, std::shared_ptr<FakeMachine>> alive;

 private:
  loop::asio::any_io_executor executor_;
  vm::AcceleratorInfo accelerator_{"fake", "for tests"};
};

}  // namespace cofferdam::workspace
