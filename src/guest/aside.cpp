#include "guest/aside.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::guest {

Aside::~Aside() {
  for (const auto& [id, job] : jobs_) {
    loop_.forget(job.answer_fd.get());
    loop_.cancel(job.deadline);
    ::kill(job.pid, SIGKILL);
  }
}

void Aside::run(std::uint32_t stream, const std::function<wire::Response()>& work) {
  if (jobs_.size() >= kMaxRunning) {
    return refuse(stream, {Code::ResourceExhausted, cat("the guest already does ", kMaxRunning, " slow calls"),
                           "wait for one to end"});
  }
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return refuse(stream, errno_error("make a pipe", errno));
  UniqueFd read_end(fds[0]);
  const UniqueFd write_end(fds[1]);
  if (::fcntl(read_end.get(), F_SETFL, O_NONBLOCK) != 0) return refuse(stream, errno_error("make a pipe", errno));
  const pid_t pid = ::fork();
  if (pid < 0) return refuse(stream, errno_error("start a helper", errno));
  if (pid == 0) {
    ::_exit(write_all(write_end.get(), wire::encode(work())) ? 0 : 1);
  }
  const std::uint64_t id = next_id_++;
  Job& job = jobs_[id];
  job.pid = pid;
  job.stream = stream;
  job.answer_fd = std::move(read_end);
  job.deadline = loop_.after(kDeadline, [pid] { ::kill(pid, SIGKILL); });
  loop_.watch(job.answer_fd.get(), EPOLLIN, [this, id](std::uint32_t) { on_answer(id); });
}

void Aside::on_answer(std::uint64_t id) {
  Job& job = jobs_.at(id);
  std::array<char, 16U << 10> buffer{};
  const ssize_t n = ::read(job.answer_fd.get(), buffer.data(), buffer.size());
  if (n < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (n > 0 && job.answer.size() < wire::kMaxMessage) {
    job.answer.append(buffer.data(), static_cast<std::size_t>(n));
    return;
  }
  loop_.forget(job.answer_fd.get());
  // While the answer's end is open the child is not reaped, or just now: its number is still its own.
  loop_.cancel(job.deadline);
  auto response = wire::decode<wire::Response>(job.answer);
  if (job.wanted) {
    if (!response) {
      response = wire::refusal({Code::Aborted, "the guest's helper ended without an answer or took too long", ""});
    }
    link_.queue().push_response(job.stream, *response);
    link_.flush();
  }
  jobs_.erase(id);
}

void Aside::detach_all() {
  for (auto& [id, job] : jobs_) job.wanted = false;
}

void Aside::refuse(std::uint32_t stream, Error error) {
  link_.queue().push_response(stream, wire::refusal(std::move(error)));
  link_.flush();
}

}  // namespace cofferdam::guest
