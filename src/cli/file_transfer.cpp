#include "cli/file_transfer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>

#include "base/file.h"
#include "base/text.h"
#include "cli/cp_target.h"
#include "cli/safe_text.h"
#include "http/url.h"

namespace cofferdam::cli {
namespace {

namespace json = boost::json;

constexpr int kMaxDepth = 64;
constexpr unsigned kPermissions = 07777;

RemoteEntry::Kind kind_of(std::string_view type) {
  if (type == "file" || type == "regular") return RemoteEntry::Kind::file;
  if (type == "directory" || type == "dir" || type == "folder") return RemoteEntry::Kind::folder;
  if (type == "symlink" || type == "link") return RemoteEntry::Kind::link;
  return RemoteEntry::Kind::other;
}

// A number, or a text in octal.
unsigned mode_of(const json::object& object) {
  const std::string text = text_field(object, "mode");
  if (text.empty()) return static_cast<unsigned>(number_field(object, "mode")) & kPermissions;
  unsigned mode = 0;
  std::from_chars(text.data(), text.data() + text.size(), mode, 8);
  return mode & kPermissions;
}

RemoteEntry entry_of(const json::object& object) {
  RemoteEntry entry;
  entry.kind = kind_of(text_field(object, "type"));
  entry.name = text_field(object, "name");
  // A name that is no UTF-8 is told in hexadecimal as well.
  if (auto bytes = from_hex(text_field(object, "name_hex")); bytes && !bytes->empty()) entry.name = std::move(*bytes);
  const double size = number_field(object, "size");
  constexpr double kMaxSize = 9e18;
  if (size > 0 && size < kMaxSize) entry.size = static_cast<std::uint64_t>(size);
  // The mode of a link says nothing of what it names.
  if (entry.kind != RemoteEntry::Kind::link) entry.mode = mode_of(object);
  return entry;
}

std::string octal(unsigned mode) {
  char text[16];
  std::snprintf(text, sizeof text, "%04o", mode & kPermissions);
  return text;
}

// Passes the pieces of another source on, and says how many bytes they were.
class CountedSource : public http::BodySource {
 public:
  CountedSource(std::unique_ptr<http::BodySource> inner, std::function<void(std::size_t)> count)
      : inner_(std::move(inner)), count_(std::move(count)) {}
  Task<std::string> next() override {
    auto piece = co_await inner_->next();
    if (piece) count_(piece->size());
    co_return piece;
  }

 private:
  std::unique_ptr<http::BodySource> inner_;
  std::function<void(std::size_t)> count_;
};

}  // namespace

void FileTransfer::skip(std::string_view what, std::string_view why) {
  progress_.finish();
  session_.note(cat("'", what, "' was not copied: ", why));
  ++count_.skipped;
}

void FileTransfer::advance(std::string_view name, std::uint64_t done, std::optional<std::uint64_t> total,
                           std::size_t piece) {
  count_.bytes += piece;
  const double fraction = total && *total > 0 ? static_cast<double>(done) / static_cast<double>(*total) : -1;
  progress_.update(base_name(name), format_size(done), fraction);
}

Task<std::optional<RemoteEntry>> FileTransfer::stat(std::string remote) {
  auto answer = co_await api_.get(workspace_target(workspace_, cat("/files/stat?path=", http::percent_encode(remote))));
  if (answer) co_return entry_of(*answer);
  const bool about_the_file = answer.error().code == Code::NotFound;
  if (!about_the_file) co_return fail(std::move(answer.error()));
  // Which of the two is not there: the file, or the workspace?
  CO_TRY(co_await api_.get(workspace_target(workspace_)));
  co_return std::nullopt;
}

Task<void> FileTransfer::upload(UniqueFd fd, std::string remote, unsigned mode, std::string owner) {
  auto source = http::source_of(session_.executor(), std::move(fd));
  if (!source) co_return fail(std::move(source.error()));
  std::uint64_t done = 0;
  const auto total = source->length;
  auto counted = [&](std::size_t piece) { advance(remote, done += piece, total, piece); };
  http::ClientRequest request;
  request.method = "PUT";
  request.target = workspace_target(
      workspace_, cat("/files/raw?path=", http::percent_encode(remote), "&mode=", octal(mode), "&parents=1"));
  if (!owner.empty()) request.target += cat("&owner=", http::percent_encode(owner));
  request.headers.add("Content-Type", "application/octet-stream");
  request.source = std::make_unique<CountedSource>(std::move(source->source), counted);
  request.source_length = total;
  CO_TRY_ASSIGN(auto response, co_await api_.open(std::move(request)));
  CO_TRY(co_await response->read_all(64U << 10));
  ++count_.files;
  progress_.finish();
  co_return Status{};
}

Task<void> FileTransfer::upload_tree(std::string local, std::string remote) {
  struct stat st{};
  if (::stat(local.c_str(), &st) != 0) co_return fail(errno_error(cat("'", local, "'"), errno));
  if (!S_ISDIR(st.st_mode)) {
    CO_TRY_ASSIGN(UniqueFd fd, open_file(local, O_RDONLY));
    co_return co_await upload(std::move(fd), std::move(remote), st.st_mode, {});
  }
  json::object body{{"path", remote}, {"mode", octal(st.st_mode)}, {"parents", true}};
  auto made = co_await api_.call("POST", workspace_target(workspace_, "/files/mkdir"), std::move(body));
  if (!made && made.error().code != Code::AlreadyExists) co_return fail(std::move(made.error()));
  CO_TRY_ASSIGN(const auto names, list_directory(local));
  for (const auto& name : names) {
    const std::string path = join_path(local, name);
    struct stat below{};
    if (::lstat(path.c_str(), &below) != 0) {
      skip(path, errno_error("stat", errno).message);
    } else if (S_ISLNK(below.st_mode)) {
      skip(path, "it is a symbolic link");
    } else if (!is_utf8(name)) {
      skip(path, "its name is not UTF-8");
    } else if (!S_ISDIR(below.st_mode) && !S_ISREG(below.st_mode)) {
      skip(path, "it is neither a file nor a folder");
    } else {
      CO_TRY(co_await upload_tree(path, join_path(remote, name)));
    }
  }
  co_return Status{};
}

Task<std::vector<RemoteEntry>> FileTransfer::list(std::string remote) {
  CO_TRY_ASSIGN(const json::object answer, co_await api_.get(workspace_target(
                                               workspace_, cat("/files/list?path=", http::percent_encode(remote)))));
  std::vector<RemoteEntry> entries;
  for (const auto& item : array_field(answer, "entries")) {
    if (item.is_object()) entries.push_back(entry_of(item.get_object()));
  }
  co_return entries;
}

Task<void> FileTransfer::download(std::string remote, int fd) {
  http::ClientRequest request;
  request.target = workspace_target(workspace_, cat("/files/raw?path=", http::percent_encode(remote)));
  CO_TRY_ASSIGN(auto response, co_await api_.open(std::move(request)));
  std::optional<std::uint64_t> total;
  if (const auto* length = response->headers.find("Content-Length")) {
    if (const auto parsed = parse_int("Content-Length", *length, 0, INT64_MAX))
      total = static_cast<std::uint64_t>(*parsed);
  }
  for (std::uint64_t done = 0;;) {
    CO_TRY_ASSIGN(const std::string piece, co_await response->next());
    if (piece.empty()) break;
    CO_TRY(write_all(fd, piece));
    advance(remote, done += piece.size(), total, piece.size());
  }
  ++count_.files;
  progress_.finish();
  co_return Status{};
}

Task<void> FileTransfer::download_file(std::string remote, RemoteEntry entry, const LocalFolder& folder,
                                       std::string name) {
  CO_TRY_ASSIGN(PendingFile file, folder.create(name, entry.mode));
  CO_TRY(co_await download(std::move(remote), file.fd()));
  co_return file.commit();
}

Task<void> FileTransfer::download_tree(std::string remote, const LocalFolder& folder, int depth) {
  if (depth > kMaxDepth)
    co_return fail(Code::OutOfRange, cat("'", remote, "' is more than ", kMaxDepth, " folders deep"));
  CO_TRY_ASSIGN(const auto entries, co_await list(remote));
  for (const auto& entry : entries) {
    const std::string path = join_path(remote, entry.name);
    // The guest names its files; only what is one plain name becomes one here.
    if (const Status name = check_entry_name(entry.name); !name) {
      skip(remote, name.error().message);
    } else if (entry.kind == RemoteEntry::Kind::folder) {
      CO_TRY_ASSIGN(const LocalFolder below, folder.enter(entry.name));
      CO_TRY(co_await download_tree(path, below, depth + 1));
      CO_TRY(below.set_mode(entry.mode));
    } else if (entry.kind == RemoteEntry::Kind::file) {
      CO_TRY(co_await download_file(path, entry, folder, entry.name));
    } else {
      skip(path, entry.kind == RemoteEntry::Kind::link ? "it is a symbolic link" : "it is neither a file nor a folder");
    }
  }
  co_return Status{};
}

}  // namespace cofferdam::cli
