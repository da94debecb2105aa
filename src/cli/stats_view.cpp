#include "cli/stats_view.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "base/text.h"
#include "cli/api.h"
#include "cli/safe_text.h"
#include "cli/table.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr int kMaxDepth = 4;
constexpr double kMaxBytes = 9e18;

bool ends_with(std::string_view text, std::string_view end) {
  return text.size() >= end.size() && text.substr(text.size() - end.size()) == end;
}

struct Unit {
  std::string_view ending;
  double factor;
  enum class Kind { bytes, seconds, percent, milli } kind;
};
constexpr std::array<Unit, 9> kUnits{{{"_bytes", 1, Unit::Kind::bytes},
                                      {"_kib", 1024, Unit::Kind::bytes},
                                      {"_mib", 1048576, Unit::Kind::bytes},
                                      {"_mb", 1048576, Unit::Kind::bytes},
                                      {"_ms", 1e-3, Unit::Kind::seconds},
                                      {"_us", 1e-6, Unit::Kind::seconds},
                                      {"_seconds", 1, Unit::Kind::seconds},
                                      {"_percent", 1, Unit::Kind::percent},
                                      {"_milli", 1e-3, Unit::Kind::milli}}};

const Unit* unit_of(std::string_view name) {
  const auto* found =
      std::find_if(kUnits.begin(), kUnits.end(), [name](const Unit& unit) { return ends_with(name, unit.ending); });
  return found == kUnits.end() ? nullptr : found;
}

// "guest", "memory_used_kib" -> "guest memory used".
std::string readable(std::string_view prefix, std::string_view name) {
  if (const auto* unit = unit_of(name)) name.remove_suffix(unit->ending.size());
  std::string words(name);
  std::replace(words.begin(), words.end(), '_', ' ');
  return prefix.empty() ? words : cat(prefix, " ", words);
}

std::string value_text(std::string_view name, const json::value& value) {
  if (value.is_number()) return figure_text(name, value.to_number<double>());
  if (value.is_string()) return std::string(value.get_string());
  if (value.is_bool()) return value.get_bool() ? "yes" : "no";
  if (const auto* list = value.if_array()) {
    std::string words;
    for (const auto& item : *list) words += cat(words.empty() ? "" : " ", value_text("", item));
    return words;
  }
  return "";
}

void add_figures(Table& table, const std::string& prefix, const json::object& figures, int depth) {
  for (const auto& [key, value] : figures) {
    const std::string_view name(key.data(), key.size());
    if (value.is_object()) {
      if (depth < kMaxDepth) add_figures(table, readable(prefix, name), value.get_object(), depth + 1);
    } else {
      table.add({readable(prefix, name), value_text(name, value)});
    }
  }
}

std::string upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::toupper(c); });
  return text;
}

std::string process_table(const json::array& processes) {
  if (processes.empty() || !processes.front().is_object()) return "";
  std::vector<std::string> keys;
  std::vector<Table::Column> columns;
  for (const auto& [key, value] : processes.front().get_object()) {
    keys.emplace_back(key);
    columns.push_back({upper(printable(readable("", keys.back()))), value.is_number() ? Align::right : Align::left});
  }
  Table table(std::move(columns));
  for (const auto& item : processes) {
    if (!item.is_object()) continue;
    std::vector<std::string> cells;
    for (const auto& key : keys) {
      const auto* value = item.get_object().if_contains(key);
      cells.push_back(value == nullptr ? "" : value_text(key, *value));
    }
    table.add(std::move(cells));
  }
  return cat("\n", table.render(Table::Empty::hide));
}

}  // namespace

std::string figure_text(std::string_view name, double value) {
  const auto* unit = unit_of(name);
  char text[64];
  if (unit != nullptr && unit->kind == Unit::Kind::bytes && value >= 0 && value * unit->factor < kMaxBytes) {
    return format_size(static_cast<std::uint64_t>(value * unit->factor));
  }
  if (unit != nullptr && unit->kind == Unit::Kind::seconds) {
    std::snprintf(text, sizeof text, "%.3f s", value * unit->factor);
  } else if (unit != nullptr && unit->kind == Unit::Kind::percent) {
    std::snprintf(text, sizeof text, "%.1f %%", value);
  } else if (unit != nullptr && unit->kind == Unit::Kind::milli) {
    std::snprintf(text, sizeof text, "%.2f", value * unit->factor);
  } else if (value == std::floor(value)) {
    std::snprintf(text, sizeof text, "%.0f", value);
  } else {
    std::snprintf(text, sizeof text, "%.2f", value);
  }
  return text;
}

std::string stats_text(std::string_view workspace, const json::object& answer) {
  Table table({{"WORKSPACE"}, {std::string(workspace)}});
  add_figures(table, "", object_field(answer, "stats"), 0);
  return cat(table.render(), process_table(array_field(answer, "processes")));
}

}  // namespace cofferdam::cli
