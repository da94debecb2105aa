// Build-time: prints the filters of seccomp_policy.cpp as a C++ header.
#include <linux/filter.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "base/file.h"
#include "base/unique_fd.h"
#include "jail/seccomp_policy.h"

namespace {

using cofferdam::jail::KvmDevice;

bool print_filter(const char* name, KvmDevice kvm) {
  const cofferdam::UniqueFd file(::memfd_create("filter", MFD_CLOEXEC));
  if (const auto written = cofferdam::jail::write_filter(kvm, file.get()); !written) {
    std::fprintf(stderr, "%s\n", written.error().message.c_str());
    return false;
  }
  ::lseek(file.get(), 0, SEEK_SET);
  const auto bytes = cofferdam::read_fd(file.get(), 1U << 20);
  if (!bytes || bytes->empty() || bytes->size() % sizeof(sock_filter) != 0) return false;
  std::printf("inline constexpr sock_filter %s[] = {\n", name);
  for (std::size_t at = 0; at < bytes->size(); at += sizeof(sock_filter)) {
    sock_filter instruction{};
    std::memcpy(&instruction, bytes->data() + at, sizeof instruction);
    std::printf("    {0x%04x, %u, %u, 0x%08x},\n", instruction.code, instruction.jt, instruction.jf, instruction.k);
  }
  std::printf("};\n");
  return true;
}

}  // namespace

int main() {
  std::printf(
      "// Made by seccomp_filter from seccomp_policy.cpp.\n#pragma once\n#include <linux/filter.h>\n\n"
      "namespace cofferdam::jail {\n\n");
  const bool done = print_filter("kFilter", KvmDevice::no) && print_filter("kFilterWithKvm", KvmDevice::yes);
  std::printf("\n}  // namespace cofferdam::jail\n");
  return done && std::fflush(stdout) == 0 ? 0 : 1;
}
