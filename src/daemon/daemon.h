// The whole of cofferd as one object: built top to bottom, run, and ended in order.
#pragma once
#include <memory>
#include <string>

#include "base/file.h"
#include "daemon/config.h"
#include "loop/task.h"

namespace cofferdam::daemon {

class Daemon {
 public:
  // Blocking: takes the locks, probes the accelerator, clears away old images. Unavailable when another daemon has the
  // state or run-time folder.
  static Result<std::unique_ptr<Daemon>> build(Config config, const std::string& version);
  Daemon(const Daemon&) = delete;
  Daemon& operator=(const Daemon&) = delete;
  virtual ~Daemon() = default;

  // Returns after a signal (TERM, INT) or a request to shut down, when all that should end has ended.
  virtual Status run() = 0;

 protected:
  Daemon() = default;
};

}  // namespace cofferdam::daemon
