#include "evidence/slice.h"

#include "base/base64.h"
#include "base/text.h"
#include "ledger/note.h"

namespace cofferdam::evidence {
namespace {

constexpr std::string_view kEntry = "entry ";
constexpr std::string_view kFrom = "from ";
constexpr std::size_t kMaxHashes = 128;

std::string format_hashes(const std::vector<ledger::Hash>& hashes) {
  std::string text;
  for (const auto& hash : hashes) text += cat(to_base64(ledger::text_of(hash)), "\n");
  return text + "\n";
}

tl::unexpected<Error> no_slice(std::string_view why) {
  return fail(Code::InvalidArgument, cat("it is no slice of a ledger: ", why));
}

// One block of a text: its first line, and the hashes below.
struct Block {
  std::string_view head;
  std::vector<ledger::Hash> hashes;
};

Result<Block> take_block(std::string_view& text) {
  const auto take_line = [&text]() -> Result<std::string_view> {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) return no_slice("its last line has no end");
    const auto line = text.substr(0, end);
    text.remove_prefix(end + 1);
    return line;
  };
  Block block;
  TRY_ASSIGN(block.head, take_line());
  for (;;) {
    TRY_ASSIGN(const auto line, take_line());
    if (line.empty()) return block;
    if (block.hashes.size() == kMaxHashes) return no_slice("a proof has too many hashes");
    TRY_ASSIGN(const auto bytes, from_base64(line));
    TRY_ASSIGN(const auto hash, ledger::hash_of(bytes));
    block.hashes.push_back(hash);
  }
}

}  // namespace

std::string format_entry(const ProvenEntry& entry) {
  return cat(kEntry, entry.number, " ", to_base64(entry.bytes), "\n", format_hashes(entry.hashes));
}

Status parse_entries(std::string_view text, const std::function<Status(const ProvenEntry&)>& take) {
  while (!text.empty()) {
    TRY_ASSIGN(auto block, take_block(text));
    if (!starts_with(block.head, kEntry)) return no_slice("a line should begin an entry");
    block.head.remove_prefix(kEntry.size());
    const auto blank = block.head.find(' ');
    if (blank == std::string_view::npos) return no_slice("an entry has no bytes");
    ProvenEntry entry;
    TRY_ASSIGN(entry.number, ledger::parse_whole(block.head.substr(0, blank)));
    TRY_ASSIGN(entry.bytes, from_base64(block.head.substr(blank + 1)));
    entry.hashes = std::move(block.hashes);
    TRY(take(entry));
  }
  return {};
}

std::string format_growth(const Growth& growth) { return cat(kFrom, growth.from, "\n", format_hashes(growth.hashes)); }

Result<std::vector<Growth>> parse_growths(std::string_view text) {
  std::vector<Growth> all;
  while (!text.empty()) {
    TRY_ASSIGN(auto block, take_block(text));
    if (!starts_with(block.head, kFrom)) return no_slice("a line should name an earlier size");
    Growth growth;
    TRY_ASSIGN(growth.from, ledger::parse_whole(block.head.substr(kFrom.size())));
    growth.hashes = std::move(block.hashes);
    all.push_back(std::move(growth));
  }
  return all;
}

}  // namespace cofferdam::evidence
