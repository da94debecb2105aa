#include "runtime/session.h"

#include "base/text.h"

namespace cofferdam::runtime {

Session::Session(const loop::asio::any_io_executor& executor, std::string workspace_id,
                 std::shared_ptr<vm::Machine> machine, StartProcess start)
    : workspace_id_(std::move(workspace_id)),
      machine_(std::move(machine)),
      start_(std::move(start)),
      group_(executor),
      hub_(executor),
      tasks_(group_, start_),
      terminals_(group_, start_, hub_),
      watchers_(group_, machine_, hub_) {}

Session::~Session() = default;

SessionHub::Listener Session::listen() {
  std::deque<SessionEvent> replay;
  terminals_.replay(replay);
  watchers_.replay(replay);
  return hub_.listen(std::move(replay));
}

Task<void> Session::close() {
  group_.cancel();
  CO_TRY(co_await group_.join());
  hub_.close();
  co_return Status{};
}

Sessions::Sessions(loop::asio::any_io_executor executor, workspace::Manager& manager)
    : executor_(std::move(executor)),
      manager_(manager),
      watching_(executor_),
      retiring_(executor_),
      background_(executor_) {}

Sessions::~Sessions() = default;

Result<std::shared_ptr<Session>> Sessions::of(const std::string& workspace) {
  if (stopped_) return fail(Code::Unavailable, "the daemon is shutting down");
  TRY_ASSIGN(const auto info, manager_.get(workspace));
  TRY_ASSIGN(auto machine, manager_.machine(info.id));
  if (const auto found = sessions_.find(info.id); found != sessions_.end()) {
    if (found->second->machine() == machine) return found->second;
    retire(info.id);  // of a machine that is gone
  }
  auto start = [this, id = info.id](model::ExecSpec spec) { return manager_.exec(id, std::move(spec)); };
  auto session = std::make_shared<Session>(executor_, info.id, std::move(machine), std::move(start));
  for (auto& left : manager_.take_left(info.id)) session->tasks().adopt(std::move(left));
  sessions_[info.id] = session;
  watching_.spawn("machine of a session", watch_machine(session));
  return session;
}

void Sessions::retire(const std::string& id) {
  auto node = sessions_.extract(id);
  if (node.empty()) return;
  auto close = [](std::shared_ptr<Session> session) -> Task<void> { co_return co_await session->close(); };
  retiring_.spawn("end of a session", close(std::move(node.mapped())));
}

void Sessions::take_over() {
  for (const auto& info : manager_.list()) {
    if (info.state == model::State::running) (void)of(info.id);
  }
}

Task<void> Sessions::watch_machine(std::shared_ptr<Session> session) {
  const auto machine = session->machine();
  const std::string id = session->workspace_id();
  session.reset();
  CO_TRY(co_await machine->wait_for_exit());
  const auto found = sessions_.find(id);
  if (found != sessions_.end() && found->second->machine() == machine) retire(id);
  co_return Status{};
}

Task<void> Sessions::stop() {
  stopped_ = true;
  watching_.cancel();
  for (auto& [id, session] : std::exchange(sessions_, {})) {
    session->tasks().leave();
    CO_TRY(co_await session->close());
  }
  CO_TRY(co_await watching_.join());
  CO_TRY(co_await retiring_.join());
  co_return co_await background_.join();
}

}  // namespace cofferdam::runtime
