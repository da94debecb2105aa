#include "jail/plan.h"

#include <algorithm>
#include <set>

#include "base/bytes.h"
#include "base/text.h"

namespace cofferdam::jail {
namespace {

constexpr std::uint32_t kMagic = 0x314c4a43;  // "CJL1": changes with every change of the layout
constexpr std::size_t kMaxStrings = 512;
constexpr std::size_t kMaxString = 16U << 10;
constexpr std::size_t kMaxPath = 1024;
constexpr std::size_t kMaxCleanupPaths = 16;
constexpr std::uint64_t kMaxTtlMs = 100ULL * 366 * 24 * 3600 * 1000;

tl::unexpected<Error> bad(std::string_view field, std::string_view why) {
  return fail(Code::InvalidArgument, cat("jail plan: ", field, " ", why));
}

bool is_name(std::string_view text) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.";
  return !text.empty() && text.size() <= 64 && text.front() != '.' &&
         text.find_first_not_of(kAllowed) == std::string_view::npos;
}

// Absolute, with no empty, "." or ".." part, so that comparing prefixes means something.
bool is_clean_path(std::string_view path) {
  if (path.size() < 2 || path.size() > kMaxPath || path.front() != '/' || path.find('\0') != std::string_view::npos) {
    return false;
  }
  const auto parts = split(path.substr(1), '/');
  return std::none_of(parts.begin(), parts.end(),
                      [](const auto& part) { return part.empty() || part == "." || part == ".."; });
}

template <class T>
Status in_range(std::string_view field, T value, T min, T max) {
  if (value < min || value > max) return bad(field, cat("is ", value, ", not from ", min, " to ", max));
  return {};
}

Status check_strings(std::string_view field, const std::vector<std::string>& strings) {
  if (strings.size() > kMaxStrings) return bad(field, cat("has more than ", kMaxStrings, " entries"));
  for (const auto& text : strings) {
    if (text.size() > kMaxString) return bad(field, cat("has an entry of more than ", kMaxString, " bytes"));
    if (text.find('\0') != std::string::npos) return bad(field, "has an entry with a zero byte");
  }
  return {};
}

Status check_descriptors(const JailPlan& plan, std::size_t fd_count) {
  if (fd_count > kMaxPlanFds) return bad("descriptors", cat("number more than ", kMaxPlanFds));
  std::set<std::uint32_t> used;
  std::set<std::int32_t> targets;
  auto take_target = [&](std::string_view field, std::int32_t target) -> Status {
    TRY(in_range<std::int32_t>(field, target, 3, 1023));
    if (static_cast<std::uint64_t>(target) >= plan.rlimits.nofile) return bad(field, "is not below rlimits.nofile");
    if (!targets.insert(target).second) return bad(field, cat("names descriptor ", target, " twice"));
    return {};
  };
  if (plan.fds.size() > kMaxPlanFds) return bad("fds", cat("has more than ", kMaxPlanFds, " entries"));
  for (const auto& mapping : plan.fds) {
    TRY(take_target("fds.target", mapping.target));
    if (mapping.index >= fd_count) return bad("fds.index", cat("is ", mapping.index, " of ", fd_count, " descriptors"));
    used.insert(mapping.index);
  }
  if (plan.tap) TRY(take_target("tap.target", plan.tap->target));
  if (plan.listener) {
    if (*plan.listener >= fd_count)
      return bad("listener", cat("is ", *plan.listener, " of ", fd_count, " descriptors"));
    if (!used.insert(*plan.listener).second) return bad("listener", "is a descriptor the VMM gets as well");
  }
  if (used.size() != fd_count) return bad("fds", "leaves a descriptor unused");
  return {};
}

Status check_cleanup(const JailPlan& plan) {
  if (plan.cleanup_paths.empty() && plan.cleanup_root.empty()) return {};
  if (!is_clean_path(plan.cleanup_root)) return bad("cleanup_root", "is not a plain absolute path");
  if (plan.cleanup_paths.size() > kMaxCleanupPaths) {
    return bad("cleanup_paths", cat("has more than ", kMaxCleanupPaths, " entries"));
  }
  for (const auto& path : plan.cleanup_paths) {
    if (!is_clean_path(path) || !starts_with(path, plan.cleanup_root + "/")) {
      return bad("cleanup_paths", cat("has '", path.substr(0, 128), "', which is not below '", plan.cleanup_root, "'"));
    }
  }
  return {};
}

void put_strings(ByteWriter& writer, const std::vector<std::string>& strings) {
  writer.u32(static_cast<std::uint32_t>(strings.size()));
  for (const auto& text : strings) writer.text(text);
}

std::vector<std::string> get_strings(ByteReader& reader, std::size_t max_count) {
  std::vector<std::string> strings;
  const std::size_t count = reader.u32();
  // Every entry takes four bytes at least: a count that cannot be true allocates nothing.
  if (count > max_count || count > reader.left() / 4) {
    (void)reader.raw(reader.left() + 1);
    return strings;
  }
  for (std::size_t i = 0; i < count && reader.ok(); ++i) strings.emplace_back(reader.text(kMaxString));
  return strings;
}

// An enum of two values; any other byte is an error.
template <class E>
E get_choice(ByteReader& reader) {
  const std::uint8_t value = reader.u8();
  if (value > 1) (void)reader.raw(reader.left() + 1);
  return static_cast<E>(value & 1U);
}

}  // namespace

Status validate(const JailPlan& plan, std::size_t fd_count) {
  if (!is_name(plan.id)) return bad("id", "is not 1 to 64 of letters, digits, '_', '-' and '.'");
  TRY(in_range<std::uint32_t>("uid", plan.uid, 1, 0xfffffffeU));
  TRY(in_range<std::uint32_t>("gid", plan.gid, 1, 0xfffffffeU));
  if (!is_clean_path(plan.root)) return bad("root", "is not a plain absolute path");
  TRY(check_strings("argv", plan.argv));
  TRY(check_strings("env", plan.env));
  if (plan.argv.empty() || !is_clean_path(plan.argv[0])) return bad("argv[0]", "is not a plain absolute path");
  for (const auto& entry : plan.env) {
    if (entry.find('=') == std::string::npos || entry.front() == '=') return bad("env", "has an entry without a name");
  }
  if (!is_name(plan.cgroup.parent)) return bad("cgroup.parent", "is not a plain folder name");
  TRY(in_range<std::uint64_t>("cgroup.memory_max_bytes", plan.cgroup.memory_max_bytes, 16ULL << 20, 1ULL << 50));
  TRY(in_range<std::uint32_t>("cgroup.cpu_max_millicores", plan.cgroup.cpu_max_millicores, 10, 1024000));
  TRY(in_range<std::uint32_t>("cgroup.cpu_weight", plan.cgroup.cpu_weight, 1, 10000));
  TRY(in_range<std::uint32_t>("cgroup.pids_max", plan.cgroup.pids_max, 1, 65536));
  TRY(in_range<std::uint64_t>("rlimits.nofile", plan.rlimits.nofile, 16, 1U << 20));
  TRY(in_range<std::uint64_t>("rlimits.nproc", plan.rlimits.nproc, 1, 65536));
  TRY(in_range<std::uint64_t>("rlimits.fsize_bytes", plan.rlimits.fsize_bytes, 0, 1ULL << 62));
  TRY(in_range<std::uint64_t>("rlimits.memlock_bytes", plan.rlimits.memlock_bytes, 0, 1ULL << 50));
  TRY(in_range<std::uint64_t>("ttl_ms", plan.ttl_ms, 0, kMaxTtlMs));
  TRY(check_descriptors(plan, fd_count));
  return check_cleanup(plan);
}

Result<std::string> encode_plan(const JailPlan& plan, std::size_t fd_count) {
  TRY(validate(plan, fd_count));
  std::string out;
  ByteWriter writer(out);
  writer.u32(kMagic);
  writer.text(plan.id);
  writer.u32(plan.uid);
  writer.u32(plan.gid);
  writer.text(plan.root);
  put_strings(writer, plan.argv);
  put_strings(writer, plan.env);
  writer.u32(static_cast<std::uint32_t>(plan.fds.size()));
  for (const auto& mapping : plan.fds) {
    writer.u32(mapping.index);
    writer.i32(mapping.target);
  }
  writer.u8(plan.listener ? 1 : 0);
  if (plan.listener) writer.u32(*plan.listener);
  writer.u8(plan.tap ? 1 : 0);
  if (plan.tap) {
    writer.i32(plan.tap->target);
    writer.u8(static_cast<std::uint8_t>(plan.tap->vnet_hdr));
  }
  writer.u8(static_cast<std::uint8_t>(plan.kvm));
  writer.text(plan.cgroup.parent);
  writer.u64(plan.cgroup.memory_max_bytes);
  writer.u32(plan.cgroup.cpu_max_millicores);
  writer.u32(plan.cgroup.cpu_weight);
  writer.u32(plan.cgroup.pids_max);
  writer.u64(plan.rlimits.nofile);
  writer.u64(plan.rlimits.fsize_bytes);
  writer.u64(plan.rlimits.memlock_bytes);
  writer.u64(plan.rlimits.nproc);
  writer.u64(plan.ttl_ms);
  writer.u8(static_cast<std::uint8_t>(plan.lease));
  writer.text(plan.cleanup_root);
  put_strings(writer, plan.cleanup_paths);
  if (out.size() > kMaxPlanBytes) return bad("argv and env", cat("are too long: ", out.size(), " bytes in all"));
  return out;
}

Result<JailPlan> decode_plan(std::string_view bytes, std::size_t fd_count) {
  if (bytes.size() > kMaxPlanBytes) return bad("message", "is too long");
  ByteReader reader(as_bytes(bytes));
  if (reader.u32() != kMagic) {
    return fail(Code::InvalidArgument, "jail plan: not of this version",
                "cofferd and coffer-jail are from different builds: install both from one");
  }
  JailPlan plan;
  plan.id = reader.text(kMaxPath);
  plan.uid = reader.u32();
  plan.gid = reader.u32();
  plan.root = reader.text(kMaxPath);
  plan.argv = get_strings(reader, kMaxStrings);
  plan.env = get_strings(reader, kMaxStrings);
  const std::size_t mappings = reader.u32();
  if (mappings > kMaxPlanFds) return bad("fds", "are too many");
  for (std::size_t i = 0; i < mappings && reader.ok(); ++i) {
    FdMapping mapping;
    mapping.index = reader.u32();
    mapping.target = reader.i32();
    plan.fds.push_back(mapping);
  }
  enum class Present : std::uint8_t { no, yes };
  if (get_choice<Present>(reader) == Present::yes) plan.listener = reader.u32();
  if (get_choice<Present>(reader) == Present::yes) {
    TapPlan tap;
    tap.target = reader.i32();
    tap.vnet_hdr = get_choice<VnetHdr>(reader);
    plan.tap = tap;
  }
  plan.kvm = get_choice<KvmDevice>(reader);
  plan.cgroup.parent = reader.text(kMaxPath);
  plan.cgroup.memory_max_bytes = reader.u64();
  plan.cgroup.cpu_max_millicores = reader.u32();
  plan.cgroup.cpu_weight = reader.u32();
  plan.cgroup.pids_max = reader.u32();
  plan.rlimits.nofile = reader.u64();
  plan.rlimits.fsize_bytes = reader.u64();
  plan.rlimits.memlock_bytes = reader.u64();
  plan.rlimits.nproc = reader.u64();
  plan.ttl_ms = reader.u64();
  plan.lease = get_choice<Lease>(reader);
  plan.cleanup_root = reader.text(kMaxPath);
  plan.cleanup_paths = get_strings(reader, kMaxCleanupPaths);
  if (!reader.at_end()) return bad("message", "is cut short, or longer than its content");
  TRY(validate(plan, fd_count));
  return plan;
}

}  // namespace cofferdam::jail
