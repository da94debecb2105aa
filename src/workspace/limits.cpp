#include "workspace/limits.h"

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "model/units.h"

namespace cofferdam::workspace {
namespace {

constexpr std::size_t kMaxMeminfoBytes = 64U << 10;
constexpr std::uint64_t kMinReserveMib = 256;
constexpr std::uint64_t kMaxReserveMib = 1024;

// Kept for the host itself.
std::uint64_t host_reserve_mib(const HostMemory& host) {
  return std::clamp<std::uint64_t>(host.total_mib / 20, kMinReserveMib, kMaxReserveMib);
}

std::string mib_text(std::uint64_t mib) { return format_size(mib * model::kMiB); }

Result<std::uint64_t> meminfo_mib(const std::string& text, std::string_view field) {
  for (const auto& line : split(text, '\n')) {
    if (!starts_with(line, field)) continue;
    std::string_view value = trim(std::string_view(line).substr(field.size()));
    value = value.substr(0, value.find(' '));
    TRY_ASSIGN(const auto kib, parse_int(field, value, 0, INT64_MAX));
    return static_cast<std::uint64_t>(kib) / 1024;
  }
  return fail(Code::Internal, cat("/proc/meminfo has no line '", field, "'"));
}

}  // namespace

Result<HostMemory> read_host_memory() {
  TRY_ASSIGN(const std::string text, read_file("/proc/meminfo", kMaxMeminfoBytes));
  HostMemory host;
  TRY_ASSIGN(host.total_mib, meminfo_mib(text, "MemTotal:"));
  TRY_ASSIGN(host.available_mib, meminfo_mib(text, "MemAvailable:"));
  return host;
}

MemoryBudget::Reservation::Reservation(std::shared_ptr<Promised> promised, std::uint64_t mib)
    : promised_(std::move(promised)), mib_(mib) {
  promised_->mib += mib_;
}

MemoryBudget::Reservation& MemoryBudget::Reservation::operator=(Reservation&& other) noexcept {
  if (this != &other) {
    release();
    promised_ = std::move(other.promised_);
    mib_ = std::exchange(other.mib_, 0);
  }
  return *this;
}

void MemoryBudget::Reservation::release() {
  if (promised_) promised_->mib -= mib_;
  promised_.reset();
  mib_ = 0;
}

Result<MemoryBudget::Reservation> MemoryBudget::reserve(std::uint64_t guest_mib) {
  TRY_ASSIGN(const HostMemory host, rules_.read_host());
  const std::uint64_t wanted = guest_mib + kMachineOverheadMib;
  const std::uint64_t reserve = host_reserve_mib(host);
  if (wanted + reserve > host.total_mib) {
    return fail(Code::ResourceExhausted,
                cat("a machine with ", mib_text(guest_mib), " of memory needs ", mib_text(wanted), "; this host has ",
                    mib_text(host.total_mib), " and keeps ", mib_text(reserve), " for itself"),
                "ask for less memory (--memory)");
  }
  const std::uint64_t limit = host.total_mib * rules_.overcommit_percent / 100;
  if (promised_->mib + wanted > limit) {
    return fail(Code::ResourceExhausted,
                cat("no memory left to promise: ", mib_text(promised_->mib), " are promised to machines, ",
                    mib_text(wanted), " more would pass the limit of ", mib_text(limit)),
                "stop or remove a workspace, or ask for less memory");
  }
  if (host.available_mib < wanted + reserve) {
    return fail(Code::ResourceExhausted,
                cat("the host is short of memory: ", mib_text(host.available_mib), " are available, the machine needs ",
                    mib_text(wanted), " and ", mib_text(reserve), " are kept for the host"),
                "stop or remove a workspace, or ask for less memory");
  }
  return Reservation(promised_, wanted);
}

MemoryBudget::Reservation MemoryBudget::adopt(std::uint64_t guest_mib) {
  return {promised_, guest_mib + kMachineOverheadMib};
}

bool MemoryBudget::under_pressure() const {
  const auto host = rules_.read_host();
  return host && host->available_mib < host_reserve_mib(*host);
}

}  // namespace cofferdam::workspace
