#include "cli/session.h"

#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/json/serialize.hpp>
#include <cstdlib>
#include <exception>

#include "base/file.h"
#include "base/text.h"
#include "cli/safe_text.h"

namespace cofferdam::cli {
namespace {

std::string first_of(std::string given, const char* variable, const char* standard) {
  if (!given.empty()) return given;
  const char* value = ::getenv(variable);
  return value != nullptr && *value != '\0' ? value : standard;
}

Status check_folder(std::string_view what, const std::string& folder) {
  if (!folder.empty() && folder[0] == '/') return {};
  return fail(Code::InvalidArgument, cat(what, ": '", folder, "' is not an absolute path"));
}

}  // namespace

http::Endpoint Settings::endpoint() const {
  http::TlsTrust trust;
  trust.ca_file = ca_file;
  // It was looked at when the settings were made.
  if (!url.empty()) return http::parse_endpoint(url, trust).value_or(http::Endpoint{});
  return http::unix_endpoint(cat(run_dir, "/cofferd.sock"));
}

Result<Settings> make_settings(std::string state, std::string run, std::string listen) {
  Settings settings;
  if (!state.empty()) settings.how_to_start += cat(" --state ", state);
  if (!run.empty()) settings.how_to_start += cat(" --run ", run);
  settings.state_dir = first_of(std::move(state), "COFFER_STATE", "/var/lib/cofferdam");
  settings.run_dir = first_of(std::move(run), "COFFER_RUN", "/run/cofferdam");
  settings.listen = first_of(std::move(listen), "COFFER_LISTEN", "");
  settings.url = first_of({}, "COFFER_URL", "");
  TRY(check_folder("the state folder", settings.state_dir));
  TRY(check_folder("the run-time folder", settings.run_dir));
  settings.token = first_of({}, "COFFER_TOKEN", "");
  settings.ca_file = first_of({}, "COFFER_CA", "");
  if (!settings.url.empty()) {
    auto parsed = http::parse_endpoint(settings.url);
    if (!parsed) return fail(std::move(parsed.error()).in("COFFER_URL"));
  }
  return settings;
}

void Session::print(std::string_view text) const { (void)write_all(STDOUT_FILENO, text); }

void Session::print_json(boost::json::object object) const {
  boost::json::object whole{{"success", true}};
  for (auto& [key, value] : object) whole[key] = std::move(value);
  print(cat(boost::json::serialize(whole), "\n"));
}

void Session::note(std::string_view text) const {
  if (!json()) (void)write_all(STDERR_FILENO, cat("coffer: ", printable(text), "\n"));
}

int Session::failed(const Error& error, int status) const {
  if (json()) {
    const auto name = code_info(error.code).wire_name;
    boost::json::object body{{"success", false},
                             {"error", boost::json::string_view(name.data(), name.size())},
                             {"code", boost::json::string_view(name.data(), name.size())},
                             {"message", error.message},
                             {"exit_status", status}};
    if (!error.hint.empty()) body["hint"] = error.hint;
    print(cat(boost::json::serialize(body), "\n"));
    return status;
  }
  std::string text = cat("coffer: ", printable_lines(error.message), "\n");
  if (!error.hint.empty()) text += cat("hint: ", printable_lines(error.hint), "\n");
  (void)write_all(STDERR_FILENO, text);
  return status;
}

int Session::wait(loop::Task<int> task) {
  int status = kBroke;
  auto done = [&](const std::exception_ptr& thrown, Result<int> result) {
    if (thrown) std::rethrow_exception(thrown);
    status = result ? *result : failed(result.error());
  };
  loop::asio::co_spawn(loop_, std::move(task), done);
  loop_.restart();
  loop_.run();
  return status;
}

}  // namespace cofferdam::cli
