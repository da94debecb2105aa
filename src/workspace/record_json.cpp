#include "workspace/record_json.h"

#include "model/json.h"

namespace cofferdam::workspace {

namespace json = boost::json;
using std::chrono::system_clock;

std::int64_t to_unix_ms(system_clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

json::array to_array(const std::vector<std::string>& items) {
  json::array array;
  for (const auto& item : items) array.emplace_back(item);
  return array;
}

std::vector<std::string> get_strings(const json::object& object, std::string_view field) {
  std::vector<std::string> items;
  const json::value* value = object.if_contains(json::string_view(field.data(), field.size()));
  if (value == nullptr || !value->is_array()) return items;
  for (const auto& item : value->get_array()) {
    if (item.is_string()) items.emplace_back(item.get_string());
  }
  return items;
}

Result<std::string> get_text(const json::object& object, std::string_view field) {
  TRY_ASSIGN(auto text, model::get_string(object, "", field));
  return std::move(text).value_or("");
}

Result<std::optional<system_clock::time_point>> get_time(const json::object& object, std::string_view field) {
  TRY_ASSIGN(const auto number, model::get_number(object, "", field));
  if (!number) return std::nullopt;
  return system_clock::time_point(std::chrono::milliseconds(static_cast<std::int64_t>(*number)));
}

}  // namespace cofferdam::workspace
