// The only file that includes CLI11.
#include "cli/parser.h"

#include <CLI/App.hpp>
#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <optional>

#include "base/text.h"
#include "cli/commands.h"

namespace cofferdam::cli {
namespace {

// One level of options over a CLI::App.
class AppOptions : public Options {
 public:
  AppOptions() {
    app_.set_help_flag();
    app_.allow_extras();
  }

  void flag(std::string_view names, bool& target, std::string_view /*help*/) override {
    app_.add_flag(std::string(names), target);
  }
  void value(std::string_view names, std::string_view /*value*/, std::string& target,
             std::string_view /*help*/) override {
    auto* option = app_.add_option(std::string(names), target)->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    values_.emplace_back(option, [&target] { return target.empty(); });
  }
  void values(std::string_view names, std::string_view /*value*/, std::vector<std::string>& target,
              std::string_view /*help*/) override {
    auto* option = app_.add_option(std::string(names), target)->allow_extra_args(false);
    values_.emplace_back(option, [&target] {
      return std::any_of(target.begin(), target.end(), [](const auto& item) { return item.empty(); });
    });
  }
  void argument(std::string_view name, std::string& target, std::string_view /*help*/, Need need) override {
    auto* option = app_.add_option(std::string(name), target);
    arguments_.push_back({std::string(name), option, need, [&target](std::string word) { target = std::move(word); }});
  }
  void arguments(std::string_view name, std::vector<std::string>& target, std::string_view /*help*/,
                 Need need) override {
    auto* option = app_.add_option(std::string(name), target);
    arguments_.push_back(
        {std::string(name), option, need, [&target](std::string word) { target.push_back(std::move(word)); }});
  }
  void rest(std::string_view name, std::vector<std::string>& target, std::string_view /*help*/) override {
    rest_name_ = name;
    rest_ = &target;
    app_.prefix_command();
  }

  // Stops at the first word that is no option: what a program does before its verb.
  void stop_at_word() { app_.prefix_command(); }

  // What is left over.
  Result<std::vector<std::string>> parse(std::vector<std::string> words) {
    // The parser takes its words from the back.
    std::reverse(words.begin(), words.end());
    try {
      app_.parse(std::move(words));
    } catch (const CLI::Error& error) {
      return fail(Code::InvalidArgument, error.what());
    }
    for (const auto& [option, is_empty] : values_) {
      if (option->count() > 0 && is_empty()) {
        return fail(Code::InvalidArgument, cat(option->get_name(), ": the value is empty"));
      }
    }
    return app_.remaining();
  }

  Status parse_command(std::vector<std::string> words, const bool& help) {
    std::optional<std::vector<std::string>> tail;
    if (const auto marker = std::find(words.begin(), words.end(), "--"); marker != words.end()) {
      tail.emplace(marker + 1, words.end());
      words.erase(marker, words.end());
    }
    TRY_ASSIGN(std::vector<std::string> left, parse(std::move(words)));
    if (help) return {};
    const auto is_option = [](const std::string& word) { return word.size() > 1 && word[0] == '-'; };
    if (!left.empty() && (is_option(left[0]) || rest_ == nullptr)) {
      const bool option = is_option(left[0]);
      return fail(Code::InvalidArgument,
                  cat(option ? "unknown option '" : "'", left[0], option ? "'" : "' is one word too many"));
    }
    if (tail) {
      TRY_ASSIGN(*tail, fill_arguments(std::move(*tail), left.empty()));
    }
    for (const auto& argument : arguments_) {
      if (argument.need == Need::required && !argument.filled && argument.option->count() == 0) {
        return fail(Code::InvalidArgument, cat(argument.name, " is missing"));
      }
    }
    if (rest_ == nullptr) return {};
    *rest_ = std::move(left);
    if (tail && !rest_->empty()) rest_->emplace_back("--");
    if (tail) rest_->insert(rest_->end(), tail->begin(), tail->end());
    return {};
  }

 private:
  struct Argument {
    std::string name;
    CLI::Option* option;
    Need need;
    std::function<void(std::string)> put;
    bool filled = false;
  };

  // Words behind "--" are arguments first, where there are arguments that have none; then a second "--" may follow.
  Result<std::vector<std::string>> fill_arguments(std::vector<std::string> tail, const bool may_fill) {
    std::size_t used = 0;
    if (may_fill) {
      for (auto& argument : arguments_) {
        const bool takes_all =
            argument.option->get_allow_extra_args() && rest_ == nullptr && argument.option->get_expected_max() > 1;
        while (used < tail.size() && (takes_all || (argument.option->count() == 0 && !argument.filled))) {
          argument.put(tail[used++]);
          argument.filled = true;
        }
      }
    }
    if (rest_ == nullptr && used < tail.size()) {
      return fail(Code::InvalidArgument, cat("'", tail[used], "' is one word too many"));
    }
    if (used > 0 && used < tail.size() && tail[used] == "--") ++used;
    tail.erase(tail.begin(), tail.begin() + static_cast<std::ptrdiff_t>(used));
    return tail;
  }

  CLI::App app_;
  std::vector<std::pair<CLI::Option*, std::function<bool()>>> values_;
  std::vector<Argument> arguments_;
  std::string rest_name_;
  std::vector<std::string>* rest_ = nullptr;
};

CommandPtr find_command(std::string_view name) {
  for (const auto make : all_commands()) {
    auto command = make();
    if (command->name() == name) return command;
  }
  return nullptr;
}

bool is_group(std::string_view word) {
  const auto& all = all_commands();
  return std::any_of(all.begin(), all.end(),
                     [&](const MakeCommand make) { return starts_with(make()->name(), cat(word, " ")); });
}

}  // namespace

Result<Parsed> parse_command_line(const std::vector<std::string>& words) {
  Parsed parsed;
  AppOptions before;
  parsed.globals.declare(before);
  before.stop_at_word();
  TRY_ASSIGN(std::vector<std::string> left, before.parse(words));
  if (left.empty()) return parsed;
  std::string verb = left[0];
  if (verb[0] == '-' && !parsed.globals.help) {
    return fail(Code::InvalidArgument, cat("unknown option '", verb, "'"), "coffer --help lists what there is");
  }
  if (verb == "help") {
    // "help image build" is "image build --help".
    left.erase(left.begin());
    left.insert(left.begin(), "--help");
    return parse_command_line(left);
  }
  std::size_t used = 1;
  std::string more = "coffer --help";
  if (is_group(verb)) {
    more = cat("coffer ", verb, " --help");
    const bool named = left.size() > 1 && left[1][0] != '-';
    parsed.globals.help |= left.size() > 1 && (left[1] == "--help" || left[1] == "-h");
    if (!named && parsed.globals.help) {
      parsed.group = verb;
      return parsed;
    }
    if (!named) {
      return fail(Code::InvalidArgument, cat("'", verb, "' needs one more word"), cat(more, " lists what there is"));
    }
    verb = cat(verb, " ", left[used++]);
  }
  parsed.command = find_command(verb);
  if (!parsed.command) {
    if (parsed.globals.help) return parsed;
    return fail(Code::InvalidArgument, cat("there is no command '", verb, "'"), cat(more, " lists what there is"));
  }
  left.erase(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(used));

  AppOptions options;
  GlobalOptions after;
  parsed.command->declare(options);
  after.declare(options);
  auto read = options.parse_command(std::move(left), after.help);
  if (!read) {
    if (after.help || parsed.globals.help)
      read = {};
    else
      return fail(std::move(read.error())
                      .with_hint(cat(usage_line(*parsed.command), "\n      coffer ", verb, " --help tells more")));
  }
  parsed.globals.json |= after.json;
  parsed.globals.help |= after.help;
  if (!after.state.empty()) parsed.globals.state = after.state;
  if (!after.run.empty()) parsed.globals.run = after.run;
  if (!after.listen.empty()) parsed.globals.listen = after.listen;
  return parsed;
}

}  // namespace cofferdam::cli
