#include "evidence/manifest.h"

#include <algorithm>

#include "base/text.h"
#include "evidence/bundle.h"
#include "ledger/note.h"

namespace cofferdam::evidence {
namespace {

constexpr std::string_view kFirstLine = "cofferdam evidence 1";
constexpr std::size_t kDigestDigits = 64;

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= 64 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c <= '~'; });
}

bool is_digest(std::string_view text) {
  return text.size() == kDigestDigits &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

tl::unexpected<Error> no_manifest(std::string_view why) {
  return fail(Code::InvalidArgument, cat("not a manifest of evidence: ", why));
}

}  // namespace

std::string format_manifest(const Manifest& manifest) {
  std::string text = cat(kFirstLine, "\nworkspace ", manifest.workspace, "\nincident ", manifest.incident,
                         "\nsnapshot ", manifest.snapshot, "\nmade ", manifest.made, "\n");
  for (const auto& item : manifest.items) text += cat("member ", item.sha256, " ", item.size, " ", item.name, "\n");
  return text;
}

Result<Manifest> parse_manifest(std::string_view text) {
  if (text.size() > kMaxManifest) return no_manifest("it is too long");
  const auto lines = split(text, '\n');
  Manifest manifest;
  const std::pair<std::string_view, std::string*> fields[] = {{"workspace ", &manifest.workspace},
                                                              {"incident ", &manifest.incident},
                                                              {"snapshot ", &manifest.snapshot},
                                                              {"made ", &manifest.made}};
  if (lines.size() < 2 + std::size(fields) || lines.front() != kFirstLine) {
    return no_manifest(cat("it does not begin with '", kFirstLine, "'"));
  }
  std::size_t at = 1;
  for (const auto& [name, field] : fields) {
    if (!starts_with(lines[at], name)) return no_manifest(cat("line ", at + 1, " is not '", trim(name), "'"));
    *field = lines[at].substr(name.size());
    if (!is_word(*field)) return no_manifest(cat("line ", at + 1, " holds no word"));
    ++at;
  }
  for (; at + 1 < lines.size(); ++at) {
    const auto words = split(lines[at], ' ');
    if (words.size() != 4 || words[0] != "member" || !is_digest(words[1]) || !is_member_name(words[3])) {
      return no_manifest(cat("line ", at + 1, " names no member"));
    }
    TRY_ASSIGN(const auto size, ledger::parse_whole(words[2]));
    manifest.items.push_back({words[3], words[1], size});
  }
  if (format_manifest(manifest) != text) return no_manifest("it is written in another way");
  return manifest;
}

}  // namespace cofferdam::evidence
