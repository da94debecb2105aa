// A file of root records, each in a block of its own, for holders that keep roots on a disk.
//
// A record that is removed is overwritten with random bytes, which are made durable, and its block is given back to the
// file system. The next one is written to another block, made ahead, so that this costs one flush each. When all blocks
// have been used the file is filled anew.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "keys/files.h"
#include "keys/root_record.h"

namespace cofferdam::keys {

class RootFile {
 public:
  RootFile(std::shared_ptr<Files> files, std::string name) : files_(std::move(files)), name_(std::move(name)) {}

  [[nodiscard]] std::string path() const { return files_->path(name_); }
  // FailedPrecondition: it has records of another store.
  Result<std::vector<RootRecord>> load(const std::string& store);
  Status add(const std::string& store, const std::string& id, std::string_view payload);
  Status remove(const std::string& store, const std::string& id);

 private:
  struct Slot {
    std::size_t index;
    std::string store, id;
  };
  Result<std::vector<RootRecord>> read();
  Status know();
  Status make();
  Status refill();
  [[nodiscard]] bool is_live(std::size_t index) const;

  std::shared_ptr<Files> files_;
  std::string name_;
  std::optional<std::vector<Slot>> live_;  // once it was read
  std::size_t next_ = 0;                   // the first block that may be fresh
};

}  // namespace cofferdam::keys
