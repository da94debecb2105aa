#include "cli/workspace_view.h"

#include <array>
#include <cstdio>
#include <ctime>

#include "base/text.h"
#include "cli/api.h"
#include "cli/table.h"
#include "model/units.h"

namespace cofferdam::cli {
namespace {

std::string size_of(const boost::json::object& resources, std::string_view field) {
  const double mib = number_field(resources, field);
  constexpr double kMost = 1e12;
  if (!(mib > 0) || mib > kMost) return "";
  return format_size(static_cast<std::uint64_t>(mib) * model::kMiB);
}

}  // namespace

std::string short_duration(std::chrono::seconds duration) {
  struct Unit {
    std::int64_t seconds;
    char letter;
  };
  constexpr std::array<Unit, 3> kUnits{{{86'400, 'd'}, {3'600, 'h'}, {60, 'm'}}};
  for (const auto& unit : kUnits) {
    if (duration.count() >= unit.seconds) return cat(duration.count() / unit.seconds, unit.letter);
  }
  return cat(std::max<std::int64_t>(duration.count(), 0), 's');
}

std::int64_t seconds_of_rfc3339(std::string_view text) {
  std::tm time{};
  const std::string whole(text);
  const int fields = std::sscanf(whole.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d", &time.tm_year, &time.tm_mon, &time.tm_mday,
                                 &time.tm_hour, &time.tm_min, &time.tm_sec);
  if (fields != 6 || whole.empty() || whole.back() != 'Z') return -1;
  time.tm_year -= 1900;
  time.tm_mon -= 1;
  return ::timegm(&time);
}

std::string workspace_table(const boost::json::array& workspaces, std::chrono::system_clock::time_point now) {
  const auto now_seconds = std::chrono::duration_cast<std::chrono::seconds>(now.time_since_epoch()).count();
  Table table({{"ID"},
               {"NAME"},
               {"IMAGE"},
               {"STATUS"},
               {"CPUS", Align::right},
               {"MEMORY", Align::right},
               {"DISK", Align::right},
               {"AGE", Align::right},
               {"EXPIRES", Align::right}});
  for (const auto& item : workspaces) {
    if (!item.is_object()) continue;
    const auto& workspace = item.get_object();
    const auto& resources = object_field(workspace, "resources");
    const auto created = seconds_of_rfc3339(text_field(workspace, "created_at"));
    const auto expires = seconds_of_rfc3339(text_field(object_field(workspace, "lifecycle"), "ttl_expires_at"));
    table.add({text_field(workspace, "id"), text_field(workspace, "name"), text_field(workspace, "image"),
               text_field(workspace, "status"), resources.empty() ? "" : cat(number_field(resources, "cpus")),
               size_of(resources, "memory_mb"), size_of(resources, "disk_size_mb"),
               created < 0 ? "" : short_duration(std::chrono::seconds(now_seconds - created)),
               expires < 0 ? "" : short_duration(std::chrono::seconds(expires - now_seconds))});
  }
  return table.render();
}

}  // namespace cofferdam::cli
