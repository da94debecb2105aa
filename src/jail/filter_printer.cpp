#include "jail/filter_printer.h"

#include <linux/filter.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/file.h"
#include "base/unique_fd.h"

namespace cofferdam::jail {
namespace {

constexpr std::size_t kMaxFilter = 1U << 20;

}  // namespace

Status print_filter(const char* name, const std::function<Status(int)>& write) {
  const UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  TRY(write(file.get()));
  ::lseek(file.get(), 0, SEEK_SET);
  TRY_ASSIGN(const std::string bytes, read_fd(file.get(), kMaxFilter));
  if (bytes.empty() || bytes.size() % sizeof(sock_filter) != 0) return fail(Code::Internal, "no filter was written");
  std::printf("inline constexpr sock_filter %s[] = {\n", name);
  for (std::size_t at = 0; at < bytes.size(); at += sizeof(sock_filter)) {
    sock_filter instruction{};
    std::memcpy(&instruction, bytes.data() + at, sizeof instruction);
    std::printf("    {0x%04x, %u, %u, 0x%08x},\n", instruction.code, instruction.jt, instruction.jf, instruction.k);
  }
  std::printf("};\n");
  return {};
}

}  // namespace cofferdam::jail
