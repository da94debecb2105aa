#include "cli/table.h"

#include <algorithm>
#include <cstdint>

#include "cli/safe_text.h"

namespace cofferdam::cli {

void Table::add(std::vector<std::string> cells) {
  cells.resize(columns_.size());
  for (auto& cell : cells) cell = printable(cell);
  rows_.push_back(std::move(cells));
}

std::string Table::render(Empty empty) const {
  constexpr std::size_t kHidden = SIZE_MAX;
  std::vector<std::size_t> widths;
  widths.reserve(columns_.size());
  for (std::size_t column = 0; column < columns_.size(); ++column) {
    std::size_t content = 0;
    for (const auto& row : rows_) content = std::max(content, display_width(row[column]));
    const bool hidden = empty == Empty::hide && content == 0;
    widths.push_back(hidden ? kHidden : std::max(content, display_width(columns_[column].title)));
  }
  std::string out;
  const auto put_row = [&](const auto& cell_of) {
    std::string line;
    for (std::size_t column = 0; column < columns_.size(); ++column) {
      if (widths[column] == kHidden) continue;
      const std::string& cell = cell_of(column);
      const std::string blanks(widths[column] - display_width(cell), ' ');
      if (!line.empty()) line += "  ";
      line += columns_[column].align == Align::right ? blanks + cell : cell + blanks;
    }
    const auto last = line.find_last_not_of(' ');
    line.resize(last == std::string::npos ? 0 : last + 1);
    out += line;
    out += '\n';
  };
  put_row([&](std::size_t column) -> const std::string& { return columns_[column].title; });
  for (const auto& row : rows_) put_row([&](std::size_t column) -> const std::string& { return row[column]; });
  return out;
}

}  // namespace cofferdam::cli
