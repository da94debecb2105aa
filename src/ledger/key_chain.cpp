#include "ledger/key_chain.h"

#include <algorithm>

#include "base/base64.h"
#include "base/text.h"
#include "crypto/signature.h"

namespace cofferdam::ledger {
namespace {

constexpr std::size_t kLines = 6;  // five, and nothing behind the last line end
constexpr std::string_view kKey = "key ";

std::string text_of_link(const KeyLink& link) {
  return cat(link.origin, "\n", kKey, link.epoch, "\n", link.key.text(), "\n", link.size, "\n",
             to_base64(text_of(link.root)), "\n");
}

}  // namespace

KeyLink make_link(const std::string& origin, std::uint64_t epoch, std::uint64_t size, const Hash& root,
                  const SecureBytes& key, const SecureBytes* before) {
  KeyLink link{origin, epoch, {origin, crypto::public_key_of(key)}, size, root, {}};
  Note note{text_of_link(link), {}};
  if (before != nullptr) note.signatures.push_back(sign_text(note.text, origin, *before));
  note.signatures.push_back(sign_text(note.text, origin, key));
  link.note = format_note(note);
  return link;
}

Result<KeyLink> parse_link(const Note& note) {
  const auto no_link = [](std::string_view why) { return fail(Code::InvalidArgument, cat("not a key link: ", why)); };
  const auto lines = split(note.text, '\n');
  if (lines.size() != kLines || !starts_with(lines[1], kKey)) return no_link("it has other lines");
  KeyLink link;
  link.origin = lines[0];
  TRY_ASSIGN(link.epoch, parse_whole(std::string_view(lines[1]).substr(kKey.size())));
  TRY_ASSIGN(link.key, VerifierKey::parse(lines[2]));
  TRY_ASSIGN(link.size, parse_whole(lines[3]));
  TRY_ASSIGN(const std::string root, from_base64(lines[4]));
  TRY_ASSIGN(link.root, hash_of(root));
  if (link.key.name != link.origin || text_of_link(link) != note.text) return no_link("it is of another form");
  if (!signed_by(note, link.key)) return no_link("the key has not signed it");
  link.note = format_note(note);
  return link;
}

Result<KeyChain> KeyChain::parse(std::string_view notes) {
  KeyChain chain;
  TRY_ASSIGN(const auto parsed, parse_notes(notes));
  for (const auto& note : parsed) {
    TRY_ASSIGN(auto link, parse_link(note));
    TRY(chain.add(std::move(link)));
  }
  return chain;
}

Status KeyChain::add(KeyLink link) {
  const auto wrong = [&](std::string_view why) {
    return fail(Code::DataLoss, cat("the key of epoch ", link.epoch, " ", why));
  };
  if (links_.empty()) {
    if (link.epoch != 0 || link.size != 0 || link.root != empty_root()) return wrong("is not the first of its log");
    links_.push_back(std::move(link));
    return {};
  }
  const KeyLink& before = links_.back();
  if (link.origin != before.origin) return wrong("is of another log");
  if (link.epoch != before.epoch + 1) return wrong(cat("does not follow epoch ", before.epoch));
  if (link.size <= before.size) return wrong("took over before the one before it");
  TRY_ASSIGN(const Note note, parse_note(link.note));
  if (!signed_by(note, before.key)) return wrong("was not signed by the key before it");
  links_.push_back(std::move(link));
  return {};
}

const KeyLink* KeyChain::for_size(std::uint64_t size) const {
  const auto next = std::lower_bound(links_.begin(), links_.end(), size,
                                     [](const KeyLink& link, std::uint64_t of) { return link.size < of; });
  return next == links_.begin() ? nullptr : &*std::prev(next);
}

Result<Checkpoint> KeyChain::check(const Note& note) const {
  TRY_ASSIGN(Checkpoint checkpoint, parse_checkpoint(note.text));
  const KeyLink* link = for_size(checkpoint.size);
  if (link == nullptr) return fail(Code::DataLoss, cat("no key is known for a checkpoint of ", checkpoint.size));
  if (checkpoint.origin != link->origin) {
    return fail(Code::DataLoss,
                cat("the checkpoint is of the log '", checkpoint.origin, "', this one is '", link->origin, "'"));
  }
  if (!signed_by(note, link->key)) {
    return fail(Code::DataLoss, cat("the checkpoint of ", checkpoint.size,
                                    " entries is not signed by the key of epoch ", link->epoch, ", whose turn it was"));
  }
  return checkpoint;
}

}  // namespace cofferdam::ledger
