// What a statement takes and answers: NULL, whole numbers, numbers, text and bytes.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace cofferdam::store {

struct Blob {
  std::string bytes;
  bool operator==(const Blob&) const = default;
};

using Value = std::variant<std::monostate, std::int64_t, double, std::string, Blob>;
using Values = std::vector<Value>;

// NULL when there is none.
template <class T>
Value nullable(const std::optional<T>& value) {
  return value ? Value(*value) : Value();
}

// One row of an answer. A column of another type than asked for is a mistake in the SQL beside the call, and throws.
class Row {
 public:
  explicit Row(Values values) : values_(std::move(values)) {}
  [[nodiscard]] bool is_null(std::size_t column) const { return values_.at(column).index() == 0; }
  [[nodiscard]] std::int64_t integer(std::size_t column) const { return std::get<std::int64_t>(values_.at(column)); }
  [[nodiscard]] double real(std::size_t column) const { return std::get<double>(values_.at(column)); }
  [[nodiscard]] const std::string& text(std::size_t column) const { return std::get<std::string>(values_.at(column)); }
  [[nodiscard]] const std::string& blob(std::size_t column) const { return std::get<Blob>(values_.at(column)).bytes; }
  [[nodiscard]] std::optional<std::int64_t> find_integer(std::size_t column) const {
    return is_null(column) ? std::nullopt : std::optional(integer(column));
  }
  [[nodiscard]] std::optional<std::string> find_text(std::size_t column) const {
    return is_null(column) ? std::nullopt : std::optional(text(column));
  }

 private:
  Values values_;
};

}  // namespace cofferdam::store
