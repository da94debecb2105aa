// What a bundle has of the ledger, as texts.
//
// Entries with their proofs against one checkpoint, one after the other, each as
//     entry NUMBER BASE64      its bytes
//     HASH                     in base64, as many as its proof has
// and a blank line behind it. And what proves that the tree of a checkpoint is an earlier one that has grown:
//     from SIZE
//     HASH …
// and a blank line.
#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "ledger/merkle.h"

namespace cofferdam::evidence {

struct ProvenEntry {
  std::uint64_t number = 0;
  std::string bytes;
  std::vector<ledger::Hash> hashes;
};
std::string format_entry(const ProvenEntry& entry);
// Calls `take` for each; its error is the answer. InvalidArgument: not such a text.
Status parse_entries(std::string_view text, const std::function<Status(const ProvenEntry&)>& take);

struct Growth {
  std::uint64_t from = 0;
  std::vector<ledger::Hash> hashes;
};
std::string format_growth(const Growth& growth);
Result<std::vector<Growth>> parse_growths(std::string_view text);

}  // namespace cofferdam::evidence
