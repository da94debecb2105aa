// Folders as tar.gz, out of a workspace and into it, as streams.
#include "api/runtime_call.h"
#include "base/text.h"
#include "base/utf8.h"
#include "runtime/packing.h"
#include "runtime/unpacking.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxPaths = 1000;
constexpr std::size_t kMaxPatterns = 256;

class Download final : public http::BodySource {
 public:
  explicit Download(std::unique_ptr<runtime::Packing> packing) : packing_(std::move(packing)) {}
  Task<std::string> next() override { return packing_->next(); }

 private:
  std::unique_ptr<runtime::Packing> packing_;
};

}  // namespace

Task<http::Response> runtime_download(RuntimeCall& call) {
  CO_TRY_ASSIGN(const json::object body, co_await read_object(call.call));
  CO_TRY_ASSIGN(auto asked, texts_field(body, "paths", kMaxPaths));
  if (!asked || asked->empty()) co_return fail(Code::InvalidArgument, "/paths: is missing");
  CO_TRY_ASSIGN(auto excludes, texts_field(body, "exclude_patterns", kMaxPatterns));
  std::vector<std::string> paths;
  for (const auto& one : *asked) {
    CO_TRY_ASSIGN(std::string path, clean_path(one));
    // What is not there is said before anything is sent.
    CO_TRY(co_await call.files().lstat(path));
    paths.push_back(std::move(path));
  }
  http::Response response;
  response.headers.add("Content-Type", "application/gzip");
  response.headers.add("Content-Disposition", "attachment; filename=\"files.tar.gz\"");
  response.headers.add("Cache-Control", "no-store");
  response.source = std::make_unique<Download>(std::make_unique<runtime::Packing>(
      call.machine, std::move(paths), std::move(excludes).value_or(std::vector<std::string>{}),
      runtime::Compression::gzip));
  co_return response;
}

Task<http::Response> runtime_upload(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::string asked, query_text(call, "dest"));
  CO_TRY_ASSIGN(const std::string dest, clean_path(asked.empty() ? "/" : asked));
  call.call.detail = dest;
  CO_TRY_ASSIGN(const auto files,
                co_await runtime::unpack(
                    call.services.sessions, call.machine, dest, [body = call.request().body] { return body->next(); },
                    runtime::Owners::default_user));
  co_return answer({{"dest", to_utf8(dest)}, {"files_extracted", files}});
}

}  // namespace cofferdam::api
