// Names and patterns that leave entries out of a walk or a watch.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::guest {

// Whether all of `text` fits: * is any row of characters, ? is one, [a-z] and [!a-z] are sets, \ takes the next one as
// it is. Time grows with the product of both lengths, at worst.
bool glob_matches(std::string_view pattern, std::string_view text);

class Excludes {
 public:
  // InvalidArgument on an empty pattern or a zero byte in it. Slashes around a pattern are taken off.
  static Result<Excludes> create(const std::vector<std::string>& patterns);
  Excludes() = default;

  // `name` is the last part of `path`, which is relative to the root.
  [[nodiscard]] bool fits(std::string_view path, std::string_view name) const;

 private:
  std::vector<std::string> names_;
  std::vector<std::string> paths_;
};

}  // namespace cofferdam::guest
