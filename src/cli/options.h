// How a command declares its options: a thin face of the parser, so that only main.cpp sees the parser itself.
#pragma once
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::cli {

enum class Need { optional, required };

// What a command may declare. Every target must outlive the parsing.
class Options {
 public:
  virtual ~Options() = default;
  // `names`: "-k,--keep" or "--keep". Given once or not at all.
  virtual void flag(std::string_view names, bool& target, std::string_view help) = 0;
  // `value` is the placeholder of the help: "SIZE".
  virtual void value(std::string_view names, std::string_view value, std::string& target, std::string_view help) = 0;
  // May be given several times.
  virtual void values(std::string_view names, std::string_view value, std::vector<std::string>& target,
                      std::string_view help) = 0;
  virtual void argument(std::string_view name, std::string& target, std::string_view help, Need need) = 0;
  virtual void arguments(std::string_view name, std::vector<std::string>& target, std::string_view help, Need need) = 0;
  // Everything after "--", or from the first word that is neither an option nor an argument: a command line that is
  // not ours to read. At most one, declared last.
  virtual void rest(std::string_view name, std::vector<std::string>& target, std::string_view help) = 0;
};

class Session;

// One verb. main.cpp calls declare, then accept, then run.
class Command {
 public:
  virtual ~Command() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;  // "run", or "image build"
  [[nodiscard]] virtual std::string_view summary() const = 0;
  virtual void declare(Options& options) = 0;
  // Reads what was given; an error is a usage error (exit status 2).
  virtual Status accept() { return {}; }
  // The exit status.
  virtual int run(Session& session) = 0;
};

using CommandPtr = std::unique_ptr<Command>;

}  // namespace cofferdam::cli
