// The public halves of the log's signing keys, each taking over from the one before.
//
// A link is a signed note whose text is
//     ORIGIN
//     key EPOCH
//     VERIFIER KEY
//     SIZE
//     ROOT
// signed by the key itself and by the key before it. SIZE and ROOT are the tree's when the key took over, so that a
// link is also the last word of the old key about all it had signed: who has the newest key alone can make neither an
// older link nor another past. The entry that holds the link is number SIZE. What the key signs are checkpoints larger
// than that, up to the size of the next link.
#pragma once
#include <string>
#include <vector>

#include "ledger/note.h"

namespace cofferdam::ledger {

struct KeyLink {
  std::string origin;
  std::uint64_t epoch = 0;
  VerifierKey key;
  std::uint64_t size = 0;
  Hash root{};
  std::string note;  // whole
};

// `before` is null for epoch 0.
KeyLink make_link(const std::string& origin, std::uint64_t epoch, std::uint64_t size, const Hash& root,
                  const SecureBytes& key, const SecureBytes* before);
// Checks the form, and the signature of the key itself.
Result<KeyLink> parse_link(const Note& note);

class KeyChain {
 public:
  // Links one after the other, from epoch 0. DataLoss names the link that does not follow from the one before.
  static Result<KeyChain> parse(std::string_view notes);

  Status add(KeyLink link);
  [[nodiscard]] bool empty() const { return links_.empty(); }
  [[nodiscard]] const std::vector<KeyLink>& links() const { return links_; }
  [[nodiscard]] const KeyLink& last() const { return links_.back(); }
  // The link of the key that signs a checkpoint of that size; null for one of nothing.
  [[nodiscard]] const KeyLink* for_size(std::uint64_t size) const;
  // DataLoss: not signed by the key whose turn it was, or of another log.
  [[nodiscard]] Result<Checkpoint> check(const Note& note) const;

 private:
  std::vector<KeyLink> links_;
};

}  // namespace cofferdam::ledger
