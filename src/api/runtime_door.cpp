// Where requests with a runtime token go.
#include "api/handlers.h"

namespace cofferdam::api {

Task<http::Response> serve_runtime(Services& /*services*/, const Caller& /*caller*/, http::Request& request) {
  Call call{request, {}};
  co_return not_supported(call, "the runtime of workspaces is not served yet",
                          "use the control plane: exec and files below /workspace/ID");
}

}  // namespace cofferdam::api
