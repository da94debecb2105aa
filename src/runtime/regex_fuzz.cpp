// A client's expression over a guest's text: both hostile. The first line is the expression.
#include <cstdint>
#include <cstdlib>

#include "base/bytes.h"
#include "runtime/text_search.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  using namespace cofferdam::runtime;
  const std::string_view input = as_text({data, size});
  const auto end = input.find('\n');
  if (size < 1 || end == std::string_view::npos || end > 4096) return 0;
  const auto syntax = (data[0] & 1U) != 0 ? Syntax::regular : Syntax::plain;
  const auto letters = (data[0] & 2U) != 0 ? Letters::in_either_case : Letters::as_they_are;
  const auto words = (data[0] & 4U) != 0 ? Words::whole : Words::parts_too;
  const auto matcher = LineMatcher::make(std::string(input.substr(0, end)), syntax, letters, words);
  if (!matcher) return 0;
  LineSearch search;
  search.most = 10;
  search.context = 2;
  search.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(5);
  const auto found = search_lines(**matcher, input.substr(end + 1), search);
  if (!found) return 0;
  std::size_t last = 0, matches = 0;
  for (const auto& line : *found) {
    if (line.number <= last || line.text.size() > kMaxTold) std::abort();
    last = line.number;
    if (line.column) ++matches;
  }
  if (matches > search.most) std::abort();
  return 0;
}
