#include "cli/outline.h"

#include <algorithm>

#include "base/text.h"
#include "cli/commands.h"

namespace cofferdam::cli {
namespace {

constexpr std::size_t kHelpColumn = 32;

std::string spelled(const Outline::Option& option) {
  std::string names;
  for (const auto& name : split(option.names, ',')) names += cat(names.empty() ? "" : ", ", name);
  return option.value.empty() ? names : cat(names, " ", option.value, option.repeats ? "…" : "");
}

std::string spelled(const Outline::Argument& argument) { return cat(argument.name, argument.repeats ? "…" : ""); }

std::size_t columns_of(std::string_view text) {
  const auto is_start = [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; };
  return static_cast<std::size_t>(std::count_if(text.begin(), text.end(), is_start));
}

std::string help_line(const std::string& what, std::string_view help) {
  const std::size_t used = columns_of(what) + 2;
  const std::string blanks(used + 2 <= kHelpColumn ? kHelpColumn - used : 0, ' ');
  const std::string gap = blanks.empty() ? cat("\n", std::string(kHelpColumn, ' ')) : blanks;
  return cat("  ", what, gap, help, "\n");
}

std::string option_lines(const std::vector<Outline::Option>& options) {
  std::string text;
  for (const auto& option : options) text += help_line(spelled(option), option.help);
  return text;
}

Outline globals() {
  GlobalOptions options;
  Outline outline;
  options.declare(outline);
  return outline;
}

constexpr std::string_view kEnvironment =
    "  COFFER_STATE, COFFER_RUN, COFFER_LISTEN   what --state, --run and --listen set\n"
    "  COFFER_URL                                where the daemon answers: unix:PATH, http:// or https://HOST:PORT\n"
    "  COFFER_TOKEN, COFFER_CA                   the token to bring, and whom to believe (a PEM file)\n";
constexpr std::string_view kStatus =
    "  0 done, 1 failed, 2 usage; run, exec and shell: the command's own, 124 at its time-out, 125 when\n"
    "  cofferdam itself failed\n";

}  // namespace

Outline Outline::of(Command& command) {
  Outline outline;
  command.declare(outline);
  return outline;
}

void Outline::flag(std::string_view names, bool& /*target*/, std::string_view help) {
  options_.push_back({std::string(names), "", std::string(help), false});
}
void Outline::value(std::string_view names, std::string_view value, std::string& /*target*/, std::string_view help) {
  options_.push_back({std::string(names), std::string(value), std::string(help), false});
}
void Outline::values(std::string_view names, std::string_view value, std::vector<std::string>& /*target*/,
                     std::string_view help) {
  options_.push_back({std::string(names), std::string(value), std::string(help), true});
}
void Outline::argument(std::string_view name, std::string& /*target*/, std::string_view help, Need need) {
  arguments_.push_back({std::string(name), std::string(help), need == Need::required, false});
}
void Outline::arguments(std::string_view name, std::vector<std::string>& /*target*/, std::string_view help, Need need) {
  arguments_.push_back({std::string(name), std::string(help), need == Need::required, true});
}
void Outline::rest(std::string_view name, std::vector<std::string>& /*target*/, std::string_view help) {
  rest_name_ = name;
  rest_help_ = help;
}

void GlobalOptions::declare(Options& options) {
  options.flag("--json", json, "answer in JSON");
  options.value("--state", "DIR", state, "state folder (default /var/lib/cofferdam)");
  options.value("--run", "DIR", run, "run-time folder (default /run/cofferdam)");
  options.value("--listen", "ADDR:PORT", listen, "address of the daemon that `up` starts (default 127.0.0.1:7070)");
  options.flag("-h,--help", help, "print this");
}

std::string usage_line(Command& command) {
  const Outline outline = Outline::of(command);
  std::string line = cat("coffer ", command.name(), outline.options().empty() ? "" : " [OPTIONS]");
  for (const auto& argument : outline.arguments()) {
    line += argument.required ? cat(" ", spelled(argument)) : cat(" [", spelled(argument), "]");
  }
  if (!outline.rest_name().empty()) line += cat(" [--] ", outline.rest_name(), "…");
  return line;
}

std::string command_help(Command& command) {
  const Outline outline = Outline::of(command);
  std::string text = cat(command.summary(), ".\n\nUsage: ", usage_line(command), "\n");
  if (!outline.arguments().empty() || !outline.rest_name().empty()) text += "\nArguments:\n";
  for (const auto& argument : outline.arguments()) text += help_line(spelled(argument), argument.help);
  if (!outline.rest_name().empty()) text += help_line(cat(outline.rest_name(), "…"), outline.rest_help_);
  if (!outline.options().empty()) text += cat("\nOptions:\n", option_lines(outline.options()));
  return cat(text, "\nOptions of every command:\n", option_lines(globals().options()));
}

std::string program_help() {
  std::string text = "Runs commands in microVMs of their own.\n\nUsage: coffer [OPTIONS] COMMAND …\n\nCommands:\n";
  for (const auto make : all_commands()) {
    const auto command = make();
    text += help_line(std::string(command->name()), command->summary());
  }
  text += cat("\nOptions of every command:\n", option_lines(globals().options()));
  return cat(text, "\nEnvironment:\n", kEnvironment, "\nExit status:\n", kStatus,
             "\ncoffer COMMAND --help tells more.\n");
}

std::string group_help(std::string_view group) {
  std::string text = cat("Usage: coffer ", group, " COMMAND …\n\nCommands:\n");
  for (const auto make : all_commands()) {
    const auto command = make();
    if (command->name().starts_with(cat(group, " ")))
      text += help_line(std::string(command->name()), command->summary());
  }
  return cat(text, "\ncoffer ", group, " COMMAND --help tells more.\n");
}

std::string manual() {
  std::string text =
      "# The command line\n\nThis page is what `coffer completion markdown` prints; a test holds the two together.\n\n";
  text += cat("```\n", program_help(), "```\n");
  for (const auto make : all_commands()) {
    const auto command = make();
    const Outline outline = Outline::of(*command);
    text += cat("\n## coffer ", command->name(), "\n\n", command->summary(), ".\n\n```\n", usage_line(*command), "\n");
    if (!outline.options().empty()) text += cat("\n", option_lines(outline.options()));
    text += "```\n";
  }
  return text;
}

}  // namespace cofferdam::cli
