#include "ledger/witness.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base64.h"
#include "base/file.h"
#include "base/log.h"
#include "base/process.h"
#include "base/text.h"
#include "http/client.h"
#include "loop/deadline.h"

namespace cofferdam::ledger {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kFile = "file:";
constexpr std::string_view kGit = "git:";
constexpr auto kLimit = 20s;
constexpr std::size_t kMaxAnswer = 64U << 10;
constexpr int kConflict = 409;

Status append_to_file(const std::string& path, const std::string& note) {
  TRY_ASSIGN(const UniqueFd fd, open_file(path, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0644));
  TRY(write_all(fd.get(), note + "\n"));
  if (::fdatasync(fd.get()) != 0) return fail_errno(cat("make '", path, "' durable"));
  return {};
}

Result<std::string> git(const std::string& repository, std::vector<std::string> words) {
  RunOptions options;
  options.argv = {"git",
                  "-C",
                  repository,
                  "-c",
                  "core.hooksPath=/dev/null",
                  "-c",
                  "user.name=cofferd",
                  "-c",
                  "user.email=cofferd@localhost",
                  "-c",
                  "commit.gpgSign=false"};
  options.argv.insert(options.argv.end(), words.begin(), words.end());
  options.extra_env = {"GIT_TERMINAL_PROMPT=0", "GIT_SSH_COMMAND=ssh -oBatchMode=yes -oConnectTimeout=10"};
  options.timeout = kLimit;
  return run_checked(options);
}

Status commit_to_git(const std::string& repository, const std::string& note) {
  TRY_ASSIGN(const Note parsed, parse_note(note));
  TRY_ASSIGN(const Checkpoint checkpoint, parse_checkpoint(parsed.text));
  TRY(write_file_atomically(repository + "/checkpoint", note, 0644));
  TRY(git(repository, {"add", "checkpoint"}));
  TRY(git(repository, {"commit", "-q", "--allow-empty", "-m", cat("checkpoint of ", checkpoint.size, " entries"), "--",
                       "checkpoint"}));
  TRY_ASSIGN(const std::string remotes, git(repository, {"remote"}));
  if (!trim(remotes).empty()) TRY(git(repository, {"push", "-q"}));
  return {};
}

struct Url {
  http::Endpoint endpoint;
  std::string path;
};
Result<Url> parse_url(std::string_view text) {
  const auto scheme = text.find("://");
  const auto begin = scheme == std::string_view::npos ? scheme : text.find('/', scheme + 3);
  Url url;
  TRY_ASSIGN(url.endpoint, http::parse_endpoint(text.substr(0, begin)));
  if (!url.endpoint.socket_path.empty()) return fail(Code::InvalidArgument, "a witness is reached over the network");
  url.path = begin == std::string_view::npos ? "/" : std::string(text.substr(begin));
  return url;
}

// The status and the answer.
Task<std::pair<int, std::string>> post(std::string where, std::string body) {
  CO_TRY_ASSIGN(Url url, parse_url(where));
  http::Client client(co_await loop::asio::this_coro::executor, std::move(url.endpoint));
  http::ClientRequest request;
  request.method = "POST";
  request.target = url.path;
  request.headers.add("Content-Type", "text/plain; charset=utf-8");
  request.headers.add("User-Agent", "cofferdam-ledger");
  request.body = std::move(body);
  request.answer_timeout = kLimit;
  CO_TRY_ASSIGN(const auto response, co_await client.request(std::move(request)));
  CO_TRY_ASSIGN(auto answer, co_await response->read_all(kMaxAnswer));
  co_return std::pair(response->status, std::move(answer));
}

Task<void> add_checkpoint(Ledger& ledger, std::string where, std::uint64_t& known_size) {
  for (int tries = 0; tries < 2; ++tries) {
    const std::string note = ledger.checkpoint();
    CO_TRY_ASSIGN(const Note parsed, parse_note(note));
    CO_TRY_ASSIGN(const Checkpoint checkpoint, parse_checkpoint(parsed.text));
    std::string body = cat("old ", known_size, "\n");
    if (known_size > 0) {
      CO_TRY_ASSIGN(const auto proof, co_await ledger.prove_consistency(known_size, checkpoint.size));
      for (const auto& hash : proof) body += cat(to_base64(text_of(hash)), "\n");
    }
    body += cat("\n", note);
    CO_TRY_ASSIGN(const auto answer,
                  co_await loop::with_deadline(post(where, std::move(body)), kLimit, "ask a witness"));
    const auto& [status, text] = answer;
    if (status >= 200 && status < 300) {
      known_size = checkpoint.size;
      co_return Status{};
    }
    const auto size = parse_whole(trim(text));
    if (status != kConflict || !size || *size > checkpoint.size) {
      co_return fail(Code::Unavailable, cat("the witness answered ", status));
    }
    known_size = *size;
  }
  co_return fail(Code::Unavailable, "the witness does not say what it has");
}

}  // namespace

std::string WitnessTarget::text() const {
  switch (kind) {
    case Kind::file:
      return cat(kFile, where);
    case Kind::git:
      return cat(kGit, where);
    case Kind::http:
      break;
  }
  return where;
}

Result<WitnessTarget> parse_witness(std::string_view text) {
  for (const auto& [prefix, kind] :
       {std::pair(kFile, WitnessTarget::Kind::file), std::pair(kGit, WitnessTarget::Kind::git)}) {
    if (!text.starts_with(prefix)) continue;
    const auto path = text.substr(prefix.size());
    if (!path.starts_with('/')) return fail(Code::InvalidArgument, cat("'", text, "': the path must be absolute"));
    return WitnessTarget{kind, std::string(path)};
  }
  if (text.find('@') != std::string_view::npos || !(text.starts_with("http://") || text.starts_with("https://"))) {
    return fail(Code::InvalidArgument, cat("'", text.substr(0, text.find('@')), "' is no witness"),
                "use file:/PATH, git:/PATH, or https://HOST/PATH without a user");
  }
  TRY(parse_url(text));
  return WitnessTarget{WitnessTarget::Kind::http, std::string(text)};
}

Task<void> send_to_witness(Ledger& ledger, WitnessTarget target, std::uint64_t& known_size) {
  if (target.kind == WitnessTarget::Kind::http) co_return co_await add_checkpoint(ledger, target.where, known_size);
  auto work = [target, note = ledger.checkpoint()] {
    return target.kind == WitnessTarget::Kind::file ? append_to_file(target.where, note)
                                                    : commit_to_git(target.where, note);
  };
  co_return co_await ledger.offload(std::move(work));
}

Task<void> send_to_witnesses(Ledger& ledger, std::vector<WitnessTarget> targets, std::chrono::milliseconds every) {
  struct Known {
    std::string sent;
    std::uint64_t size = 0;
    bool failing = false;
  };
  std::vector<Known> known(targets.size());
  for (;;) {
    for (std::size_t i = 0; i < targets.size(); ++i) {
      const std::string note = ledger.checkpoint();
      if (note == known[i].sent) continue;
      auto sent = co_await send_to_witness(ledger, targets[i], known[i].size);
      if (!sent && sent.error().code == Code::Cancelled) co_return sent;
      if (!sent && !known[i].failing) {
        log_warn("a witness did not take a checkpoint",
                 {{"witness", targets[i].text()}, {"error", sent.error().message}});
        ledger.note({{}, {}, model::WitnessFailed{targets[i].text(), sent.error().message}});
      }
      known[i].failing = !sent.has_value();
      if (sent) known[i].sent = note;
    }
    CO_TRY(co_await loop::sleep_for(every));
  }
}

}  // namespace cofferdam::ledger
