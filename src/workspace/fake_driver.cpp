#include "workspace/fake_driver.h"

#include <sys/mman.h>

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <cstdlib>

#include "base/bytes.h"
#include "base/file.h"
#include "loop/task.h"

namespace cofferdam::workspace {
namespace {

using loop::Task;

class FakeProcess : public vm::GuestProcess {
 public:
  FakeProcess(const loop::asio::any_io_executor& executor, std::shared_ptr<FakeMachine> machine, model::ExecSpec spec)
      : machine_(std::move(machine)), spec_(std::move(spec)), killed_(executor) {}

  Task<std::optional<vm::Output>> read() override {
    const std::string& program = spec_.argv[0];
    if (program == "flood" && status_.signal == 0) co_return vm::Output{vm::Channel::stdout_, std::string(1000, 'x')};
    if (program == "print" && !printed_) {
      printed_ = true;
      co_return vm::Output{vm::Channel::stdout_, spec_.argv.at(1)};
    }
    if (program == "env" && !printed_) {
      printed_ = true;
      std::string text = spec_.cwd + "|" + spec_.user;
      for (const auto& item : spec_.env) text += "|" + item;
      co_return vm::Output{vm::Channel::stdout_, text};
    }
    if (program == "sleep" && status_.signal == 0) {
      using loop::asio::experimental::awaitable_operators::operator||;
      (void)co_await (killed_.wait() || machine_->wait_for_exit());
      if (!machine_->alive()) co_return fail(Code::Unavailable, "the machine has ended");
      if (status_.signal == 0) co_return fail(Code::Cancelled, "the reader was called away");
    }
    if (program == "fail" && status_.signal == 0) status_.code = 3;
    if (program == "deaf") {
      (void)co_await machine_->wait_for_exit();
      co_return fail(Code::Unavailable, "the machine has ended");
    }
    co_return std::nullopt;
  }
  [[nodiscard]] model::ExitStatus exit_status() const override { return status_; }
  Task<void> write(std::string /*bytes*/) override { co_return Status{}; }
  Task<void> close_stdin() override { co_return Status{}; }
  Status signal(int signal_number) override {
    if (printed_) return {};  // it has ended by itself
    status_.signal = signal_number;
    status_.code = 128 + signal_number;
    killed_.notify();
    return {};
  }
  Status resize(std::uint16_t /*rows*/, std::uint16_t /*cols*/) override { return {}; }
  [[nodiscard]] std::uint32_t pid() const override { return FakeMachine::kPid; }

 private:
  std::shared_ptr<FakeMachine> machine_;
  model::ExecSpec spec_;
  model::ExitStatus status_;
  bool printed_ = false;
  loop::Event killed_;
};

tl::unexpected<Error> ended() { return fail(Code::Unavailable, "the machine has ended"); }

}  // namespace

FakeMachine::FakeMachine(loop::asio::any_io_executor executor, FakeDriver& driver, vm::MachineSpec spec)
    : executor_(std::move(executor)),
      driver_(driver),
      spec_(std::move(spec)),
      asleep_(spec_.stage == vm::Stage::standby),
      ended_(executor_, loop::asio::steady_timer::time_point::max()) {}

Task<void> FakeMachine::wake(std::string /*hostname*/) {
  if (exit_) co_return ended();
  if (driver_.wake_takes > std::chrono::milliseconds(0)) CO_TRY(co_await loop::sleep_for(driver_.wake_takes));
  if (driver_.wakes_that_fail > 0) {
    --driver_.wakes_that_fail;
    co_return fail(Code::Unavailable, "the guest did not start");
  }
  ++driver_.woken;
  asleep_ = false;
  co_return Status{};
}

Task<void> FakeMachine::claim(vm::Claim claim) {
  if (exit_) co_return ended();
  if (asleep_) co_return fail(Code::Unavailable, "the machine is on standby");
  if (driver_.claims_that_fail > 0) {
    --driver_.claims_that_fail;
    co_return fail(Code::Unavailable, "the guest did not confirm its identity");
  }
  claim_ = claim;
  co_return co_await set_ttl(claim.ttl);
}

Task<void> FakeMachine::set_ttl(std::optional<std::chrono::milliseconds> from_now) {
  if (exit_) co_return ended();
  const std::uint64_t round = ++ttl_round_;
  if (!from_now) co_return Status{};
  auto timer = std::make_shared<loop::asio::steady_timer>(executor_, *from_now);
  timer->async_wait([timer, round, weak = weak_from_this()](const boost::system::error_code&) {
    const auto self = weak.lock();
    if (self && self->ttl_round_ == round) self->die(vm::ExitReason::ttl);
  });
  co_return Status{};
}

Task<void> FakeMachine::pause() {
  if (exit_) co_return ended();
  paused_ = true;
  co_return Status{};
}

Task<void> FakeMachine::resume() {
  if (exit_) co_return ended();
  paused_ = false;
  co_return Status{};
}

namespace {

// A memory that holds one page.
class FakeMemory : public vm::MemoryCopy {
 public:
  Status write(const std::function<Status(std::string_view)>& sink) override {
    std::string text;
    ByteWriter writer(text);
    writer.u64(0);
    writer.u32(4096);
    writer.raw(std::string(4096, 'm'));
    writer.u64(UINT64_MAX);
    writer.u32(0);
    return sink(text);
  }
};

}  // namespace

Task<vm::SavedMachine> FakeMachine::save(vm::SaveWish wish) {
  if (exit_) co_return fail(Code::Unavailable, "the machine has ended");
  if (driver_.saves_that_fail > 0) {
    --driver_.saves_that_fail;
    co_return fail(Code::Internal, "the machine could not be saved");
  }
  paused_ = wish.after == vm::AfterSave::stand_still;
  driver_.asleep = running_;
  vm::SavedMachine saved;
  saved.memory = std::make_unique<FakeMemory>();
  saved.state = UniqueFd(::memfd_create("fake-state", MFD_CLOEXEC));
  CO_TRY(write_all(saved.state.get(), "devices"));
  saved.pause = std::chrono::microseconds(7);
  co_return saved;
}

Task<std::unique_ptr<vm::GuestProcess>> FakeMachine::start(model::ExecSpec spec) {
  if (exit_) co_return ended();
  if (!spec.tag.empty()) running_.push_back(spec);
  co_return std::make_unique<FakeProcess>(executor_, shared_from_this(), std::move(spec));
}

std::vector<vm::LeftProcess> FakeMachine::take_left() {
  std::vector<vm::LeftProcess> left;
  for (auto& process : std::exchange(left_, {})) {
    running_.push_back(process);
    std::string tag = process.tag;
    left.push_back(
        {std::move(tag), std::make_unique<FakeProcess>(executor_, shared_from_this(), std::move(process)), false});
  }
  return left;
}

vm::GuestFiles& FakeMachine::files() { std::abort(); }
Task<std::unique_ptr<vm::GuestWatch>> FakeMachine::watch(vm::WatchSpec /*spec*/) {
  co_return fail(Code::Unimplemented, "the fake machine has no files to watch");
}
Task<std::unique_ptr<vm::GuestConnection>> FakeMachine::dial(std::uint16_t /*port*/) {
  co_return fail(Code::Unimplemented, "the fake machine has no network");
}
Task<void> FakeMachine::configure_network(vm::GuestNetwork /*network*/) {
  co_return fail(Code::Unimplemented, "the fake machine has no network");
}
Result<UniqueFd> FakeMachine::network_namespace() const {
  return fail(Code::Unimplemented, "the fake machine has no network");
}
Task<vm::GuestMetrics> FakeMachine::guest_metrics() { co_return vm::GuestMetrics{}; }
Task<std::vector<vm::GuestProcessInfo>> FakeMachine::processes() {
  vm::GuestProcessInfo one;
  one.pid = kPid;
  one.rss_kib = 100;
  one.cpu_ms = 40;
  std::vector<vm::GuestProcessInfo> all{one};
  co_return all;
}
Task<vm::HostMetrics> FakeMachine::host_metrics() { co_return vm::HostMetrics{}; }
Task<vm::Figures> FakeMachine::figures() { co_return vm::Figures{}; }
Task<std::string> FakeMachine::kernel_log() {
  co_return std::string("<5>[    0.000000] Linux version 6.1\n<6>[    0.100000] a\tline\nno line of a kernel");
}
Task<std::string> FakeMachine::console() { co_return std::string("console"); }

Task<void> FakeMachine::shut_down(std::chrono::milliseconds /*grace*/) {
  CO_TRY(co_await loop::sleep_for(driver_.shut_down_takes));
  co_return co_await destroy();
}

Task<void> FakeMachine::kill() {
  driver_.killed.push_back(spec_.id);
  die(vm::ExitReason::destroyed);
  co_return Status{};
}

Task<void> FakeMachine::destroy() {
  die(vm::ExitReason::destroyed);
  if (driver_.destroy_takes > std::chrono::milliseconds(0)) CO_TRY(co_await loop::sleep_for(driver_.destroy_takes));
  driver_.destroyed.push_back(spec_.id);
  co_return Status{};
}

Task<vm::MachineExit> FakeMachine::wait_for_exit() {
  while (!exit_) {
    (void)co_await ended_.async_wait(loop::as_result);
    const auto state = co_await loop::asio::this_coro::cancellation_state;
    if (state.cancelled() != loop::asio::cancellation_type::none) co_return fail(Code::Cancelled, "wait cancelled");
  }
  co_return *exit_;
}

void FakeMachine::die(vm::ExitReason reason, std::string detail) {
  if (exit_) return;
  exit_ = vm::MachineExit{reason, std::move(detail)};
  close_disk();
  ended_.cancel();
  driver_.alive.erase(spec_.id);
}

Task<std::shared_ptr<vm::Machine>> FakeDriver::create(vm::MachineSpec spec) {
  ++creating_now;
  most_creating_at_once = std::max(most_creating_at_once, creating_now);
  auto slept = co_await loop::sleep_for(create_takes);
  --creating_now;
  CO_TRY(slept);
  if (creates_that_fail > 0) {
    --creates_that_fail;
    co_return fail(Code::Internal, "the VMM did not start");
  }
  ++created;
  const bool goes_on = spec.saved != nullptr;
  auto machine = std::make_shared<FakeMachine>(executor_, *this, std::move(spec));
  if (goes_on) machine->go_on_with(std::exchange(asleep, {}));
  alive.emplace(machine->id(), machine);
  co_return machine;
}

Task<std::shared_ptr<const vm::Seed>> FakeDriver::seed(image::Image /*image*/, model::Shape /*shape*/,
                                                       vm::EmptyDisk empty) {
  auto seed = std::make_shared<vm::Seed>();
  CO_TRY_ASSIGN(seed->disk, empty.open());
  std::shared_ptr<const vm::Seed> answer = std::move(seed);
  co_return answer;
}

Task<std::vector<std::string>> FakeDriver::orphans() {
  std::vector<std::string> ids;
  ids.reserve(alive.size());
  for (const auto& [id, machine] : alive) ids.push_back(id);
  co_return ids;
}

Task<std::shared_ptr<vm::Machine>> FakeDriver::adopt(std::string id, vm::Adopted as) {
  const auto found = alive.find(id);
  if (adoption_fails || found == alive.end()) co_return fail(Code::NotFound, "it does not answer");
  (void)co_await (as == vm::Adopted::running ? found->second->resume() : found->second->pause());
  co_return found->second;
}

Task<std::vector<std::pair<std::string, std::string>>> FakeDriver::remains(std::string id) {
  std::vector<std::pair<std::string, std::string>> places{{"the machine", alive.contains(id) ? "there" : "gone"}};
  co_return places;
}

std::map<std::string, std::string> FakeDriver::build_of(const image::Image& image, model::Shape /*shape*/) const {
  return {{"vmm", vmm_version}, {"image", image.digest}};
}

Task<void> FakeDriver::remove_orphan(std::string id) {
  removed_orphans.push_back(id);
  if (const auto found = alive.find(id); found != alive.end()) {
    const auto machine = found->second;
    machine->die(vm::ExitReason::destroyed);
  }
  co_return Status{};
}

Task<void> FakeDriver::release() {
  const auto machines = alive;
  for (const auto& [id, machine] : machines) {
    if (!machine->claimed()) machine->die(vm::ExitReason::lease_lost);
  }
  co_return Status{};
}

}  // namespace cofferdam::workspace
