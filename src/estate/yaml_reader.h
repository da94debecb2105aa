// Strict reading of YAML: every key is known and given once, every error has its line and column.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "estate/yaml.h"

namespace cofferdam::estate {

class YamlReader {
 public:
  // `file` is what errors call it.
  explicit YamlReader(std::string file) : file_(std::move(file)) {}

  [[nodiscard]] tl::unexpected<Error> bad(const Mark& mark, std::string_view why) const {
    return bad_yaml(file_, mark, why);
  }
  using Field = std::function<Status(const Yaml&)>;
  // Every key of the mapping must be in `fields`, and at most once.
  [[nodiscard]] Status mapping(const Yaml& node, std::string_view what,
                               const std::map<std::string, Field>& fields) const;
  // Any keys, each once; `take` gets the key and its value.
  [[nodiscard]] Status entries(const Yaml& node, std::string_view what,
                               const std::function<Status(const std::string&, const Yaml&)>& take) const;
  [[nodiscard]] Status items(const Yaml& node, std::string_view what, const Field& take) const;

  [[nodiscard]] Result<std::string> text(const Yaml& node, std::string_view what) const;
  [[nodiscard]] Result<std::vector<std::string>> texts(const Yaml& node, std::string_view what) const;
  [[nodiscard]] Result<std::uint64_t> number(const Yaml& node, std::string_view what, std::uint64_t max) const;
  // "0.5" as 500.
  [[nodiscard]] Result<std::uint32_t> thousandths(const Yaml& node, std::string_view what) const;
  [[nodiscard]] Result<bool> flag(const Yaml& node, std::string_view what) const;
  [[nodiscard]] Result<std::chrono::milliseconds> period(const Yaml& node, std::string_view what) const;
  [[nodiscard]] Result<std::string> one_of(const Yaml& node, std::string_view what,
                                           const std::vector<std::string>& words) const;

  // A field that takes its value to `target`.
  [[nodiscard]] Field into(std::string& target, std::string_view what) const;
  [[nodiscard]] Field into(std::vector<std::string>& target, std::string_view what) const;

 private:
  std::string file_;
};

}  // namespace cofferdam::estate
