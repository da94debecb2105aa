// How the records of this room are written: what their JSON forms share. What is read here was written by this program,
// perhaps by an older version of it.
#pragma once
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::workspace {

std::int64_t to_unix_ms(std::chrono::system_clock::time_point time);
boost::json::array to_array(const std::vector<std::string>& items);

// Absent is empty; so is what is no list of texts.
std::vector<std::string> get_strings(const boost::json::object& object, std::string_view field);
// Absent is empty.
Result<std::string> get_text(const boost::json::object& object, std::string_view field);
Result<std::optional<std::chrono::system_clock::time_point>> get_time(const boost::json::object& object,
                                                                      std::string_view field);

}  // namespace cofferdam::workspace
