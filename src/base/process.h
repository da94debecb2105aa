// Child processes for programs that are not on an event loop, and the spawn that all programs share.
#pragma once
#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam {

struct SpawnOptions {
  std::vector<std::string> argv;         // argv[0] is a path, or a name to look up in PATH
  std::vector<std::string> env;          // "K=V"; the child sees these and nothing else
  std::vector<std::pair<int, int>> fds;  // {ours, the child's}; everything else is closed in the child
  bool new_session = false;              // setsid, so that a terminal's signals do not reach it
};

// A started child. Destruction kills it (SIGKILL) and waits, unless it was waited for or released.
class Process {
 public:
  static Result<Process> spawn(const SpawnOptions& options);
  Process(Process&&) noexcept;
  Process& operator=(Process&&) noexcept;
  ~Process();

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] int pidfd() const { return pidfd_.get(); }  // readable when the child has ended
  void kill(int signal) const;
  // Blocks. The shell's convention: the exit status, or 128 + the signal that ended it.
  Result<int> wait();
  // Gives up ownership: the child runs on, and is reaped by whoever becomes its parent.
  pid_t release();

 private:
  Process(pid_t pid, UniqueFd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid_ = -1;
  UniqueFd pidfd_;
};

struct Finished {
  int status = 0;   // exit status, or 128 + signal
  std::string out;  // stdout
  std::string err;  // stderr
};

struct RunOptions {
  std::vector<std::string> argv;
  std::vector<std::string> extra_env;  // on top of our own environment
  std::string input;                   // given on stdin, then closed
  std::chrono::milliseconds timeout = std::chrono::minutes(1);
  std::size_t max_output = 16U << 20;             // of each stream; more ends the child
  std::function<void(std::string_view)> on_line;  // each whole line of stderr and stdout as it comes; optional
};

// Runs a program to its end, blocking. An error only when it could not be started, timed out or talked too much: a
// non-zero status is a result.
Result<Finished> run(const RunOptions& options);
// The same, where a non-zero status is an error that carries the last lines of stderr.
Result<std::string> run_checked(const RunOptions& options);

// Our own environment as "K=V" strings.
std::vector<std::string> current_environment();

}  // namespace cofferdam
