// Build-time: prints the filters of seccomp_policy.cpp as a C++ header.
#include <cstdio>

#include "jail/filter_printer.h"
#include "jail/seccomp_policy.h"

namespace {

using cofferdam::jail::KvmDevice;

bool print(const char* name, KvmDevice kvm) {
  const auto printed =
      cofferdam::jail::print_filter(name, [kvm](int out) { return cofferdam::jail::write_filter(kvm, out); });
  if (!printed) std::fprintf(stderr, "%s\n", printed.error().message.c_str());
  return printed.has_value();
}

}  // namespace

int main() {
  std::printf(
      "// Made by seccomp_filter from seccomp_policy.cpp.\n#pragma once\n#include <linux/filter.h>\n\n"
      "namespace cofferdam::jail {\n\n");
  const bool done = print("kFilter", KvmDevice::no) && print("kFilterWithKvm", KvmDevice::yes);
  std::printf("\n}  // namespace cofferdam::jail\n");
  return done && std::fflush(stdout) == 0 ? 0 : 1;
}
