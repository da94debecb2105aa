// The figures of a workspace as people read them.
#pragma once
#include <boost/json/object.hpp>
#include <string>
#include <string_view>

namespace cofferdam::cli {

// A line a figure, named after its place in "stats", and the processes as a table. New figures of the daemon show
// without a change here: the unit is the end of the name (_bytes, _kib, _mb, _ms, _us, _percent).
std::string stats_text(std::string_view workspace, const boost::json::object& answer);

// "536870912", "memory_bytes" -> "512 MiB".
std::string figure_text(std::string_view name, double value);

}  // namespace cofferdam::cli
