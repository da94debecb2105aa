// Workspaces as people read them.
#pragma once
#include <boost/json/array.hpp>
#include <chrono>
#include <string>
#include <string_view>

namespace cofferdam::cli {

// ID NAME IMAGE STATUS CPUS MEMORY DISK AGE EXPIRES, a row each.
std::string workspace_table(const boost::json::array& workspaces, std::chrono::system_clock::time_point now);

// "45s", "12m", "3h", "5d": whole units, the largest that is not 0; negative is "0s".
std::string short_duration(std::chrono::seconds duration);

// The seconds since the epoch of an RFC 3339 time in UTC ("2026-01-31T23:59:59.123Z"); -1 when it is none.
std::int64_t seconds_of_rfc3339(std::string_view text);

}  // namespace cofferdam::cli
