// One runtime request on its way to its handler, and what handlers share.
#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/call.h"
#include "api/services.h"
#include "runtime/session.h"
#include "vm/machine.h"

namespace cofferdam::api {

struct RuntimeCall {
  Services& services;  // outlives the call, as the request does
  Call call;           // its params: what the pattern's {…} matched
  std::shared_ptr<runtime::Session> session;
  std::shared_ptr<vm::Machine> machine;  // the workspace is in use as long as somebody holds it

  [[nodiscard]] http::Request& request() const { return call.request; }
  [[nodiscard]] vm::GuestFiles& files() const { return machine->files(); }
};

using RuntimeHandler = Task<http::Response> (*)(RuntimeCall& call);

// runtime_info.cpp
Task<http::Response> runtime_health(RuntimeCall& call);
Task<http::Response> runtime_info(RuntimeCall& call);
Task<http::Response> runtime_targets(RuntimeCall& call);
Task<http::Response> runtime_desktop_status(RuntimeCall& call);
Task<http::Response> runtime_desktop_unsupported(RuntimeCall& call);

// runtime_exec.cpp
Task<http::Response> runtime_exec(RuntimeCall& call);
Task<http::Response> runtime_exec_stream(RuntimeCall& call);
Task<http::Response> runtime_exec_subscribe(RuntimeCall& call);
Task<http::Response> runtime_exec_list(RuntimeCall& call);
Task<http::Response> runtime_exec_get(RuntimeCall& call);
Task<http::Response> runtime_exec_kill(RuntimeCall& call);
Task<http::Response> runtime_exec_delete_all(RuntimeCall& call);
Task<http::Response> runtime_exec_input(RuntimeCall& call);

// runtime_files.cpp
Task<http::Response> runtime_read_file(RuntimeCall& call);
Task<http::Response> runtime_write_file(RuntimeCall& call);
Task<http::Response> runtime_make_directory(RuntimeCall& call);
Task<http::Response> runtime_stat_file(RuntimeCall& call);
Task<http::Response> runtime_delete_file(RuntimeCall& call);

// runtime_listing.cpp
Task<http::Response> runtime_list_files(RuntimeCall& call);
Task<http::Response> runtime_stream_files(RuntimeCall& call);

// runtime_search.cpp
Task<http::Response> runtime_search_content(RuntimeCall& call);
Task<http::Response> runtime_search_files(RuntimeCall& call);
Task<http::Response> runtime_search_status(RuntimeCall& call);
Task<http::Response> runtime_search_init(RuntimeCall& call);

// runtime_terminals.cpp
Task<http::Response> runtime_open_terminal(RuntimeCall& call);
Task<http::Response> runtime_list_terminals(RuntimeCall& call);
Task<http::Response> runtime_close_terminal(RuntimeCall& call);
Task<http::Response> runtime_scrollback(RuntimeCall& call);
Task<http::Response> runtime_clear_scrollback(RuntimeCall& call);
Task<http::Response> runtime_set_scrollback(RuntimeCall& call);

// runtime_watchers.cpp
Task<http::Response> runtime_add_watcher(RuntimeCall& call);
Task<http::Response> runtime_list_watchers(RuntimeCall& call);
Task<http::Response> runtime_get_watcher(RuntimeCall& call);
Task<http::Response> runtime_remove_watcher(RuntimeCall& call);

// runtime_socket.cpp
Task<http::Response> runtime_socket(RuntimeCall& call);

// runtime_transfer.cpp
Task<http::Response> runtime_download(RuntimeCall& call);
Task<http::Response> runtime_upload(RuntimeCall& call);

// runtime_proxy.cpp
Task<http::Response> runtime_proxy(RuntimeCall& call);

// A flag of the query; `otherwise` when it is absent.
Result<bool> query_flag_or(const RuntimeCall& call, std::string_view name, bool otherwise);
// A whole number of the query within its bounds; nullopt when it is absent.
Result<std::optional<std::int64_t>> query_number(const RuntimeCall& call, std::string_view name, std::int64_t min,
                                                 std::int64_t max);
// Empty when it is absent.
Result<std::string> query_text(const RuntimeCall& call, std::string_view name);
// The parts of a comma-separated list, trimmed, without empty ones.
std::vector<std::string> list_of(std::string_view text);

// A whole number of a body within its bounds; nullopt when it is absent.
Result<std::optional<std::int64_t>> number_field(const boost::json::object& object, std::string_view field,
                                                 std::int64_t min, std::int64_t max);
// An array of texts; nullopt when it is absent. At most `most` of them.
Result<std::optional<std::vector<std::string>>> texts_field(const boost::json::object& object, std::string_view field,
                                                            std::size_t most);
// "env": ["K=V", …] or {K: V}.
Result<std::vector<std::string>> env_field(const boost::json::object& object);

// A path of the guest without "//", "/./" and a slash at its end. InvalidArgument: not absolute, or with "..".
Result<std::string> clean_path(std::string_view path);
// The last part; "/" of the root.
std::string name_of(std::string_view path);
// With its dot, "" without one: ".go". Files like ".profile" have none.
std::string extension_of(std::string_view name);
bool is_code_file(std::string_view name);
std::string time_text(std::int64_t unix_ms);  // RFC 3339

std::string base64(std::string_view bytes);
// `text` as JSON text that says it is no success; for answers whose head has gone out.
std::string late_error_body(const Error& error);

}  // namespace cofferdam::api
