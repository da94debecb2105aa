#include "runtime/text_search.h"

#include <re2/re2.h>

#include "base/text.h"

namespace cofferdam::runtime {
namespace {

constexpr std::int64_t kMaxProgramBytes = 8 << 20;

class Re2Matcher final : public LineMatcher {
 public:
  Re2Matcher(const std::string& pattern, const RE2::Options& options) : expression_(pattern, options) {}

  [[nodiscard]] Status check() const {
    if (expression_.ok()) return {};
    return fail(Code::InvalidArgument, cat("the expression cannot be used: ", expression_.error()),
                "the syntax is that of RE2: no back references, no look-around");
  }
  [[nodiscard]] std::optional<std::size_t> find(std::string_view line) const override {
    re2::StringPiece found;
    const re2::StringPiece text(line.data(), line.size());
    if (!expression_.Match(text, 0, text.size(), RE2::UNANCHORED, &found, 1)) return std::nullopt;
    return static_cast<std::size_t>(found.data() - text.data());
  }

 private:
  RE2 expression_;
};

std::vector<std::string_view> lines_of(std::string_view content) {
  std::vector<std::string_view> lines;
  while (!content.empty()) {
    const auto end = content.find('\n');
    std::string_view line = content.substr(0, end);
    if (line.ends_with('\r')) line.remove_suffix(1);
    lines.push_back(line);
    content.remove_prefix(end == std::string_view::npos ? content.size() : end + 1);
  }
  return lines;
}

}  // namespace

Result<std::shared_ptr<const LineMatcher>> LineMatcher::make(const std::string& query, Syntax syntax, Letters letters,
                                                             Words words) {
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxProgramBytes);
  options.set_case_sensitive(letters == Letters::as_they_are);
  options.set_never_nl(true);
  std::string pattern = syntax == Syntax::regular ? query : RE2::QuoteMeta(query);
  if (words == Words::whole) pattern = cat("\\b(?:", pattern, ")\\b");
  auto matcher = std::make_shared<const Re2Matcher>(pattern, options);
  TRY(matcher->check());
  return matcher;
}

Result<std::vector<FoundLine>> search_lines(const LineMatcher& matcher, std::string_view content,
                                            const LineSearch& search) {
  const auto lines = lines_of(content);
  std::vector<FoundLine> found;
  std::size_t matches = 0;
  std::size_t told_to = 0;     // lines before it were told
  std::size_t context_to = 0;  // lines before it follow a match
  const auto tell = [&](std::size_t index, std::optional<std::size_t> column) {
    found.push_back({index + 1, std::string(lines[index].substr(0, kMaxTold)), column});
    told_to = index + 1;
  };
  for (std::size_t i = 0; i < lines.size() && (matches < search.most || i < context_to); ++i) {
    if (std::chrono::steady_clock::now() > search.deadline) {
      return fail(Code::DeadlineExceeded, "the search took too long", "search a smaller folder, or give it more time");
    }
    const auto at = matches < search.most ? matcher.find(lines[i].substr(0, kMaxSearchedLine)) : std::nullopt;
    if (!at) {
      if (i < context_to) tell(i, std::nullopt);
      continue;
    }
    for (std::size_t before = std::max(told_to, i - std::min(i, search.context)); before < i; ++before) {
      tell(before, std::nullopt);
    }
    tell(i, *at + 1);
    ++matches;
    context_to = i + 1 + search.context;
  }
  return found;
}

}  // namespace cofferdam::runtime
