// For tests: a real HTTP server on a Unix socket whose workspaces are a script. It speaks the API, runs no machine, and
// writes down what it was asked.
#pragma once
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "http/server.h"

namespace cofferdam::cli {

// What it signs receipts with.
inline constexpr std::string_view kReceiptKey = "a scripted daemon's signing keys";

// Commands it knows: echo WORDS…, warn WORDS… (stderr), exit N, cat (to the end of its input), input (how many bytes
// came), trap (prints "ready", then each signal it gets and exits with 9 at SIGTERM), deaf (prints "ready", then reads
// no frame any more), slow (times out), flood N (bytes), size (rows and columns, and again at a resize), env, vanish
// (cuts the connection), refuse (an error of the daemon's), pwd.
class ScriptedDaemon {
 public:
  ScriptedDaemon();
  ~ScriptedDaemon();
  ScriptedDaemon(const ScriptedDaemon&) = delete;
  ScriptedDaemon& operator=(const ScriptedDaemon&) = delete;

  [[nodiscard]] const std::string& run_dir() const { return folder_; }
  // "POST /workspace", "DELETE /workspace/ws_1", "exec destroy", "gone" (a client left before its command ended), …
  [[nodiscard]] std::vector<std::string> seen() const;
  [[nodiscard]] std::string body_of(const std::string& request) const;  // of the last such request
  // Files by path; a path that ends in '/' is a folder.
  void put_file(const std::string& path, const std::string& content);
  [[nodiscard]] std::string file(const std::string& path) const;
  // Entries of listings as raw JSON, for names that no file here can have.
  void set_listing(const std::string& path, const std::string& entries_json);
  // Answers a create only when released.
  void hold_creates(bool hold) { hold_creates_ = hold; }

 private:
  friend class ScriptedCommand;
  http::Task<http::Response> handle(http::Request& request);
  http::Task<http::Response> handle_files(http::Request& request);
  void note(std::string what);

  std::string folder_;
  mutable std::mutex mutex_;
  std::vector<std::string> seen_;
  std::map<std::string, std::string> bodies_, files_, listings_;
  std::atomic<bool> hold_creates_ = false;
  boost::asio::io_context loop_{1};
  std::unique_ptr<http::Server> server_;
  std::thread thread_;
};

}  // namespace cofferdam::cli
