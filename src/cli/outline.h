// The options of a command as data: for the help, the shell completion and the manual page.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "cli/options.h"

namespace cofferdam::cli {

class Outline : public Options {
 public:
  struct Option {
    std::string names;  // "-k,--keep"
    std::string value;  // placeholder; empty: a flag
    std::string help;
    bool repeats = false;
  };
  struct Argument {
    std::string name, help;
    bool required = false, repeats = false;
  };
  static Outline of(Command& command);

  [[nodiscard]] const std::vector<Option>& options() const { return options_; }
  [[nodiscard]] const std::vector<Argument>& arguments() const { return arguments_; }
  [[nodiscard]] const std::string& rest_name() const { return rest_name_; }

  void flag(std::string_view names, bool& target, std::string_view help) override;
  void value(std::string_view names, std::string_view value, std::string& target, std::string_view help) override;
  void values(std::string_view names, std::string_view value, std::vector<std::string>& target,
              std::string_view help) override;
  void argument(std::string_view name, std::string& target, std::string_view help, Need need) override;
  void arguments(std::string_view name, std::vector<std::string>& target, std::string_view help, Need need) override;
  void rest(std::string_view name, std::vector<std::string>& target, std::string_view help) override;

 private:
  std::vector<Option> options_;
  std::vector<Argument> arguments_;
  std::string rest_name_, rest_help_;
  friend std::string command_help(Command& command);
};

// What every verb takes as well.
struct GlobalOptions {
  bool json = false, help = false;
  std::string state, run, listen;
  void declare(Options& options);
};

std::string usage_line(Command& command);        // "coffer run [OPTIONS] [--] COMMAND…"
std::string command_help(Command& command);      // of one verb
std::string program_help();                      // of the program
std::string group_help(std::string_view group);  // of the verbs that begin with this word
std::string manual();                            // all of it, in Markdown

// A completion script for "bash", "zsh" or "fish"; empty for another shell.
std::string completion_script(std::string_view shell);

}  // namespace cofferdam::cli
