// Slow calls in a child of the agent, so that PID 1 never waits for a disk: sync, removal of trees, warming of caches.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>

#include "guest/loop.h"
#include "guest/serial_link.h"
#include "wire/message.h"

namespace cofferdam::guest {

class Aside {
 public:
  static constexpr std::size_t kMaxRunning = 8;
  static constexpr auto kDeadline = std::chrono::seconds(120);

  Aside(Loop& loop, SerialLink& link) : loop_(loop), link_(link) {}
  ~Aside();
  Aside(const Aside&) = delete;
  Aside& operator=(const Aside&) = delete;

  // Runs `work` in a forked child and sends what it answers as the Response on `stream`. Work sees a copy of the agent:
  // what it changes in memory is lost.
  void run(std::uint32_t stream, const std::function<wire::Response()>& work);
  // Answers of running work are no longer wanted; the work itself goes on.
  void detach_all();

 private:
  struct Job {
    pid_t pid = -1;
    UniqueFd answer_fd;
    std::string answer;
    std::uint32_t stream = 0;
    bool wanted = true;
    Loop::TimerId deadline;
  };
  void on_answer(std::uint64_t id);
  void refuse(std::uint32_t stream, Error error);

  Loop& loop_;
  SerialLink& link_;
  std::map<std::uint64_t, Job> jobs_;
  std::uint64_t next_id_ = 0;
};

}  // namespace cofferdam::guest
