// Writes the log: batches of entries, whole or not at all, durable when a call returns. Every call blocks; one thread
// at a time.
//
// Theory of operation. A batch is one write(2) at the end of the newest file and one fdatasync(2). When either fails
// the file is cut back to what was durable, and the tree with it, so that the next batch may try again; after a failed
// sync it does so in a new file, since what the kernel then holds of the old one is not known. Blocks are reserved
// ahead of the file's end: when the disk is full, entries still fit for a while, and has_room() says that no more
// should be begun. At the start the newest file is read again: half a batch at its end is cut off, unless the newest
// published checkpoint says that it was once whole, which no crash can have done.
// Nodes and offsets are written beside it when a checkpoint is: proofs are of what is signed.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/secure_bytes.h"
#include "base/unique_fd.h"
#include "ledger/canonical.h"
#include "ledger/folder.h"
#include "ledger/key_chain.h"
#include "ledger/segment.h"
#include "ledger/signer.h"

namespace cofferdam::ledger {

struct AppenderOptions {
  std::string folder;    // STATE/ledger
  std::string key_path;  // STATE/keys/ledger.key
  std::size_t segment_bytes = 16U << 20;
  std::size_t reserve_bytes = 1U << 20;
};

// Something that happened, when it did.
struct Pending {
  model::Entry entry;
  std::int64_t time_us = 0;
  std::uint64_t uptime_us = 0;
};
Pending happened_now(model::Entry entry);

enum class Sign { no, yes };

// What a crash had left.
struct Recovery {
  std::uint64_t cut_bytes = 0, unsigned_from = 0, unsigned_count = 0;
};

// The log as it is at one moment, with a key that can go on from there and from nowhere else.
struct LedgerCopy {
  struct File {
    std::string name;
    UniqueFd fd;
    std::uint64_t bytes = 0;  // that belong to the copy: the file may grow
  };
  std::string origin;
  std::uint64_t size = 0;
  std::vector<File> segments;
  std::string keys, checkpoint;  // key_chain.h; the newest note
  SecureBytes signing_key;
};

class Appender {
 public:
  // Makes the log when there is none. DataLoss: it is not what it was when it was last written; FailedPrecondition: its
  // key is not there.
  static Result<std::unique_ptr<Appender>> open(AppenderOptions options);
  ~Appender();

  // The entries' bytes, in order; their numbers begin at size() as it was before. With Sign::yes a checkpoint follows.
  Result<std::vector<std::string>> commit(const std::vector<Pending>& batch, Sign sign);
  // A new key takes over. The log is signed by it afterwards.
  Status advance_key();
  // Between two changes of the key, so that the one in the copy is of that moment alone.
  Result<LedgerCopy> copy();
  // Gives up sealed files all of whose entries are older, after saying so in the log. How many entries went.
  Result<std::uint64_t> prune(std::int64_t before_us);
  // Asks for room again; see has_room().
  void reserve();
  // Signs what is not signed yet, and gives back what was reserved.
  Status close();

  [[nodiscard]] const std::string& origin() const { return chain_.last().origin; }
  [[nodiscard]] std::uint64_t size() const { return frontier_.size(); }
  [[nodiscard]] std::uint64_t unsigned_entries() const { return frontier_.size() - signed_size_; }
  // The newest checkpoint, a note; durable before it is here.
  [[nodiscard]] const std::string& checkpoint() const { return checkpoint_; }
  // False: the reserve is being used up.
  [[nodiscard]] bool has_room() const { return has_room_; }
  [[nodiscard]] const Recovery& recovery() const { return recovery_; }

 private:
  explicit Appender(AppenderOptions options) : options_(std::move(options)) {}
  Status begin();
  Status resume(const std::vector<std::uint64_t>& files);
  Status read_back(std::uint64_t first, std::uint64_t published);
  Status rebuild_side_files(const std::vector<std::uint64_t>& files);
  Status roll();
  Status open_segment(std::uint64_t first, std::size_t bytes);
  enum class Seal { no, yes };
  Result<std::vector<std::string>> append(const std::vector<Pending>& batch, Seal seal);
  Status write(const std::string& bytes);
  void take_back();
  void grow(Frontier& tree, const Hash& leaf, std::size_t offset);
  void write_side_files();
  Status add_key(const KeyLink& link);
  Status write_keys();
  void publish();
  [[nodiscard]] std::string sign(const Frontier& frontier) const;
  [[nodiscard]] std::string path(std::uint64_t first) const { return options_.folder + "/" + segment_name(first); }

  AppenderOptions options_;
  std::unique_ptr<Signer> signer_;
  KeyChain chain_;
  Frontier frontier_;
  std::uint64_t signed_size_ = 0;
  std::string checkpoint_;
  UniqueFd segment_;
  std::optional<SideFile> nodes_, offsets_;
  std::uint64_t first_ = 0;         // of the newest file
  std::size_t offset_ = 0;          // its durable end
  std::size_t reserved_until_ = 0;  // blocks are there up to here
  bool sealed_ = false;             // its last frame is a checkpoint
  bool suspect_ = false;            // nothing more is written to it
  bool has_room_ = true;
  bool keys_owed_ = false;  // the file of the chain lacks a link
  Recovery recovery_;
};

}  // namespace cofferdam::ledger
