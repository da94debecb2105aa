// Files in a workspace: bytes are streamed, never held whole.
#include <algorithm>

#include "api/handlers.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr std::uint32_t kFileMode = 0644;
constexpr std::uint32_t kFolderMode = 0755;

// A file of the guest as the body of an answer.
class GuestFileSource final : public http::BodySource {
 public:
  GuestFileSource(std::shared_ptr<vm::Machine> machine, std::string path, std::optional<std::uint64_t> length)
      : machine_(std::move(machine)), path_(std::move(path)), length_(length) {}

  Task<std::string> next() override {
    const std::uint64_t left = length_ ? *length_ - offset_ : UINT64_MAX;
    if (left == 0) co_return std::string{};
    CO_TRY_ASSIGN(std::string piece, co_await machine_->files().read(path_, offset_));
    // A file that grows while it is read ends where it ended when its length was told.
    if (piece.size() > left) piece.resize(left);
    offset_ += piece.size();
    co_return piece;
  }

 private:
  std::shared_ptr<vm::Machine> machine_;
  std::string path_;
  std::optional<std::uint64_t> length_;
  std::uint64_t offset_ = 0;
};

}  // namespace

Task<http::Response> read_raw_file(Services& services, Call& call) {
  CO_TRY_ASSIGN(const std::string path, required_query(call, "path"));
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(call.id()));
  CO_TRY_ASSIGN(const vm::FileInfo info, co_await machine->files().stat(path));
  if (info.type == vm::FileType::directory) {
    co_return fail(Code::InvalidArgument, cat("'", path, "' is a folder"), "list it, and read its files one by one");
  }
  if (info.type == vm::FileType::other) {
    co_return fail(Code::InvalidArgument, cat("'", path, "' is no regular file"), "reading it might never end");
  }
  http::Response response;
  response.headers.add("Content-Type", "application/octet-stream");
  response.headers.add("X-Content-Type-Options", "nosniff");
  response.headers.add("X-File-Mode", octal_mode(info.mode));
  // Files of /proc say that they are empty, and a link has the size of its text: their end shows when it is reached.
  const bool known = info.type == vm::FileType::file && info.size > 0;
  if (known) response.source_length = info.size;
  response.source = std::make_unique<GuestFileSource>(std::move(machine), path, response.source_length);
  co_return response;
}

Task<http::Response> write_raw_file(Services& services, Call& call) {
  CO_TRY_ASSIGN(const std::string path, required_query(call, "path"));
  std::uint32_t mode = kFileMode;
  if (const auto* text = call.request.find_query("mode")) {
    CO_TRY_ASSIGN(mode, parse_mode(*text));
  }
  CO_TRY_ASSIGN(const bool wanted, query_flag(call, "parents"));
  const auto parents = wanted ? vm::CreateParents::yes : vm::CreateParents::no;
  const auto* owner = call.request.find_query("owner");
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(call.id()));
  const std::string as = owner == nullptr ? std::string{} : *owner;
  CO_TRY_ASSIGN(auto writer, co_await machine->files().create(path, mode, parents, as));
  std::uint64_t size = 0;
  for (;;) {
    CO_TRY_ASSIGN(std::string piece, co_await call.request.body->next());
    if (piece.empty()) break;
    size += piece.size();
    CO_TRY(co_await writer->write(std::move(piece)));
  }
  CO_TRY(co_await writer->commit());
  json::object written{{"size", size}};
  put_text(written, "path", path);
  co_return answer(std::move(written));
}

Task<http::Response> stat_file(Services& services, Call& call) {
  CO_TRY_ASSIGN(const std::string path, required_query(call, "path"));
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(call.id()));
  CO_TRY_ASSIGN(const vm::FileInfo info, co_await machine->files().stat(path));
  json::object found = to_json(info);
  put_text(found, "path", path);
  co_return answer(std::move(found));
}

Task<http::Response> list_files(Services& services, Call& call) {
  CO_TRY_ASSIGN(const std::string path, required_query(call, "path"));
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(call.id()));
  CO_TRY_ASSIGN(const auto listed, co_await machine->files().list(path));
  json::array entries;
  entries.reserve(listed.size());
  for (const auto& file : listed) {
    json::object entry = to_json(file);
    put_text(entry, "name", file.name);
    entries.emplace_back(std::move(entry));
  }
  json::object found{{"entries", std::move(entries)}};
  put_text(found, "path", path);
  co_return answer(std::move(found));
}

Task<http::Response> make_directory(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const std::string path, required_text(body, "path"));
  call.detail = path;
  CO_TRY_ASSIGN(const auto mode, mode_field(body));
  CO_TRY_ASSIGN(const auto wanted, model::get_flag(body, "", "parents"));
  const auto parents = wanted.value_or(false) ? vm::CreateParents::yes : vm::CreateParents::no;
  CO_TRY_ASSIGN(const auto owner, model::get_string(body, "", "owner"));
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(call.id()));
  CO_TRY(co_await machine->files().make_directory(path, mode.value_or(kFolderMode), parents, owner.value_or("")));
  co_return answer({{"path", path}});
}

Task<http::Response> delete_file(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const std::string path, required_text(body, "path"));
  call.detail = path;
  CO_TRY_ASSIGN(const auto wanted, model::get_flag(body, "", "recursive"));
  const auto recursive = wanted.value_or(false) ? vm::Recursive::yes : vm::Recursive::no;
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(call.id()));
  CO_TRY(co_await machine->files().remove(path, recursive));
  co_return answer({{"path", path}});
}

Task<http::Response> rename_file(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto body, co_await read_object(call));
  CO_TRY_ASSIGN(const std::string from, required_text(body, "from"));
  CO_TRY_ASSIGN(const std::string to, required_text(body, "to"));
  call.detail = cat(from, " to ", to);
  CO_TRY_ASSIGN(auto machine, co_await services.manager.wake_machine(call.id()));
  CO_TRY(co_await machine->files().rename(from, to));
  co_return answer({{"from", from}, {"to", to}});
}

}  // namespace cofferdam::api
