#include "cli/exec_options.h"

#include "base/text.h"
#include "cli/workspace_options.h"

namespace cofferdam::cli {

void ExecOptions::declare(Options& options) {
  options.flag("-i,--interactive", interactive, "send our standard input to the command; without it, it is empty");
  options.flag("-t,--tty", terminal, "give the command a terminal");
  env.declare(options);
  options.value("-w,--workdir", "FOLDER", workdir, "working folder (default the image's)");
  options.value("-u,--user", "USER", user, "user name, uid or uid:gid (default the image's)");
  options.value("--timeout", "TIME", timeout, "the command is ended after this long; 0: never (default 60s)");
  options.value("--max-output", "SIZE", max_output,
                "the command is ended, with status 137, when it prints more; 0: no limit (default 1G)");
}

Result<model::ExecSpec> ExecOptions::resolve() const {
  model::ExecSpec spec;
  spec.argv = command;
  if (command.empty())
    return fail(Code::InvalidArgument, "no command was given", "put it after --, as in: -- uname -a");
  if (!workdir.empty() && workdir[0] != '/') {
    return fail(Code::InvalidArgument, cat("--workdir: '", workdir, "' is not an absolute path"));
  }
  TRY_ASSIGN(spec.env, env.resolve());
  spec.cwd = workdir;
  spec.user = user;
  spec.terminal = terminal ? model::Terminal::yes : model::Terminal::no;
  spec.stdin_mode = interactive ? model::Stdin::open : model::Stdin::closed;
  if (!timeout.empty()) {
    TRY_ASSIGN(spec.timeout, parse_time("--timeout", timeout));
  }
  if (!max_output.empty()) {
    auto bytes = parse_size(max_output);
    if (!bytes) return fail(std::move(bytes.error()).in("--max-output"));
    spec.max_output_bytes = *bytes;
  }
  TRY(model::validate(spec));
  return spec;
}

}  // namespace cofferdam::cli
