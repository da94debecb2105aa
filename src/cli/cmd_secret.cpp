#include <unistd.h>

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/simple_call.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxValue = 64U << 10;

class SecretSet : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "secret set"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Set a secret; its value comes from stdin or a file";
  }
  void declare(Options& options) override {
    options.argument("NAME", name_, "as of an environment variable", Need::required);
    options.value("--namespace", "NAMESPACE", namespace_, "whose secret it is (default: the default one)");
    options.value("--file", "FILE", file_, "the value (default: stdin); a line end at its end does not count");
  }
  int run(Session& session) override {
    auto value = file_.empty() ? read_fd(STDIN_FILENO, kMaxValue + 2) : read_file(file_, kMaxValue + 2);
    if (!value) return session.failed(value.error());
    if (value->ends_with('\n')) value->pop_back();
    json::object body{{"value", *value}};
    std::fill(value->begin(), value->end(), '\0');
    const std::string target = target_of("/secrets", name_, namespace_query(namespace_));
    return session.wait(
        make_call(session, "PUT", target, std::move(body), [](const json::object&) { return std::string(); }));
  }

 private:
  std::string name_, namespace_, file_;
};

class SecretList : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "secret ls"; }
  [[nodiscard]] std::string_view summary() const override { return "List the names of secrets"; }
  void declare(Options& options) override {
    options.value("--namespace", "NAMESPACE", namespace_, "whose secrets (default: the default one)");
  }
  int run(Session& session) override {
    return session.wait(show_list(session, cat("/secrets", namespace_query(namespace_)), "secrets",
                                  {{"NAME", "name"}, {"CREATED", "created_at"}, {"UPDATED", "updated_at"}}));
  }

 private:
  std::string namespace_;
};

class SecretRemove : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "secret rm"; }
  [[nodiscard]] std::string_view summary() const override { return "Remove a secret"; }
  void declare(Options& options) override {
    options.argument("NAME", name_, "of the secret", Need::required);
    options.value("--namespace", "NAMESPACE", namespace_, "whose secret it is (default: the default one)");
  }
  int run(Session& session) override {
    const std::string target = target_of("/secrets", name_, namespace_query(namespace_));
    return session.wait(make_call(session, "DELETE", target, {}, [](const json::object&) { return std::string(); }));
  }

 private:
  std::string name_, namespace_;
};

}  // namespace

CommandPtr make_secret_set() { return std::make_unique<SecretSet>(); }
CommandPtr make_secret_ls() { return std::make_unique<SecretList>(); }
CommandPtr make_secret_rm() { return std::make_unique<SecretRemove>(); }

}  // namespace cofferdam::cli
