#include "api/refusal_log.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/log.h"

namespace cofferdam::api {
namespace {

constexpr std::size_t kMaxPath = 200;
constexpr std::size_t kMaxWhy = 400;
constexpr int kFirstOfOurs = 500;

}  // namespace

bool RefusalLog::admit(Clock::time_point now) {
  const std::chrono::duration<double> passed = now - refilled_at_;
  refilled_at_ = now;
  room_ = std::min(kBurst, room_ + passed.count() * kPerSecond);
  if (room_ < 1) {
    ++suppressed_;
    return false;
  }
  room_ -= 1;
  return true;
}

void RefusalLog::note(const http::Request& request, int status, std::string_view who, std::string_view why) {
  if (!admit(Clock::now())) return;
  const auto path = std::string_view(request.target).substr(0, request.target.find('?')).substr(0, kMaxPath);
  log(status >= kFirstOfOurs ? LogLevel::warn : LogLevel::info, "request refused",
      {{"id", request.id},
       {"status", std::to_string(status)},
       {"from", request.peer.local() ? "local" : request.peer.address},
       {"who", std::string(who)},
       {"method", request.method.substr(0, 16)},
       {"path", std::string(path)},
       {"why", std::string(why.substr(0, kMaxWhy))},
       {"unwritten", std::to_string(std::exchange(suppressed_, 0))}});
}

}  // namespace cofferdam::api
