// Watchers of folders. What changes is told over /ws.
#include "api/runtime_call.h"
#include "base/text.h"
#include "base/utf8.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using runtime::WatcherInfo;

constexpr std::size_t kMaxExcludes = 64;
constexpr int kCreated = 201;

json::object to_json(const WatcherInfo& watcher) {
  json::array excludes;
  for (const auto& pattern : watcher.excludes) excludes.emplace_back(to_utf8(pattern));
  return {{"id", watcher.id},        {"root", to_utf8(watcher.root)},   {"dir_count", watcher.folders},
          {"dirs", watcher.folders}, {"excludes", std::move(excludes)}, {"active", watcher.active}};
}

// Some clients read the watcher, others its fields.
json::object both(const WatcherInfo& watcher) {
  json::object object = to_json(watcher);
  object["watcher"] = to_json(watcher);
  return object;
}

}  // namespace

Task<http::Response> runtime_add_watcher(RuntimeCall& call) {
  CO_TRY_ASSIGN(const json::object body, co_await read_object(call.call));
  vm::WatchSpec spec;
  CO_TRY_ASSIGN(const std::string root, required_text(body, body.contains("path") ? "path" : "root"));
  CO_TRY_ASSIGN(spec.root, clean_path(root));
  for (const std::string_view field : {"excludes", "exclude"}) {
    CO_TRY_ASSIGN(auto patterns, texts_field(body, field, kMaxExcludes));
    if (patterns) spec.excludes.insert(spec.excludes.end(), patterns->begin(), patterns->end());
  }
  if (spec.excludes.size() > kMaxExcludes) {
    co_return fail(Code::InvalidArgument, cat("/excludes: has more than ", kMaxExcludes, " items"));
  }
  CO_TRY_ASSIGN(const WatcherInfo added, co_await call.session->watchers().add(std::move(spec)));
  co_return answer(both(added), kCreated);
}

Task<http::Response> runtime_list_watchers(RuntimeCall& call) {
  json::array watchers;
  for (const auto& watcher : call.session->watchers().list()) watchers.emplace_back(to_json(watcher));
  co_return answer({{"watchers", std::move(watchers)}});
}

Task<http::Response> runtime_get_watcher(RuntimeCall& call) {
  CO_TRY_ASSIGN(const WatcherInfo watcher, call.session->watchers().get(call.call.id()));
  co_return answer(both(watcher));
}

Task<http::Response> runtime_remove_watcher(RuntimeCall& call) {
  CO_TRY(call.session->watchers().remove(call.call.id()));
  co_return answer({{"watcher_id", call.call.id()}});
}

}  // namespace cofferdam::api
