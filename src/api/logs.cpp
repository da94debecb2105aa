// The logs of a workspace: of its life, and of commands whose output is kept.
#include <algorithm>
#include <boost/json/array.hpp>

#include "api/event_answer.h"
#include "api/handlers.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using workspace::LogLine;
using workspace::LogSource;

constexpr std::uint64_t kDefaultTail = 100;
constexpr std::uint64_t kMaxTail = 10'000;

json::object to_json(const LogLine& line) {
  const auto text = to_utf8(line.message);
  return {{"timestamp", format_rfc3339(line.time)}, {"message", text}, {"line", text}};
}

std::string file_text(const std::vector<LogLine>& lines) {
  std::string text;
  for (const auto& line : lines) text += cat("[", format_rfc3339(line.time), "] ", to_utf8(line.message), "\n");
  return text;
}

Result<LogSource> source_of(std::string_view name) {
  if (name == "boot") return LogSource::boot;
  if (name == "cmd") return LogSource::cmd;
  return fail(Code::InvalidArgument, "the query parameter 'source' must be boot or cmd");
}

Task<void> send_lines(std::shared_ptr<loop::Feed<LogLine>> feed, std::vector<LogLine> before,
                      std::shared_ptr<http::EventPipe> pipe) {
  for (const auto& line : before) CO_TRY(co_await send_event(*pipe, to_json(line)));
  for (;;) {
    CO_TRY_ASSIGN(const auto line, co_await feed->next());
    if (!line) co_return Status{};
    CO_TRY(co_await send_event(*pipe, to_json(*line)));
  }
}

Task<http::Response> stream_log(Services& services, Call& call, LogSource source) {
  CO_TRY_ASSIGN(const auto tail, query_whole(call, "tail_lines", 0, 0, kMaxTail));
  // First the subscription, then what came before it: a line may come twice, and none is missed.
  CO_TRY_ASSIGN(auto feed, services.manager.follow_logs(call.id(), source));
  CO_TRY_ASSIGN(auto before, co_await services.manager.logs(call.id(), source, std::max<std::uint64_t>(tail, 1)));
  if (tail == 0) before.clear();
  auto produce = [feed = std::move(feed), before = std::move(before)](std::shared_ptr<http::EventPipe> pipe) {
    return send_lines(feed, before, std::move(pipe));
  };
  co_return stream_events(services, "log of a workspace", std::move(produce));
}

}  // namespace

Task<http::Response> get_logs(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto name, query_text(call, "source"));
  CO_TRY_ASSIGN(const auto source, source_of(name.value_or("boot")));
  CO_TRY_ASSIGN(const auto tail, query_whole(call, "tail_lines", kDefaultTail, 0, kMaxTail));
  CO_TRY_ASSIGN(const auto lines, co_await services.manager.logs(call.id(), source, tail));
  json::array logs;
  for (const auto& line : lines) logs.emplace_back(to_json(line));
  co_return answer({{"logs", std::move(logs)}, {"source", name.value_or("boot")}});
}

Task<http::Response> clear_logs(Services& services, Call& call) {
  CO_TRY(co_await services.manager.clear_logs(call.id()));
  co_return answer({{"cleared", true}});
}

Task<http::Response> get_boot_log(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto machine, services.manager.machine(call.id()));
  http::Response response;
  CO_TRY_ASSIGN(response.body, co_await machine->console());
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  co_return response;
}

Task<http::Response> list_log_files(Services& services, Call& call) {
  json::array files;
  for (const auto& [name, source] : {std::pair{"boot", LogSource::boot}, std::pair{"cmd", LogSource::cmd}}) {
    CO_TRY_ASSIGN(const auto lines, co_await services.manager.logs(call.id(), source, 0));
    json::object file{{"name", cat(name, ".log")}, {"size", file_text(lines).size()}};
    if (!lines.empty()) file["modified"] = format_rfc3339(lines.back().time);
    files.emplace_back(std::move(file));
  }
  co_return answer({{"files", std::move(files)}});
}

Task<http::Response> get_log_file(Services& services, Call& call) {
  const auto& name = call.params[1];
  if (name != "boot.log" && name != "cmd.log" && name != "boot" && name != "cmd") {
    co_return fail(Code::NotFound, cat("there is no log '", name.substr(0, 64), "'"), "there are boot.log and cmd.log");
  }
  const auto source = name.starts_with("boot") ? LogSource::boot : LogSource::cmd;
  CO_TRY_ASSIGN(const auto lines, co_await services.manager.logs(call.id(), source, 0));
  const auto text = file_text(lines);
  co_return answer({{"name", name}, {"content", text}, {"size", text.size()}});
}

Task<http::Response> stream_boot_log(Services& services, Call& call) {
  return stream_log(services, call, LogSource::boot);
}

Task<http::Response> stream_cmd_log(Services& services, Call& call) {
  return stream_log(services, call, LogSource::cmd);
}

}  // namespace cofferdam::api
