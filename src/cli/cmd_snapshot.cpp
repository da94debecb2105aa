// snapshot, fork, hold and unhold.
#include "base/text.h"
#include "cli/api.h"
#include "cli/commands.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

class SnapshotCreate : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "snapshot create"; }
  [[nodiscard]] std::string_view summary() const override { return "Keep memory and disk of a workspace as they are"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.value("--after", "WHAT", after_, "resume (default), pause or stop it once the snapshot is taken");
  }
  int run(Session& session) override {
    json::object body;
    if (!after_.empty()) body["after"] = after_;
    return session.wait(make_call(session, "POST", workspace_target(workspace_, "/snapshot"), std::move(body),
                                  [](const json::object& answer) { return text_field(answer, "id"); }));
  }

 private:
  std::string workspace_, after_;
};

class SnapshotList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "snapshot ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the snapshots of a workspace"; }
  void declare(Options& options) override { options.argument("WORKSPACE", workspace_, "id or name", Need::required); }
  int run(Session& session) override {
    return session.wait(show_list(session, workspace_target(workspace_, "/snapshots"), "snapshots",
                                  {{"ID", "id"},
                                   {"CREATED", "created_at"},
                                   {"BYTES", "size_bytes"},
                                   {"PAUSE MS", "pause_ms"},
                                   {"IMAGE", "image"}}));
  }

 private:
  std::string workspace_;
};

class SnapshotRestore : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "snapshot restore"; }
  [[nodiscard]] std::string_view summary() const override { return "Let a workspace go back to a snapshot"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("SNAPSHOT", snapshot_, "its id (default: the latest)", Need::optional);
  }
  int run(Session& session) override {
    json::object body;
    if (!snapshot_.empty()) body["snapshot"] = snapshot_;
    return session.wait(make_call(session, "POST", workspace_target(workspace_, "/restore"), std::move(body),
                                  [](const json::object& answer) { return text_field(answer, "id"); }));
  }

 private:
  std::string workspace_, snapshot_;
};

class SnapshotRemove : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "snapshot rm"; }
  [[nodiscard]] std::string_view summary() const override { return "Destroy a snapshot and its key"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.argument("SNAPSHOT", snapshot_, "its id", Need::required);
  }
  int run(Session& session) override {
    return session.wait(make_call(session, "DELETE", workspace_target(workspace_, cat("/snapshots/", snapshot_)), {},
                                  [](const json::object&) { return std::string(); }));
  }

 private:
  std::string workspace_, snapshot_;
};

class Fork : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "fork"; }
  [[nodiscard]] std::string_view summary() const override { return "Make workspaces that go on from another one"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.value("--snapshot", "ID", snapshot_, "from there (default: from now)");
    options.value("--count", "N", count_, "how many (default: 1, at most 64)");
    options.value("--name", "NAME", name_, "of the new one; of several, each gets its number behind it");
    options.flag("--with-secrets", with_secrets_, "also when the workspace holds secrets: then each fork holds them");
  }
  int run(Session& session) override {
    json::object body;
    if (!snapshot_.empty()) body["snapshot"] = snapshot_;
    if (!name_.empty()) body["name"] = name_;
    if (!count_.empty()) {
      const auto count = parse_int("--count", count_, 1, 64);
      if (!count) return session.failed(count.error());
      body["count"] = *count;
    }
    if (with_secrets_) body["with_secrets"] = true;
    const auto say = [](const json::object& answer) {
      std::string lines;
      const auto* all = answer.if_contains("workspaces");
      if (all == nullptr || !all->is_array()) return lines;
      for (const auto& item : all->get_array()) {
        if (!item.is_object()) continue;
        lines += cat(lines.empty() ? "" : "\n", text_field(item.get_object(), "id"));
      }
      return lines;
    };
    return session.wait(make_call(session, "POST", workspace_target(workspace_, "/fork"), std::move(body), say));
  }

 private:
  std::string workspace_, snapshot_, count_, name_;
  bool with_secrets_ = false;
};

class Hold : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "hold"; }
  [[nodiscard]] std::string_view summary() const override { return "Let nothing of a workspace be deleted"; }
  void declare(Options& options) override {
    options.argument("WORKSPACE", workspace_, "id or name", Need::required);
    options.value("--reason", "TEXT", reason_, "for people");
  }
  int run(Session& session) override {
    json::object body;
    if (!reason_.empty()) body["reason"] = reason_;
    return session.wait(make_call(session, "POST", workspace_target(workspace_, "/hold"), std::move(body),
                                  [](const json::object& answer) { return text_field(answer, "id"); }));
  }

 private:
  std::string workspace_, reason_;
};

class Unhold : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "unhold"; }
  [[nodiscard]] std::string_view summary() const override { return "Lift the hold of a workspace"; }
  void declare(Options& options) override { options.argument("WORKSPACE", workspace_, "id or name", Need::required); }
  int run(Session& session) override {
    return session.wait(make_call(session, "DELETE", workspace_target(workspace_, "/hold"), {},
                                  [](const json::object& answer) { return text_field(answer, "id"); }));
  }

 private:
  std::string workspace_;
};

}  // namespace

CommandPtr make_snapshot_create() { return std::make_unique<SnapshotCreate>(); }
CommandPtr make_snapshot_ls() { return std::make_unique<SnapshotList>(); }
CommandPtr make_snapshot_restore() { return std::make_unique<SnapshotRestore>(); }
CommandPtr make_snapshot_rm() { return std::make_unique<SnapshotRemove>(); }
CommandPtr make_fork() { return std::make_unique<Fork>(); }
CommandPtr make_hold() { return std::make_unique<Hold>(); }
CommandPtr make_unhold() { return std::make_unique<Unhold>(); }

}  // namespace cofferdam::cli
