// The agent itself: takes the host's calls to the services and sends their answers.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "base/unique_fd.h"
#include "guest/aside.h"
#include "guest/file_service.h"
#include "guest/identity.h"
#include "guest/loop.h"
#include "guest/process_table.h"
#include "guest/serial_link.h"
#include "guest/stream_table.h"
#include "wire/message.h"

namespace cofferdam::guest {

// init: PID 1 of a guest. program: an ordinary process, which has no identity to change, no root to prepare, no
// network.
enum class Role { init, program };

class Agent {
 public:
  Agent(Loop& loop, UniqueFd link, Role role);
  Agent(const Agent&) = delete;
  Agent& operator=(const Agent&) = delete;

  // Gives every process a cgroup of its own below kCgroupRoot, which is set up.
  Status use_cgroups();
  // Until the host asks for the power to go or, for a program, its end of the link closes.
  void serve();

 private:
  void on_call(std::uint32_t stream, const wire::Request& request);
  void on_host_changed();
  void answer(std::uint32_t stream, const wire::Response& response);
  // Decodes the call's body, runs `work` on it, sends what it answers: Status, or the Result of a message.
  template <class Message, class Work>
  void reply(std::uint32_t stream, const wire::Request& request, Work work);
  template <class Message, class Work>
  void reply_aside(std::uint32_t stream, const wire::Request& request, Work work);

  Status need_init() const;
  Status need_root() const;
  Result<wire::PrepareResult> prepare(const wire::Prepare& request);
  Status configure(const wire::Network& request);
  void start_process(std::uint32_t stream, const wire::Request& request);
  void attach(std::uint32_t stream, const wire::Request& request);
  void commit(std::uint32_t stream, const wire::Request& request);
  // Decodes the call's body and opens a stream by it, whose opener answers; a refusal is sent here.
  template <class Message, class Open>
  void open_stream(std::uint32_t stream, const wire::Request& request, Open open);
  void power_off(std::uint32_t stream);
  void wait_for_processes(Loop::TimePoint deadline);

  Loop& loop_;
  const Role role_;
  bool prepared_ = false;
  SerialLink link_;
  ProcessTable processes_;
  StreamTable streams_;
  Aside aside_;
  FileWrites writes_;
  IdentityService identity_;
};

}  // namespace cofferdam::guest
