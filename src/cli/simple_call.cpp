#include "cli/simple_call.h"

#include <boost/json/array.hpp>

#include "base/text.h"
#include "cli/safe_text.h"
#include "cli/table.h"
#include "http/url.h"
#include "model/json.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxEvent = 1U << 20;

std::string cell(const json::object& object, const std::string& field) {
  const auto* value = object.if_contains(field);
  if (value == nullptr || value->is_null()) return "";
  if (value->is_string()) return std::string(value->get_string());
  if (value->is_bool()) return value->get_bool() ? "yes" : "no";
  if (value->is_number()) return cat(value->to_number<double>());
  std::string all;
  if (const auto* list = value->if_array()) {
    for (const auto& item : *list) {
      if (item.is_string()) all += cat(all.empty() ? "" : ",", std::string_view(item.get_string()));
    }
  }
  return all;
}

}  // namespace

Task<int> show_list(Session& session, std::string target, std::string list, std::vector<Shown> columns) {
  Api api(session);
  auto answer = co_await api.get(std::move(target));
  if (!answer) co_return session.failed(answer.error());
  if (session.json()) {
    session.print_json(std::move(*answer));
    co_return kDone;
  }
  std::vector<Table::Column> titles;
  titles.reserve(columns.size());
  for (const auto& column : columns) titles.push_back({column.title});
  Table table(std::move(titles));
  for (const auto& item : array_field(*answer, list)) {
    if (!item.is_object()) continue;
    std::vector<std::string> cells;
    cells.reserve(columns.size());
    for (const auto& column : columns) cells.push_back(cell(item.get_object(), column.field));
    table.add(std::move(cells));
  }
  session.print(table.render());
  co_return kDone;
}

Task<int> make_call(Session& session, std::string method, std::string target, json::object body, Say say) {
  Api api(session);
  auto answer = co_await api.call(std::move(method), std::move(target), std::move(body));
  if (!answer) co_return session.failed(answer.error());
  if (session.json()) {
    session.print_json(std::move(*answer));
  } else if (const auto text = say(*answer); !text.empty()) {
    session.print(cat(printable_lines(text), "\n"));
  }
  co_return kDone;
}

std::string target_of(std::string_view base, std::string_view name, std::string_view rest) {
  return cat(base, "/", http::percent_encode(name), rest);
}

std::string namespace_query(const std::string& space) {
  return space.empty() ? "" : cat("?namespace=", http::percent_encode(space));
}

Task<void> follow_events(http::ClientResponse& response, std::function<void(const json::object&)> take) {
  constexpr std::string_view kData = "data: ";
  std::string pending;
  for (;;) {
    CO_TRY_ASSIGN(const std::string piece, co_await response.next());
    if (piece.empty()) co_return Status{};
    pending += piece;
    for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
      const auto line = pending.substr(0, end);
      pending.erase(0, end + 1);
      if (!starts_with(line, kData)) continue;
      const auto event = model::parse_json(std::string_view(line).substr(kData.size()));
      if (event && event->is_object()) take(event->get_object());
    }
    if (pending.size() > kMaxEvent) co_return fail(Code::OutOfRange, "the daemon sent an event that is too long");
  }
}

}  // namespace cofferdam::cli
