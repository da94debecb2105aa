// Looking for a text or a regular expression in the lines of a file, in time that its size and that of the expression
// bound: what both say is somebody else's.
#pragma once
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::runtime {

enum class Syntax { plain, regular };
enum class Letters { as_they_are, in_either_case };
enum class Words { parts_too, whole };

// The regular expressions of RE2: those of ripgrep, but for a few escapes.
class LineMatcher {
 public:
  // InvalidArgument says what is wrong with the expression, or that it needs too much memory.
  static Result<std::shared_ptr<const LineMatcher>> make(const std::string& query, Syntax syntax, Letters letters,
                                                         Words words);
  virtual ~LineMatcher() = default;
  // Where the first match begins. On any thread.
  [[nodiscard]] virtual std::optional<std::size_t> find(std::string_view line) const = 0;
};

struct FoundLine {
  std::size_t number = 0;             // from 1
  std::string text;                   // without its end, cut to kMaxTold bytes
  std::optional<std::size_t> column;  // from 1; none: a line beside a match
};

struct LineSearch {
  std::size_t most = 0;     // matches; the rest is not looked at
  std::size_t context = 0;  // lines before and after each
  std::chrono::steady_clock::time_point deadline;
};

// Of a longer line only the beginning is looked at.
inline constexpr std::size_t kMaxSearchedLine = 64U << 10;
inline constexpr std::size_t kMaxTold = 1000;

// In order, each once. DeadlineExceeded. Blocks.
Result<std::vector<FoundLine>> search_lines(const LineMatcher& matcher, std::string_view content,
                                            const LineSearch& search);

}  // namespace cofferdam::runtime
