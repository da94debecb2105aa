// Images: list, build, import, remove. A build goes on when its client leaves: the next one finds it done.
#include <boost/asio/post.hpp>
#include <boost/json/serialize.hpp>
#include <set>

#include "api/error_body.h"
#include "api/handlers.h"
#include "base/log.h"
#include "base/text.h"
#include "base/utf8.h"
#include "http/event_stream.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxBuilds = 8;
constexpr std::size_t kMaxLines = 256;

json::object to_json(const image::Image& image, const std::string& description) {
  return {{"image", image.name},          {"id", image.digest},
          {"category", "system"},         {"label", image.name},
          {"desc", to_utf8(description)}, {"size", image.size_bytes},
          {"created", image.created},     {"kernel", image.kernel_version},
          {"source", image.source},       {"built", true}};
}

json::object to_json(const image::RecipeInfo& recipe) {
  return {{"image", recipe.name},
          {"id", nullptr},
          {"category", "system"},
          {"label", recipe.name},
          {"desc", to_utf8(recipe.description)},
          {"size", nullptr},
          {"created", nullptr},
          {"kernel", nullptr},
          {"source", "recipe"},
          {"built", false}};
}

using Build = std::function<Result<image::Image>(const image::ProgressSink& progress)>;

Task<void> run_build(Services* services, std::shared_ptr<http::EventQueue> events, Build build) {
  const auto executor = co_await loop::asio::this_coro::executor;
  // The sink is called on the thread that builds; the queue lives on the loop.
  auto work = [executor, events, build = std::move(build)] {
    return build([&](const image::Progress& progress) {
      json::object event{{"event", "progress"},
                         {"stage", to_utf8(progress.stage)},
                         {"detail", to_utf8(progress.detail)},
                         {"fraction", progress.fraction}};
      loop::asio::post(executor, [events, line = json::serialize(event)]() mutable { events->push(std::move(line)); });
    });
  };
  auto built = co_await services->builders.run(std::move(work));
  if (built) {
    events->finish(json::serialize(json::object{{"event", "done"}, {"image", to_json(*built, "")}}));
    co_return Status{};
  }
  json::object event{{"event", "error"}};
  for (auto& [key, value] : error_to_json(built.error())) event[key] = std::move(value);
  events->finish(json::serialize(event));
  log_warn("an image was not built", {{"why", built.error().message}});
  co_return Status{};
}

Result<http::Response> stream_build(Services& services, Build build) {
  if (services.builds.size() >= kMaxBuilds) {
    return fail(Code::ResourceExhausted, cat(kMaxBuilds, " image builds run or wait already"), "try again later");
  }
  auto events = std::make_shared<http::EventQueue>(services.builds.executor(), kMaxLines);
  services.builds.spawn("image build", run_build(&services, events, std::move(build)));
  http::Response response;
  response.headers.add("Content-Type", std::string(http::kNdjson));
  response.source = http::event_source(std::move(events));
  return response;
}

}  // namespace

Task<http::Response> list_images(Services& services, Call& call) {
  struct Lists {
    std::vector<image::Image> images;
    std::vector<image::RecipeInfo> recipes;
  };
  auto work = [&images = services.images]() -> Result<Lists> {
    Lists lists;
    TRY_ASSIGN(lists.images, images.list());
    TRY_ASSIGN(lists.recipes, images.recipes());
    return lists;
  };
  CO_TRY_ASSIGN(const Lists lists, co_await services.workers.run(work));
  CO_TRY_ASSIGN(const auto search, query_text(call, "search"));
  CO_TRY_ASSIGN(const auto category, query_text(call, "category"));
  const auto wanted = [&](const std::string& name, const std::string& description) {
    if (category && *category != "system") return false;
    return !search || name.find(*search) != std::string::npos || description.find(*search) != std::string::npos;
  };
  std::set<std::string_view> built;
  json::array all;
  for (const auto& image : lists.images) {
    built.insert(image.name);
    std::string description;
    for (const auto& recipe : lists.recipes) {
      if (recipe.name == image.name && image.source == "recipe") description = recipe.description;
    }
    if (wanted(image.name, description)) all.emplace_back(to_json(image, description));
  }
  for (const auto& recipe : lists.recipes) {
    if (!built.contains(recipe.name) && wanted(recipe.name, recipe.description)) all.emplace_back(to_json(recipe));
  }
  json::array categories{json::object{{"id", "system"}, {"label", "Systems"}}};
  co_return answer({{"images", std::move(all)}, {"categories", std::move(categories)}});
}

Task<http::Response> build_image(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto wanted, model::get_flag(body, "", "rebuild"));
  const auto rebuild = wanted.value_or(false) ? image::Rebuild::yes : image::Rebuild::no;
  Build build = [&images = services.images, name = call.id(), rebuild](const image::ProgressSink& progress) {
    return images.build(name, rebuild, progress);
  };
  co_return stream_build(services, std::move(build));
}

Task<http::Response> import_image(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const std::string path, required_text(body, "path"));
  CO_TRY_ASSIGN(const std::string name, required_text(body, "name"));
  if (path[0] != '/') co_return fail(Code::InvalidArgument, "/path: must be absolute, on the host");
  Build build = [&images = services.images, path, name](const image::ProgressSink& progress) {
    return images.import_image(path, name, progress);
  };
  co_return stream_build(services, std::move(build));
}

Task<http::Response> remove_image(Services& services, Call& call) {
  auto work = [&images = services.images, name = call.id()] { return images.remove(name); };
  CO_TRY(co_await services.workers.run(std::move(work)));
  co_return answer({{"removed", {{"image", call.id()}}}});
}

}  // namespace cofferdam::api
