// What every command gets: the settings of this call, where its words go, and the loop it waits on.
#pragma once
#include <boost/asio/io_context.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"
#include "http/endpoint.h"
#include "loop/task.h"

namespace cofferdam::cli {

inline constexpr int kDone = 0;
inline constexpr int kFailed = 1;
inline constexpr int kUsage = 2;
inline constexpr int kTimedOut = 124;
inline constexpr int kBroke = 125;  // of run and exec: cofferdam itself failed

struct Settings {
  bool json = false;
  std::string state_dir, run_dir;
  std::string url;          // empty: the socket in the run-time folder
  std::string token;        // empty: none; never shown
  std::string listen;       // empty: the daemon decides
  std::string program_dir;  // the folder of this program
  std::string how_to_start = "coffer up";
  std::chrono::steady_clock::time_point started_at = std::chrono::steady_clock::now();

  std::string ca_file;  // PEM; empty: the certificate authorities of this host

  [[nodiscard]] http::Endpoint endpoint() const;
};

// Defaults, then the environment (COFFER_STATE, COFFER_RUN, COFFER_LISTEN, COFFER_URL, COFFER_TOKEN, COFFER_CA), then
// what was given (empty: nothing). InvalidArgument: a relative folder, or a COFFER_URL that is no address.
Result<Settings> make_settings(std::string state, std::string run, std::string listen);

class Session {
 public:
  explicit Session(Settings settings) : settings_(std::move(settings)), loop_(1) {}

  [[nodiscard]] const Settings& settings() const { return settings_; }
  [[nodiscard]] bool json() const { return settings_.json; }

  // To stdout; text that is not ours must be printable already.
  void print(std::string_view text) const;
  // {"success": true, …} as one line on stdout.
  void print_json(boost::json::object object) const;
  // "coffer: text" on stderr, made printable; left out with --json.
  void note(std::string_view text) const;
  // Says it: "coffer: message" and "hint: …" on stderr, or the JSON form on stdout with --json. Returns `status`.
  int failed(const Error& error, int status = kFailed) const;

  // Runs the task on a loop of its own to its end.
  int wait(loop::Task<int> task);
  // The executor that the tasks of wait() run on: give it to what the task uses.
  [[nodiscard]] loop::asio::any_io_executor executor() { return loop_.get_executor(); }

 private:
  Settings settings_;
  loop::asio::io_context loop_;
};

}  // namespace cofferdam::cli
