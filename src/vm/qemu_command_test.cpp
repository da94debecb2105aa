#include "vm/qemu_command.h"

#include <gmock/gmock.h>

#include <algorithm>

namespace cofferdam::vm {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

QemuSpec spec_for(Role role) {
  QemuSpec spec;
  spec.role = role;
  spec.shape = {2, 256};
  spec.program = "/usr/bin/qemu-system-x86_64";
  spec.firmware_folder = "/usr/share/qemu";
  spec.host_tsc_khz = 2'450'000;
  return spec;
}

TEST(QemuCommand, template_and_clone_have_the_same_devices) {
  auto devices = [](const std::vector<std::string>& argv) {
    std::vector<std::string> found;
    for (std::size_t i = 0; i + 1 < argv.size(); ++i) {
      if (argv[i] == "-device" || argv[i] == "-smp" || argv[i] == "-m" || argv[i] == "-M" || argv[i] == "-cpu") {
        found.push_back(argv[i + 1]);
      }
    }
    return found;
  };
  auto of_template = devices(qemu_argv(spec_for(Role::template_)));
  // What a guest that cannot boot says; it has no state, and no clone has it.
  EXPECT_EQ(std::erase_if(of_template, [](const auto& device) { return device.find("isa-debugcon") == 0; }), 1U);
  EXPECT_EQ(of_template, devices(qemu_argv(spec_for(Role::clone))));
}

TEST(QemuCommand, the_vmm_is_sandboxed_and_names_no_path_of_the_host) {
  for (const auto role : {Role::template_, Role::clone}) {
    const auto argv = qemu_argv(spec_for(role));
    EXPECT_THAT(argv, Contains(HasSubstr("spawn=deny")));
    for (const auto& word : argv) {
      for (const auto& part : {"/var/", "/home/", "/tmp/", "/run/", "/dev/kvm", "/etc/"}) {
        EXPECT_THAT(word, Not(HasSubstr(part)));
      }
    }
  }
}

TEST(QemuCommand, only_a_clone_maps_memory_privately) {
  EXPECT_THAT(qemu_argv(spec_for(Role::clone)), Contains(HasSubstr("share=off")));
  EXPECT_THAT(qemu_argv(spec_for(Role::template_)), Contains(HasSubstr("share=on")));
}

TEST(QemuCommand, a_limit_puts_a_throttle_under_the_disk) {
  auto spec = spec_for(Role::clone);
  EXPECT_THAT(qemu_argv(spec), Not(Contains(HasSubstr("throttle"))));
  spec.io.bytes_per_second = 1'000'000;
  spec.io.operations_per_second = 100;
  EXPECT_THAT(qemu_argv(spec), Contains("throttle-group,id=limits,x-bps-total=1000000,x-iops-total=100"));
  EXPECT_THAT(qemu_argv(spec), Contains("driver=throttle,node-name=disk,throttle-group=limits,file=disk-image"));
}

}  // namespace
}  // namespace cofferdam::vm
