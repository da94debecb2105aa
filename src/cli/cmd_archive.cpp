// archive: chosen paths of a workspace, kept.
#include <fcntl.h>
#include <unistd.h>

#include <boost/json/array.hpp>

#include "base/file.h"
#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/simple_call.h"
#include "http/url.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

std::string archive_target(const std::string& workspace, const std::string& version, std::string_view rest = {}) {
  return workspace_target(workspace, cat("/archives/", http::percent_encode(version), rest));
}

class ArchiveCreate : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "archive create"; }
  [[nodiscard]] std::string_view summary() const override { return "Keep paths of a workspace, encrypted"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.values("--path", "PATH", paths_, "a file, or a folder with all below it (default: /)");
    options.values("--exclude", "PATTERN", excludes_, "names or globs that are left out");
    options.value("--as", "VERSION", version_, "what it is called (default: the next number)");
  }
  int run(Session& session) override {
    json::object body;
    const auto list = [](const std::vector<std::string>& items) {
      json::array all;
      for (const auto& item : items) all.emplace_back(item);
      return all;
    };
    if (!paths_.empty()) body["vm_paths"] = list(paths_);
    if (!excludes_.empty()) body["exclude_vm_paths"] = list(excludes_);
    if (!version_.empty()) body["version"] = version_;
    return session.wait(make_call(session, "POST", workspace_target(workspace_, "/archives"), std::move(body),
                                  [](const json::object& answer) { return text_field(answer, "version"); }));
  }

 private:
  std::string workspace_, version_;
  std::vector<std::string> paths_, excludes_;
};

class ArchiveList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "archive ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the archives of a workspace"; }
  void declare(Options& options) override { options.argument("WORKSPACE", workspace_, "id or name", Need::required); }
  int run(Session& session) override {
    return session.wait(
        show_list(session, workspace_target(workspace_, "/archives"), "archives",
                  {{"VERSION", "version"}, {"CREATED", "created_at"}, {"BYTES", "size_bytes"}, {"PATHS", "vm_paths"}}));
  }

 private:
  std::string workspace_;
};

class ArchiveRemove : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "archive rm"; }
  [[nodiscard]] std::string_view summary() const override { return "Destroy an archive and its key"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("VERSION", version_, "of the archive", Need::required);
  }
  int run(Session& session) override {
    return session.wait(make_call(session, "DELETE", archive_target(workspace_, version_), {},
                                  [](const json::object&) { return std::string(); }));
  }

 private:
  std::string workspace_, version_;
};

class ArchiveRestore : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "archive restore"; }
  [[nodiscard]] std::string_view summary() const override { return "Put the files of an archive back"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("VERSION", version_, "of the archive", Need::required);
    options.value("--to", "FOLDER", dest_, "below this folder instead of where they were");
  }
  int run(Session& session) override {
    json::object body;
    if (!dest_.empty()) body["dest"] = dest_;
    return session.wait(
        make_call(session, "POST", archive_target(workspace_, version_, "/restore"), std::move(body),
                  [](const json::object& answer) { return cat(whole_field(answer, "files_extracted"), " files"); }));
  }

 private:
  std::string workspace_, version_, dest_;
};

class ArchiveDownload : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "archive download"; }
  [[nodiscard]] std::string_view summary() const override { return "Write an archive, decrypted, to a file"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("VERSION", version_, "of the archive", Need::required);
    options.argument("FILE", file_, "a new file, a tar.zst; '-': standard output", Need::required);
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    auto done = co_await download(session);
    if (!done) co_return session.failed(done.error());
    co_return kDone;
  }
  Task<void> download(Session& session) {
    Api api(session);
    http::ClientRequest request;
    request.target = archive_target(workspace_, version_, "/download");
    CO_TRY_ASSIGN(auto response, co_await api.open(std::move(request)));
    UniqueFd file;
    if (file_ != "-") {
      CO_TRY_ASSIGN(file, open_file(file_, O_WRONLY | O_CREAT | O_EXCL, 0600));
    }
    auto copied = co_await copy(*response, file ? file.get() : STDOUT_FILENO);
    // What is not whole is not kept.
    if (!copied && file) (void)::unlink(file_.c_str());
    co_return copied;
  }
  static Task<void> copy(http::ClientResponse& from, int to) {
    for (;;) {
      CO_TRY_ASSIGN(const std::string piece, co_await from.next());
      if (piece.empty()) co_return Status{};
      CO_TRY(write_all(to, piece));
    }
  }

  std::string workspace_, version_, file_;
};

}  // namespace

CommandPtr make_archive_create() { return std::make_unique<ArchiveCreate>(); }
CommandPtr make_archive_ls() { return std::make_unique<ArchiveList>(); }
CommandPtr make_archive_rm() { return std::make_unique<ArchiveRemove>(); }
CommandPtr make_archive_restore() { return std::make_unique<ArchiveRestore>(); }
CommandPtr make_archive_download() { return std::make_unique<ArchiveDownload>(); }

}  // namespace cofferdam::cli
