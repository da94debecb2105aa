// The handlers that the table of routes names; each file of handlers is one resource.
#pragma once
#include "api/call.h"
#include "api/services.h"

namespace cofferdam::api {

// `services` and `call` outlive the task.
using CallHandler = Task<http::Response> (*)(Services& services, Call& call);

// host.cpp
Task<http::Response> get_health(Services& services, Call& call);
Task<http::Response> get_host(Services& services, Call& call);
Task<http::Response> shut_down_host(Services& services, Call& call);

// workspaces.cpp
Task<http::Response> create_workspace(Services& services, Call& call);
Task<http::Response> list_workspaces(Services& services, Call& call);
Task<http::Response> get_workspace(Services& services, Call& call);
Task<http::Response> remove_workspace(Services& services, Call& call);
Task<http::Response> start_workspace(Services& services, Call& call);
Task<http::Response> stop_workspace(Services& services, Call& call);
Task<http::Response> set_workspace_ttl(Services& services, Call& call);
Task<http::Response> get_workspace_stats(Services& services, Call& call);
Task<http::Response> get_boot_log(Services& services, Call& call);

// exec.cpp
Task<http::Response> open_exec_socket(Services& services, Call& call);

// files.cpp
Task<http::Response> read_raw_file(Services& services, Call& call);
Task<http::Response> write_raw_file(Services& services, Call& call);
Task<http::Response> stat_file(Services& services, Call& call);
Task<http::Response> list_files(Services& services, Call& call);
Task<http::Response> make_directory(Services& services, Call& call);
Task<http::Response> delete_file(Services& services, Call& call);
Task<http::Response> rename_file(Services& services, Call& call);

// images.cpp
Task<http::Response> list_images(Services& services, Call& call);
Task<http::Response> build_image(Services& services, Call& call);
Task<http::Response> import_image(Services& services, Call& call);
Task<http::Response> remove_image(Services& services, Call& call);

}  // namespace cofferdam::api
