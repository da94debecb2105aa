#include "vm/qemu_driver.h"

#include <fcntl.h>

#include <algorithm>
#include <list>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "jail/leftovers.h"
#include "loop/deadline.h"
#include "loop/task_group.h"
#include "vm/accelerator.h"
#include "vm/qemu_machine.h"
#include "vm/template.h"

namespace cofferdam::vm {
namespace {

constexpr std::chrono::seconds kQuick{20};
constexpr std::chrono::seconds kAdoption{20};

class Driver : public MachineDriver {
 public:
  Driver(const loop::asio::any_io_executor& executor, Host host, AcceleratorInfo accelerator)
      : executor_(executor),
        host_(std::move(host)),
        accelerator_(std::move(accelerator)),
        templates_(host_),
        watchers_(executor) {}

  Task<std::shared_ptr<Machine>> create(MachineSpec spec) override;
  Task<std::shared_ptr<const Seed>> seed(image::Image image, model::Shape shape, EmptyDisk empty) override {
    auto made = co_await templates_.get(std::move(image), shape, std::move(empty));
    if (!made) co_return fail(std::move(made.error()));
    std::shared_ptr<const Seed> answer = std::move(*made);
    co_return answer;
  }
  Task<std::vector<std::string>> orphans() override;
  Task<std::shared_ptr<Machine>> adopt(std::string id, Adopted as) override;
  Task<std::vector<std::pair<std::string, std::string>>> remains(std::string id) override {
    auto look = [this, id = std::move(id)] { return vm::remains(host_, id); };
    co_return co_await host_.workers.run(std::move(look));
  }
  Task<void> remove_orphan(std::string id) override;
  Task<void> release() override;
  [[nodiscard]] const AcceleratorInfo& accelerator() const override { return accelerator_; }
  [[nodiscard]] std::map<std::string, std::string> build_of(const image::Image& image,
                                                            model::Shape shape) const override {
    return facts_of(host_, image, shape);
  }

 private:
  void watch(const std::shared_ptr<QemuMachine>& machine);

  loop::asio::any_io_executor executor_;
  Host host_;
  AcceleratorInfo accelerator_;
  TemplateStore templates_;
  loop::TaskGroup watchers_;
  std::list<std::weak_ptr<QemuMachine>> machines_;
};

void Driver::watch(const std::shared_ptr<QemuMachine>& machine) {
  machines_.remove_if([](const auto& known) { return known.expired(); });
  machines_.push_back(machine);
  watchers_.spawn("machine " + machine->id(), QemuMachine::watch_over(machine));
}

Task<std::shared_ptr<Machine>> Driver::create(MachineSpec spec) {
  // Every seed this driver gives is a template.
  auto base = std::static_pointer_cast<const Template>(spec.seed);
  if (!base && !spec.saved) {
    auto booted = co_await templates_.get(spec.image, spec.shape, std::nullopt);
    if (!booted) co_return fail(std::move(booted.error()));
    base = std::move(*booted);
  }
  const int saved_state = spec.saved ? spec.saved->state.get() : base->state.get();
  CO_TRY_ASSIGN(const UniqueFd state, open_file(cat("/proc/self/fd/", saved_state), O_RDONLY));  // at its start
  LaunchSpec launch_spec;
  launch_spec.id = spec.id;
  launch_spec.image = spec.image;
  launch_spec.shape = spec.shape;
  launch_spec.cpu_millis = spec.cpu_millis;
  launch_spec.io = spec.io;
  launch_spec.urgency = spec.urgency;
  launch_spec.memory = spec.saved ? spec.saved->memory.get() : base->memory.get();
  if (spec.saved) launch_spec.state_form = StateForm::devices;
  launch_spec.state = state.get();
  launch_spec.disk = spec.disk.get();
  launch_spec.disk_file_bytes = spec.disk_file_bytes;
  launch_spec.disk_passphrase = std::move(spec.disk_passphrase);
  auto launched = co_await launch(host_, std::move(launch_spec));
  if (!launched) co_return fail(std::move(launched.error()));
  auto root = spec.seed ? QemuMachine::Clone::Root::mounted : QemuMachine::Clone::Root::to_mount;
  if (spec.saved) root = QemuMachine::Clone::Root::saved;
  QemuMachine::Clone clone{root, spec.disk_bytes, spec.image.config};
  auto machine = std::make_shared<QemuMachine>(executor_, host_, spec.id, std::move(*launched), std::move(clone));
  watch(machine);
  if (spec.stage == Stage::rehearsed) {
    auto ready = co_await machine->rehearse_and_pause();
    if (!ready) {
      (void)co_await machine->destroy();
      auto exit = co_await machine->wait_for_exit();
      if (exit && !exit->detail.empty()) ready.error().message += cat("; the VMM said: ", exit->detail);
      co_return fail(std::move(ready.error()).in(cat("clone ", spec.id)));
    }
  }
  std::shared_ptr<Machine> answer = std::move(machine);
  co_return answer;
}

Task<std::vector<std::string>> Driver::orphans() {
  auto names = list_directory(host_.machines_dir);
  if (!names) co_return fail(std::move(names.error()));
  std::vector<std::string> ids;
  for (const auto& name : *names) {
    if (is_id(name, "vm")) {
      ids.push_back(name);
    } else {
      // A template that was being built.
      (void)co_await remove_orphan(name);
    }
  }
  const std::set<std::string> live(ids.begin(), ids.end());
  const auto parent = host_.cgroup_parent;
  auto clean = [parent, live]() { return jail::remove_leftovers(parent, live); };
  auto cleaned = co_await host_.workers.run(clean);
  if (!cleaned) co_return fail(std::move(cleaned.error()));
  for (const auto& text : cleaned->failed) log_warn("a control group could not be removed", {{"reason", text}});
  co_return ids;
}

namespace {

// The machine stays as it is. `launched` outlives the task.
Task<std::shared_ptr<Machine>> give_up_adoption(Launched& launched, Error error) {
  if (launched.qmp) (void)co_await launched.qmp->stop();
  launched.jail->let_go();
  (void)co_await launched.jail->stop();
  co_return fail(std::move(error));
}

}  // namespace

Task<std::shared_ptr<Machine>> Driver::adopt(std::string id, Adopted as) {
  auto record = read_record(host_, id);
  if (!record) co_return fail(Code::NotFound, cat("machine ", id, ": ", record.error().message));
  host_.uids.mark_used(record->uid);
  Launched launched;
  launched.uid = record->uid;
  auto jail = co_await JailProcess::adopt(jail_socket(host_, id), kAdoption);
  if (!jail) co_return fail(Code::NotFound, cat("machine ", id, ": ", jail.error().message));
  launched.jail = std::move(*jail);
  const auto give_up = [&id, &launched](const Error& error) {
    return give_up_adoption(launched, Error{Code::NotFound, cat("machine ", id, ": ", error.message), {}});
  };
  auto qmp = co_await QmpClient::connect(monitor_socket(host_, id), kAdoption);
  if (!qmp) co_return co_await give_up(qmp.error());
  launched.qmp = std::move(*qmp);
  // One that stands still cannot answer.
  const bool runs = as == Adopted::running;
  boost::json::object none;
  auto turned = co_await launched.qmp->execute(runs ? "cont" : "stop", none, kAdoption);
  if (!turned) co_return co_await give_up(turned.error());
  auto connected = co_await GuestLink::connect(agent_socket(host_, id));
  if (!connected) co_return co_await give_up(connected.error());
  std::shared_ptr<GuestLink> link = std::move(*connected);
  if (runs) {
    if (auto greeted = co_await link->greet(Reconnect::yes, kAdoption); !greeted) {
      (void)co_await link->stop();
      co_return co_await give_up(greeted.error());
    }
  }
  auto machine = std::make_shared<QemuMachine>(executor_, host_, id, std::move(launched), link, record->machine_id, as);
  watch(machine);
  if (runs) (void)co_await machine->sort_tasks();
  std::shared_ptr<Machine> answer = machine;
  co_return answer;
}

Task<void> Driver::remove_orphan(std::string id) {
  const auto record = read_record(host_, id);  // gone with the rest of it below
  if (record) host_.uids.mark_used(record->uid);
  auto jail = co_await JailProcess::adopt(jail_socket(host_, id), kAdoption);
  if (jail) {
    (void)(*jail)->send(jail::Kill{});
    (void)co_await loop::with_deadline((*jail)->wait_for_exit(), kQuick, "end of an orphan");
    (void)co_await (*jail)->stop();
  }
  auto& host = host_;
  auto remove = [&host, id]() { return sweep(host, id); };
  auto swept = co_await host_.workers.run(remove);
  if (!swept) co_return fail(std::move(swept.error()).in(cat("remains of ", id)));
  if (record) host_.uids.give_back(record->uid);
  co_return Status{};
}

Task<void> Driver::release() {
  for (const auto& known : machines_) {
    if (const auto machine = known.lock()) (void)co_await machine->let_go();
  }
  co_return co_await watchers_.join();
}

// Machines of a former daemon may run from an older bundle, and do not say so when that daemon was older still.
void remove_old_bundles(const Host& host) {
  std::set<std::string> in_use;
  for (const auto& name : list_directory(host.machines_dir).value_or(std::vector<std::string>{})) {
    const auto record = read_record(host, name);
    if (!record) continue;
    if (record->bundle.empty()) return;
    in_use.insert(record->bundle);
  }
  const auto removed = remove_unused_bundles(host.state_dir, in_use);
  if (!removed) return log_warn("old files of VMMs stay", {{"error", removed.error().message}});
  for (const auto& digest : *removed) log_info("the files of an older VMM are removed", {{"bundle", digest}});
}

}  // namespace

Result<std::unique_ptr<MachineDriver>> QemuDriver::make(const loop::asio::any_io_executor& executor,
                                                        loop::WorkerPool& workers, const QemuDriverOptions& options) {
  TRY_ASSIGN(auto bundle, ensure_bundle(options.state_dir, options.qemu_binary));
  Wanted wanted = Wanted::automatic;
  if (options.accelerator == WantedAccelerator::kvm) wanted = Wanted::kvm;
  if (options.accelerator == WantedAccelerator::tcg) wanted = Wanted::tcg;
  TRY_ASSIGN(const auto choice, probe_accelerator(wanted));
  const auto machines_dir = options.run_dir + "/vm";
  TRY(make_directories(machines_dir, 0700));
  constexpr std::size_t kNameDigits = 8;
  const auto accelerator = choice.kind == Accelerator::kvm ? AcceleratorKind::kvm : AcceleratorKind::tcg;
  Host host{workers,
            options.state_dir,
            machines_dir,
            options.jail_binary,
            "cofferdam-" + crypto::sha256_hex(machines_dir).substr(0, kNameDigits),
            std::move(bundle),
            accelerator,
            processor_of(accelerator),
            host_tsc_khz(),
            UidPool(options.uid_first, options.uid_count)};
  remove_old_bundles(host);
  AcceleratorInfo info{choice.kind == Accelerator::kvm ? "kvm" : "tcg", choice.reason};
  std::unique_ptr<MachineDriver> driver = std::make_unique<Driver>(executor, std::move(host), std::move(info));
  return driver;
}

}  // namespace cofferdam::vm
