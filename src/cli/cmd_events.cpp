#include <unistd.h>

#include <algorithm>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <iterator>

#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"
#include "http/url.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxText = 256U << 20;  // the chain of keys of many years

// Copies an answer to stdout as it comes: lines of JSON, or a text that has none but printable characters.
Task<int> copy_answer(Session& session, std::string target) {
  Api api(session);
  http::ClientRequest request;
  request.target = std::move(target);
  auto response = co_await api.open(std::move(request));
  if (!response) co_return session.failed(response.error());
  for (;;) {
    auto piece = co_await (*response)->next();
    if (!piece) co_return session.failed(piece.error());
    if (piece->empty()) co_return kDone;
    session.print(*piece);
  }
}

// A text of the ledger; with --json {"success": true, NAME: text}.
Task<int> show_text(Session& session, std::string target, std::string name) {
  Api api(session);
  http::ClientRequest request;
  request.target = std::move(target);
  auto response = co_await api.open(std::move(request));
  if (!response) co_return session.failed(response.error());
  auto text = co_await (*response)->read_all(kMaxText);
  if (!text) co_return session.failed(text.error());
  if (session.json()) {
    session.print_json({{name, *text}});
  } else {
    session.print(*text);
  }
  co_return kDone;
}

// What is asked for, as a query.
struct Filter {
  std::string workspace, actor, kind, since;

  void declare(Options& options) {
    options.value("--workspace", "WORKSPACE", workspace, "about one workspace; one that is gone by its id");
    options.value("--actor", "ACTOR", actor, "done by this token, key or user, such as tok_… or local:0");
    options.value("--kind", "KIND", kind, "such as exec, exec.started, api.changed, token, secret, workspace");
    options.value("--since", "TIME", since, "2026-01-31T23:59:59Z, or how long ago: 15m, 2h, 1d");
  }
  [[nodiscard]] std::string query() const {
    std::string text;
    for (const auto& [name, value] : {std::pair("workspace", &workspace), std::pair("actor", &actor),
                                      std::pair("kind", &kind), std::pair("since", &since)}) {
      if (!value->empty()) text += cat("&", name, "=", http::percent_encode(*value));
    }
    return text;
  }
};

// What is in every entry has a column; the rest is told as it is.
std::string line_of(const json::object& event) {
  std::string line = cat(text_field(event, "time"), "  ", text_field(event, "kind"));
  for (const auto* name : {"workspace", "actor", "address"}) {
    const std::string value = text_field(event, name);
    if (!value.empty()) line += cat("  ", value);
  }
  for (const auto& item : event) {
    static constexpr std::string_view kShown[] = {"number", "time",    "uptime_us", "kind",     "workspace",
                                                  "actor",  "address", "request",   "namespace"};
    const std::string_view key = item.key();
    if (std::find(std::begin(kShown), std::end(kShown), key) != std::end(kShown)) continue;
    line += cat("  ", key, "=", json::serialize(item.value()));
  }
  return printable(line) + "\n";
}

class Events : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "events"; }
  [[nodiscard]] std::string_view summary() const override { return "What was done: the ledger's entries, newest last"; }
  void declare(Options& options) override {
    filter_.declare(options);
    options.value("--limit", "N", limit_, "at most so many of the newest (default 100)");
    options.flag("-f,--follow", follow_, "go on with each one that comes");
  }
  Status accept() override {
    constexpr std::int64_t kMost = 1000;
    TRY(parse_int("--limit", limit_, 1, kMost));
    return {};
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    const auto show = [&session](const json::object& event) {
      if (session.json()) {
        session.print(json::serialize(event) + "\n");
      } else {
        session.print(line_of(event));
      }
    };
    Api api(session);
    auto answer = co_await api.get(cat("/events?limit=", limit_, filter_.query()));
    if (!answer) co_return session.failed(answer.error());
    if (session.json() && !follow_) {
      session.print_json(std::move(*answer));
      co_return kDone;
    }
    for (const auto& event : array_field(*answer, "events")) {
      if (event.is_object()) show(event.get_object());
    }
    if (!follow_) co_return kDone;
    http::ClientRequest request;
    request.target = cat("/events/stream?from=", whole_field(*answer, "next"), filter_.query());
    auto response = co_await api.open(std::move(request));
    if (!response) co_return session.failed(response.error());
    const auto followed = co_await follow_events(**response, show);
    co_return followed ? kDone : session.failed(followed.error());
  }

  Filter filter_;
  std::string limit_ = "100";
  bool follow_ = false;
};

class LedgerExport : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "ledger export"; }
  [[nodiscard]] std::string_view summary() const override { return "All entries as lines of JSON"; }
  void declare(Options& options) override {
    filter_.declare(options);
    options.value("--from", "NUMBER", from_, "begin with this entry");
    options.flag("--ocsf", ocsf_, "as OCSF events, for collectors");
  }
  Status accept() override {
    TRY(parse_int("--from", from_, 0, INT64_MAX));
    return {};
  }
  int run(Session& session) override {
    return session.wait(
        copy_answer(session, cat("/events/export?format=", ocsf_ ? "ocsf" : "json", "&from=", from_, filter_.query())));
  }

 private:
  Filter filter_;
  std::string from_ = "0";
  bool ocsf_ = false;
};

class LedgerCheckpoint : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "ledger checkpoint"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Print the newest checkpoint, to be kept elsewhere";
  }
  void declare(Options& options) override { options.flag("--keys", keys_, "the chain of keys instead"); }
  int run(Session& session) override {
    return session.wait(keys_ ? show_text(session, "/ledger/keys", "keys")
                              : show_text(session, "/ledger/checkpoint", "checkpoint"));
  }

 private:
  bool keys_ = false;
};

class LedgerProve : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "ledger prove"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Print a proof that an entry is in the ledger, for coffer-verify --proof";
  }
  void declare(Options& options) override { options.argument("NUMBER", number_, "the entry's number", Need::required); }
  Status accept() override {
    TRY(parse_int("NUMBER", number_, 0, INT64_MAX));
    return {};
  }
  int run(Session& session) override {
    return session.wait(show_text(session, cat("/ledger/entries/", number_, "/proof"), "proof"));
  }

 private:
  std::string number_;
};

// The program that needs no daemon, on the folder of the one that is meant here.
class LedgerVerify : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "ledger verify"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Whether the ledger is what was signed; names the entries that are not";
  }
  void declare(Options& options) override {
    options.values("--checkpoint", "FILE", checkpoints_, "checkpoints kept elsewhere: the ledger must lead to each");
    options.value("--key", "KEY", key_, "its first key, kept elsewhere");
  }
  int run(Session& session) override {
    const auto& settings = session.settings();
    if (!settings.url.empty()) {
      return session.failed(
          {Code::FailedPrecondition, "a ledger is verified from its files, not by asking its daemon",
           "run this on the host of the daemon; or check `coffer ledger prove` with coffer-verify --proof"});
    }
    std::string program = settings.program_dir + "/coffer-verify";
    std::error_code ec;
    if (!std::filesystem::exists(program, ec)) program = "coffer-verify";
    std::vector<std::string> words{program};
    for (const auto& file : checkpoints_) words.insert(words.end(), {"--checkpoint", file});
    if (!key_.empty()) words.insert(words.end(), {"--key", key_});
    if (session.json()) words.emplace_back("--json");
    words.push_back(settings.state_dir + "/ledger");
    std::vector<char*> argv;
    argv.reserve(words.size() + 1);
    for (auto& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    ::execvp(argv[0], argv.data());
    return session.failed(
        {Code::NotFound, cat("coffer-verify cannot be run: ", std::strerror(errno)), "it belongs beside this program"});
  }

 private:
  std::vector<std::string> checkpoints_;
  std::string key_;
};

}  // namespace

CommandPtr make_events() { return std::make_unique<Events>(); }
CommandPtr make_ledger_verify() { return std::make_unique<LedgerVerify>(); }
CommandPtr make_ledger_checkpoint() { return std::make_unique<LedgerCheckpoint>(); }
CommandPtr make_ledger_prove() { return std::make_unique<LedgerProve>(); }
CommandPtr make_ledger_export() { return std::make_unique<LedgerExport>(); }

}  // namespace cofferdam::cli
