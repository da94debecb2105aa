// What API clients have running in one workspace: made on first use, ended with its machine.
#pragma once
#include <map>
#include <memory>
#include <string>

#include "loop/task_group.h"
#include "loop/worker_pool.h"
#include "runtime/tasks.h"
#include "runtime/terminals.h"
#include "runtime/watchers.h"
#include "workspace/manager.h"

namespace cofferdam::runtime {

// Used on the loop's thread only. Its machine may have ended: then every call says so.
class Session {
 public:
  Session(const loop::asio::any_io_executor& executor, std::string workspace_id, std::shared_ptr<vm::Machine> machine,
          StartProcess start);
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session();  // must be closed before

  [[nodiscard]] const std::string& workspace_id() const { return workspace_id_; }
  [[nodiscard]] const std::shared_ptr<vm::Machine>& machine() const { return machine_; }
  // A command that is no task: nobody lists it, and it ends with the object.
  Task<std::unique_ptr<vm::GuestProcess>> start(model::ExecSpec spec) { return start_(std::move(spec)); }
  Tasks& tasks() { return tasks_; }
  Terminals& terminals() { return terminals_; }
  Watchers& watchers() { return watchers_; }
  // Terminals and watchers: what is kept, then what comes, until the session ends.
  SessionHub::Listener listen();
  // Ends all of it; nothing runs when it returns.
  Task<void> close();

 private:
  std::string workspace_id_;
  std::shared_ptr<vm::Machine> machine_;
  StartProcess start_;
  loop::TaskGroup group_;
  SessionHub hub_;
  Tasks tasks_;
  Terminals terminals_;
  Watchers watchers_;
};

inline constexpr std::size_t kUnpackers = 4;

// The sessions of all workspaces. Used on the loop's thread only.
class Sessions {
 public:
  // `manager` outlives the object.
  Sessions(loop::asio::any_io_executor executor, workspace::Manager& manager);
  Sessions(const Sessions&) = delete;
  Sessions& operator=(const Sessions&) = delete;
  ~Sessions();  // must be stopped before

  // Of a running workspace, by name or id. The errors of Manager::machine.
  Result<std::shared_ptr<Session>> of(const std::string& workspace);
  // What a former daemon left running in the workspaces that were taken over is followed from now on.
  void take_over();
  // Ends all; nothing may be asked afterwards. Tasks run on, for a daemon that comes after.
  Task<void> stop();
  [[nodiscard]] std::size_t size() const { return sessions_.size(); }
  // Work of requests that may outlive its request; it ends by itself once the sessions and their machines have ended.
  loop::TaskGroup& background() { return background_; }
  // Threads that unpack archives, and how many of them do: whoever takes one counts it.
  loop::WorkerPool& unpackers() { return unpackers_; }
  std::size_t& unpacking() { return unpacking_; }
  // The thread that looks through files: one, so that all searches together take one CPU.
  loop::WorkerPool& searcher() { return searcher_; }

 private:
  Task<void> watch_machine(std::shared_ptr<Session> session);
  void retire(const std::string& id);

  loop::asio::any_io_executor executor_;
  workspace::Manager& manager_;
  std::map<std::string, std::shared_ptr<Session>> sessions_;
  loop::TaskGroup watching_;  // cancelled at the end
  loop::TaskGroup retiring_;  // run to their end
  loop::TaskGroup background_;
  bool stopped_ = false;
  std::size_t unpacking_ = 0;
  loop::WorkerPool unpackers_{kUnpackers};
  loop::WorkerPool searcher_{1};
};

}  // namespace cofferdam::runtime
