#include "base/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdlib>

namespace cofferdam {

std::string random_bytes(std::size_t count) {
  std::string out(count, '\0');
  std::size_t done = 0;
  while (done < count) {
    const ssize_t n = ::getrandom(out.data() + done, count - done, 0);
    if (n < 0) {
      if (errno == EINTR) continue;
      std::abort();
    }
    done += static_cast<std::size_t>(n);
  }
  return out;
}

}  // namespace cofferdam
