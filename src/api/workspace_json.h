// JSON forms of workspaces and of what is in them.
#pragma once
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <optional>

#include "http/message.h"
#include "vm/machine.h"
#include "workspace/manager.h"

namespace cofferdam::api {

// `space`: the slug of its namespace. `memory`: where the object and all in it live.
boost::json::object to_json(const workspace::Info& info, const std::string& space,
                            const boost::json::storage_ptr& memory = {});
// The answer that is one workspace.
http::Response workspace_answer(const workspace::Info& info, const std::string& space);
// The part of the same that is its configuration. Of the environment the names alone: values may be secret.
boost::json::object config_to_json(const workspace::Info& info, const boost::json::storage_ptr& memory = {});
boost::json::object lifecycle_to_json(const workspace::Info& info, const boost::json::storage_ptr& memory = {});
boost::json::object resources_to_json(const workspace::Info& info, const boost::json::storage_ptr& memory = {});
boost::json::value idle_to_json(const std::optional<model::IdlePolicy>& idle,
                                const boost::json::storage_ptr& memory = {});
boost::json::object to_json(const workspace::PoolInfo& pool);
boost::json::object to_json(const vm::GuestMetrics& metrics);
boost::json::object to_json(const vm::HostMetrics& metrics);
boost::json::object to_json(const vm::GuestProcessInfo& process);
std::string_view type_name(vm::FileType type);  // "file", "directory", "symlink", "other"
// {type, size, mode: "0644", uid, gid, modified}; the name or path is the caller's to add.
boost::json::object to_json(const vm::FileInfo& file);
// `bytes` under `field`, and exactly, in hexadecimal, under "<field>_hex" when they are no UTF-8.
void put_text(boost::json::object& object, std::string_view field, std::string_view bytes);
boost::json::value time_or_null(const std::optional<std::chrono::system_clock::time_point>& time,
                                const boost::json::storage_ptr& memory = {});
boost::json::value seconds_or_null(const std::optional<std::chrono::milliseconds>& duration);

std::string octal_mode(std::uint32_t mode);  // "0644"
// Octal text or a number; at most 07777.
Result<std::uint32_t> parse_mode(std::string_view octal);
Result<std::optional<std::uint32_t>> mode_field(const boost::json::object& object);

// What a create asks for: model::workspace_spec_from_json, and an older spelling of the disk's size.
Result<model::WorkspaceSpec> spec_of_create(const boost::json::object& body);
// Null, or nothing but 0, is no policy; validated.
Result<std::optional<model::IdlePolicy>> idle_field(const boost::json::value& value, std::string_view path);
Result<std::optional<model::TtlAction>> ttl_action_field(const boost::json::object& object, std::string_view path);
Result<std::optional<model::RestartPolicy>> restart_policy_field(const boost::json::object& object,
                                                                 std::string_view path);
Result<std::optional<model::OnExit>> on_exit_field(const boost::json::object& object, std::string_view path);
// cpus, memory_mb, disk_size_mb (or writable_size_mb).
Result<workspace::Resources> resources_fields(const boost::json::object& object, std::string_view path);

}  // namespace cofferdam::api
