#include "vm/migration.h"

#include <fcntl.h>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::vm {
namespace {

namespace json = boost::json;

constexpr std::chrono::seconds kQuick{30};
constexpr std::chrono::milliseconds kPoll{1};
constexpr int kPolls = 30'000;
constexpr int kStateSet = 10;  // those on the command line are smaller

Task<void> leave_memory_out(QmpClient& qmp) {
  const json::object capability{{"capability", "x-ignore-shared"}, {"state", true}};
  json::object arguments{{"capabilities", json::array{capability}}};
  auto set = co_await qmp.execute("migrate-set-capabilities", std::move(arguments), kQuick);
  if (!set) co_return fail(std::move(set.error()));
  co_return Status{};
}

Task<void> wait_until_done(QmpClient& qmp, std::string what) {
  for (int i = 0; i < kPolls; ++i) {
    json::object none;
    auto answer = co_await qmp.execute("query-migrate", none, kQuick);
    if (!answer) co_return fail(std::move(answer.error()).in(what));
    const auto* object = answer->if_object();
    const auto* status = object != nullptr ? object->if_contains("status") : nullptr;
    if (status != nullptr && status->is_string()) {
      if (status->get_string() == "completed") co_return Status{};
      if (status->get_string() == "failed") co_return fail(Code::DataLoss, cat(what, ": QEMU reports failure"));
    }
    CO_TRY(co_await loop::sleep_for(kPoll));
  }
  co_return fail(Code::DeadlineExceeded, cat(what, ": took too long"));
}

}  // namespace

Task<void> save_device_state(QmpClient& qmp, int fd) {
  CO_TRY(co_await leave_memory_out(qmp));
  json::object none;
  auto stopped = co_await qmp.execute("stop", none, kQuick);
  if (!stopped) co_return fail(std::move(stopped.error()));
  CO_TRY(co_await qmp.give_descriptor("state", fd, kQuick));
  json::object arguments{{"uri", "fd:state"}};
  auto begun = co_await qmp.execute("migrate", std::move(arguments), kQuick);
  if (!begun) co_return fail(std::move(begun.error()));
  co_return co_await wait_until_done(qmp, "save of the device state");
}

Task<void> save_devices(QmpClient& qmp, int memfd) {
  // QEMU takes a descriptor of a set for a file only when it is open for exactly what it wants.
  CO_TRY_ASSIGN(const UniqueFd writing, open_file(cat("/proc/self/fd/", memfd), O_WRONLY));
  json::object set{{"fdset-id", kStateSet}};
  // Of a daemon that died in the middle: QEMU would write into its file.
  (void)co_await qmp.execute("remove-fd", set, kQuick);
  auto added = co_await qmp.execute_with(writing.get(), "add-fd", set, kQuick);
  if (!added) co_return fail(std::move(added.error()));
  json::object arguments{{"filename", cat("/dev/fdset/", kStateSet)}, {"live", false}};
  auto saved = co_await qmp.execute("xen-save-devices-state", std::move(arguments), kQuick);
  auto removed = co_await qmp.execute("remove-fd", std::move(set), kQuick);
  if (!saved) co_return fail(std::move(saved.error()));
  if (!removed) co_return fail(std::move(removed.error()));
  co_return Status{};
}

Task<void> load_device_state(QmpClient& qmp, int fd_number) {
  CO_TRY(co_await leave_memory_out(qmp));
  json::object arguments{{"uri", cat("fd:", fd_number)}};
  auto begun = co_await qmp.execute("migrate-incoming", std::move(arguments), kQuick);
  if (!begun) co_return fail(std::move(begun.error()));
  co_return co_await wait_until_done(qmp, "load of the device state");
}

}  // namespace cofferdam::vm
