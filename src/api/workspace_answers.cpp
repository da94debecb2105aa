#include "api/workspace_answers.h"

#include "api/call.h"
#include "api/workspace_json.h"

namespace cofferdam::api {
namespace {

constexpr std::size_t kMost = 4096;  // some 3 KiB each

}  // namespace

http::Response WorkspaceAnswers::of(workspace::Info info, const std::string& space) {
  info.last_active_at = {};  // in no answer
  const auto found = made_.find(info.id);
  if (found != made_.end() && found->second.space == space && found->second.info == info) {
    return json_answer(found->second.body);
  }
  auto made = workspace_answer(info, space);
  if (found == made_.end() && made_.size() >= kMost) made_.clear();
  std::string id = info.id;
  made_.insert_or_assign(std::move(id), Made{std::move(info), space, made.body});
  return made;
}

}  // namespace cofferdam::api
