// A table of text with aligned columns.
#pragma once
#include <cstddef>
#include <string>
#include <vector>

namespace cofferdam::cli {

enum class Align { left, right };

class Table {
 public:
  struct Column {
    std::string title;
    Align align = Align::left;
  };
  explicit Table(std::vector<Column> columns) : columns_(std::move(columns)) {}

  // Cells are made printable; missing ones are empty, further ones are dropped.
  void add(std::vector<std::string> cells);
  // Two blanks between columns, none at the end of a line. Columns that have no content in any row are left out when
  // `Empty::hide`.
  enum class Empty { show, hide };
  [[nodiscard]] std::string render(Empty empty = Empty::show) const;
  [[nodiscard]] bool empty() const { return rows_.empty(); }

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

}  // namespace cofferdam::cli
