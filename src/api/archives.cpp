// Archives of a workspace: chosen paths as they were, kept encrypted, put back, or put into a new workspace.
#include "workspace/archive.h"

#include "api/handlers.h"
#include "api/runtime_call.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"
#include "model/json.h"
#include "runtime/packing.h"
#include "runtime/unpacking.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using workspace::Archive;

constexpr std::size_t kMaxPaths = 1000;
constexpr std::string_view kFormat = "tar.zst";

json::object to_json(const Archive& archive) {
  return {{"id", archive.id},
          {"workspace_id", archive.workspace_id},
          {"version", archive.version},
          {"created_at", format_rfc3339(archive.created_at)},
          {"size_bytes", archive.bytes},
          {"format", kFormat},
          {"vm_paths", to_array(archive.paths)},
          {"exclude_vm_paths", to_array(archive.excludes)},
          {"encrypted", true}};
}

Result<Archive> find_archive(Services& services, const Call& call) {
  TRY_ASSIGN(const auto all, services.manager.archives(call.id()));
  for (const auto& archive : all) {
    if (archive.version == call.params.at(1)) return archive;
  }
  return fail(Code::NotFound, cat("the workspace has no archive '", call.params.at(1), "'"),
              "list them with `coffer archive ls`");
}

// The version as clients may give it: a number or a text.
Result<std::string> version_field(const json::object& body) {
  const auto* value = body.if_contains("version");
  if (value != nullptr && value->is_int64()) return cat(value->get_int64());
  TRY_ASSIGN(auto text, model::get_string(body, "", "version"));
  return std::move(text).value_or("");
}

class Download final : public http::BodySource {
 public:
  explicit Download(workspace::ArchiveBytes bytes) : bytes_(std::move(bytes)) {}
  Task<std::string> next() override { return bytes_(); }

 private:
  workspace::ArchiveBytes bytes_;
};

Task<std::size_t> put_back(Services& services, std::string source, std::string version, std::string target,
                           std::string dest) {
  CO_TRY_ASSIGN(auto bytes, co_await services.manager.read_archive(std::move(source), std::move(version)));
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(std::move(target)));
  co_return co_await runtime::unpack(services.sessions, std::move(machine), std::move(dest), std::move(bytes),
                                     runtime::Owners::as_packed);
}

}  // namespace

Task<http::Response> create_archive(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  workspace::ArchiveWish wish;
  CO_TRY_ASSIGN(wish.version, version_field(body));
  CO_TRY_ASSIGN(const auto format, model::get_string(body, "", "format"));
  if (format && *format != kFormat) {
    co_return fail(Code::InvalidArgument, cat("/format: '", *format, "' is not ", kFormat));
  }
  CO_TRY_ASSIGN(const auto paths, texts_field(body, "vm_paths", kMaxPaths));
  CO_TRY_ASSIGN(auto excludes, texts_field(body, "exclude_vm_paths", kMaxPaths));
  wish.excludes = std::move(excludes).value_or(std::vector<std::string>{});
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(call.id()));
  if (!paths || paths->empty()) {
    wish.paths = {"/"};
  } else {
    for (const auto& one : *paths) {
      CO_TRY_ASSIGN(std::string path, clean_path(one));
      // What is not there is said before anything is kept.
      CO_TRY(co_await machine->files().lstat(path));
      wish.paths.push_back(std::move(path));
    }
  }
  auto packing =
      std::make_shared<runtime::Packing>(std::move(machine), wish.paths, wish.excludes, runtime::Compression::zstd);
  CO_TRY_ASSIGN(const auto archive, co_await services.manager.add_archive(call.id(), std::move(wish),
                                                                          [packing] { return packing->next(); }));
  json::object whole = to_json(archive);
  whole["archive"] = to_json(archive);
  co_return answer(std::move(whole));
}

Task<http::Response> list_archives(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto all, services.manager.archives(call.id()));
  json::array items;
  for (const auto& archive : all) items.emplace_back(to_json(archive));
  co_return answer({{"archives", std::move(items)}});
}

Task<http::Response> get_archive(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto archive, find_archive(services, call));
  co_return answer(to_json(archive));
}

Task<http::Response> remove_archive(Services& services, Call& call) {
  CO_TRY(co_await services.manager.remove_archive(call.id(), call.params.at(1)));
  co_return answer({{"version", call.params.at(1)}, {"removed", true}});
}

Task<http::Response> remove_archives(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto all, services.manager.archives(call.id()));
  for (const auto& archive : all) CO_TRY(co_await services.manager.remove_archive(call.id(), archive.version));
  co_return answer({{"removed", all.size()}});
}

Task<http::Response> download_archive(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto bytes, co_await services.manager.read_archive(call.id(), call.params.at(1)));
  http::Response response;
  response.headers.add("Content-Type", "application/zstd");
  response.headers.add("Content-Disposition", "attachment; filename=\"archive.tar.zst\"");
  response.headers.add("Cache-Control", "no-store");
  response.source = std::make_unique<Download>(std::move(bytes));
  co_return response;
}

Task<http::Response> restore_archive(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const auto asked, model::get_string(body, "", "dest"));
  CO_TRY_ASSIGN(const std::string dest, clean_path(asked.value_or("/")));
  CO_TRY_ASSIGN(const auto files, co_await put_back(services, call.id(), call.params.at(1), call.id(), dest));
  co_return answer({{"dest", to_utf8(dest)}, {"files_extracted", files}});
}

Task<void> fill_from_archive(Services& services, std::string source, std::string version, std::string id) {
  auto files = co_await put_back(services, std::move(source), std::move(version), std::move(id), "/");
  if (!files) co_return fail(std::move(files.error()));
  co_return Status{};
}

Task<http::Response> create_from_archive(Services& services, Call& call) {
  CO_TRY(find_archive(services, call));
  auto fill = [&services, source = call.id(), version = call.params.at(1)](std::string id) {
    return fill_from_archive(services, source, version, std::move(id));
  };
  co_return co_await make_workspace(services, call, std::move(fill));
}

}  // namespace cofferdam::api
