#include "base/text.h"
#include "cli/commands.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

std::string slug_of(const json::object& answer) { return text_field(object_field(answer, "data"), "slug"); }

class NamespaceCreate : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "namespace create"; }
  [[nodiscard]] std::string_view summary() const override { return "Create a namespace"; }
  void declare(Options& options) override {
    options.argument("NAME", name_, "any text", Need::required);
    options.value("--slug", "SLUG", slug_, "what it is called in requests (default: made from the name)");
    options.value("--description", "TEXT", description_, "for people");
    options.value("--max-workspaces", "N", workspaces_, "at most so many in it");
    options.value("--max-cpus", "N", cpus_, "at most so many virtual CPUs");
    options.value("--max-memory-mb", "N", memory_, "at most so much memory");
    options.value("--max-disk-gb", "N", disk_, "at most so much disk");
  }
  Status accept() override {
    for (const auto* limit : {&workspaces_, &cpus_, &memory_, &disk_}) {
      if (!limit->empty()) TRY(parse_int("a limit", *limit, 0, INT32_MAX));
    }
    return {};
  }
  int run(Session& session) override {
    json::object limits;
    const auto put = [&](const char* field, const std::string& text) {
      if (!text.empty()) limits[field] = *parse_int(field, text, 0, INT32_MAX);
    };
    put("max_workspaces", workspaces_);
    put("max_vcpus", cpus_);
    put("max_ram_mb", memory_);
    put("max_disk_gb", disk_);
    json::object body{{"name", name_}};
    if (!slug_.empty()) body["slug"] = slug_;
    if (!description_.empty()) body["description"] = description_;
    if (!limits.empty()) body["resource_limits"] = std::move(limits);
    return session.wait(make_call(session, "POST", "/namespaces", std::move(body), slug_of));
  }

 private:
  std::string name_, slug_, description_, workspaces_, cpus_, memory_, disk_;
};

class NamespaceList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "namespace ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the namespaces"; }
  void declare(Options& options) override { (void)options; }
  int run(Session& session) override {
    return session.wait(show_list(session, "/namespaces?limit=1000", "data",
                                  {{"SLUG", "slug"},
                                   {"NAME", "name"},
                                   {"STATUS", "status"},
                                   {"DEFAULT", "is_default"},
                                   {"CREATED", "created_at"},
                                   {"ID", "id"}}));
  }
};

class NamespaceRemove : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "namespace rm"; }
  [[nodiscard]] std::string_view summary() const override { return "Remove a namespace"; }
  void declare(Options& options) override {
    options.argument("NAMESPACE", name_, "id or slug", Need::required);
    options.flag("--with-workspaces", workspaces_, "destroy the workspaces in it, too");
  }
  int run(Session& session) override {
    json::object body{{"deleteWorkspaces", workspaces_}};
    return session.wait(make_call(session, "DELETE", target_of("/namespaces", name_), std::move(body),
                                  [](const json::object&) { return std::string(); }));
  }

 private:
  std::string name_;
  bool workspaces_ = false;
};

class NamespaceSuspend : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "namespace suspend"; }
  [[nodiscard]] std::string_view summary() const override { return "Let nothing be made or started in a namespace"; }
  void declare(Options& options) override { options.argument("NAMESPACE", name_, "id or slug", Need::required); }
  int run(Session& session) override {
    return session.wait(make_call(session, "POST", target_of("/namespaces", name_, "/suspend"), {}, slug_of));
  }

 private:
  std::string name_;
};

class NamespaceActivate : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "namespace activate"; }
  [[nodiscard]] std::string_view summary() const override { return "Let things be made in a namespace again"; }
  void declare(Options& options) override { options.argument("NAMESPACE", name_, "id or slug", Need::required); }
  int run(Session& session) override {
    return session.wait(make_call(session, "POST", target_of("/namespaces", name_, "/activate"), {}, slug_of));
  }

 private:
  std::string name_;
};

}  // namespace

CommandPtr make_namespace_create() { return std::make_unique<NamespaceCreate>(); }
CommandPtr make_namespace_ls() { return std::make_unique<NamespaceList>(); }
CommandPtr make_namespace_rm() { return std::make_unique<NamespaceRemove>(); }
CommandPtr make_namespace_suspend() { return std::make_unique<NamespaceSuspend>(); }
CommandPtr make_namespace_activate() { return std::make_unique<NamespaceActivate>(); }

}  // namespace cofferdam::cli
