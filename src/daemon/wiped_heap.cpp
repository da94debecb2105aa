// What cofferd frees is wiped, by whichever library it is freed: commands, environments and output of guests pass
// through its heap, and none of it may be found there when their workspace is gone. These take the place of the C
// library's, in the program and in all that it loads; C++'s own operators end in them too.
#include <malloc.h>
#include <string.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

// The C library's own, under the names that it has for whoever does this.
extern "C" void libc_free(void* at) noexcept __asm__("__libc_free");

extern "C" void free(void* at) noexcept {
  if (at == nullptr) return;
  const int before = errno;
  ::explicit_bzero(at, ::malloc_usable_size(at));
  libc_free(at);
  errno = before;
}

// What moves leaves nothing behind, and what is cut off stays nobody else's.
extern "C" void* realloc(void* at, std::size_t size) noexcept {
  if (at == nullptr) return std::malloc(size);
  if (size == 0) {
    std::free(at);
    return nullptr;
  }
  const std::size_t room = ::malloc_usable_size(at);
  if (size <= room && size >= room / 2) return at;
  void* moved = std::malloc(size);
  if (moved == nullptr) return nullptr;
  std::copy_n(static_cast<const char*>(at), std::min(room, size), static_cast<char*>(moved));
  std::free(at);
  return moved;
}
