// What lies in the folder of a log, by name.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/unique_fd.h"
#include "ledger/merkle.h"

namespace cofferdam::ledger {

// The key chain, links one after the other (key_chain.h).
inline std::string keys_path(const std::string& folder) { return folder + "/keys"; }
// The newest checkpoint.
inline std::string checkpoint_path(const std::string& folder) { return folder + "/checkpoint"; }
// The complete nodes of the tree in the order of node_place(): made from the entries, and made again when it is lost.
inline std::string nodes_path(const std::string& folder) { return folder + "/nodes"; }

// Where each entry's frame begins in its file, a u32 for each: made from the entries, too.
inline std::string offsets_path(const std::string& folder) { return folder + "/offsets"; }

inline constexpr std::size_t kMaxKeysBytes = 256U << 20;
inline constexpr std::size_t kMaxNoteFileBytes = 16U << 20;

// The nodes that were written down: quick to read one by one, and of no weight as evidence.
class NodeFile {
 public:
  static Result<NodeFile> open(const std::string& folder);
  // NotFound when it is not there.
  [[nodiscard]] Result<Hash> read(unsigned level, std::uint64_t index) const;

 private:
  explicit NodeFile(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
};

// Where the frame of an entry should begin in its file. NotFound when it is not written down.
Result<std::size_t> read_offset(const std::string& folder, std::uint64_t number);

// A file beside the log that is made from it, always to be written at its end. What cannot be written now is owed, and
// no reason for anybody to wait.
class SideFile {
 public:
  static Result<SideFile> open(const std::string& path);
  void add(std::string_view bytes);
  // Up to where it then reaches.
  void write(std::uint64_t end);
  Status cut(std::uint64_t size);
  Status sync();
  Result<std::uint64_t> size() const;
  [[nodiscard]] std::string take_owed() { return std::exchange(owed_, {}); }

 private:
  explicit SideFile(UniqueFd fd) : fd_(std::move(fd)) {}
  UniqueFd fd_;
  std::string owed_;
  bool given_up_ = false;  // too much was owed: it stays too short, and is made again at the next start
};

// All bytes to that place of a file.
Status write_at(int fd, std::string_view bytes, std::uint64_t offset);

}  // namespace cofferdam::ledger
