#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace cofferdam {

void fill_random(std::span<char> out) {
  while (!out.empty()) {
    const ssize_t n = ::getrandom(out.data(), out.size(), 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      std::abort();
    }
    out = out.subspan(static_cast<std::size_t>(n));
  }
}

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  fill_random(out);
  return out;
}

}  // namespace cofferdam
