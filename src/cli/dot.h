// Text for Graphviz.
#pragma once
#include <string>
#include <string_view>

#include "cli/safe_text.h"

namespace cofferdam::cli {

// A quoted string.
inline std::string dot_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : printable(text)) {
    if (c == '"' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "\"";
}

}  // namespace cofferdam::cli
