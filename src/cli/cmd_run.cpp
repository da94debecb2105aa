#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <optional>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/cp_target.h"
#include "cli/exec_options.h"
#include "cli/exec_stream.h"
#include "cli/file_transfer.h"
#include "cli/interrupt.h"
#include "cli/terminal.h"
#include "cli/workspace_options.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr int kSignalBase = 128;

struct Upload {
  UniqueFd fd;
  unsigned mode = 0;
  std::string remote;
};

std::string seconds_of(std::chrono::steady_clock::duration time) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f ms", std::chrono::duration<double, std::milli>(time).count());
  return text;
}

class Run : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "run"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Run a command in a fresh microVM, which is destroyed when it ends";
  }
  void declare(Options& options) override {
    shape_.declare(options);
    exec_.declare(options);
    options.values("--file", "LOCAL[:REMOTE]", files_, "file that is there before the command starts");
    options.flag("--keep", keep_, "do not destroy the workspace afterwards; its TTL still does");
    options.flag("-v,--verbose", verbose_, "say what is done and how long it took");
    options.rest("COMMAND", exec_.command, "the program and its arguments");
  }
  Status accept() override;
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session);
  Task<void> send_files(Session& session, Api& api, SignalWatch& signals, std::string id, const Interrupt& interrupt);
  Task<std::string> ask_workdir(Session& session, SignalWatch& signals, std::string id);
  void step(const Session& session, std::string_view what);

  WorkspaceOptions shape_;
  ExecOptions exec_;
  std::vector<std::string> files_;
  bool keep_ = false, verbose_ = false;

  model::WorkspaceSpec workspace_;
  model::ExecSpec command_;
  std::vector<Upload> uploads_;
};

Status Run::accept() {
  workspace_.ttl = model::kDefaultRunTtl;
  TRY(shape_.apply(workspace_));
  TRY(validate_options(workspace_));
  TRY_ASSIGN(command_, exec_.resolve());
  for (const auto& text : files_) {
    TRY_ASSIGN(const FileArgument file, parse_file_argument(text));
    auto fd = open_file(file.local, O_RDONLY);
    if (!fd) return fail(std::move(fd.error()).in("--file"));
    struct stat st{};
    if (::fstat(fd->get(), &st) != 0) return fail_errno(cat("--file: '", file.local, "'"));
    if (S_ISDIR(st.st_mode)) {
      return fail(Code::InvalidArgument, cat("--file: '", file.local, "' is a folder"),
                  "use coffer create and coffer cp");
    }
    Upload upload;
    upload.fd = std::move(*fd);
    upload.mode = st.st_mode;
    upload.remote = file.remote.empty() ? base_name(file.local) : file.remote;
    if (upload.remote[0] != '/' && !command_.cwd.empty()) upload.remote = join_path(command_.cwd, upload.remote);
    uploads_.push_back(std::move(upload));
  }
  return {};
}

void Run::step(const Session& session, std::string_view what) {
  if (!verbose_) return;
  const auto since_start = std::chrono::steady_clock::now() - session.settings().started_at;
  session.note(cat(seconds_of(since_start), "  ", what));
}

// Where the command will start when nothing was said: only the image knows, so the image is asked.
Task<std::string> Run::ask_workdir(Session& session, SignalWatch& signals, std::string id) {
  ExecRequest request;
  request.workspace = std::move(id);
  request.spec.argv = {"pwd"};
  request.spec.user = command_.user;
  request.output = OutputTo::keep;
  ExecStream stream(session, signals);
  CO_TRY_ASSIGN(const ExecOutcome ended, co_await stream.run(std::move(request)));
  std::string folder(trim(ended.out));
  if (ended.status != 0 || folder.empty() || folder[0] != '/') {
    co_return fail(Code::FailedPrecondition, "the working folder of the image could not be told",
                   "say where the file goes: --file LOCAL:/absolute/path");
  }
  co_return folder;
}

Task<void> Run::send_files(Session& session, Api& api, SignalWatch& signals, std::string id,
                           const Interrupt& interrupt) {
  FileTransfer transfer(session, api, id, Progress::Style::silent);
  std::string workdir;
  for (auto& upload : uploads_) {
    if (interrupt.signal() != 0) co_return Status{};
    std::string remote = upload.remote;
    if (remote[0] != '/') {
      if (workdir.empty()) {
        CO_TRY_ASSIGN(workdir, co_await ask_workdir(session, signals, id));
      }
      remote = join_path(workdir, remote);
    }
    auto sent = co_await transfer.upload(std::move(upload.fd), remote, upload.mode, command_.user);
    if (!sent) co_return fail(std::move(sent.error()).in(cat("--file to '", remote, "'")));
    step(session, cat("sent ", remote));
  }
  co_return Status{};
}

// The first machine of an image and shape takes long; a person wants to know why nothing happens.
Task<void> tell_when_slow(const Session& session) {
  constexpr auto kPatience = std::chrono::seconds(2);
  CO_TRY(co_await loop::sleep_for(kPatience));
  if (is_terminal(STDERR_FILENO)) {
    session.note("preparing a machine; the first one of an image and size takes longer");
  }
  co_return Status{};
}

Task<int> Run::work(Session& session) {
  SignalWatch signals(session.executor());
  Api api(session);
  Interrupt interrupt(session, signals, "interrupted: taking the workspace away; once more ends this at once");
  loop::TaskGroup patience(session.executor());
  patience.spawn("patience", tell_when_slow(session));
  auto created = co_await api.call("POST", "/workspace", shape_.create_body(workspace_));
  patience.cancel();
  (void)co_await patience.join();
  std::string id;
  Status ready;
  if (created) {
    const auto& workspace = object_field(*created, "workspace");
    id = text_field(workspace, "id");
    step(session, cat("created ", id, flag_field(workspace, "from_pool") ? " (it was ready)" : " (none was ready)"));
    ready = co_await send_files(session, api, signals, id, interrupt);
  }
  (void)co_await interrupt.stop();
  if (!created) {
    co_return interrupt.signal() != 0 ? kSignalBase + interrupt.signal() : session.failed(created.error(), kBroke);
  }
  const std::string target = workspace_target(id);
  if (!ready || interrupt.signal() != 0) {
    (void)co_await api.call("DELETE", target);
    co_return interrupt.signal() != 0 ? kSignalBase + interrupt.signal() : session.failed(ready.error(), kBroke);
  }

  ExecRequest request;
  request.workspace = id;
  request.spec = command_;
  request.env = exec_.env;
  request.destroy = keep_ ? DestroyAfter::no : DestroyAfter::yes;
  request.output = session.json() ? OutputTo::keep : OutputTo::stream;
  ExecStream stream(session, signals);
  auto ended = co_await stream.run(std::move(request));
  if (!ended) {
    // The server destroys what its client has left; asking once more does no harm.
    if (!keep_) (void)co_await api.call("DELETE", target);
    const auto lived = std::chrono::steady_clock::now() - session.settings().started_at;
    if (workspace_.ttl && lived >= *workspace_.ttl) {
      const double seconds = static_cast<double>(workspace_.ttl->count()) / 1000;
      co_return session.failed(Error{Code::DeadlineExceeded, cat("the workspace reached its TTL of ", seconds, " s"),
                                     "give it longer with --ttl"},
                               kBroke);
    }
    co_return session.failed(ended.error(), kBroke);
  }
  if (ended->first_byte.count() != 0 && verbose_) {
    session.note(cat(seconds_of(ended->first_byte), "  first byte of the output"));
  }
  step(session, cat("ended with status ", ended->status));
  const auto& destroyed = object_field(ended->report, "destroyed");
  if (!destroyed.empty()) step(session, cat("destroyed in ", number_field(destroyed, "took_ms"), " ms"));
  if (keep_) session.note(cat("kept as ", id));
  if (session.json()) {
    json::object object = exec_json(*ended);
    object["workspace"] = id;
    session.print_json(std::move(object));
  }
  explain_end(session, *ended, command_);
  co_return ended->status;
}

}  // namespace

CommandPtr make_run() { return std::make_unique<Run>(); }

}  // namespace cofferdam::cli
