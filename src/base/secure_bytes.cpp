#include "base/secure_bytes.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace cofferdam {
namespace {

std::size_t whole_pages(std::size_t size) {
  static const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return (size + page - 1) / page * page;
}

}  // namespace

SecureBytes::SecureBytes(std::size_t size) : size_(size) {
  if (size == 0) return;
  const std::size_t mapped = whole_pages(size);
  void* pages = ::mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (pages == MAP_FAILED) std::abort();
  // Both are refused only to a process without privilege or memory; the bytes are then as safe as any others.
  (void)::mlock(pages, mapped);
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
