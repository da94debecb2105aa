// A command in a workspace, connected to our stdin, stdout, stderr, signals and terminal.
#pragma once
#include <boost/json/object.hpp>
#include <functional>
#include <memory>
#include <string>

#include "cli/api.h"
#include "cli/env_items.h"
#include "cli/session.h"
#include "cli/signals.h"
#include "model/workspace_spec.h"

namespace cofferdam::cli {

enum class DestroyAfter { no, yes };
enum class OutputTo { stream, keep };

struct ExecRequest {
  std::string workspace;
  model::ExecSpec spec;  // rows and cols are filled in here
  EnvOptions env;        // those that its environment came from
  DestroyAfter destroy = DestroyAfter::no;
  OutputTo output = OutputTo::stream;
};

struct ExecOutcome {
  int status = kBroke;
  model::ExitStatus exit;
  std::string out, err;  // with OutputTo::keep, the first 16 MiB of each
  bool kept_all = true;
  boost::json::object report;              // what the server said at the end
  std::chrono::microseconds first_byte{};  // from the start of this program; 0: no output came
};

// Streams until the command has ended. The signals are sent on to it; with a terminal of ours as stdin and a terminal
// asked for, ours is raw meanwhile. Unavailable: the connection was lost before the end was known.
class ExecStream {
 public:
  ExecStream(Session& session, SignalWatch& signals) : session_(session), signals_(signals) {}
  Task<ExecOutcome> run(ExecRequest request);

 private:
  struct Live;
  Task<void> send_input(Live& live);
  Task<void> send_signals(Live& live);
  Task<void> receive(Live& live);
  Task<void> take_output(Live& live, std::string_view bytes, int fd);
  Session& session_;
  SignalWatch& signals_;
};

// {exit_code, …, stdout, stderr}.
boost::json::object exec_json(const ExecOutcome& outcome);
// Says on stderr why a command was ended from outside: time-out, output limit, memory.
void explain_end(const Session& session, const ExecOutcome& outcome, const model::ExecSpec& spec);

}  // namespace cofferdam::cli
