// Saving a machine: its disk by a job of QEMU's that keeps the moment it was begun at, its devices by QEMU, its memory
// from outside.
#include <chrono>

#include "base/log.h"
#include "base/text.h"
#include "loop/deadline.h"
#include "vm/first_steps.h"
#include "vm/memory_copy.h"
#include "vm/migration.h"
#include "vm/qemu_machine.h"
#include "vm/template_files.h"

namespace cofferdam::vm {
namespace {

namespace json = boost::json;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kQuick{20};
constexpr std::chrono::minutes kDiskCopy{30};
constexpr std::chrono::milliseconds kPoll{10};
constexpr int kDiskSet = 11;
constexpr int kKeySet = 12;
constexpr const char* kFileNode = "copy-file";
constexpr const char* kCopyNode = "copy";
constexpr const char* kCopyKey = "copy-key";
constexpr const char* kJob = "copy";

Task<void> run(QmpClient& qmp, std::string command, json::object arguments) {
  auto done = co_await qmp.execute(std::move(command), std::move(arguments), kQuick);
  if (!done) co_return fail(std::move(done.error()));
  co_return Status{};
}

// The nodes of the disk's copy, in the VMM.
Task<void> attach_copy(QmpClient& qmp, const SaveWish& wish, std::uint32_t uid) {
  json::object set{{"fdset-id", kDiskSet}};
  auto added = co_await qmp.execute_with(wish.disk.get(), "add-fd", std::move(set), kQuick);
  if (!added) co_return fail(std::move(added.error()));
  CO_TRY_ASSIGN(const UniqueFd key, pipe_with(wish.disk_passphrase, uid));
  json::object key_set{{"fdset-id", kKeySet}};
  auto key_added = co_await qmp.execute_with(key.get(), "add-fd", key_set, kQuick);
  if (!key_added) co_return fail(std::move(key_added.error()));
  const auto* number = key_added->is_object() ? key_added->get_object().if_contains("fd") : nullptr;
  if (number == nullptr || !number->is_int64()) co_return fail(Code::DataLoss, "QMP add-fd: no descriptor");
  json::object secret{{"qom-type", "secret"}, {"id", kCopyKey}, {"file", cat("/proc/self/fd/", number->get_int64())}};
  auto made = co_await run(qmp, "object-add", std::move(secret));
  (void)co_await run(qmp, "remove-fd", std::move(key_set));
  if (!made) co_return made;
  json::object file{{"driver", "file"},
                    {"node-name", kFileNode},
                    {"filename", cat("/dev/fdset/", kDiskSet)},
                    {"locking", "off"},
                    {"discard", "unmap"}};
  CO_TRY(co_await run(qmp, "blockdev-add", std::move(file)));
  json::object image{{"driver", "qcow2"},  {"node-name", kCopyNode},
                     {"file", kFileNode},  {"backing", nullptr},
                     {"discard", "unmap"}, {"encrypt", json::object{{"format", "luks"}, {"key-secret", kCopyKey}}}};
  co_return co_await run(qmp, "blockdev-add", std::move(image));
}

// Also what of it was made before a failure.
Task<void> detach_copy(QmpClient& qmp) {
  for (const char* node : {kCopyNode, kFileNode}) {
    (void)co_await run(qmp, "blockdev-del", json::object{{"node-name", node}});
  }
  (void)co_await run(qmp, "object-del", json::object{{"id", kCopyKey}});
  (void)co_await run(qmp, "remove-fd", json::object{{"fdset-id", kDiskSet}});
  co_return Status{};
}

// What the guest writes from now on does not get into the copy.
Task<void> begin_copy(QmpClient& qmp) {
  json::object job{
      {"job-id", kJob}, {"device", kDiskNode}, {"target", kCopyNode}, {"sync", "top"}, {"auto-dismiss", false}};
  co_return co_await run(qmp, "blockdev-backup", std::move(job));
}

struct CopyJob {
  bool there = false, concluded = false;
  std::string error;
};

Task<CopyJob> look_at_copy(QmpClient& qmp) {
  auto jobs = co_await qmp.execute("query-jobs", json::object{}, kQuick);
  if (!jobs) co_return fail(std::move(jobs.error()));
  if (!jobs->is_array()) co_return fail(Code::DataLoss, "QMP query-jobs: no list");
  CopyJob copy;
  for (const auto& item : jobs->get_array()) {
    const auto* job = item.if_object();
    const auto* id = job != nullptr ? job->if_contains("id") : nullptr;
    const auto* status = job != nullptr ? job->if_contains("status") : nullptr;
    if (id == nullptr || *id != json::string_view(kJob) || status == nullptr) continue;
    copy.there = true;
    copy.concluded = *status == json::string_view("concluded");
    const auto* error = job->if_contains("error");
    if (error != nullptr && error->is_string()) copy.error = error->get_string();
  }
  co_return copy;
}

Task<void> wait_for_copy(QmpClient& qmp) {
  const auto end = steady_clock::now() + kDiskCopy;
  while (steady_clock::now() < end) {
    CO_TRY_ASSIGN(const auto job, co_await look_at_copy(qmp));
    if (!job.there) co_return fail(Code::DataLoss, "the copy of a disk has vanished");
    if (job.concluded) {
      CO_TRY(co_await run(qmp, "job-dismiss", json::object{{"id", kJob}}));
      if (job.error.empty()) co_return Status{};
      co_return fail(Code::ResourceExhausted, cat("the copy of a disk failed: ", job.error),
                     "is the host's disk full?");
    }
    CO_TRY(co_await loop::sleep_for(kPoll));
  }
  co_return fail(Code::DeadlineExceeded, "the copy of a disk took too long");
}

// What a daemon that died in the middle of a save has left in the VMM.
Task<void> clear_copy(QmpClient& qmp) {
  CO_TRY_ASSIGN(const auto job, co_await look_at_copy(qmp));
  if (job.there) {
    if (!job.concluded) (void)co_await run(qmp, "job-cancel", json::object{{"id", kJob}});
    (void)co_await wait_for_copy(qmp);
  }
  (void)co_await run(qmp, "remove-fd", json::object{{"fdset-id", kKeySet}});
  co_return co_await detach_copy(qmp);
}

}  // namespace

Task<SavedMachine> QemuMachine::save(SaveWish wish) {
  CO_TRY(check_running());
  const bool with_disk = static_cast<bool>(wish.disk);
  auto& qmp = *launched_.qmp;
  SavedMachine saved;
  CO_TRY_ASSIGN(saved.state, make_memory_file("coffer-saved-state", 0));
  if (with_disk) {
    CO_TRY(co_await clear_copy(qmp));
    auto attached = co_await attach_copy(qmp, wish, launched_.uid);
    if (!attached) {
      (void)co_await detach_copy(qmp);
      co_return fail(std::move(attached.error()));
    }
  }
  const bool ran = !stands_still_;
  const auto begin = steady_clock::now();
  bool copying = false;
  // NOLINTNEXTLINE(cppcoreguidelines-avoid-capturing-lambda-coroutines): awaited below, where all that it has is
  auto take = [this, with_disk, &copying, &saved, &qmp]() -> Task<void> {
    CO_TRY(co_await run(qmp, "stop", {}));
    CO_TRY(co_await save_devices(qmp, saved.state.get()));
    if (with_disk) CO_TRY(co_await begin_copy(qmp));
    copying = with_disk;
    auto copy = [pid = launched_.jail->vmm_pid()] { return copy_memory(pid); };
    CO_TRY_ASSIGN(saved.memory, co_await host_.workers.run(std::move(copy)));
    co_return Status{};
  };
  auto taken = co_await take();
  // After a failure it goes on as before; but not when somebody wished it to stand still meanwhile.
  const bool goes_on = ran && !stands_still_ && (!taken || wish.after == AfterSave::run_on);
  if (goes_on) {
    auto resumed = co_await run(qmp, "cont", {});
    saved.pause = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - begin);
    if (resumed) resumed = co_await set_clock(*link_);
    if (taken) taken = resumed;
  } else {
    stands_still_ = true;
    saved.pause = std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - begin);
  }
  if (copying) {
    auto copied = co_await wait_for_copy(qmp);
    if (taken) taken = copied;
  }
  if (with_disk) (void)co_await detach_copy(qmp);
  if (taken) taken = seal(saved.state.get());
  if (!taken) co_return fail(std::move(taken.error()).in(cat("save of ", id_)));
  log_debug("saved", {{"machine", id_}, {"pause_us", cat(saved.pause.count())}});
  co_return saved;
}

}  // namespace cofferdam::vm
