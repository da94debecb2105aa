// Files of what a snapshot or an archive holds: blocks of at most 1 MiB, each encrypted and authenticated under the
// file's key, and bound to its place: a block that was changed, swapped, cut off or taken from another file is found,
// and named.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "base/unique_fd.h"

namespace cofferdam::disk {

inline constexpr std::size_t kSealedBlock = 1U << 20;

// Calls block. `key` has 32 bytes and is for this one file; `name` says what the file is, for the binding and errors.
class SealedWriter {
 public:
  // An empty file.
  SealedWriter(int file, SecureBytes key, std::string name);
  Status write(std::string_view bytes);
  // The last block, and everything on stable storage. Without it the file is not whole.
  Status finish();
  // Encrypted bytes so far.
  [[nodiscard]] std::uint64_t file_bytes() const { return file_bytes_; }

 private:
  enum class Last { no, yes };
  Status put(Last last);

  int file_;
  SecureBytes key_;
  std::string name_;
  SecureBytes block_;
  std::size_t filled_ = 0;
  std::uint64_t number_ = 0, file_bytes_ = 0;
};

class SealedReader {
 public:
  // From `start` of the file, which outlives this.
  SealedReader(int file, SecureBytes key, std::string name, std::uint64_t start = 0);
  // The next block, valid until the next call; nullopt after the last. DataLoss names the block that is not what was
  // written.
  Result<std::optional<std::string_view>> next();
  // Behind the last block that was read.
  [[nodiscard]] std::uint64_t offset() const { return offset_; }

 private:
  int file_;
  SecureBytes key_;
  std::string name_;
  // Of one block each, and used for all: a large file costs no memory that has to be made and locked again and again.
  std::string sealed_;
  SecureBytes plain_;
  std::uint64_t number_ = 0, offset_ = 0;
  bool ended_ = false;
};

// A file's blocks as one run of bytes.
class SealedSource {
 public:
  explicit SealedSource(SealedReader reader) : reader_(std::move(reader)) {}
  // Exactly `size` bytes into `to`; DataLoss when the file ends before.
  Status read(char* to, std::size_t size);
  // Whether all was read. Looks at the next block, if need be.
  Result<bool> at_end();
  // Behind the last block that was read.
  [[nodiscard]] std::uint64_t offset() const { return reader_.offset(); }

 private:
  SealedReader reader_;
  std::string_view block_;  // what was not read of it yet
  bool ended_ = false;
};

}  // namespace cofferdam::disk
