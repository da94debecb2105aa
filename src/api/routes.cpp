#include "api/routes.h"

namespace cofferdam::api {
namespace {

constexpr Route kRoutes[] = {
    {"GET", "/health", get_health},
    {"GET", "/host", get_host},
    {"POST", "/shutdown", shut_down_host},

    // Before /workspace/{id}: "images" is no workspace.
    {"GET", "/workspace/images", list_images},
    {"POST", "/workspace/images/import", import_image},
    {"POST", "/workspace/images/{name}/build", build_image},
    {"DELETE", "/workspace/images/{name}", remove_image},

    {"POST", "/workspace", create_workspace},
    {"GET", "/workspace", list_workspaces},
    {"GET", "/workspace/{id}", get_workspace},
    {"DELETE", "/workspace/{id}", remove_workspace},
    {"POST", "/workspace/{id}/start", start_workspace},
    {"POST", "/workspace/{id}/stop", stop_workspace},
    {"PUT", "/workspace/{id}/lifecycle/ttl", set_workspace_ttl},
    {"GET", "/workspace/{id}/stats", get_workspace_stats},
    {"GET", "/workspace/{id}/logs/boot", get_boot_log},

    {"GET", "/workspace/{id}/exec/ws", open_exec_socket},

    {"GET", "/workspace/{id}/files/raw", read_raw_file},
    {"PUT", "/workspace/{id}/files/raw", write_raw_file},
    {"GET", "/workspace/{id}/files/stat", stat_file},
    {"GET", "/workspace/{id}/files/list", list_files},
    {"POST", "/workspace/{id}/files/mkdir", make_directory},
    {"POST", "/workspace/{id}/files/delete", delete_file},
    {"POST", "/workspace/{id}/files/rename", rename_file},
};

// True when the path fits; what {…} matched is appended to `params`.
bool fits(std::string_view pattern, const std::vector<std::string>& segments, std::vector<std::string>& params) {
  params.clear();
  for (const auto& segment : segments) {
    if (pattern.empty()) return false;
    pattern.remove_prefix(1);
    const std::string_view part = pattern.substr(0, pattern.find('/'));
    pattern.remove_prefix(part.size());
    if (part.starts_with('{')) {
      params.push_back(segment);
    } else if (part != segment) {
      return false;
    }
  }
  return pattern.empty();
}

}  // namespace

std::span<const Route> routes() { return kRoutes; }

Match find_route(std::string_view method, const std::vector<std::string>& segments) {
  if (method == "HEAD") method = "GET";
  Match match;
  for (const auto& route : kRoutes) {
    if (!fits(route.pattern, segments, match.params)) continue;
    if (route.method == method) {
      match.route = &route;
      match.allowed.clear();
      return match;
    }
    if (!match.allowed.empty()) match.allowed += ", ";
    match.allowed += route.method;
  }
  match.params.clear();
  return match;
}

}  // namespace cofferdam::api
