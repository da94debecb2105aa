// backup, restore: the daemon's own state in one sealed file, and back.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "base/passphrase.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/daemon_process.h"
#include "cli/safe_text.h"
#include "cli/terminal.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr auto kPassphraseLimit = std::chrono::minutes(5);
constexpr std::string_view kStdin = "/dev/stdin";
constexpr std::string_view kPassphraseHelp = "its first line is the passphrase (default: stdin; a terminal is asked)";
constexpr std::size_t kMaxReport = 64U << 10;

Result<SecureBytes> ask_passphrase(const std::string& file) {
  const std::string path = file.empty() ? std::string(kStdin) : file;
  TRY_ASSIGN(SecureBytes passphrase,
             read_passphrase(path, kPassphraseLimit, "the passphrase file", "Passphrase of the backup: "));
  if (!file.empty() || !is_terminal(STDIN_FILENO)) return passphrase;
  // Nobody could open what was sealed under a slip of the finger.
  TRY_ASSIGN(const SecureBytes again,
             read_passphrase(path, kPassphraseLimit, "the passphrase file", "The same again: "));
  if (again.view() == passphrase.view()) return passphrase;
  return fail(Code::InvalidArgument, "the two passphrases are not the same");
}

class Backup : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "backup"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Write the daemon's own state, sealed under a passphrase, to a file; not the disks";
  }
  void declare(Options& options) override {
    options.argument("FILE", file_, "a new file", Need::required);
    options.value("--passphrase-file", "FILE", passphrase_file_, kPassphraseHelp);
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    auto written = co_await write(session);
    if (!written) co_return session.failed(written.error());
    if (session.json()) {
      session.print_json({{"file", file_}, {"bytes", *written}});
    } else {
      session.print(cat(printable(file_), ": ", format_size(*written),
                        "; who has it and its passphrase has the keys that are in it\n"));
    }
    co_return kDone;
  }

  // The file is there when it is whole, and only then.
  Task<std::uint64_t> write(Session& session) {
    if (path_exists(file_)) {
      co_return fail(Code::AlreadyExists, cat("'", file_, "' is there already"), "name a new file");
    }
    CO_TRY_ASSIGN(const SecureBytes passphrase, ask_passphrase(passphrase_file_));
    const std::string unfinished = cat(file_, ".unfinished");
    CO_TRY_ASSIGN(const UniqueFd file, open_file(unfinished, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    auto copied = co_await fetch(session, passphrase, file.get());
    if (copied && ::fsync(file.get()) != 0) copied = fail_errno(cat("sync '", unfinished, "'"));
    if (copied && ::rename(unfinished.c_str(), file_.c_str()) != 0) copied = fail_errno(cat("rename to '", file_, "'"));
    if (!copied) (void)::unlink(unfinished.c_str());
    co_return copied;
  }

  static Task<std::uint64_t> fetch(Session& session, const SecureBytes& passphrase, int to) {
    Api api(session);
    http::ClientRequest request;
    request.method = "POST";
    request.target = "/backup";
    request.headers.add("Content-Type", "application/json");
    request.body = json::serialize(json::object{{"passphrase", passphrase.view()}});
    CO_TRY_ASSIGN(auto response, co_await api.open(std::move(request)));
    std::uint64_t bytes = 0;
    for (;;) {
      CO_TRY_ASSIGN(const std::string piece, co_await response->next());
      if (piece.empty()) co_return bytes;
      CO_TRY(write_all(to, piece));
      bytes += piece.size();
    }
  }

  std::string file_, passphrase_file_;
};

class Restore : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "restore"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Put a backup into an empty state folder, while no daemon runs on it";
  }
  void declare(Options& options) override {
    options.argument("FILE", file_, "what `coffer backup` has written", Need::required);
    options.value("--passphrase-file", "FILE", passphrase_file_, kPassphraseHelp);
    options.value("--ledger", "FOLDER", ledger_,
                  "a ledger that went on after the backup: what it says was destroyed, removed or revoked stays so");
    options.flag("--replace", replace_,
                 "also where there is a state already; its key tree and its ledger stay, since they are newer");
  }
  // The daemon's own program does it: it has the settings, and knows who holds the root of the keys.
  int run(Session& session) override {
    auto answer = ask_daemon(session.settings());
    if (!answer) return session.failed(answer.error());
    if (session.json()) {
      session.print_json(std::move(*answer));
    } else {
      session.print(told(*answer));
    }
    return kDone;
  }

 private:
  Result<json::object> ask_daemon(const Settings& settings) {
    TRY_ASSIGN(const std::string program, find_daemon(settings));
    SpawnOptions options;
    options.argv = {program, "--state", settings.state_dir, "--run", settings.run_dir, "--restore", file_};
    if (!passphrase_file_.empty())
      options.argv.insert(options.argv.end(), {"--restore-passphrase-file", passphrase_file_});
    if (!ledger_.empty()) options.argv.insert(options.argv.end(), {"--restore-ledger", ledger_});
    if (replace_) options.argv.emplace_back("--restore-replace");
    for (auto& item : current_environment()) {
      if (!starts_with(item, "COFFER_TOKEN=")) options.env.push_back(std::move(item));
    }
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("make a pipe");
    const UniqueFd reading(ends[0]);
    UniqueFd writing(ends[1]);
    options.fds = {{STDIN_FILENO, STDIN_FILENO}, {writing.get(), STDOUT_FILENO}, {STDERR_FILENO, STDERR_FILENO}};
    TRY_ASSIGN(Process daemon, Process::spawn(options));
    writing.reset();
    TRY_ASSIGN(const std::string text, read_fd(reading.get(), kMaxReport));
    TRY_ASSIGN(const int status, daemon.wait());
    auto value = model::parse_json(text);
    if (!value || !value->is_object()) {
      return fail(Code::Internal,
                  cat("cofferd ended with status ", status, " and has not said what became of the restore"));
    }
    auto& object = value->get_object();
    if (status == 0) return std::move(object);
    return fail(code_from_wire_name(text_field(object, "code")), text_field(object, "message"),
                text_field(object, "hint"));
  }

  static std::string told(const json::object& done) {
    const auto& ended = object_field(done, "ended");
    std::string text =
        cat("restored ", text_field(done, "backup"), ", made at ", printable(text_field(done, "made_at")),
            " by cofferd ", printable(text_field(done, "version")), "\n");
    if (text_field(done, "key_tree") == "stayed") {
      text += "keys     the key tree that was there stays; none of the backup's is put into it\n";
    } else {
      text += cat("keys     ", whole_field(done, "keys"), " in a new key tree; ", whole_field(ended, "keys"),
                  " were destroyed since and are not\n");
    }
    text +=
        text_field(done, "ledger") == "stayed"
            ? "ledger   the one that was there goes on\n"
            : cat("ledger   of the backup: ", whole_field(done, "ledger_entries"), " entries; it goes on from there\n");
    if (!done.contains("newer_ledger_entries")) {
      return text +
             "ended    unknown: no newer ledger was there. What was removed or revoked after the backup is back;\n"
             "         remove and revoke it again, or begin anew with --ledger\n";
    }
    return text + cat("ended    since the backup: ", whole_field(ended, "workspaces"), " workspaces, ",
                      whole_field(ended, "credentials"), " tokens and API keys, ", whole_field(ended, "secrets"),
                      " secrets; ", whole_field(done, "contained"), " workspaces are still contained\n");
  }

  std::string file_, passphrase_file_, ledger_;
  bool replace_ = false;
};

}  // namespace

CommandPtr make_backup() { return std::make_unique<Backup>(); }
CommandPtr make_restore() { return std::make_unique<Restore>(); }

}  // namespace cofferdam::cli
