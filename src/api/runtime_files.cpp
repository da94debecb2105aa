// Single files of a workspace, as text.
#include <algorithm>
#include <array>

#include "api/runtime_call.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/utf8.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxWriteBody = 32U << 20;
constexpr std::size_t kMaxContent = 16U << 20;     // in one answer
constexpr std::uint64_t kMaxScanned = 1ULL << 30;  // for the lines of it
constexpr std::uint32_t kFileMode = 0644;
constexpr std::uint32_t kFolderMode = 0755;
constexpr std::array<std::string_view, 12> kProtected = {"/",    "/bin", "/sbin", "/usr", "/lib",  "/lib64",
                                                         "/etc", "/dev", "/proc", "/sys", "/boot", "/run"};

// Collects the lines of a text that comes in pieces, from `first` to `last` (counted from 1).
class Lines {
 public:
  Lines(std::int64_t first, std::int64_t last) : first_(first), last_(last) {}

  // False: what was asked for is more than an answer holds.
  [[nodiscard]] bool take(std::string_view piece) {
    while (!piece.empty()) {
      const std::size_t end = std::min(piece.find('\n'), piece.size() - 1) + 1;
      const std::string_view part = piece.substr(0, end);
      piece.remove_prefix(end);
      open_ = part.back() != '\n';
      const bool wanted = first_ <= line_ && line_ <= last_;
      if (wanted && content_.size() + part.size() > kMaxContent) return false;
      if (wanted) content_ += part;
      if (!open_) ++line_;
    }
    return true;
  }
  // A last line without its end is a line.
  [[nodiscard]] std::int64_t count() const { return line_ - 1 + (open_ ? 1 : 0); }
  [[nodiscard]] const std::string& content() const { return content_; }
  [[nodiscard]] std::string numbered() const {
    std::string text;
    std::int64_t number = first_;
    std::string_view rest = content_;
    while (!rest.empty()) {
      const std::size_t end = std::min(rest.find('\n'), rest.size() - 1) + 1;
      text += cat(number++, "\t", rest.substr(0, end));
      rest.remove_prefix(end);
    }
    return text;
  }

 private:
  std::int64_t first_, last_;
  std::int64_t line_ = 1;
  bool open_ = false;
  std::string content_;
};

Error too_large(const std::string& path) {
  return Error{Code::OutOfRange, cat("'", to_utf8(path), "' is more than an answer holds"),
               "ask for a range of lines, or take it with /files/transfer/download"};
}

// 413, which no code of ours stands for.
http::Response refuse_too_large(const std::string& path) {
  constexpr int kTooLarge = 413;
  http::Response refused = answer(json::object{}, kTooLarge);
  refused.body = late_error_body(too_large(path));
  return refused;
}

// The mode that was asked for, or the one that the file has.
Task<std::uint32_t> mode_for(RuntimeCall& call, const std::string& path, std::optional<std::uint32_t> asked) {
  if (asked) co_return *asked;
  const auto there = co_await call.files().stat(path);
  constexpr std::uint32_t kModeBits = 07777;
  if (there && there->type == vm::FileType::file) co_return there->mode & kModeBits;
  co_return kFileMode;
}

}  // namespace

Task<http::Response> runtime_read_file(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::string asked, required_query(call.call, "path"));
  CO_TRY_ASSIGN(const std::string path, clean_path(asked));
  call.call.detail = path;
  CO_TRY_ASSIGN(const auto first, query_number(call, "start_line", 1, INT64_MAX));
  CO_TRY_ASSIGN(const auto last, query_number(call, "end_line", 1, INT64_MAX));
  CO_TRY_ASSIGN(const bool numbered, query_flag(call.call, "with_line_numbers"));
  if (first && last && *last < *first) co_return fail(Code::InvalidArgument, "end_line lies before start_line");
  CO_TRY_ASSIGN(const vm::FileInfo info, co_await call.files().stat(path));
  if (info.type == vm::FileType::directory) {
    co_return fail(Code::InvalidArgument, cat("'", to_utf8(path), "' is a folder"), "list it with GET /files");
  }
  if (info.type != vm::FileType::file) {
    co_return fail(Code::InvalidArgument, cat("'", to_utf8(path), "' is no regular file"));
  }
  if (!first && !last && info.size > kMaxContent) co_return refuse_too_large(path);
  Lines lines(first.value_or(1), last.value_or(INT64_MAX));
  std::uint64_t size = 0;
  for (;;) {
    CO_TRY_ASSIGN(const std::string piece, co_await call.files().read(path, size));
    if (piece.empty()) break;
    size += piece.size();
    if (!lines.take(piece) || size > kMaxScanned) co_return refuse_too_large(path);
  }
  const std::string content = numbered ? lines.numbered() : lines.content();
  json::object read{{"path", to_utf8(path)}, {"content", to_utf8(content)}, {"size", size}, {"lines", lines.count()}};
  if (!is_utf8(content)) read["binary"] = true;
  if (const auto extension = extension_of(name_of(path)); !extension.empty()) read["extension"] = to_utf8(extension);
  if (first || last) {
    read["start_line"] = first.value_or(1);
    read["end_line"] = std::min(last.value_or(INT64_MAX), lines.count());
  }
  co_return answer(std::move(read));
}

Task<http::Response> runtime_write_file(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::string text, co_await call.request().body->read_all(kMaxWriteBody));
  CO_TRY_ASSIGN(const json::object body, parse_object(text));
  CO_TRY_ASSIGN(const std::string asked, required_text(body, "path"));
  CO_TRY_ASSIGN(const std::string path, clean_path(asked));
  call.call.detail = path;
  CO_TRY_ASSIGN(auto content, model::get_string(body, "", "content"));
  if (!content) co_return fail(Code::InvalidArgument, "/content: is missing");
  CO_TRY_ASSIGN(const auto create_dirs, model::get_flag(body, "", "create_dirs"));
  CO_TRY_ASSIGN(const auto append, model::get_flag(body, "", "append"));
  CO_TRY_ASSIGN(const auto asked_mode, mode_field(body));
  CO_TRY_ASSIGN(const std::uint32_t mode, co_await mode_for(call, path, asked_mode));
  const auto parents = create_dirs.value_or(false) ? vm::CreateParents::yes : vm::CreateParents::no;
  const bool at_end = append.value_or(false);
  auto opening = at_end ? call.files().append(path, mode, parents, "") : call.files().create(path, mode, parents, "");
  CO_TRY_ASSIGN(const auto writer, co_await std::move(opening));
  const std::uint64_t written = content->size();
  CO_TRY(co_await writer->write(std::move(*content)));
  CO_TRY(co_await writer->commit());
  std::uint64_t size = written;
  if (at_end) {
    CO_TRY_ASSIGN(const auto info, co_await call.files().stat(path));
    size = info.size;
  }
  constexpr int kCreated = 201;
  co_return answer({{"path", to_utf8(path)}, {"size", size}}, kCreated);
}

Task<http::Response> runtime_make_directory(RuntimeCall& call) {
  CO_TRY_ASSIGN(const json::object body, co_await read_object(call.call));
  CO_TRY_ASSIGN(const std::string asked, required_text(body, "path"));
  CO_TRY_ASSIGN(const std::string path, clean_path(asked));
  call.call.detail = path;
  CO_TRY_ASSIGN(const auto mode, mode_field(body));
  CO_TRY(co_await call.files().make_directory(path, mode.value_or(kFolderMode), vm::CreateParents::yes, ""));
  constexpr int kCreated = 201;
  co_return answer({{"path", to_utf8(path)}}, kCreated);
}

Task<http::Response> runtime_stat_file(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::string asked, required_query(call.call, "path"));
  CO_TRY_ASSIGN(const std::string path, clean_path(asked));
  call.call.detail = path;
  CO_TRY_ASSIGN(const vm::FileInfo info, co_await call.files().lstat(path));
  const std::string name = name_of(path);
  json::object found{{"path", to_utf8(path)},
                     {"name", to_utf8(name)},
                     {"type", type_name(info.type)},
                     {"size", info.size},
                     {"modified", time_text(info.modified_ms)},
                     {"permissions", octal_mode(info.mode)},
                     {"uid", info.uid},
                     {"gid", info.gid},
                     {"is_code", info.type == vm::FileType::file && is_code_file(name)}};
  if (const auto extension = extension_of(name); !extension.empty()) found["extension"] = to_utf8(extension);
  if (info.type == vm::FileType::symlink) found["symlink_target"] = to_utf8(info.symlink_target);
  co_return answer(std::move(found));
}

// The path comes in the body or in the query.
Task<http::Response> runtime_delete_file(RuntimeCall& call) {
  CO_TRY_ASSIGN(const json::object body, co_await read_object(call.call));
  std::string asked;
  if (body.contains("path")) {
    CO_TRY_ASSIGN(asked, required_text(body, "path"));
  } else {
    CO_TRY_ASSIGN(asked, required_query(call.call, "path"));
  }
  CO_TRY_ASSIGN(const std::string path, clean_path(asked));
  call.call.detail = path;
  if (std::find(kProtected.begin(), kProtected.end(), path) != kProtected.end()) {
    co_return fail(Code::PermissionDenied, cat("'", path, "' is protected: the workspace would not survive it"));
  }
  CO_TRY(co_await call.files().lstat(path));
  CO_TRY(co_await call.files().remove(path, vm::Recursive::yes));
  co_return answer({{"path", to_utf8(path)}});
}

}  // namespace cofferdam::api
