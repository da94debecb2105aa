// Reads a whole log and says whether it is what was signed, and if not, which entries are not.
//
// Theory of operation. Entries are numbered; the tree over them is computed anew and held against every checkpoint and
// key link on the way. Numbers name what is missing, doubled or out of place; a frame's check names what was changed
// carelessly; where a root does not come out, the leaf hashes that were written down beside the log name the entries,
// and are believed only if the root comes out with them. What was changed by somebody who also changed those is named
// as the range between two checkpoints. What lies behind the last checkpoint is not signed by anybody.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ledger/note.h"

namespace cofferdam::ledger {

struct VerifyOptions {
  std::string folder;
  std::vector<Note> checkpoints;         // from elsewhere: the log must lead to each
  std::optional<VerifierKey> first_key;  // of epoch 0, from elsewhere
  // Entries older than this that nobody has signed are a finding; a daemon signs every second.
  std::int64_t unsigned_before_us = 0;
};

struct Finding {
  std::uint64_t from = 0, to = 0;  // numbers of entries, both included
  std::string what;
};

struct VerifyReport {
  std::string origin;
  std::uint64_t first = 0;  // the number of the oldest entry that is kept
  std::uint64_t size = 0;   // of the tree: the entries that there ever were
  Hash root{};
  std::uint64_t checkpoints = 0, keys = 0, unsigned_entries = 0;
  std::optional<VerifierKey> first_key;
  std::vector<Finding> findings;  // the first 1000
  std::uint64_t finding_count = 0;
  std::vector<std::string> remarks;  // what is no finding but worth knowing: gaps, crashes, moved clocks

  [[nodiscard]] bool good() const { return finding_count == 0; }
};

// An error only when nothing can be read at all.
Result<VerifyReport> verify(const VerifyOptions& options);

}  // namespace cofferdam::ledger
