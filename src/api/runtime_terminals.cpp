// Terminals. What they say and hear goes over /ws.
#include "api/runtime_call.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using runtime::TerminalInfo;

constexpr std::size_t kMaxWords = 4096;
constexpr std::int64_t kMaxSize = 4096;
constexpr int kCreated = 201;
constexpr int kLastId = 255;

json::object to_json(const TerminalInfo& terminal) {
  json::array command;
  for (const auto& word : terminal.command) command.emplace_back(to_utf8(word));
  json::object object{{"id", std::to_string(terminal.id)},
                      {"command", std::move(command)},
                      {"cols", terminal.cols},
                      {"rows", terminal.rows},
                      {"alive", terminal.alive},
                      {"created_at", format_rfc3339(terminal.created_at)},
                      {"scrollback_size", terminal.scrollback}};
  if (terminal.exit_code) object["exit_code"] = *terminal.exit_code;
  return object;
}

Result<std::uint8_t> id_of(const RuntimeCall& call) {
  const auto id = parse_int("terminal", call.call.id(), 1, kLastId);
  if (!id) return fail(Code::NotFound, cat("there is no terminal '", call.call.id(), "' in this workspace"));
  return static_cast<std::uint8_t>(*id);
}

Result<std::vector<std::string>> command_of(const json::object& body) {
  for (const std::string_view field : {"cmd", "command"}) {
    const json::value* value = body.if_contains(field);
    if (value == nullptr || value->is_null()) continue;
    if (const auto* one = value->if_string()) return std::vector<std::string>{std::string(*one)};
    TRY_ASSIGN(auto words, texts_field(body, field, kMaxWords));
    if (words && !words->empty()) return std::move(*words);
  }
  return std::vector<std::string>{};
}

// The shell that people expect, where the image has it.
Task<std::vector<std::string>> default_shell(RuntimeCall& call) {
  const bool bash = (co_await call.files().stat("/bin/bash")).has_value();
  std::vector<std::string> command{bash ? "/bin/bash" : "/bin/sh"};
  co_return command;
}

}  // namespace

Task<http::Response> runtime_open_terminal(RuntimeCall& call) {
  CO_TRY_ASSIGN(const json::object body, co_await read_object(call.call));
  runtime::TerminalRequest request;
  request.by = call.call.who().origin();
  CO_TRY_ASSIGN(request.command, command_of(body));
  if (request.command.empty()) {
    CO_TRY_ASSIGN(request.command, co_await default_shell(call));
  }
  CO_TRY_ASSIGN(const auto cols, number_field(body, "cols", 1, kMaxSize));
  CO_TRY_ASSIGN(const auto rows, number_field(body, "rows", 1, kMaxSize));
  request.cols = static_cast<std::uint16_t>(cols.value_or(request.cols));
  request.rows = static_cast<std::uint16_t>(rows.value_or(request.rows));
  CO_TRY_ASSIGN(const auto scrollback, number_field(body, "scrollback_size", 0, runtime::kMaxScrollback));
  request.scrollback = static_cast<std::size_t>(scrollback.value_or(runtime::kDefaultScrollback));
  CO_TRY_ASSIGN(request.env, env_field(body));
  CO_TRY_ASSIGN(const auto cwd, model::get_string(body, "", "cwd"));
  request.cwd = cwd.value_or("");
  CO_TRY_ASSIGN(const auto user, model::get_string(body, "", "user"));
  request.user = user.value_or("");
  CO_TRY_ASSIGN(const TerminalInfo opened, co_await call.session->terminals().open(std::move(request)));
  co_return answer(to_json(opened), kCreated);
}

Task<http::Response> runtime_list_terminals(RuntimeCall& call) {
  json::array terminals;
  for (const auto& terminal : call.session->terminals().list()) terminals.emplace_back(to_json(terminal));
  co_return answer({{"terminals", std::move(terminals)}});
}

Task<http::Response> runtime_close_terminal(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::uint8_t id, id_of(call));
  CO_TRY(call.session->terminals().close(id));
  co_return answer({{"terminal_id", std::to_string(id)}});
}

Task<http::Response> runtime_scrollback(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::uint8_t id, id_of(call));
  CO_TRY_ASSIGN(const auto bytes, query_number(call, "bytes", 0, INT64_MAX));
  CO_TRY_ASSIGN(const TerminalInfo terminal, call.session->terminals().get(id));
  const auto most = static_cast<std::size_t>(bytes.value_or(INT64_MAX));
  CO_TRY_ASSIGN(const std::string kept, call.session->terminals().scrollback(id, most));
  co_return answer({{"scrollback", base64(kept)},
                    {"size", kept.size()},
                    {"alive", terminal.alive},
                    {"exit_code", terminal.exit_code.value_or(0)}});
}

Task<http::Response> runtime_clear_scrollback(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::uint8_t id, id_of(call));
  CO_TRY(call.session->terminals().clear_scrollback(id));
  co_return answer({{"terminal_id", std::to_string(id)}});
}

Task<http::Response> runtime_set_scrollback(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::uint8_t id, id_of(call));
  CO_TRY_ASSIGN(const json::object body, co_await read_object(call.call));
  CO_TRY_ASSIGN(const auto bound, number_field(body, "scrollback_size", 0, runtime::kMaxScrollback));
  if (!bound) co_return fail(Code::InvalidArgument, "/scrollback_size: is missing");
  CO_TRY(call.session->terminals().set_scrollback(id, static_cast<std::size_t>(*bound)));
  CO_TRY_ASSIGN(const TerminalInfo terminal, call.session->terminals().get(id));
  co_return answer(to_json(terminal));
}

}  // namespace cofferdam::api
