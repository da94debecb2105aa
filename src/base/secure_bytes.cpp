#include "base/secure_bytes.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "base/text.h"

namespace cofferdam {
namespace {

std::size_t whole_pages(std::size_t size) {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (size + page - 1) / page * page;
}

// More than a thousand disks' keys and all that the key tree needs at once.
constexpr rlim_t kLockedBytes = rlim_t{256} << 20U;

}  // namespace

Status prepare_locked_memory() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return fail_errno("read the limit of locked memory");
  limit.rlim_max = std::max(limit.rlim_max, kLockedBytes);
  limit.rlim_cur = limit.rlim_max;
  // Without the privilege to raise it, what there is must do.
  if (::setrlimit(RLIMIT_MEMLOCK, &limit) != 0) (void)::getrlimit(RLIMIT_MEMLOCK, &limit);
  SecureBytes trial(1);
  if (::mlock2(trial.writable().data(), whole_pages(1), 0) != 0) {
    return fail(Code::ResourceExhausted, cat("memory for keys cannot be locked: ", std::strerror(errno)),
                "give the service LimitMEMLOCK=infinity, or the capability CAP_IPC_LOCK");
  }
  return {};
}

SecureBytes::SecureBytes(std::size_t size) : size_(size) {
  if (size == 0) return;
  const std::size_t mapped = whole_pages(size);
  void* pages = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) std::abort();
  // Both are refused only to a process without privilege or memory; the bytes are then as safe as any others.
  (void)::mlock2(pages, mapped, 0);  // mlock() does nothing under AddressSanitizer
  (void)::madvise(pages, mapped, MADV_DONTDUMP);
  data_ = static_cast<char*>(pages);
}

SecureBytes::~SecureBytes() {
  if (data_ == nullptr) return;
  ::explicit_bzero(data_, size_);
  ::munmap(data_, whole_pages(size_));
}

SecureBytes SecureBytes::copy_of(std::string_view bytes) {
  SecureBytes copy(bytes.size());
  if (!bytes.empty()) std::memcpy(copy.data_, bytes.data(), bytes.size());
  return copy;
}

}  // namespace cofferdam
