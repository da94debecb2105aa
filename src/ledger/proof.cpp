#include "ledger/proof.h"

#include "base/base64.h"
#include "base/text.h"

namespace cofferdam::ledger {
namespace {

constexpr std::string_view kMagic = "c2sp.org/tlog-proof@v1";
constexpr std::string_view kExtra = "extra ";
constexpr std::string_view kIndex = "index ";
constexpr std::size_t kMaxHashes = 64;

}  // namespace

std::string format_proof(const EntryProof& proof) {
  std::string text = cat(kMagic, "\n", kExtra, to_base64(proof.entry), "\n", kIndex, proof.number, "\n");
  for (const auto& hash : proof.hashes) text += cat(to_base64(text_of(hash)), "\n");
  return cat(text, "\n", format_note(proof.checkpoint));
}

Result<EntryProof> parse_proof(std::string_view text) {
  const auto no_proof = [](std::string_view why) { return fail(Code::InvalidArgument, cat("not a proof: ", why)); };
  const auto end = text.find("\n\n");
  if (end == std::string_view::npos) return no_proof("it has no checkpoint");
  const auto lines = split(text.substr(0, end), '\n');
  if (lines.size() < 3 || lines[0] != kMagic || !starts_with(lines[1], kExtra) || !starts_with(lines[2], kIndex)) {
    return no_proof("it needs the lines of a tlog-proof, the entry as extra data, and an index");
  }
  if (lines.size() > 3 + kMaxHashes) return no_proof("it has too many hashes");
  EntryProof proof;
  TRY_ASSIGN(proof.entry, from_base64(std::string_view(lines[1]).substr(kExtra.size())));
  TRY_ASSIGN(proof.number, parse_whole(std::string_view(lines[2]).substr(kIndex.size())));
  for (std::size_t i = 3; i < lines.size(); ++i) {
    TRY_ASSIGN(const std::string bytes, from_base64(lines[i]));
    TRY_ASSIGN(const Hash hash, hash_of(bytes));
    proof.hashes.push_back(hash);
  }
  TRY_ASSIGN(proof.checkpoint, parse_note(text.substr(end + 2)));
  return proof;
}

Result<Decoded> check_proof(const EntryProof& proof, const KeyChain& keys) {
  TRY_ASSIGN(const Checkpoint checkpoint, keys.check(proof.checkpoint));
  TRY(check_inclusion(proof.number, checkpoint.size, leaf_hash(proof.entry), proof.hashes, checkpoint.root));
  TRY_ASSIGN(Decoded entry, decode(proof.entry));
  if (entry.stamp.number != proof.number) return fail(Code::DataLoss, "the entry is of another number than its place");
  return entry;
}

}  // namespace cofferdam::ledger
