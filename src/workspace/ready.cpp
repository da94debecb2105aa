#include "workspace/ready.h"

#include "base/text.h"
#include "base/utf8.h"
#include "loop/deadline.h"

namespace cofferdam::workspace {
namespace {

constexpr auto kReadyPause = std::chrono::milliseconds(250);
constexpr auto kReadyTry = std::chrono::seconds(30);

Task<bool> ends_with_zero(Manager& manager, const std::string& workspace_id, const std::vector<std::string>& command) {
  model::ExecSpec spec;
  spec.argv = command;
  spec.timeout = kReadyTry;
  CO_TRY_ASSIGN(const auto process, co_await manager.exec(workspace_id, std::move(spec)));
  for (;;) {
    CO_TRY_ASSIGN(const auto piece, co_await process->read());
    if (!piece) break;
  }
  co_return process->exit_status().code == 0;
}

Task<void> try_until_ready(Manager& manager, std::string workspace_id, std::vector<std::string> command) {
  for (;;) {
    CO_TRY_ASSIGN(const bool ready, co_await ends_with_zero(manager, workspace_id, command));
    if (ready) co_return Status{};
    CO_TRY(co_await loop::sleep_for(kReadyPause));
  }
}

}  // namespace

Task<void> wait_until_ready(Manager& manager, std::string workspace_id, model::ReadyCheck check) {
  auto ready = co_await loop::with_deadline(try_until_ready(manager, std::move(workspace_id), check.command),
                                            check.limit, "the ready check");
  if (!ready && ready.error().code == Code::DeadlineExceeded) {
    co_return fail(Code::DeadlineExceeded,
                   cat(to_utf8(check.command.front()), " did not end with 0 within ", check.limit.count(), " ms"));
  }
  co_return ready;
}

}  // namespace cofferdam::workspace
