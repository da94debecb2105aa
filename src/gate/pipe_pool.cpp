#include "gate/pipe_pool.h"

#include <fcntl.h>

namespace cofferdam::gate {
namespace {

constexpr std::size_t kMaxIdle = 256;
// What a bulk transfer moves at a time. The kernel's bound on a user's pipes may refuse it: then a pipe is just
// smaller.
constexpr int kPipeBytes = 256 << 10;

}  // namespace

Result<Pipe> PipePool::take() {
  if (!idle_.empty()) {
    Pipe pipe = std::move(idle_.back());
    idle_.pop_back();
    return pipe;
  }
  int fds[2];
  if (::pipe2(fds, O_NONBLOCK | O_CLOEXEC) != 0) return fail_errno("pipe");
  Pipe pipe{UniqueFd(fds[0]), UniqueFd(fds[1])};
  (void)::fcntl(pipe.write.get(), F_SETPIPE_SZ, kPipeBytes);
  return pipe;
}

void PipePool::give_back(Pipe pipe) {
  if (idle_.size() < kMaxIdle) idle_.push_back(std::move(pipe));
}

}  // namespace cofferdam::gate
