// YAML as a tree of our own, where every node knows its place; only yaml.cpp knows the library.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::estate {

struct Mark {
  int line = 1, column = 1;
};

struct YamlEntry;

struct Yaml {
  enum class Kind { null, scalar, list, map } kind = Kind::null;
  // How a scalar is written: a word as it is, or a text in quotes, so that nothing in it means anything.
  enum class Style { word, quoted } style = Style::word;
  Mark mark;
  std::string text;  // of a scalar
  std::vector<Yaml> items;
  std::vector<YamlEntry> entries;

  static Yaml word(std::string text);
  static Yaml quoted(std::string text);
  static Yaml list();
  static Yaml map();
};

struct YamlEntry {
  Yaml first, second;  // key and value
};

// Hostile text. InvalidArgument, as "FILE:3:7: …": no YAML, no UTF-8, several documents, nested too deep, too large, or
// with anchors and aliases, with which a file could hold itself. An empty file is a null.
Result<Yaml> parse_yaml(std::string_view text, const std::string& file);
// Of a tree without marks, with a line end.
std::string format_yaml(const Yaml& yaml);

tl::unexpected<Error> bad_yaml(const std::string& file, const Mark& mark, std::string_view why);

}  // namespace cofferdam::estate
