// Paths of a workspace as a tar, piece by piece: as much of it is made as its reader takes.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/listing.h"
#include "runtime/tar.h"
#include "vm/machine.h"

namespace cofferdam::runtime {

class Packing {
 public:
  // `paths` are clean and absolute, each with all below it; one that is no longer there is left out. `excludes` as in
  // ListingOptions::ignore.
  Packing(std::shared_ptr<vm::Machine> machine, std::vector<std::string> paths, std::vector<std::string> excludes,
          Compression compression);
  // Some 32 KiB; empty at the end.
  Task<std::string> next();

 private:
  Task<void> step();
  Status begin(const std::string& path, const vm::FileInfo& info);
  Task<void> read_on();

  std::shared_ptr<vm::Machine> machine_;
  std::vector<std::string> paths_, excludes_;
  std::size_t at_ = 0;
  TarWriter writer_;
  std::unique_ptr<Listing> listing_;
  std::optional<std::string> file_;
  std::uint64_t offset_ = 0, size_ = 0;
  bool finished_ = false;
};

}  // namespace cofferdam::runtime
