// Completion scripts from the outline of all commands.
#include <algorithm>
#include <map>
#include <set>

#include "base/text.h"
#include "cli/commands.h"
#include "cli/outline.h"

namespace cofferdam::cli {
namespace {

struct Verb {
  std::string name;  // "run", "image build"
  std::string summary;
  std::vector<Outline::Option> options;
};

std::vector<Verb> all_verbs() {
  std::vector<Verb> verbs;
  GlobalOptions global_options;
  Outline globals;
  global_options.declare(globals);
  for (const auto make : all_commands()) {
    const auto command = make();
    Verb verb{std::string(command->name()), std::string(command->summary()), Outline::of(*command).options()};
    verb.options.insert(verb.options.end(), globals.options().begin(), globals.options().end());
    verbs.push_back(std::move(verb));
  }
  return verbs;
}

std::string words_of(const std::vector<Outline::Option>& options) {
  std::string words;
  for (const auto& option : options) {
    for (const auto& name : split(option.names, ',')) words += cat(words.empty() ? "" : " ", name);
  }
  return words;
}

// First words, each with the second words it takes (none for most).
std::map<std::string, std::vector<std::string>> word_tree(const std::vector<Verb>& verbs) {
  std::map<std::string, std::vector<std::string>> tree;
  for (const auto& verb : verbs) {
    const auto blank = verb.name.find(' ');
    auto& second = tree[verb.name.substr(0, blank)];
    if (blank != std::string::npos) second.push_back(verb.name.substr(blank + 1));
  }
  return tree;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const auto& word : words) text += cat(text.empty() ? "" : " ", word);
  return text;
}

// Verbs whose next word is a workspace.
constexpr std::string_view kTakeWorkspace =
    "exec|shell|cp|stop|start|rm|stats|logs|contain|release|incident|drill|ready";

std::string bash() {
  const auto verbs = all_verbs();
  std::string firsts;
  std::string seconds;
  for (const auto& [first, second] : word_tree(verbs)) {
    firsts += cat(firsts.empty() ? "" : " ", first);
    if (second.empty()) continue;
    seconds += cat("    ", first, ") [ \"$COMP_CWORD\" -eq 2 ] && { COMPREPLY=($(compgen -W \"", joined(second),
                   "\" -- \"$word\")); return; }; verb=\"", first, " ${COMP_WORDS[2]}\" ;;\n");
  }
  std::string options;
  for (const auto& verb : verbs) options += cat("    \"", verb.name, "\") words=\"", words_of(verb.options), "\" ;;\n");
  return cat(
      "# bash completion of coffer: source this file, or put it into /etc/bash_completion.d\n"
      "_coffer() {\n"
      "  local word=\"${COMP_WORDS[COMP_CWORD]}\" verb=\"${COMP_WORDS[1]}\" words=\"\"\n"
      "  if [ \"$COMP_CWORD\" -eq 1 ]; then COMPREPLY=($(compgen -W \"",
      firsts, "\" -- \"$word\")); return; fi\n  case \"$verb\" in\n", seconds, "  esac\n  case \"$verb\" in\n", options,
      "  esac\n"
      "  case \"$word\" in -*) COMPREPLY=($(compgen -W \"$words\" -- \"$word\")); return ;; esac\n"
      "  case \"$verb\" in\n    ",
      kTakeWorkspace,
      ") COMPREPLY=($(compgen -W \"$(coffer ls -q 2>/dev/null)\" -- \"$word\") $(compgen -f -- \"$word\")) ;;\n"
      "    *) COMPREPLY=($(compgen -f -- \"$word\")) ;;\n"
      "  esac\n}\ncomplete -o nosort -F _coffer coffer\n");
}

// zsh runs bash's completion functions.
std::string zsh() { return cat("#compdef coffer\nautoload -U +X bashcompinit && bashcompinit\n", bash()); }

std::string quoted_for_fish(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out.push_back('\\');
    out.push_back(c);
  }
  return out + "'";
}

std::string fish() {
  const auto verbs = all_verbs();
  std::set<std::string> firsts;
  std::string text = "# fish completion of coffer: put this file into ~/.config/fish/completions/coffer.fish\n";
  for (const auto& verb : verbs) {
    const auto blank = verb.name.find(' ');
    const auto first = verb.name.substr(0, blank);
    std::string seen = cat("__fish_seen_subcommand_from ", first);
    if (blank == std::string::npos) {
      text +=
          cat("complete -c coffer -f -n __fish_use_subcommand -a ", first, " -d ", quoted_for_fish(verb.summary), "\n");
    } else {
      const auto second = verb.name.substr(blank + 1);
      if (firsts.insert(first).second) {
        text += cat("complete -c coffer -f -n __fish_use_subcommand -a ", first, " -d 'Has commands of its own'\n");
      }
      text += cat("complete -c coffer -f -n '", seen, "' -a ", second, " -d ", quoted_for_fish(verb.summary), "\n");
      seen += cat("; and __fish_seen_subcommand_from ", second);
    }
    for (const auto& option : verb.options) {
      text += cat("complete -c coffer -n '", seen, "'");
      for (const auto& name : split(option.names, ',')) {
        text += starts_with(name, "--") ? cat(" -l ", name.substr(2)) : cat(" -s ", name.substr(1));
      }
      text += cat(option.value.empty() ? "" : " -r", " -d ", quoted_for_fish(option.help), "\n");
    }
  }
  return text;
}

}  // namespace

std::string completion_script(std::string_view shell) {
  if (shell == "bash") return bash();
  if (shell == "zsh") return zsh();
  if (shell == "fish") return fish();
  return "";
}

}  // namespace cofferdam::cli
