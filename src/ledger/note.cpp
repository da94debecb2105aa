#include "ledger/note.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include "base/base64.h"
#include "base/text.h"
#include "base/utf8.h"
#include "crypto/signature.h"

namespace cofferdam::ledger {
namespace {

constexpr std::string_view kDash = "\xe2\x80\x94 ";  // an em dash and a blank
constexpr std::string_view kEd25519("\1", 1);
constexpr std::size_t kKeyIdBytes = 4;
constexpr std::size_t kMaxNote = 64U << 10;
constexpr std::size_t kMaxSignatures = 16;

tl::unexpected<Error> no_note(std::string_view why) {
  return fail(Code::InvalidArgument, cat("not a signed note: ", why));
}

bool is_name(std::string_view name) {
  return !name.empty() &&
         std::none_of(name.begin(), name.end(), [](unsigned char c) { return c <= ' ' || c == '+' || c == 0x7f; });
}

// "name base64", behind the dash.
Result<NoteSignature> parse_signature(std::string_view line) {
  const auto blank = line.find(' ');
  const auto name = line.substr(0, blank);
  if (blank == std::string_view::npos || !is_name(name)) return no_note("a signature without a name");
  auto bytes = from_base64(line.substr(blank + 1));
  if (!bytes || bytes->size() <= kKeyIdBytes) return no_note("a signature that is none");
  return NoteSignature{std::string(name), bytes->substr(0, kKeyIdBytes), bytes->substr(kKeyIdBytes)};
}

// Takes one line, which must end, off the front.
std::optional<std::string_view> take_line(std::string_view& rest) {
  const auto end = rest.find('\n');
  if (end == std::string_view::npos) return std::nullopt;
  const auto line = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  return line;
}

// The note at the front of `rest`, which is taken off: its text ends at the first blank line with a signature behind.
Result<Note> take_note(std::string_view& rest) {
  const auto end = rest.find(cat("\n\n", kDash));
  if (end == std::string_view::npos) return no_note("there is no signature");
  if (end > kMaxNote) return no_note("it is too long");
  Note note;
  note.text = rest.substr(0, end + 1);
  if (!is_utf8(note.text)) return no_note("it is not UTF-8");
  const bool control = std::any_of(note.text.begin(), note.text.end(),
                                   [](unsigned char c) { return (c < ' ' && c != '\n') || c == 0x7f; });
  if (control) return no_note("it has control characters");
  rest.remove_prefix(end + 2);
  while (rest.starts_with(kDash)) {
    if (note.signatures.size() == kMaxSignatures) return no_note("it has too many signatures");
    const auto line = take_line(rest);
    if (!line) return no_note("its last line does not end");
    TRY_ASSIGN(auto signature, parse_signature(line->substr(kDash.size())));
    note.signatures.push_back(std::move(signature));
  }
  return note;
}

}  // namespace

std::string VerifierKey::id() const {
  const auto digest = crypto::sha256({name, "\n", kEd25519, public_key});
  return std::string(text_of(digest).substr(0, kKeyIdBytes));
}

std::string VerifierKey::text() const {
  return cat(name, "+", to_hex(id()), "+", to_base64(cat(kEd25519, public_key)));
}

Result<VerifierKey> VerifierKey::parse(std::string_view text) {
  const auto no_key = [] { return fail(Code::InvalidArgument, "not a verifier key of the form NAME+ID+KEY"); };
  const auto first = text.find('+');
  if (first == std::string_view::npos) return no_key();
  const auto second = text.find('+', first + 1);
  if (second == std::string_view::npos || !is_name(text.substr(0, first))) return no_key();
  const auto bytes = from_base64(text.substr(second + 1));
  if (!bytes || bytes->size() != crypto::kPublicKeyBytes + 1 || !bytes->starts_with(kEd25519)) return no_key();
  VerifierKey key{std::string(text.substr(0, first)), bytes->substr(1)};
  if (to_hex(key.id()) != text.substr(first + 1, second - first - 1)) return no_key();
  return key;
}

Result<Note> parse_note(std::string_view bytes) {
  if (bytes.size() > 2 * kMaxNote) return no_note("it is too long");
  TRY_ASSIGN(Note note, take_note(bytes));
  if (!bytes.empty()) return no_note("something stands behind it");
  return note;
}

Result<std::vector<Note>> parse_notes(std::string_view bytes) {
  std::vector<Note> notes;
  for (;;) {
    while (bytes.starts_with('\n')) bytes.remove_prefix(1);
    if (bytes.empty()) return notes;
    TRY_ASSIGN(Note note, take_note(bytes));
    notes.push_back(std::move(note));
  }
}

std::string format_note(const Note& note) {
  std::string text = cat(note.text, "\n");
  for (const auto& [name, key_id, signature] : note.signatures) {
    text += cat(kDash, name, " ", to_base64(cat(key_id, signature)), "\n");
  }
  return text;
}

NoteSignature sign_text(std::string_view text, std::string_view name, const SecureBytes& key) {
  const VerifierKey verifier{std::string(name), crypto::public_key_of(key)};
  return {verifier.name, verifier.id(), crypto::sign(key, text)};
}

bool signed_by(const Note& note, const VerifierKey& key) {
  return std::any_of(note.signatures.begin(), note.signatures.end(), [&](const NoteSignature& signature) {
    return signature.name == key.name && signature.key_id == key.id() &&
           crypto::verify_signature(key.public_key, note.text, signature.signature);
  });
}

std::string Checkpoint::text() const { return cat(origin, "\n", size, "\n", to_base64(text_of(root)), "\n"); }

Result<Checkpoint> parse_checkpoint(std::string_view text) {
  const auto no_checkpoint = [](std::string_view why) {
    return fail(Code::InvalidArgument, cat("not a checkpoint: ", why));
  };
  const auto origin = take_line(text);
  const auto size = take_line(text);
  const auto root = take_line(text);
  if (!origin || !size || !root || !is_name(*origin)) return no_checkpoint("it needs an origin, a size and a root");
  Checkpoint checkpoint;
  checkpoint.origin = *origin;
  auto number = parse_whole(*size);
  if (!number) return no_checkpoint("its size is no number");
  checkpoint.size = *number;
  auto bytes = from_base64(*root);
  if (!bytes) return no_checkpoint("its root is not base64");
  TRY_ASSIGN(checkpoint.root, hash_of(*bytes));
  return checkpoint;
}

Result<std::uint64_t> parse_whole(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = error == std::errc() && end == text.data() + text.size();
  if (!whole || (text.size() > 1 && text.front() == '0')) return fail(Code::InvalidArgument, "not a whole number");
  return number;
}

}  // namespace cofferdam::ledger
