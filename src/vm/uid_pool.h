// The host uids of virtual machines: one each, never given again while anything of its old owner exists.
#pragma once
#include <cstdint>
#include <set>

#include "base/result.h"

namespace cofferdam::vm {

class UidPool {
 public:
  UidPool(std::uint32_t first, std::uint32_t count) : first_(first), count_(count) {}

  // The next free uid, going round the range, so that a uid rests as long as possible before it is used again.
  Result<std::uint32_t> take() {
    for (std::uint32_t i = 0; i < count_; ++i) {
      const auto uid = first_ + (next_++ % count_);
      if (used_.insert(uid).second) return uid;
    }
    return fail(Code::ResourceExhausted, "all uids of the range for virtual machines are in use",
                "widen uids.count in the configuration");
  }
  void mark_used(std::uint32_t uid) { used_.insert(uid); }
  // Only when nothing of the owner is left: its processes, cgroups and files.
  void give_back(std::uint32_t uid) { used_.erase(uid); }

 private:
  std::uint32_t first_, count_;
  std::uint32_t next_ = 0;
  std::set<std::uint32_t> used_;
};

}  // namespace cofferdam::vm
