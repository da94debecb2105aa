#include "vm/template.h"

#include <fcntl.h>

#include <algorithm>

#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "loop/deadline.h"
#include "vm/first_steps.h"
#include "vm/guest_link.h"
#include "vm/migration.h"
#include "vm/template_files.h"
#include "wire/version.h"

namespace cofferdam::vm {
namespace {

constexpr std::size_t kLoadedTemplates = 4;  // held in memory by this daemon; running clones hold their own
constexpr std::size_t kTemplatesOnDisk = 24;
constexpr std::chrono::seconds kBoot{180};  // seconds under TCG, minutes on a host that is full
constexpr std::chrono::seconds kQuick{30};
constexpr std::chrono::seconds kLastWords{1};

// What python, a shell and a loader need first: read once here, and in the page cache of every clone.
const char* const kWarmPaths[] = {"/bin/sh",
                                  "/bin/busybox",
                                  "/bin/bash",
                                  "/usr/bin/env",
                                  "/usr/bin/python3",
                                  "/lib64/ld-linux-x86-64.so.2",
                                  "/lib/x86_64-linux-gnu/libc.so.6",
                                  "/lib/x86_64-linux-gnu/libm.so.6",
                                  "/lib/x86_64-linux-gnu/libtinfo.so.6"};

std::string host_processor() {
  auto info = read_file("/proc/cpuinfo", 4U << 20);
  if (!info) return "unknown";
  std::string lines;
  for (const auto& line : split(*info, '\n')) {
    if (line.empty()) break;  // the first processor speaks for all
    if (starts_with(line, "model name") || starts_with(line, "flags") || starts_with(line, "microcode")) lines += line;
  }
  return crypto::sha256_hex(lines);
}

// What a prepared guest knows of its image beside the files.
std::string config_digest(const image::ImageConfig& config) {
  std::string text = cat(config.user, '\0', config.workdir);
  for (const auto& item : config.env) text += cat('\0', item);
  return crypto::sha256_hex(text);
}

std::string machine_text(const Host& host, model::Shape shape, DiskSlot disk) {
  QemuSpec spec;
  spec.disk = disk;
  spec.role = Role::template_;
  spec.accelerator = host.accelerator;
  spec.shape = shape;
  spec.program = host.bundle.program;
  spec.firmware_folder = host.bundle.firmware_folder;
  std::string machine;
  for (const auto& word : qemu_argv(spec)) machine += word + " ";
  return machine;
}

std::string make_manifest(const Host& host, const image::Image& image, model::Shape shape,
                          const std::optional<EmptyDisk>& empty) {
  return cat("cofferdam template 1\nqemu ", host.bundle.qemu_version, "\nbundle ", host.bundle.digest, "\nmachine ",
             machine_text(host, shape, empty ? DiskSlot::plain : DiskSlot::empty), "\ncpu ",
             cpu_model(host.accelerator), "\nprocessor ", host.processor, "\nkernel ", image.kernel_digest,
             "\ninitramfs ", image.initramfs_digest, "\nroot ", image.digest, "\nprotocol ", wire::kProtocolVersion,
             empty ? cat("\ndisk ", empty->mib, " ", empty->form, "\nconfig ", config_digest(image.config)) : "", "\n");
}

Task<void> warm_up(GuestLink& link) {
  wire::Warm warm;
  for (const char* path : kWarmPaths) warm.paths.emplace_back(path);
  // An image without some of them is no error.
  auto warmed = co_await link.call<wire::WarmResult>(wire::Op::Warm, warm, kQuick);
  if (!warmed) log_debug("template: files not read ahead", {{"error", warmed.error().message}});
  co_return Status{};
}

}  // namespace

// One load or build that several callers wait for.
struct TemplateStore::Work {
  explicit Work(const loop::asio::any_io_executor& executor)
      : done(executor, loop::asio::steady_timer::time_point::max()) {}
  loop::asio::steady_timer done;
  std::optional<Result<std::shared_ptr<const Template>>> result;
};

std::string processor_of(AcceleratorKind accelerator) {
  return accelerator == AcceleratorKind::kvm ? host_processor() : "emulated";
}

std::map<std::string, std::string> facts_of(const Host& host, const image::Image& image, model::Shape shape) {
  return {{"vmm", cat("qemu ", host.bundle.qemu_version, " ", host.bundle.digest)},
          {"machine", crypto::sha256_hex(machine_text(host, shape, DiskSlot::plain))},
          {"cpu", cat(cpu_model(host.accelerator), " ", host.processor)},
          {"kernel", image.kernel_digest},
          {"initramfs", image.initramfs_digest},
          {"image", image.digest},
          {"protocol", cat(wire::kProtocolVersion)}};
}

TemplateStore::TemplateStore(Host& host) : host_(host), folder_(host.state_dir + "/templates") {
  (void)make_directories(folder_, 0700);
  (void)prune_templates(folder_, kTemplatesOnDisk);
}

Task<std::shared_ptr<const Template>> TemplateStore::get(image::Image image, model::Shape shape,
                                                         std::optional<EmptyDisk> empty) {
  Wish wish{std::move(image), shape, std::move(empty), {}, {}};
  wish.manifest = make_manifest(host_, wish.image, shape, wish.empty);
  constexpr std::size_t kKeyDigits = 32;
  const auto key = wish.key = crypto::sha256_hex(wish.manifest).substr(0, kKeyDigits);
  for (const auto& made : loaded_) {
    if (made->key != key) continue;
    auto found = made;
    keep(found);
    co_return found;
  }
  if (const auto running = working_.find(key); running != working_.end()) {
    const auto work = running->second;
    while (!work->result) {
      (void)co_await work->done.async_wait(loop::as_result);
      const auto state = co_await loop::asio::this_coro::cancellation_state;
      if (!work->result && state.cancelled() != loop::asio::cancellation_type::none) {
        co_return fail(Code::Cancelled, "wait for a template cancelled");
      }
    }
    co_return *work->result;
  }
  const auto work = std::make_shared<Work>(co_await loop::asio::this_coro::executor);
  working_[key] = work;
  // Whoever waits must hear of it, even when this caller is cancelled in the middle.
  struct Announce {
    TemplateStore& store;
    std::string key;
    std::shared_ptr<Work> work;
    ~Announce() {
      if (!work->result) work->result = fail(Code::Aborted, "the template's build was interrupted", "try again");
      store.working_.erase(key);
      work->done.cancel();
    }
  } announce{*this, key, work};
  work->result = co_await load_or_build(std::move(wish));
  if (*work->result) keep(**work->result);
  co_return *work->result;
}

void TemplateStore::keep(const std::shared_ptr<const Template>& made) {
  const auto found = std::find(loaded_.begin(), loaded_.end(), made);
  if (found != loaded_.end()) loaded_.erase(found);
  loaded_.push_back(made);
  if (loaded_.size() > kLoadedTemplates) loaded_.erase(loaded_.begin());
}

Task<std::shared_ptr<const Template>> TemplateStore::load_or_build(Wish wish) {
  const auto folder = cat(folder_, "/", wish.key);
  auto load = [folder, manifest = wish.manifest]() { return load_template(folder, manifest); };
  auto files = co_await host_.workers.run(load);
  if (files) {
    auto made = std::make_shared<Template>();
    made->key = wish.key;
    made->memory = std::move(files->memory);
    made->state = std::move(files->state);
    made->disk = std::move(files->disk);
    co_return made;
  }
  if (files.error().code != Code::NotFound) {
    log_warn("template not used, and built again", {{"key", wish.key}, {"reason", files.error().message}});
  }
  co_return co_await build(std::move(wish));
}

Task<std::shared_ptr<const Template>> TemplateStore::build(Wish wish) {
  const auto begin = std::chrono::steady_clock::now();
  auto made = std::make_shared<Template>();
  made->key = wish.key;
  LaunchSpec spec;
  spec.id = new_id("tp");
  spec.role = Role::template_;
  spec.image = wish.image;
  spec.shape = wish.shape;
  CO_TRY_ASSIGN(made->memory, make_memory_file("coffer-template-memory", wish.shape.memory_mib * model::kMiB));
  CO_TRY_ASSIGN(made->state, make_memory_file("coffer-template-state", 0));
  spec.memory = made->memory.get();
  if (wish.empty) {
    spec.disk_file_bytes = wish.empty->mib * model::kMiB;
    CO_TRY_ASSIGN(made->disk, make_memory_file("coffer-template-disk", spec.disk_file_bytes));
    spec.disk = made->disk.get();
    auto fill = [&empty = *wish.empty, to = spec.disk]() -> Status {
      TRY_ASSIGN(const UniqueFd from, empty.open());
      TRY(copy_sparse(from.get(), to));
      return {};
    };
    CO_TRY(co_await host_.workers.run(fill));
  }
  CO_TRY(co_await grow(std::move(spec), wish, made->state.get()));
  for (const UniqueFd* file : {&made->memory, &made->state, &made->disk}) {
    if (*file) CO_TRY(seal(file->get()));
  }
  auto store = [folder = cat(folder_, "/", wish.key), manifest = wish.manifest, memory = made->memory.get(),
                state = made->state.get(),
                disk = made->disk.get()]() { return store_template(folder, manifest, memory, state, disk); };
  // A full disk costs the next start a build, not this one its template.
  if (auto stored = co_await host_.workers.run(store); !stored) {
    log_warn("template not kept on disk", {{"error", stored.error().message}});
  }
  const auto took = std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - begin);
  log_info("template built", {{"image", wish.image.name},
                              {"vcpus", cat(wish.shape.vcpus)},
                              {"memory_mib", cat(wish.shape.memory_mib)},
                              {"disk_mib", cat(wish.empty ? wish.empty->mib : 0)},
                              {"ms", cat(took.count())}});
  co_return made;
}

// Boots a guest, gets it as far as its clones are to start from, and saves its state; its memory and disk are files.
Task<void> TemplateStore::grow(LaunchSpec spec, const Wish& wish, int state) {
  const auto id = spec.id;
  auto launched = co_await launch(host_, std::move(spec));
  if (!launched) co_return fail(std::move(launched.error()).in("template"));
  // Open until QEMU is gone: at a hang-up it would write to the guest's memory, of which the saved state knows nothing.
  std::shared_ptr<GuestLink> link;
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): awaited below, where all that it has is
  auto run = [this, id, &wish, &link, state](Launched& machine) -> Task<void> {
    auto connected = co_await GuestLink::connect(agent_socket(host_, id));
    if (!connected) co_return fail(std::move(connected.error()));
    link = std::move(*connected);
    auto greeted = co_await link->greet(Reconnect::no, kBoot);
    if (!greeted && greeted.error().code == Code::DeadlineExceeded) {
      co_return fail(
          Code::DeadlineExceeded,
          cat("the guest was silent for ", kBoot.count(), " seconds after its start: it hangs, or its init does"),
          "the daemon's log has what its console said");
    }
    CO_TRY(greeted);
    (void)co_await warm_up(*link);
    if (wish.empty) {
      CO_TRY(co_await give_identity(*link, {"template", to_hex(random_bytes(16))}));
      CO_TRY(co_await prepare_root(*link, wish.image.config));
      (void)co_await rehearse(link);
    }
    co_return co_await save_device_state(*machine.qmp, state);
  };
  auto saved = co_await run(*launched);
  std::string console;
  if (!saved) {
    boost::json::object ringbuf{{"device", kConsoleChardev}, {"size", 4096}};
    auto text = co_await launched->qmp->execute("ringbuf-read", std::move(ringbuf), kQuick);
    if (text && text->is_string()) console = text->get_string();
  }
  if (!saved) {
    // A guest that ended by itself said why to its VMM, whose last words the jail has kept.
    const auto exited = co_await loop::with_deadline(launched->jail->wait_for_exit(), kLastWords, "end of a guest");
    if (exited && *exited) {
      const auto words = trim((*exited)->output_tail);
      if (!words.empty()) console += cat(console.empty() ? "" : "\n", words);
      const auto how =
          words.empty() ? std::string("the guest ended while it started") : cat("the guest ended: ", words);
      saved = fail(std::move(saved.error()).in(how));
    }
  }
  auto landed = co_await land(host_, id, *launched);
  if (link) (void)co_await link->stop();
  if (!saved) {
    if (!console.empty()) log_warn("template: the guest's console", {{"text", console}});
    co_return fail(std::move(saved.error()).in(cat("template of image '", wish.image.name, "'")));
  }
  if (!landed) co_return fail(std::move(landed.error()).in("template"));
  co_return Status{};
}

}  // namespace cofferdam::vm
