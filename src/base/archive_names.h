// Names in archives, as bytes that somebody else chose.
#pragma once
#include <locale.h>

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam {

// While it lives, this thread's character set is UTF-8. libarchive turns names into it, and mangles what does not fit:
// in the C locale that is everything beyond ASCII.
class Utf8Names {
 public:
  Utf8Names();
  Utf8Names(const Utf8Names&) = delete;
  Utf8Names& operator=(const Utf8Names&) = delete;
  ~Utf8Names();

 private:
  locale_t locale_;
  locale_t before_ = nullptr;
};

// A name in pieces, relative to where it is unpacked: leading slashes, "." and doubled slashes fall away. nullptr is a
// name that was no text. InvalidArgument ("archive entry '…' has a <what> …"): "..", or too long.
Result<std::vector<std::string>> split_archive_path(std::string_view what, const char* raw, std::size_t max_bytes);

}  // namespace cofferdam
