// What this host has and lacks, one finding a subject.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/session.h"

namespace cofferdam::cli {

struct Finding {
  enum class Level { ok, warn, fail };
  Level level = Level::ok;
  std::string subject, text;
  std::string advice;  // what to do; empty when all is well
};
std::string_view level_name(Finding::Level level);  // "ok", "warn", "fail"

// All that can be told without a daemon. Takes up to a few seconds: the accelerator is tried.
std::vector<Finding> check_host(const Settings& settings);

// The judgements, apart from what is looked at, so that they can be tested.
Finding judge_swap(std::string_view proc_swaps);
Finding judge_memory(std::string_view proc_meminfo);
Finding judge_core_pattern(std::string_view pattern);
Finding judge_disk_room(std::string_view folder, std::uint64_t free_bytes);
Finding judge_accelerator(std::string_view probe_json);
std::vector<Finding> judge_network(std::string_view probe_json);  // wire, packet rules, gate
Finding judge_qemu(std::string_view version_text);

}  // namespace cofferdam::cli
