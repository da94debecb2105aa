// That one entry is in the log, as a text that can be checked anywhere (C2SP tlog-proof); its extra data is the entry.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "ledger/canonical.h"
#include "ledger/key_chain.h"

namespace cofferdam::ledger {

struct EntryProof {
  std::string entry;  // its bytes
  std::uint64_t number = 0;
  std::vector<Hash> hashes;
  Note checkpoint;
};
std::string format_proof(const EntryProof& proof);
// InvalidArgument: not such a text.
Result<EntryProof> parse_proof(std::string_view text);
// The entry that is proven, under keys that the caller believes. DataLoss: it is not.
Result<Decoded> check_proof(const EntryProof& proof, const KeyChain& keys);

}  // namespace cofferdam::ledger
