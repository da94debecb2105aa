// export and apply: the whole installation as one file, and from one.
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "cli/commands.h"
#include "cli/estate_of.h"
#include "cli/safe_text.h"
#include "cli/simple_call.h"
#include "estate/plan.h"
#include "http/url.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

json::array to_array(const std::vector<std::string>& texts) {
  json::array array;
  for (const auto& text : texts) array.emplace_back(text);
  return array;
}

class Export : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "export"; }
  [[nodiscard]] std::string_view summary() const override {
    return "Write the whole installation as one YAML file, without any secret";
  }
  void declare(Options& options) override {
    options.value("-o,--output", "FILE", file_, "where to (default: standard output)");
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  Task<int> work(Session& session) {
    const auto found = co_await ask_for_estate(session);
    if (!found) co_return session.failed(found.error());
    for (const auto& line : found->left_out) session.note(cat("left out: ", line));
    const auto text = estate::write(found->estate);
    if (!file_.empty()) {
      if (auto written = write_file_atomically(file_, text, 0600); !written) co_return session.failed(written.error());
    }
    if (session.json()) {
      json::object answer{{"workspaces", found->estate.workspaces.size()}, {"left_out", to_array(found->left_out)}};
      if (file_.empty()) answer["yaml"] = text;
      session.print_json(std::move(answer));
    } else if (file_.empty()) {
      // Written so that nothing in it means anything to a terminal.
      session.print(text);
    }
    co_return kDone;
  }
  std::string file_;
};

class ApplyFile : public Command {
 public:
  [[nodiscard]] std::string_view name() const override { return "apply"; }
  [[nodiscard]] std::string_view summary() const override { return "Make the installation what a file says"; }
  void declare(Options& options) override {
    options.value("-f,--file", "FILE", file_, "what `coffer export` wrote; - is standard input");
    options.flag("--dry-run", dry_, "say what would be done, and do nothing");
  }
  Status accept() override {
    if (!file_.empty()) return {};
    return fail(Code::InvalidArgument, "name the file: -f FILE");
  }
  int run(Session& session) override { return session.wait(work(session)); }

 private:
  // The file is read whole before the daemon is asked anything.
  [[nodiscard]] Result<estate::Estate> read() const {
    auto text =
        file_ == "-" ? read_fd(STDIN_FILENO, estate::kMaxFileBytes + 1) : read_file(file_, estate::kMaxFileBytes + 1);
    if (!text) return fail(std::move(text.error()));
    return estate::read(*text, file_ == "-" ? "stdin" : file_);
  }

  Task<int> work(Session& session) {
    const auto want = read();
    if (!want) co_return session.failed(want.error());
    const auto have = co_await ask_for_estate(session);
    if (!have) co_return session.failed(have.error());
    const auto plan = estate::make_plan(have->estate, *want);
    const auto carried_out = dry_ ? Result<std::size_t>(0U) : co_await carry_out(session, plan);
    co_return tell(session, plan, carried_out);
  }

  // One after the other; the first that fails ends it. What was done stays, and a second run goes on from there.
  Task<std::size_t> carry_out(Session& session, estate::Plan plan) {
    Api api(session);
    for (const auto& action : plan.actions) {
      std::string target;
      for (const auto& segment : action.path) target += cat("/", http::percent_encode(segment));
      auto done = co_await api.call(action.method, std::move(target), action.body);
      if (!done) co_return fail(std::move(done.error()).in(action.what));
      ++done_;
      if (session.json()) continue;
      session.print(cat(printable(action.what), "\n"));
      // Told once.
      const auto token = text_field(object_field(*done, "port"), "token");
      if (!token.empty()) session.print(cat("  token: ", printable(token), "\n"));
    }
    co_return done_;
  }

  int tell(Session& session, const estate::Plan& plan, const Result<std::size_t>& done) const {
    if (session.json()) {
      json::array actions;
      for (const auto& action : plan.actions) {
        const bool was_done = actions.size() < done_;
        actions.emplace_back(json::object{{"what", action.what}, {"done", was_done}});
      }
      json::object answer{{"success", done.has_value()},
                          {"dry_run", dry_},
                          {"actions", std::move(actions)},
                          {"by_hand", to_array(plan.by_hand)}};
      if (!done) answer["message"] = done.error().message;
      session.print_json(std::move(answer));
      return done ? kDone : kFailed;
    }
    if (dry_) {
      for (const auto& action : plan.actions) session.print(cat("would ", printable(action.what), "\n"));
    }
    for (const auto& line : plan.by_hand) session.print(cat("by hand: ", printable(line), "\n"));
    if (!done) {
      const int status = session.failed(done.error());
      session.note(cat(done_, " of ", plan.actions.size(),
                       " steps were done and stay; apply the file again to go on from there"));
      return status;
    }
    if (plan.actions.empty()) session.print("nothing to do\n");
    return kDone;
  }

  std::string file_;
  bool dry_ = false;
  std::size_t done_ = 0;
};

}  // namespace

CommandPtr make_export() { return std::make_unique<Export>(); }
CommandPtr make_apply() { return std::make_unique<ApplyFile>(); }

}  // namespace cofferdam::cli
