#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/cp_target.h"
#include "cli/file_transfer.h"

namespace cofferdam::cli {
namespace {

constexpr unsigned kStreamMode = 0644;

Status check_remote(const CpTarget& target) {
  if (target.path[0] == '/') return {};
  return fail(Code::InvalidArgument, cat("'", target.path, "' is not an absolute path in the workspace"));
}

class Copy : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "cp"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Copy files and folders; one side is WORKSPACE:PATH, the other a path or - for a stream";
  }
  void declare(Options& options) override {
    options.argument("SOURCE", from_text_, "what to copy", Need::required);
    options.argument("TARGET", to_text_, "where to; an existing folder gets the copy inside", Need::required);
  }
  Status accept() override {
    TRY_ASSIGN(from_, parse_cp_target(from_text_));
    TRY_ASSIGN(to_, parse_cp_target(to_text_));
    const bool from_remote = from_.kind == CpTarget::Kind::remote;
    const bool to_remote = to_.kind == CpTarget::Kind::remote;
    if (from_remote == to_remote) {
      return fail(Code::InvalidArgument, "one side of a copy is a workspace, and the other is not",
                  "coffer cp FILE WORKSPACE:/path, or coffer cp WORKSPACE:/path FILE");
    }
    return check_remote(from_remote ? from_ : to_);
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    const bool sends = to_.kind == CpTarget::Kind::remote;
    const auto style = !session.json() && is_terminal(STDERR_FILENO) ? Progress::Style::bar : Progress::Style::silent;
    FileTransfer transfer(session, api, sends ? to_.workspace : from_.workspace, style);
    const Status done = co_await (sends ? send(transfer) : fetch(transfer));
    if (!done) co_return session.failed(done.error());
    const auto& count = transfer.count();
    // A stream to stdout has taken it already.
    if (session.json() && to_.kind != CpTarget::Kind::stream) {
      session.print_json({{"files", count.files}, {"bytes", count.bytes}, {"skipped", count.skipped}});
    }
    co_return count.skipped == 0 ? kDone : kFailed;
  }

  Task<void> send(FileTransfer& transfer) {
    CO_TRY_ASSIGN(const auto there, co_await transfer.stat(to_.path));
    const bool into_folder = there && there->kind == RemoteEntry::Kind::folder;
    if (from_.kind == CpTarget::Kind::stream) {
      if (into_folder || to_.path.back() == '/') {
        co_return fail(Code::InvalidArgument, cat("'", to_.path, "' is a folder"), "name the file that it becomes");
      }
      UniqueFd fd(::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3));
      if (!fd) co_return fail_errno("duplicate standard input");
      co_return co_await transfer.upload(std::move(fd), to_.path, kStreamMode, {});
    }
    std::string target = to_.path;
    std::error_code ec;
    const auto whole = std::filesystem::canonical(from_.path, ec);
    if (ec) co_return fail(errno_error(cat("'", from_.path, "'"), ec.value()));
    // The name it has here; "." and ".." have none of their own.
    if (into_folder || target.back() == '/') {
      std::string name = base_name(from_.path);
      if (name.empty() || name == "." || name == "..") name = whole.filename().string();
      target = join_path(target, name);
    }
    co_return co_await transfer.upload_tree(from_.path, target);
  }

  Task<void> fetch(FileTransfer& transfer) {
    if (to_.kind == CpTarget::Kind::stream) co_return co_await transfer.download(from_.path, STDOUT_FILENO);
    CO_TRY_ASSIGN(const auto there, co_await transfer.stat(from_.path));
    if (!there) {
      co_return fail(Code::NotFound, cat("there is no '", from_.path, "' in the workspace '", from_.workspace, "'"));
    }
    const RemoteEntry& entry = *there;
    std::string target = to_.path;
    struct stat st{};
    bool exists = ::stat(target.c_str(), &st) == 0;
    if (exists && S_ISDIR(st.st_mode) && !base_name(from_.path).empty()) {
      target = join_path(target, base_name(from_.path));
      exists = ::stat(target.c_str(), &st) == 0;
    }
    if (exists && !S_ISDIR(st.st_mode) && !S_ISREG(st.st_mode)) {
      // A device or a pipe is written to, never replaced.
      if (entry.kind != RemoteEntry::Kind::file) {
        co_return fail(Code::InvalidArgument, cat("'", from_.path, "' is no file, and '", target, "' is no folder"));
      }
      CO_TRY_ASSIGN(UniqueFd fd, open_file(target, O_WRONLY | O_NOCTTY));
      co_return co_await transfer.download(from_.path, fd.get());
    }
    if (exists) {
      // Through a link of the user's own to what it names.
      std::error_code ec;
      const auto real = std::filesystem::canonical(target, ec);
      if (!ec) target = real.string();
    }
    const auto path = std::filesystem::path(target).lexically_normal();
    const std::string name = path.has_filename() ? path.filename().string() : path.parent_path().filename().string();
    const auto parent = path.has_filename() ? path.parent_path() : path.parent_path().parent_path();
    CO_TRY_ASSIGN(const LocalFolder folder, LocalFolder::open(parent.empty() ? "." : parent.string()));
    if (entry.kind == RemoteEntry::Kind::folder) {
      CO_TRY_ASSIGN(const LocalFolder below, folder.enter(name));
      CO_TRY(co_await transfer.download_tree(from_.path, below));
      co_return exists ? Status{} : below.set_mode(entry.mode);
    }
    if (to_.path.back() == '/' && !exists && base_name(to_.path) == name) {
      co_return fail(Code::NotFound, cat("there is no folder '", to_.path, "'"));
    }
    co_return co_await transfer.download_file(from_.path, entry, folder, name);
  }

  std::string from_text_, to_text_;
  CpTarget from_, to_;
};

}  // namespace

CommandPtr make_cp() { return std::make_unique<Copy>(); }

}  // namespace cofferdam::cli
