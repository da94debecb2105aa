// Signed notes, checkpoints, key links and proofs: what is taken comes out the same again.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "ledger/key_chain.h"
#include "ledger/proof.h"

namespace {

void must(bool holds) {
  if (!holds) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam::ledger;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (const auto note = parse_note(bytes)) {
    must(format_note(*note) == bytes);
    if (const auto checkpoint = parse_checkpoint(note->text)) must(note->text.starts_with(checkpoint->text()));
    if (const auto link = parse_link(*note)) must(link->note == bytes);
  }
  (void)parse_notes(bytes);
  (void)KeyChain::parse(bytes);
  if (const auto key = VerifierKey::parse(bytes)) must(key->text() == bytes);
  if (const auto proof = parse_proof(bytes)) must(format_proof(*proof) == bytes);
  return 0;
}
