// evidence: a workspace as a bundle that can be checked anywhere, and looked into without a network.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>
#include <optional>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"
#include "evidence/age.h"
#include "evidence/verify.h"
#include "http/url.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

// A bundle in the clear: a file's own bytes, or what age makes of them.
class OpenBundle {
 public:
  // `identity`: the file of the private key; empty: none.
  static Result<OpenBundle> open(const std::string& file, const std::string& identity) {
    OpenBundle bundle;
    TRY_ASSIGN(bundle.bytes_, open_file(file, O_RDONLY));
    char magic[evidence::kAgeMagic.size()] = {};
    const ssize_t got = ::pread(bundle.bytes_.get(), magic, sizeof magic, 0);
    const bool encrypted = got == sizeof magic && std::string_view(magic, sizeof magic) == evidence::kAgeMagic;
    if (!encrypted && identity.empty()) return bundle;
    if (!encrypted) return fail(Code::InvalidArgument, cat("'", file, "' is not encrypted: leave --identity away"));
    if (identity.empty()) {
      return fail(Code::InvalidArgument, cat("'", file, "' is encrypted by age"),
                  "name the file of the private key: --identity FILE");
    }
    int ends[2] = {};
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe");
    UniqueFd read(ends[0]);
    const UniqueFd write(ends[1]);
    SpawnOptions spawn;
    spawn.argv = evidence::decrypt_argv(identity, ::geteuid() == 0);
    for (auto& item : current_environment()) {
      if (!starts_with(item, "COFFER_TOKEN=")) spawn.env.push_back(std::move(item));
    }
    spawn.fds = {{bundle.bytes_.get(), STDIN_FILENO}, {write.get(), STDOUT_FILENO}, {STDERR_FILENO, STDERR_FILENO}};
    TRY_ASSIGN(Process process, Process::spawn(spawn));
    bundle.age_ = std::move(process);
    bundle.bytes_ = std::move(read);
    return bundle;
  }

  [[nodiscard]] int fd() const { return bytes_.get(); }
  // For somebody else who reads it.
  [[nodiscard]] Result<UniqueFd> descriptor() const {
    UniqueFd copy(::fcntl(bytes_.get(), F_DUPFD_CLOEXEC, 3));
    if (!copy) return fail_errno("duplicate a descriptor");
    return copy;
  }
  // When all was read: whether age could read all of it.
  Status end() {
    if (!age_) return {};
    bytes_.reset();
    TRY_ASSIGN(const int status, age_->wait());
    if (status == 0) return {};
    return fail(Code::PermissionDenied, cat("age could not decrypt it (status ", status, ")"),
                "is this the private key of one of those it was encrypted to?");
  }

 private:
  UniqueFd bytes_;
  std::optional<Process> age_;
};

class EvidenceExport : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "evidence export"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Write all that is known of a workspace, its snapshot included, as one sealed bundle";
  }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.value("-o,--output", "FILE", file_, "a new file (default: WORKSPACE.evidence)");
    options.value("--snapshot", "SNAPSHOT", snapshot_, "default: that of its containment, else the latest");
    options.values("--recipient", "KEY", recipients_,
                   "encrypt it to this public key of age (age1…); may be given several times");
  }
  Status accept() override {
    for (const auto& one : recipients_) TRY(evidence::check_recipient(one));
    if (file_.empty()) file_ = cat(workspace_, ".evidence");
    return {};
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    auto bytes = co_await download(session);
    if (!bytes) co_return session.failed(bytes.error());
    if (session.json()) {
      session.print_json({{"file", file_}, {"bytes", *bytes}});
    } else {
      session.print(cat(printable(file_), ": ", format_size(*bytes), "\n"));
    }
    co_return kDone;
  }

  Task<std::uint64_t> download(Session& session) {
    Api api(session);
    json::object body;
    if (!snapshot_.empty()) body["snapshot"] = snapshot_;
    json::array recipients;
    for (const auto& one : recipients_) recipients.emplace_back(one);
    if (!recipients.empty()) body["recipients"] = std::move(recipients);
    http::ClientRequest request;
    request.method = "POST";
    request.target = workspace_target(workspace_, "/evidence");
    request.headers.add("Content-Type", "application/json");
    request.body = json::serialize(body);
    CO_TRY_ASSIGN(auto response, co_await api.open(std::move(request)));
    CO_TRY_ASSIGN(const UniqueFd file, open_file(file_, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    auto copied = co_await copy(*response, file.get());
    // What is not whole is not kept.
    if (!copied) (void)::unlink(file_.c_str());
    co_return copied;
  }

  static Task<std::uint64_t> copy(http::ClientResponse& from, int to) {
    std::uint64_t bytes = 0;
    for (;;) {
      CO_TRY_ASSIGN(const std::string piece, co_await from.next());
      if (piece.empty()) break;
      CO_TRY(write_all(to, piece));
      bytes += piece.size();
    }
    if (::fsync(to) != 0) co_return fail_errno("write the bundle to the disk");
    co_return bytes;
  }

  std::string workspace_, file_, snapshot_;
  std::vector<std::string> recipients_;
};

class EvidenceVerify : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "evidence verify"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Whether a bundle is what was signed; names the members that are not. Asks no daemon";
  }
  void declare(Options& options) override {
    options.argument("FILE", file_, "what `coffer evidence export` wrote", Need::required);
    options.value("--key", "KEY", key_, "the first key of the ledger that sealed it, kept elsewhere");
    options.value("--identity", "FILE", identity_, "the private key of age, when it is encrypted");
  }
  Status accept() override {
    if (key_.empty()) return {};
    TRY_ASSIGN(options_.first_key, ledger::VerifierKey::parse(key_));
    return {};
  }
  int run(Session& session) override {
    auto report = verify();
    if (!report) return session.failed(report.error());
    session.print(session.json() ? evidence::report_json(*report) : evidence::report_text(*report));
    return report->good() ? kDone : kFailed;
  }

 private:
  Result<evidence::Report> verify() {
    TRY_ASSIGN(auto bundle, OpenBundle::open(file_, identity_));
    TRY_ASSIGN(auto report, evidence::verify_fd(bundle.fd(), std::move(options_)));
    // What age did not give whole is cut off; why, age knows.
    if (report.good() || report.members == 0) TRY(bundle.end());
    return report;
  }

  std::string file_, key_, identity_;
  evidence::VerifyOptions options_;
};

class EvidenceOpen : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "evidence open"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Let a kept snapshot go on in a workspace of its own, without any network, and print its id";
  }
  void declare(Options& options) override {
    options.argument("FILE|WORKSPACE", from_, "a bundle, or the workspace whose snapshot is meant", Need::required);
    options.value("--name", "NAME", name_, "of the new workspace");
    options.value("--ttl", "TIME", ttl_, "it is destroyed after this long (default 1h)");
    options.value("--snapshot", "SNAPSHOT", snapshot_,
                  "of a workspace: default that of its containment, else the latest");
    options.value("--key", "KEY", key_,
                  "of a bundle: the first key of the ledger that sealed it (default: this host's)");
    options.value("--identity", "FILE", identity_, "of a bundle that is encrypted: the private key of age");
  }
  Status accept() override {
    if (!ttl_.empty()) {
      auto parsed = parse_duration(ttl_);
      if (!parsed) return fail(std::move(parsed.error()).in("--ttl"));
    }
    struct stat st{};
    is_file_ = ::stat(from_.c_str(), &st) == 0 && S_ISREG(st.st_mode);
    if (is_file_ && !snapshot_.empty()) {
      return fail(Code::InvalidArgument, "--snapshot: there is one in a bundle, and no other");
    }
    if (!is_file_ && (!key_.empty() || !identity_.empty())) {
      return fail(Code::InvalidArgument, cat("--key and --identity are for a bundle, and '", from_, "' is no file"));
    }
    return {};
  }
  int run(Session& session) override {
    return session.wait(is_file_ ? open_file_of(session) : open_workspace(session));
  }

 private:
  Task<int> open_workspace(Session& session) {
    json::object body;
    if (!snapshot_.empty()) body["snapshot"] = snapshot_;
    if (!name_.empty()) body["name"] = name_;
    if (!ttl_.empty()) body["ttl"] = ttl_;
    co_return co_await make_call(session, "POST", workspace_target(from_, "/evidence/open"), std::move(body),
                                 [](const json::object& answer) { return text_field(answer, "id"); });
  }

  Task<int> open_file_of(Session& session) {
    auto answer = co_await upload(session);
    if (!answer) co_return session.failed(answer.error());
    if (session.json()) {
      session.print_json(std::move(*answer));
    } else {
      session.print(cat(text_field(*answer, "id"), "\n"));
    }
    co_return kDone;
  }

  Task<json::object> upload(Session& session) {
    CO_TRY_ASSIGN(auto bundle, OpenBundle::open(from_, identity_));
    CO_TRY_ASSIGN(auto copy, bundle.descriptor());
    CO_TRY_ASSIGN(auto source, http::source_of(session.executor(), std::move(copy)));
    std::string query;
    for (const auto& [key, value] : {std::pair("name", &name_), std::pair("ttl", &ttl_), std::pair("key", &key_)}) {
      if (!value->empty()) query += cat(query.empty() ? "?" : "&", key, "=", http::percent_encode(*value));
    }
    http::ClientRequest request;
    request.method = "POST";
    request.target = cat("/evidence/open", query);
    request.headers.add("Content-Type", "application/octet-stream");
    request.source = std::move(source.source);
    request.source_length = source.length;
    Api api(session);
    auto response = co_await api.open(std::move(request));
    // What age could not read is why the daemon believes none of it.
    if (!response) CO_TRY(bundle.end());
    if (!response) co_return fail(std::move(response.error()));
    CO_TRY_ASSIGN(const auto text, co_await (*response)->read_all(kMaxAnswer));
    CO_TRY_ASSIGN(auto answer, model::parse_json(text));
    if (!answer.is_object()) co_return fail(Code::Internal, "the daemon answered something that is no object");
    co_return std::move(answer.get_object());
  }

  static constexpr std::size_t kMaxAnswer = 1U << 20;
  std::string from_, name_, ttl_, snapshot_, key_, identity_;
  bool is_file_ = false;
};

}  // namespace

CommandPtr make_evidence_export() { return std::make_unique<EvidenceExport>(); }
CommandPtr make_evidence_verify() { return std::make_unique<EvidenceVerify>(); }
CommandPtr make_evidence_open() { return std::make_unique<EvidenceOpen>(); }

}  // namespace cofferdam::cli
