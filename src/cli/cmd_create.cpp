#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/env_items.h"
#include "cli/workspace_options.h"
#include "http/url.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

class Create : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "create"; }
  [[nodiscard]] std::string_view summary() const override { return "Create a workspace and print its id"; }
  void declare(Options& options) override {
    options.value("--name", "NAME", spec_.name, "name that serves as well as the id");
    shape_.declare(options);
    options.flag("--permanent", permanent_, "keep it, and its disk, until it is removed (default: a TTL of 1 hour)");
    options.value("--ready", "LINE", ready_, "for sh: it is answered once this ends with 0; drills ask it too");
    options.value("--from-archive", "WORKSPACE:VERSION", archive_, "with the files of an archive in it");
    env_.declare(options);
  }
  Status accept() override {
    TRY(shape_.apply(spec_));
    TRY_ASSIGN(spec_.env, env_.resolve());
    if (permanent_) spec_.mode = model::Mode::permanent;
    if (!permanent_ && !spec_.ttl) spec_.ttl = model::kDefaultTemporaryTtl;
    if (!archive_.empty() && archive_.find(':') == std::string::npos) {
      return fail(Code::InvalidArgument, cat("--from-archive: '", archive_, "' is not WORKSPACE:VERSION"));
    }
    return validate_options(spec_);
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    Api api(session);
    auto body = shape_.create_body(spec_);
    env_.mark(body);
    if (!ready_.empty()) {
      body["config"].as_object()["ready_check"] =
          boost::json::object{{"command", boost::json::array{"sh", "-c", ready_}}};
    }
    auto created = co_await api.call("POST", target(), std::move(body));
    if (!created) co_return session.failed(created.error());
    if (session.json()) {
      session.print_json(std::move(*created));
    } else {
      session.print(cat(text_field(object_field(*created, "workspace"), "id"), "\n"));
    }
    co_return kDone;
  }
  [[nodiscard]] std::string target() const {
    if (archive_.empty()) return "/workspace";
    const auto colon = archive_.find(':');
    const auto version = http::percent_encode(archive_.substr(colon + 1));
    return workspace_target(archive_.substr(0, colon), cat("/archives/", version, "/workspace"));
  }
  model::WorkspaceSpec spec_;
  WorkspaceOptions shape_;
  EnvOptions env_;
  std::string archive_, ready_;
  bool permanent_ = false;
};

}  // namespace

CommandPtr make_create() { return std::make_unique<Create>(); }

}  // namespace cofferdam::cli
