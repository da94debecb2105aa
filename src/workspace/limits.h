// How much guest memory this host may promise.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>

#include "base/result.h"

namespace cofferdam::workspace {

struct HostMemory {
  std::uint64_t total_mib = 0;
  std::uint64_t available_mib = 0;  // what could be used without swapping
};
Result<HostMemory> read_host_memory();  // from /proc/meminfo

// What a VMM needs beside its guest's memory: translation buffer, device models, page tables.
inline constexpr std::uint64_t kMachineOverheadMib = 64;

struct MemoryRules {
  // Guests seldom use all of their memory: idle clones share their template's. The sum of what was promised may be this
  // share of the host's memory.
  std::uint64_t overcommit_percent = 200;
  std::function<Result<HostMemory>()> read_host = read_host_memory;
};

// Used on one thread.
class MemoryBudget {
  struct Promised {
    std::uint64_t mib = 0;
  };

 public:
  explicit MemoryBudget(MemoryRules rules) : rules_(std::move(rules)), promised_(std::make_shared<Promised>()) {}

  // Memory that is promised to one machine, until this goes.
  class [[nodiscard]] Reservation {
   public:
    Reservation() = default;
    Reservation(Reservation&& other) noexcept
        : promised_(std::move(other.promised_)), mib_(std::exchange(other.mib_, 0)) {}
    Reservation& operator=(Reservation&& other) noexcept;
    ~Reservation() { release(); }
    void release();

   private:
    friend class MemoryBudget;
    Reservation(std::shared_ptr<Promised> promised, std::uint64_t mib);
    std::shared_ptr<Promised> promised_;
    std::uint64_t mib_ = 0;
  };

  // ResourceExhausted with the figures when the host cannot give that much (now, or ever).
  Result<Reservation> reserve(std::uint64_t guest_mib);
  // For a machine that runs already.
  Reservation adopt(std::uint64_t guest_mib);
  // True when the host is so short of memory that what is only kept ready should go.
  [[nodiscard]] bool under_pressure() const;
  [[nodiscard]] std::uint64_t promised_mib() const { return promised_->mib; }

 private:
  MemoryRules rules_;
  std::shared_ptr<Promised> promised_;
};

}  // namespace cofferdam::workspace
