// A workspace manager in memory, for the tests of this room: routing, shapes, streams and back-pressure without
// machines.
#pragma once
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "loop/event.h"
#include "workspace/manager.h"

namespace cofferdam::api {

using loop::Task;

// What the commands and files of a fake machine have seen.
struct FakeRecord {
  int processes_alive = 0;
  std::size_t output_pieces = 0;  // that were asked for
  std::size_t input_bytes = 0;
  std::vector<int> signals;
  int abandoned_writers = 0;
  std::vector<std::string> removed;  // workspaces
  std::optional<workspace::AfterExec> last_after;
  std::optional<model::ExecSpec> last_spec;
  std::map<std::string, std::string> scripts;  // what a command of that name prints, whatever its arguments are
  std::string http_request;                    // what came to port 8080
  std::string http_answer;                     // and what is said there once a whole head has come
};

// Commands: "echo WORD…", "cat" (stdin to stdout), "complain" (to stderr, ends with 3), "flood N" (pieces of 64 KiB),
// "hang" (until a signal), "deaf" (never takes stdin), "size" (prints each resize, until a signal), "vanish" (its
// machine dies). Anything else is not found, as a guest says it. On port 7 of a machine's loopback a server sends back
// what it gets; the one on port 8080 answers the first head as it was told, ends there unless it said 101, and else
// sends back the rest; a watcher hears what is written, removed and renamed over the same interface.
class FakeManager final : public workspace::Manager {
 public:
  FakeManager(loop::asio::any_io_executor executor, FakeRecord& record);
  ~FakeManager() override;

  Task<void> reconcile() override;
  void start_pools() override {}
  Task<void> shut_down(Permanent permanent) override;
  Task<workspace::Info> create(model::WorkspaceSpec spec) override;
  [[nodiscard]] std::vector<workspace::Info> list() const override;
  [[nodiscard]] Result<workspace::Info> get(const std::string& id) const override;
  Task<workspace::Info> start(std::string id) override;
  Task<workspace::Info> stop(std::string id) override;
  Task<workspace::Removal> remove(std::string id) override;
  Task<workspace::Info> set_ttl(std::string id, std::optional<std::chrono::milliseconds> from_now) override;
  Result<std::shared_ptr<vm::Machine>> machine(const std::string& id) const override;
  Task<std::unique_ptr<vm::GuestProcess>> exec(std::string id, model::ExecSpec spec,
                                               workspace::AfterExec after) override;
  [[nodiscard]] workspace::HostInfo host_info() const override;

 private:
  struct Entry;
  [[nodiscard]] Result<Entry*> find(const std::string& id) const;

  loop::asio::any_io_executor executor_;
  FakeRecord& record_;
  std::map<std::string, std::unique_ptr<Entry>> entries_;
  int made_ = 0;
};

}  // namespace cofferdam::api
