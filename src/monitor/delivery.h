// One try to deliver one body to one URL.
#pragma once
#include <chrono>
#include <optional>
#include <string>

#include "base/secure_bytes.h"
#include "loop/task.h"
#include "monitor/target.h"

namespace cofferdam::monitor {

struct Letter {
  std::string id;  // "wd_…", the same at every try
  std::string url, event, body;
  std::chrono::system_clock::time_point timestamp;  // of this try
};

// The status that was answered, whatever it is. An error: nothing was. `secret` (empty: unsigned) is wiped by its
// owner.
loop::Task<int> deliver(Letter letter, SecureBytes secret, Reach reach, std::chrono::milliseconds limit);

}  // namespace cofferdam::monitor
