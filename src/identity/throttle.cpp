#include "identity/throttle.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace cofferdam::identity {

double Throttle::tokens_of(const Source& source, Instant now) const {
  const std::chrono::duration<double> passed = now - source.refilled_at;
  return std::min(options_.burst, source.tokens + passed.count() * options_.requests_per_second);
}

Throttle::Source& Throttle::touch(const Address& source) {
  const Address at = key(source);
  const auto now = clock_.steady();
  if (const auto found = sources_.find(at); found != sources_.end()) {
    by_use_.splice(by_use_.begin(), by_use_, found->second);
  } else {
    if (sources_.size() >= options_.max_sources) {
      sources_.erase(by_use_.back().address);
      by_use_.pop_back();
    }
    by_use_.push_front({at, options_.burst, now, now, now, 0});
    sources_.emplace(at, by_use_.begin());
  }
  Source& entry = by_use_.front();
  entry.tokens = tokens_of(entry, now);
  entry.refilled_at = now;
  if (now - entry.failed_at >= options_.forgotten_after) entry.failures = 0;
  return entry;
}

Status Throttle::admit(const Address& source) {
  if (const auto wait = retry_after(source); wait.count() > 0) {
    return fail(Code::ResourceExhausted, cat("too many requests or wrong credentials from ", key(source).text()),
                cat("try again in ", (wait.count() + 999) / 1000, " s"));
  }
  touch(source).tokens -= 1;
  return {};
}

void Throttle::failed(const Address& source) {
  Source& entry = touch(source);
  const auto now = clock_.steady();
  entry.failed_at = now;
  ++entry.failures;
  if (entry.failures <= options_.free_failures) return;
  const unsigned doublings = std::min(entry.failures - options_.free_failures - 1, 30U);
  const auto pause = std::min<Milliseconds>(options_.first_pause * (1LL << doublings), options_.longest_pause);
  entry.paused_until = now + pause;
}

void Throttle::succeeded(const Address& source) {
  // Wrong credentials among right ones are somebody's mistake, not a search.
  Source& entry = touch(source);
  entry.failures = 0;
  entry.paused_until = clock_.steady();
}

Throttle::Milliseconds Throttle::retry_after(const Address& source) const {
  const auto found = sources_.find(key(source));
  if (found == sources_.end()) return {};
  const Source& entry = *found->second;
  const auto now = clock_.steady();
  auto wait = std::chrono::ceil<Milliseconds>(entry.paused_until - now);
  if (options_.requests_per_second > 0) {
    const double missing = 1 - tokens_of(entry, now);
    wait = std::max(wait, Milliseconds(std::lround(std::ceil(1000 * missing / options_.requests_per_second))));
  }
  return std::max(wait, Milliseconds(0));
}

}  // namespace cofferdam::identity
