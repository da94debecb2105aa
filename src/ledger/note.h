// Signed notes and the checkpoints written as such (C2SP signed-note and tlog-checkpoint), with Ed25519.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "ledger/merkle.h"

namespace cofferdam::ledger {

struct NoteSignature {
  std::string name;
  std::string key_id;     // 4 bytes: which key of that name
  std::string signature;  // of another kind than ours it may have any length
};
struct Note {
  std::string text;  // with its last line end
  std::vector<NoteSignature> signatures;
};

// A public key and the name it signs under: "name+1a2b3c4d+base64".
struct VerifierKey {
  std::string name;
  std::string public_key;  // raw, 32 bytes
  [[nodiscard]] std::string id() const;
  [[nodiscard]] std::string text() const;
  static Result<VerifierKey> parse(std::string_view text);
  bool operator==(const VerifierKey&) const = default;
};

// InvalidArgument: not the form of a signed note. Bounded: 64 KiB, 16 signatures. Whether a signature is good is
// another question: signed_by().
Result<Note> parse_note(std::string_view bytes);
// Notes one after the other, as a file of checkpoints holds them; blank lines between them are passed over.
Result<std::vector<Note>> parse_notes(std::string_view bytes);
std::string format_note(const Note& note);

NoteSignature sign_text(std::string_view text, std::string_view name, const SecureBytes& key);
bool signed_by(const Note& note, const VerifierKey& key);

// A tree's size and root under the name of its log.
struct Checkpoint {
  std::string origin;
  std::uint64_t size = 0;
  Hash root{};
  [[nodiscard]] std::string text() const;
};
// Further lines of a checkpoint's text are allowed and passed over.
Result<Checkpoint> parse_checkpoint(std::string_view text);

// A whole number without leading zeros.
Result<std::uint64_t> parse_whole(std::string_view text);

}  // namespace cofferdam::ledger
