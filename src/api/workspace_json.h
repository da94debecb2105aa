// JSON forms of workspaces and of what is in them.
#pragma once
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <optional>

#include "vm/machine.h"
#include "workspace/manager.h"

namespace cofferdam::api {

boost::json::object to_json(const workspace::Info& info);
boost::json::object to_json(const workspace::PoolInfo& pool);
boost::json::object to_json(const vm::GuestMetrics& metrics);
boost::json::object to_json(const vm::HostMetrics& metrics);
boost::json::object to_json(const vm::GuestProcessInfo& process);
// {type, size, mode: "0644", uid, gid, modified}; the name or path is the caller's to add.
boost::json::object to_json(const vm::FileInfo& file);
// `bytes` under `field`, and exactly, in hexadecimal, under "<field>_hex" when they are no UTF-8.
void put_text(boost::json::object& object, std::string_view field, std::string_view bytes);

std::string octal_mode(std::uint32_t mode);  // "0644"
// Octal text or a number; at most 07777.
Result<std::uint32_t> parse_mode(std::string_view octal);
Result<std::optional<std::uint32_t>> mode_field(const boost::json::object& object);

// The field "ttl": a number of seconds, a text such as "30m", or null for no end. Absent is an error.
Result<std::optional<std::chrono::milliseconds>> ttl_field(const boost::json::object& object);

}  // namespace cofferdam::api
