// What cofferd frees is wiped: commands, environments and output of guests pass through its heap, and none of it may be
// found there when their workspace is gone.
#include <malloc.h>
#include <string.h>

#include <cstdlib>
#include <new>

namespace {

void release(void* at) noexcept {
  if (at == nullptr) return;
  ::explicit_bzero(at, ::malloc_usable_size(at));
  std::free(at);
}

}  // namespace

// The replaceable deallocation functions; those that are not here call one of these.
void operator delete(void* at) noexcept { release(at); }
void operator delete(void* at, std::size_t /*size*/) noexcept { release(at); }
void operator delete(void* at, std::align_val_t /*alignment*/) noexcept { release(at); }
void operator delete(void* at, std::size_t /*size*/, std::align_val_t /*alignment*/) noexcept { release(at); }
