#include "jail/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace cofferdam::jail {
namespace {

using testing::HasSubstr;

JailPlan good_plan() {
  JailPlan plan;
  plan.id = "vm_01";
  plan.uid = 200001;
  plan.gid = 200001;
  plan.root = "/var/lib/cofferdam/vmm/abc";
  plan.argv = {"/usr/bin/qemu-system-x86_64", "-M", "microvm"};
  plan.env = {"LC_ALL=C"};
  plan.fds = {{0, 3}, {1, 10}};
  plan.listener = 2;
  plan.tap = TapPlan{11, VnetHdr::on};
  plan.kvm = KvmDevice::yes;
  plan.cgroup = {"cofferdam", 512ULL << 20, 500, 64};
  plan.rlimits.fsize_bytes = 4ULL << 30;
  plan.ttl_ms = 1000;
  plan.lease = Lease::keep_on_loss;
  plan.cleanup_root = "/run/cofferdam";
  plan.cleanup_paths = {"/run/cofferdam/vm/vm_01"};
  return plan;
}
constexpr std::size_t kFds = 3;

TEST(JailPlan, round_trip) {
  const auto bytes = encode_plan(good_plan(), kFds);
  ASSERT_TRUE(bytes) << bytes.error().message;
  const auto plan = decode_plan(*bytes, kFds);
  ASSERT_TRUE(plan) << plan.error().message;
  EXPECT_EQ(*plan, good_plan());
}

TEST(JailPlan, every_shortened_or_lengthened_form_is_refused) {
  const auto bytes = encode_plan(good_plan(), kFds).value();
  for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_plan(bytes.substr(0, n), kFds)) << n;
  EXPECT_FALSE(decode_plan(bytes + "x", kFds));
}

struct BadPlan {
  std::string expected;
  void (*spoil)(JailPlan&);
};

TEST(JailPlan, a_bad_field_is_named) {
  const std::vector<BadPlan> cases = {
      {"id ", [](JailPlan& p) { p.id = "../x"; }},
      {"id ", [](JailPlan& p) { p.id = ".."; }},
      {"uid ", [](JailPlan& p) { p.uid = 0; }},
      {"gid ", [](JailPlan& p) { p.gid = 0; }},
      {"uid ", [](JailPlan& p) { p.uid = 0xffffffff; }},
      {"root ", [](JailPlan& p) { p.root = "/"; }},
      {"root ", [](JailPlan& p) { p.root = "relative"; }},
      {"root ", [](JailPlan& p) { p.root = "/a/../b"; }},
      {"argv[0] ", [](JailPlan& p) { p.argv.clear(); }},
      {"argv[0] ", [](JailPlan& p) { p.argv[0] = "qemu"; }},
      {"argv ", [](JailPlan& p) { p.argv.emplace_back("a\0b", 3); }},
      {"argv ", [](JailPlan& p) { p.argv.emplace_back(17U << 10, 'x'); }},
      {"env ", [](JailPlan& p) { p.env = {"novalue"}; }},
      {"fds.target ", [](JailPlan& p) { p.fds[0].target = 2; }},
      {"fds.target ", [](JailPlan& p) { p.fds[1].target = 3; }},
      {"fds.target ",
       [](JailPlan& p) {
         p.rlimits.nofile = 16;
         p.fds[1].target = 16;
       }},
      {"fds.index ", [](JailPlan& p) { p.fds[0].index = 3; }},
      {"fds ", [](JailPlan& p) { p.fds.pop_back(); }},
      {"tap.target ", [](JailPlan& p) { p.tap->target = 10; }},
      {"listener ", [](JailPlan& p) { p.listener = 9; }},
      {"listener ", [](JailPlan& p) { p.listener = 0; }},
      {"cgroup.parent ", [](JailPlan& p) { p.cgroup.parent = "a/b"; }},
      {"cgroup.memory_max_bytes ", [](JailPlan& p) { p.cgroup.memory_max_bytes = 1; }},
      {"cgroup.cpu_max_millicores ", [](JailPlan& p) { p.cgroup.cpu_max_millicores = 0; }},
      {"cgroup.pids_max ", [](JailPlan& p) { p.cgroup.pids_max = 0; }},
      {"rlimits.nofile ", [](JailPlan& p) { p.rlimits.nofile = 3; }},
      {"ttl_ms ", [](JailPlan& p) { p.ttl_ms = ~0ULL; }},
      {"cleanup_root ", [](JailPlan& p) { p.cleanup_root = "/"; }},
      {"cleanup_paths ", [](JailPlan& p) { p.cleanup_paths = {"/run/cofferdam"}; }},
      {"cleanup_paths ", [](JailPlan& p) { p.cleanup_paths = {"/run/cofferdam2/x"}; }},
      {"cleanup_paths ", [](JailPlan& p) { p.cleanup_paths = {"/run/cofferdam/../../etc"}; }},
  };
  for (const auto& bad : cases) {
    auto plan = good_plan();
    bad.spoil(plan);
    const auto status = validate(plan, kFds);
    ASSERT_FALSE(status) << bad.expected;
    EXPECT_EQ(status.error().code, Code::InvalidArgument);
    EXPECT_THAT(status.error().message, HasSubstr("jail plan: " + bad.expected));
    EXPECT_FALSE(encode_plan(plan, kFds));
  }
}

TEST(JailPlan, another_version_says_so) {
  auto bytes = encode_plan(good_plan(), kFds).value();
  bytes[0] ^= 1;
  const auto plan = decode_plan(bytes, kFds);
  ASSERT_FALSE(plan);
  EXPECT_THAT(plan.error().hint, HasSubstr("different builds"));
}

}  // namespace
}  // namespace cofferdam::jail
