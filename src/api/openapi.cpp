#include "api/openapi.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <cctype>

#include "api/handlers.h"
#include "base/text.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

// Of the bodies: what is known of each. Everything else in a body is passed over.
constexpr std::string_view kSchemas = R"json({
"Error": {"type": "object", "required": ["success", "error", "code", "message"], "properties": {
  "success": {"const": false}, "error": {"type": "string"}, "code": {"type": "string"}, "message": {"type": "string"},
  "hint": {"type": "string"}, "requestId": {"type": "string"}}},
"Duration": {"oneOf": [{"type": "number", "description": "seconds"}, {"type": "string", "examples": ["30m"]}]},
"Labels": {"type": "object", "additionalProperties": {"type": "string"}},
"Idle": {"type": "object", "properties": {"suspend_after": {"$ref": "#/components/schemas/Duration"},
  "stop_after": {"$ref": "#/components/schemas/Duration"}}},
"Config": {"type": "object", "properties": {"cpus": {"type": "number"}, "memory_mb": {"type": "integer"},
  "disk_size_mb": {"type": "integer"}, "ttl": {"$ref": "#/components/schemas/Duration"},
  "ttl_action": {"enum": ["remove", "stop", "pause", "suspend"]}, "remove_on_exit": {"type": "boolean"},
  "restart_policy": {"enum": ["never", "on-failure", "always"]}, "max_restarts": {"type": "integer"},
  "idle": {"$ref": "#/components/schemas/Idle"}, "env": {"type": "array"},
  "secrets": {"type": "array", "items": {"type": "string"}}, "cmd": {"type": ["string", "array"]},
  "keep_logs": {"type": "boolean"}, "writable_size_mb": {"type": "integer"}, "wait_for_init": {"type": "boolean"},
  "ready_check": {"$ref": "#/components/schemas/ReadyCheck"},
  "workloads": {"type": "array", "items": {"$ref": "#/components/schemas/WorkloadCreate"}}}},
"ReadyCheck": {"type": "object", "required": ["command"], "properties": {
  "command": {"type": "array", "items": {"type": "string"}}, "target": {"type": "string"},
  "timeout_seconds": {"type": "integer", "maximum": 240}}},
"WorkspaceCreate": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 255},
  "slug": {"type": "string"}, "logo": {"type": "string"}, "image": {"type": "string"}, "namespace": {"type": "string"},
  "mode": {"enum": ["temporary", "permanent"]}, "idempotency_key": {"type": "string", "maxLength": 255},
  "metadata": {"$ref": "#/components/schemas/Labels"}, "config": {"$ref": "#/components/schemas/Config"}}},
"WorkspaceUpdate": {"type": "object", "properties": {"name": {"type": "string"}, "slug": {"type": ["string", "null"]},
  "logo": {"type": ["string", "null"]}, "config": {"$ref": "#/components/schemas/Config"}}},
"Start": {"type": "object", "properties": {"force": {"type": "boolean"}}},
"Ping": {"type": "object", "properties": {"ttl_seconds": {"type": "number"}}},
"MakePermanent": {"type": "object", "properties": {"restart_policy": {"enum": ["never", "on-failure", "always"]}}},
"MakeTemporary": {"type": "object", "properties": {"ttl": {"$ref": "#/components/schemas/Duration"},
  "ttl_action": {"enum": ["remove", "stop", "pause", "suspend"]}, "remove_on_exit": {"type": "boolean"}}},
"Ttl": {"type": "object", "properties": {"ttl": {"$ref": "#/components/schemas/Duration"},
  "ttl_action": {"enum": ["remove", "stop", "pause", "suspend"]}}},
"Resources": {"type": "object", "properties": {"cpus": {"type": "number"}, "memory_mb": {"type": "integer"},
  "disk_size_mb": {"type": "integer"}, "apply": {"type": "boolean"}}},
"Metadata": {"type": "object", "required": ["metadata"],
  "properties": {"metadata": {"$ref": "#/components/schemas/Labels"}}},
"Network": {"type": "object", "properties": {"allow_internet": {"type": "boolean"}, "public_access": {"type": "boolean"},
  "ingress_ports": {"type": "array"}, "egress": {"type": "array", "items": {"type": "string"}, "maxItems": 50},
  "egress_ports": {"type": "array"}, "private_link_ids": {"type": "array", "items": {"type": "string"}},
  "outbound_mode": {"enum": ["managed", "custom"]}, "custom_proxy": {"type": ["object", "null"],
    "required": ["host", "port"], "properties": {"host": {"type": "string"}, "port": {"type": "integer"},
    "protocol": {"enum": ["http"]}, "username": {"type": "string"}, "password": {"type": "string", "writeOnly": true},
    "keep_credentials": {"type": "boolean"}, "resolves": {"type": "boolean"}}}}},
"Expose": {"type": "object", "required": ["port"], "properties": {"port": {"type": "integer"},
  "slug": {"type": "string"}, "label": {"type": "string"}, "token": {"type": "boolean"}, "force": {"type": "boolean"}}},
"ExposeChange": {"type": "object", "required": ["slug"], "properties": {"slug": {"type": "string"}}},
"LinkCreate": {"type": "object", "required": ["from", "to", "ports"], "properties": {"from": {"type": "string"},
  "to": {"type": "string"}, "ports": {"type": ["array", "string", "integer"]}, "note": {"type": "string"},
  "ttl": {"$ref": "#/components/schemas/Duration"}}},
"Contain": {"type": "object", "properties": {"why": {"type": "string", "maxLength": 500}}},
"Release": {"type": "object", "required": ["why"], "properties": {"why": {"type": "string", "maxLength": 500}}},
"Evidence": {"type": "object", "properties": {"snapshot": {"type": "string"},
  "recipients": {"type": "array", "items": {"type": "string"}, "maxItems": 16}}},
"EvidenceOpen": {"type": "object", "properties": {"snapshot": {"type": "string"}, "name": {"type": "string"},
  "ttl": {"$ref": "#/components/schemas/Duration"}}},
"Drill": {"type": "object", "properties": {"snapshot": {"type": "string"},
  "check": {"type": "array", "items": {"type": "string"}}, "timeout_seconds": {"type": "integer", "maximum": 240}}},
"WorkloadCreate": {"type": "object", "required": ["cmd"], "properties": {"id": {"type": "string"},
  "name": {"type": "string"}, "cmd": {"type": "array", "items": {"type": "string"}},
  "env": {"type": "array", "items": {"type": "string"}}, "working_dir": {"type": "string"}, "user": {"type": "string"},
  "restart_policy": {"enum": ["never", "on-failure", "always"]}, "max_restarts": {"type": "integer"},
  "restart_delay": {"$ref": "#/components/schemas/Duration"}, "restart_backoff": {"type": "number"},
  "enabled": {"type": "boolean"}, "vm_on_exit": {"enum": ["pause", "stop", "exit", ""]},
  "labels": {"$ref": "#/components/schemas/Labels"},
  "annotations": {"$ref": "#/components/schemas/Labels"}, "max_log_size_mb": {"type": "integer"}}},
"WorkloadUpdate": {"type": "object", "properties": {"name": {"type": "string"},
  "restart_policy": {"enum": ["never", "on-failure", "always"]}, "max_restarts": {"type": "integer"},
  "enabled": {"type": "boolean"}, "labels": {"$ref": "#/components/schemas/Labels"}}},
"SnapshotCreate": {"type": "object", "properties": {"after": {"enum": ["resume", "paused", "pause", "stop"]}}},
"Restore": {"type": "object", "properties": {"snapshot": {"type": "string"}}},
"Fork": {"type": "object", "properties": {"snapshot": {"type": "string"}, "name": {"type": "string"},
  "count": {"type": "integer", "minimum": 1, "maximum": 64}, "with_secrets": {"type": "boolean"}}},
"ArchiveCreate": {"type": "object", "properties": {"version": {"type": ["string", "integer"]},
  "format": {"enum": ["tar.zst"]}, "vm_paths": {"type": "array", "items": {"type": "string"}},
  "exclude_vm_paths": {"type": "array", "items": {"type": "string"}}}},
"ArchiveRestore": {"type": "object", "properties": {"dest": {"type": "string"}}},
"Hold": {"type": "object", "properties": {"reason": {"type": "string", "maxLength": 500}}},
"MakeDirectory": {"type": "object", "required": ["path"], "properties": {"path": {"type": "string"},
  "mode": {"type": ["string", "integer"]}, "parents": {"type": "boolean"}, "owner": {"type": "string"}}},
"DeleteFile": {"type": "object", "required": ["path"], "properties": {"path": {"type": "string"},
  "recursive": {"type": "boolean"}}},
"RenameFile": {"type": "object", "required": ["from", "to"], "properties": {"from": {"type": "string"},
  "to": {"type": "string"}}},
"NamespaceCreate": {"type": "object", "properties": {"name": {"type": "string"}, "slug": {"type": "string"},
  "description": {"type": "string"}, "type": {"enum": ["default", "production", "staging", "development", "testing"]},
  "isDefault": {"type": "boolean"}, "metadata": {"type": "object"},
  "tags": {"type": "array", "items": {"type": "string"}}, "resource_limits": {"$ref": "#/components/schemas/Limits"}}},
"NamespaceUpdate": {"type": "object", "properties": {"name": {"type": "string"}, "description": {"type": "string"},
  "status": {"enum": ["active", "inactive", "suspended"]}, "metadata": {"type": "object"},
  "tags": {"type": "array", "items": {"type": "string"}}, "resource_limits": {"$ref": "#/components/schemas/Limits"}}},
"Limits": {"type": ["object", "null"], "properties": {"max_workspaces": {"type": ["integer", "null"]},
  "max_vcpus": {"type": ["integer", "null"]}, "max_ram_mb": {"type": ["integer", "null"]},
  "max_disk_gb": {"type": ["integer", "null"]}}},
"NamespaceRemove": {"type": "object", "properties": {"deleteWorkspaces": {"type": "boolean"}}},
"TokenCreate": {"type": "object", "required": ["scope"], "properties": {
  "scope": {"enum": ["namespace", "workspace", "account"]}, "namespace": {"type": "string"},
  "workspaceId": {"type": "string"}, "workspaces": {"type": "array", "items": {"type": "string"}},
  "kind": {"enum": ["control", "runtime"]}, "verbs": {"type": "array", "items": {"enum":
    ["read", "exec", "files", "lifecycle", "network", "secrets", "tokens", "admin"]}},
  "ttl": {"$ref": "#/components/schemas/Duration"}, "sources": {"type": "array", "items": {"type": "string"}},
  "label": {"type": "string", "maxLength": 255}}},
"TokenRotate": {"type": "object", "properties": {"grace_seconds": {"type": "integer", "maximum": 86400}}},
"SecretSet": {"type": "object", "required": ["value"], "properties": {"name": {"type": "string"},
  "value": {"type": "string", "maxLength": 65536}, "namespace": {"type": "string"}}},
"WebhookCreate": {"type": "object", "required": ["url", "events"], "properties": {"url": {"type": "string"},
  "events": {"type": "array", "items": {"type": "string"}}, "secret": {"type": "string"},
  "description": {"type": "string"}, "namespace": {"type": "string"}}},
"WebhookUpdate": {"type": "object", "properties": {"url": {"type": "string"},
  "events": {"type": "array", "items": {"type": "string"}}, "secret": {"type": ["string", "null"]},
  "description": {"type": ["string", "null"]}, "namespace": {"type": ["string", "null"]},
  "active": {"type": "boolean"}}},
"ImageBuild": {"type": "object", "properties": {"rebuild": {"type": "boolean"}}},
"ImageImport": {"type": "object", "required": ["path", "name"], "properties": {"path": {"type": "string"},
  "name": {"type": "string"}}},
"QuotaSet": {"type": "object", "required": ["namespace", "service", "quotaLimit"], "properties": {
  "namespace": {"type": "string"}, "service": {"enum": ["workspace_vm", "sandbox"]}, "quotaLimit": {"type": "number"},
  "overdraft": {"type": "number"}, "onOverdraftAction": {"enum": ["block", "stop_workspaces"]},
  "notificationThresholds": {"type": ["array", "null"], "items": {"type": "integer"}}}},
"QuotaReset": {"type": "object", "required": ["namespace", "service"], "properties": {"namespace": {"type": "string"},
  "service": {"enum": ["workspace_vm", "sandbox"]}}},
"QuotaDefault": {"type": "object", "required": ["service"], "properties": {
  "service": {"enum": ["workspace_vm", "sandbox"]}, "quotaLimit": {"type": "number"}, "autoApply": {"type": "boolean"},
  "level": {"const": "namespace"}}},
"QuotaService": {"type": "object", "required": ["service"], "properties": {
  "service": {"enum": ["workspace_vm", "sandbox"]}, "level": {"const": "namespace"}}},
"Shutdown": {"type": "object", "properties": {"keep_permanent": {"type": "boolean"}}},
"Backup": {"type": "object", "required": ["passphrase"], "properties": {
  "passphrase": {"type": "string", "minLength": 8, "maxLength": 1024}}}
})json";

json::object reference(std::string_view schema) { return {{"$ref", cat("#/components/schemas/", schema)}}; }

json::object parameter(std::string_view name, std::string_view place) {
  return {{"name", name}, {"in", place}, {"required", place == "path"}, {"schema", {{"type", "string"}}}};
}

std::string lower(std::string_view text) {
  std::string low(text);
  std::transform(low.begin(), low.end(), low.begin(), [](unsigned char c) { return std::tolower(c); });
  return low;
}

json::array parameters_of(const Route& route) {
  json::array parameters;
  for (const auto& part : split(route.pattern, '/')) {
    if (part.starts_with('{')) parameters.emplace_back(parameter(part.substr(1, part.size() - 2), "path"));
  }
  if (route.query.empty()) return parameters;
  for (const auto& name : split(route.query, ',')) parameters.emplace_back(parameter(name, "query"));
  return parameters;
}

json::object operation_of(const Route& route) {
  const bool refused = route.handler == &refuse;
  json::object operation{{"summary", refused ? cat("Answered 501: ", route.summary) : std::string(route.summary)},
                         {"operationId", cat(lower(route.method), route.pattern)},
                         {"tags", {split(route.pattern, '/').at(1)}},
                         {"x-coffer-verb", identity::verb_name(route.verb)}};
  auto parameters = parameters_of(route);
  if (!parameters.empty()) operation["parameters"] = std::move(parameters);
  if (!route.body.empty()) {
    operation["requestBody"] = json::object{{"content", {{"application/json", {{"schema", reference(route.body)}}}}}};
  }
  json::object responses;
  if (!refused) responses["2XX"] = json::object{{"description", "done; an object with \"success\": true"}};
  responses["default"] = json::object{{"description", refused ? "not_supported" : "not done"},
                                      {"content", {{"application/json", {{"schema", reference("Error")}}}}}};
  operation["responses"] = std::move(responses);
  if (route.reach == Reach::open) operation["security"] = json::array{};
  return operation;
}

}  // namespace

json::object openapi_document(std::span<const Route> routes, std::string_view version) {
  json::object paths;
  for (const auto& route : routes) {
    auto& path = paths[json::string_view(route.pattern.data(), route.pattern.size())];
    if (path.is_null()) path = json::object{};
    path.as_object()[lower(route.method)] = operation_of(route);
  }
  const json::object bearer{{"type", "http"}, {"scheme", "bearer"}};
  const auto header = [](std::string_view name) {
    return json::object{{"type", "apiKey"}, {"in", "header"}, {"name", name}};
  };
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "Cofferdam"}, {"version", version}}},
          {"security",
           {json::object{{"token", json::array{}}},
            json::object{{"clientId", json::array{}}, {"clientSecret", json::array{}}}}},
          {"paths", std::move(paths)},
          {"components",
           {{"securitySchemes",
             {{"token", bearer}, {"clientId", header("X-Client-ID")}, {"clientSecret", header("X-Client-Secret")}}},
            {"schemas", json::parse(json::string_view(kSchemas.data(), kSchemas.size()))}}}};
}

Task<http::Response> get_openapi(Services& services, Call& call) {
  // Nobody in particular is not told which version this is.
  const bool known = call.who().kind != identity::Principal::Kind::anonymous;
  http::Response response;
  response.headers.add("Content-Type", "application/json");
  response.body = json::serialize(openapi_document(routes(), known ? services.facts.version : "2"));
  co_return response;
}

}  // namespace cofferdam::api
