// coffer: the command line of Cofferdam.
#include <unistd.h>

#include <filesystem>

#include "cli/parser.h"
#include "cli/session.h"

namespace cofferdam::cli {
namespace {

int run(const std::vector<std::string>& words) {
  auto parsed = parse_command_line(words);
  if (!parsed) return Session(Settings{}).failed(parsed.error(), kUsage);
  const auto& globals = parsed->globals;
  if (!parsed->command) {
    Session(Settings{}).print(parsed->group.empty() ? program_help() : group_help(parsed->group));
    return globals.help ? kDone : kUsage;
  }
  if (globals.help) {
    Session(Settings{}).print(command_help(*parsed->command));
    return kDone;
  }
  auto settings = make_settings(globals.state, globals.run, globals.listen);
  if (!settings) return Session(Settings{}).failed(settings.error(), kUsage);
  settings->json = globals.json;
  std::error_code ec;
  settings->program_dir = std::filesystem::read_symlink("/proc/self/exe", ec).parent_path().string();
  Session session(std::move(*settings));
  if (const Status accepted = parsed->command->accept(); !accepted) return session.failed(accepted.error(), kUsage);
  return parsed->command->run(session);
}

}  // namespace
}  // namespace cofferdam::cli

int main(int argc, char** argv) {
  // Nothing of base or the commands throws; what a library might is a bug, and says so.
  return cofferdam::cli::run({argv + (argc > 0 ? 1 : 0), argv + argc});
}
