// image build, ls, import and rm.
#include <boost/json/serialize.hpp>
#include <filesystem>

#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/progress.h"
#include "cli/table.h"
#include "http/url.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxLine = 1U << 20;
// A build downloads packages; the daemon has deadlines of its own.
constexpr auto kBuildTimeout = std::chrono::hours(2);

std::string image_target(std::string_view name, std::string_view rest = {}) {
  return cat("/workspace/images/", http::percent_encode(name), rest);
}

// What a build or import says, line by line; the last line is the result.
class BuildEvents {
 public:
  explicit BuildEvents(Progress::Style style) : progress_(style) {}

  Task<json::object> follow(http::ClientResponse& response) {
    std::string pending;
    for (;;) {
      CO_TRY_ASSIGN(const std::string piece, co_await response.next());
      if (piece.empty()) break;
      pending += piece;
      for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
        CO_TRY(take(std::string_view(pending).substr(0, end)));
        pending.erase(0, end + 1);
      }
      if (pending.size() > kMaxLine) co_return fail(Code::OutOfRange, "the daemon sent a line that is too long");
    }
    progress_.finish();
    if (!done_) {
      co_return fail(Code::Unavailable, "the connection was lost before the image was ready",
                     "try again; what is finished is kept");
    }
    co_return std::move(*done_);
  }

 private:
  Status take(std::string_view line) {
    if (trim(line).empty()) return {};
    TRY_ASSIGN(json::value value, model::parse_json(line));
    if (!value.is_object()) return fail(Code::Internal, "the daemon sent a line that is no JSON object");
    const auto& event = value.get_object();
    const auto kind = text_field(event, "event");
    if (kind == "error") {
      progress_.finish();
      return fail(error_of_answer(0, line));
    }
    if (kind == "done") done_ = object_field(event, "image");
    if (kind == "progress") {
      const bool known = event.contains("fraction");
      progress_.update(text_field(event, "stage"), text_field(event, "detail"),
                       known ? number_field(event, "fraction") : -1);
    }
    return {};
  }
  Progress progress_;
  std::optional<json::object> done_;
};

Task<int> follow_build(Session& session, std::string target, json::object body) {
  Api api(session);
  http::ClientRequest request;
  request.method = "POST";
  request.target = std::move(target);
  request.headers.add("Content-Type", "application/json");
  request.body = json::serialize(body);
  request.answer_timeout = kBuildTimeout;
  auto response = co_await api.open(std::move(request));
  if (!response) co_return session.failed(response.error());
  BuildEvents events(session.json() ? Progress::Style::silent : Progress::style_for_stderr());
  auto image = co_await events.follow(**response);
  if (!image) co_return session.failed(image.error());
  if (session.json()) {
    session.print_json({{"image", std::move(*image)}});
    co_return kDone;
  }
  Table table({{"IMAGE"}, {"SIZE", Align::right}, {"KERNEL"}, {"DIGEST"}});
  table.add({text_field(*image, "image"), format_size(static_cast<std::uint64_t>(whole_field(*image, "size"))),
             text_field(*image, "kernel"), text_field(*image, "id").substr(0, 12)});
  session.print(table.render());
  co_return kDone;
}

class Build : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "image build"; }
  [[nodiscard]] std::string_view summary() const override { return "Build an image from its recipe"; }
  void declare(Options& options) override {
    options.argument("NAME", name_, "recipe: see coffer image ls", Need::required);
    options.flag("--rebuild", rebuild_, "build again although nothing has changed");
  }
  int run(Session& session) override {
    return session.wait(follow_build(session, image_target(name_, "/build"), {{"rebuild", rebuild_}}));
  }

 private:
  std::string name_;
  bool rebuild_ = false;
};

class Import : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "image import"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Import a folder, tar archive, OCI image layout or docker archive as an image";
  }
  void declare(Options& options) override {
    options.argument("PATH", path_, "a path of this host", Need::required);
    options.value("--name", "NAME", name_, "name of the image (default: from the path)");
  }
  Status accept() override {
    std::error_code ec;
    const auto absolute = std::filesystem::absolute(path_, ec).lexically_normal();
    if (ec) return fail(errno_error(cat("'", path_, "'"), ec.value()));
    path_ = absolute.string();
    if (path_.size() > 1 && path_.back() == '/') path_.pop_back();
    if (name_.empty()) name_ = default_name(path_);
    if (name_.empty()) return fail(Code::InvalidArgument, cat("'", path_, "' gives no name"), "give one with --name");
    return {};
  }
  int run(Session& session) override {
    return session.wait(follow_build(session, "/workspace/images/import", {{"path", path_}, {"name", name_}}));
  }

 private:
  // "…/My App.tar.gz" -> "my-app".
  static std::string default_name(const std::string& path) {
    std::string file = std::filesystem::path(path).filename().string();
    for (const std::string_view suffix : {".gz", ".xz", ".zst", ".bz2", ".tar", ".tgz"}) {
      if (file.size() > suffix.size() && std::string_view(file).substr(file.size() - suffix.size()) == suffix) {
        file.resize(file.size() - suffix.size());
      }
    }
    std::string name;
    for (const char c : file) {
      const bool kept = std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
      if (kept) name.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
      if (!kept && !name.empty()) name.push_back('-');
    }
    while (!name.empty() && (name[0] == '.' || name[0] == '-')) name.erase(0, 1);
    return name;
  }
  std::string path_, name_;
};

class Images : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "image ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the images, and the recipes not built yet"; }
  void declare(Options& /*options*/) override {}
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  static Task<int> work(Session& session) {
    Api api(session);
    auto answer = co_await api.get("/workspace/images");
    if (!answer) co_return session.failed(answer.error());
    if (session.json()) {
      session.print_json(std::move(*answer));
      co_return kDone;
    }
    Table table({{"IMAGE"}, {"BUILT"}, {"SIZE", Align::right}, {"CREATED"}, {"SOURCE"}, {"DESCRIPTION"}});
    for (const auto& item : array_field(*answer, "images")) {
      if (!item.is_object()) continue;
      const auto& image = item.get_object();
      const bool built = flag_field(image, "built");
      const auto size = static_cast<std::uint64_t>(whole_field(image, "size"));
      table.add({text_field(image, "image"), built ? "yes" : "no", built ? format_size(size) : "",
                 text_field(image, "created").substr(0, 10), text_field(image, "source"), text_field(image, "desc")});
    }
    session.print(table.render(Table::Empty::hide));
    co_return kDone;
  }
};

class Remove : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "image rm"; }
  [[nodiscard]] std::string_view summary() const override { return "Remove an image; workspaces that use it go on"; }
  void declare(Options& options) override { options.argument("NAME", name_, "image", Need::required); }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    auto answer = co_await api.call("DELETE", image_target(name_));
    if (!answer) co_return session.failed(answer.error());
    if (session.json()) {
      session.print_json(std::move(*answer));
    } else {
      session.print(name_ + "\n");
    }
    co_return kDone;
  }
  std::string name_;
};

}  // namespace

CommandPtr make_image_build() { return std::make_unique<Build>(); }
CommandPtr make_image_ls() { return std::make_unique<Images>(); }
CommandPtr make_image_import() { return std::make_unique<Import>(); }
CommandPtr make_image_rm() { return std::make_unique<Remove>(); }

}  // namespace cofferdam::cli
