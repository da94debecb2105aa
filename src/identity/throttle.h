// Bounds what one source may ask: a rate for everybody, and a growing pause for those whose credentials are wrong. A
// source is an IPv4 address or the /64 of an IPv6 one, which is what one site has. Used on the loop only.
#pragma once
#include <chrono>
#include <cstddef>
#include <list>
#include <unordered_map>

#include "base/address.h"
#include "base/result.h"
#include "identity/clock.h"

namespace cofferdam::identity {

class Throttle {
 public:
  using Milliseconds = std::chrono::milliseconds;
  struct Options {
    double requests_per_second = 1000;  // 0: no limit
    double burst = 2000;
    unsigned free_failures = 10;     // a mistyped token costs nothing
    Milliseconds first_pause{1000};  // doubled by every further failure
    Milliseconds longest_pause{300'000};
    Milliseconds forgotten_after{900'000};  // without a failure
    std::size_t max_sources = 10'000;       // beyond, the one not heard of for longest is forgotten
  };

  Throttle(Clock clock, const Options& options) : clock_(std::move(clock)), options_(options) {}

  // Before credentials are looked at, once a request. ResourceExhausted (429) says how long to wait; so does
  // retry_after().
  Status admit(const Address& source);
  // The credentials were wrong; not for requests without any.
  void failed(const Address& source);
  void succeeded(const Address& source);

  // Zero when a request would be admitted now.
  [[nodiscard]] Milliseconds retry_after(const Address& source) const;
  [[nodiscard]] std::size_t sources() const { return sources_.size(); }

 private:
  using Instant = std::chrono::steady_clock::time_point;
  struct Source {
    Address address;
    double tokens = 0;
    Instant refilled_at, failed_at, paused_until;
    unsigned failures = 0;
  };

  static Address key(const Address& source) { return source.masked(source.is_v4() ? 128 : 64); }
  Source& touch(const Address& source);
  [[nodiscard]] double tokens_of(const Source& source, Instant now) const;

  Clock clock_;
  Options options_;
  std::list<Source> by_use_;  // newest first
  std::unordered_map<Address, std::list<Source>::iterator> sources_;
};

}  // namespace cofferdam::identity
