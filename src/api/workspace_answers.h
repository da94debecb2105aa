// The answer that is asked for most, one workspace, as it was made last: good as long as all it was made of is the
// same.
#pragma once
#include <string>
#include <unordered_map>

#include "http/message.h"
#include "workspace/manager.h"

namespace cofferdam::api {

class WorkspaceAnswers {
 public:
  // {"workspace": …}, made anew when the workspace is not what it was.
  http::Response of(workspace::Info info, const std::string& space);
  void forget(const std::string& workspace_id) { made_.erase(workspace_id); }

 private:
  struct Made {
    workspace::Info info;
    std::string space, body;
  };
  std::unordered_map<std::string, Made> made_;
};

}  // namespace cofferdam::api
