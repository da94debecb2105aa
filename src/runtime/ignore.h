// Globs, and the rules of .gitignore files. Patterns and paths are hostile: time grows with the product of both
// lengths.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace cofferdam::runtime {

class Glob {
 public:
  // "*" is any row of characters but "/", "**" any row at all, "**/" also nothing, "?" one character but "/", [a-z] and
  // [!a-z] sets, "\" takes the next one as it is.
  explicit Glob(std::string_view pattern);
  // Whether all of `text` fits.
  [[nodiscard]] bool matches(std::string_view text) const;

 private:
  enum class Kind : std::uint8_t { literal, one, star, all, maybe_folders, folders, set };
  struct Token {
    Kind kind = Kind::literal;
    char literal = 0;
    bool negated = false;
    std::string set;  // pairs: from, to
  };
  [[nodiscard]] static bool takes(const Token& token, char c);
  void close(std::vector<char>& states) const;
  std::vector<Token> tokens_;
};

// Lists of names or paths to leave out, as clients give them: without a slash a pattern is held against every name,
// with one against the path below the root; a folder that fits is left out with all it holds.
class IgnoreList {
 public:
  explicit IgnoreList(const std::vector<std::string>& patterns);
  [[nodiscard]] bool fits(std::string_view path, std::string_view name) const;

 private:
  std::vector<Glob> names_, paths_;
};

// One .gitignore file.
class IgnoreRules {
 public:
  IgnoreRules() = default;
  explicit IgnoreRules(std::string_view text);  // the first 64 KiB and 1000 rules count
  enum class Verdict { none, ignored, kept };
  enum class Entry { file, folder };
  // `path` is relative to the folder of the file.
  [[nodiscard]] Verdict judge(std::string_view path, Entry entry) const;

 private:
  struct Rule {
    Glob glob;
    bool negated = false, folders_only = false, by_name = false;
  };
  std::vector<Rule> rules_;
};

}  // namespace cofferdam::runtime
