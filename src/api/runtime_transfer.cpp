// Folders as tar.gz, out of a workspace and into it, as streams.
#include <algorithm>
#include <set>

#include "api/runtime_call.h"
#include "base/text.h"
#include "base/utf8.h"
#include "runtime/listing.h"
#include "runtime/tar.h"
#include "runtime/tar_feed.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using runtime::TarEntry;

constexpr std::size_t kMaxPaths = 1000;
constexpr std::size_t kMaxPatterns = 256;
constexpr std::uint32_t kMaxDepth = 128;
constexpr std::size_t kOut = 32U << 10;
constexpr std::uint32_t kFolderMode = 0755;
constexpr std::size_t kMaxKnownFolders = 100'000;

// The archive piece by piece: as much of it is made as the reader takes.
class Archive final : public http::BodySource {
 public:
  Archive(std::shared_ptr<vm::Machine> machine, std::vector<std::string> paths, std::vector<std::string> excludes)
      : machine_(std::move(machine)), paths_(std::move(paths)), excludes_(std::move(excludes)) {}

  Task<std::string> next() override {
    std::string out;
    while (out.size() < kOut && !finished_) {
      CO_TRY(co_await step());
      out += writer_.take();
    }
    co_return out;
  }

 private:
  Task<void> step() {
    if (file_) co_return co_await read_on();
    if (listing_) {
      CO_TRY_ASSIGN(const auto found, co_await listing_->next());
      if (!found) {
        listing_.reset();
        co_return Status{};
      }
      co_return begin(found->path, found->info);
    }
    if (at_ == paths_.size()) {
      finished_ = true;
      co_return writer_.finish();
    }
    const std::string path = paths_[at_++];
    const auto info = co_await machine_->files().lstat(path);
    if (!info && info.error().code == Code::NotFound) co_return Status{};  // gone since it was asked for
    CO_TRY(info);
    if (path != "/") CO_TRY(begin(path, *info));
    if (info->type == vm::FileType::directory) {
      runtime::ListingOptions options;
      options.max_depth = kMaxDepth;
      options.gitignore = runtime::Gitignore::ignored;
      options.ignore = excludes_;
      listing_ = std::make_unique<runtime::Listing>(machine_, path, std::move(options));
    }
    co_return Status{};
  }

  Status begin(const std::string& path, const vm::FileInfo& info) {
    TarEntry entry;
    entry.path = path.substr(1);
    entry.mode = info.mode;
    entry.uid = info.uid;
    entry.gid = info.gid;
    entry.modified_ms = std::max<std::int64_t>(info.modified_ms, 0);
    switch (info.type) {
      case vm::FileType::file:
        entry.size = info.size;
        file_ = path;
        offset_ = 0;
        size_ = info.size;
        break;
      case vm::FileType::directory:
        entry.type = TarEntry::Type::folder;
        break;
      case vm::FileType::symlink:
        entry.type = TarEntry::Type::symlink;
        entry.link_target = info.symlink_target;
        break;
      case vm::FileType::other:
        return {};
    }
    return writer_.begin(entry);
  }

  // A file that shrank, went, or may not be read is filled up with zeros: its size has been told.
  Task<void> read_on() {
    if (offset_ < size_) {
      const auto piece = co_await machine_->files().read(*file_, offset_);
      if (!piece && piece.error().code == Code::Unavailable) co_return fail(piece.error());
      if (piece && !piece->empty()) {
        offset_ += piece->size();
        co_return writer_.data(*piece);
      }
    }
    file_.reset();
    co_return Status{};
  }

  std::shared_ptr<vm::Machine> machine_;
  std::vector<std::string> paths_, excludes_;
  std::size_t at_ = 0;
  runtime::TarWriter writer_;
  std::unique_ptr<runtime::Listing> listing_;
  std::optional<std::string> file_;
  std::uint64_t offset_ = 0, size_ = 0;
  bool finished_ = false;
};

// Puts entries in place below a folder of the guest. Nothing is written through a link that lies below it.
class Unpacking {
 public:
  Unpacking(std::shared_ptr<vm::Machine> machine, std::string dest)
      : machine_(std::move(machine)), dest_(std::move(dest)) {}

  Task<void> take(runtime::TarFeed::Item item) {
    if (auto* bytes = std::get_if<std::string>(&item)) {
      if (!writer_) co_return fail(Code::Internal, "bytes without a file");
      co_return co_await writer_->write(std::move(*bytes));
    }
    CO_TRY(co_await finish_file());
    co_return co_await begin(std::get<TarEntry>(std::move(item)));
  }
  Task<void> finish_file() {
    if (!writer_) co_return Status{};
    CO_TRY(co_await writer_->commit());
    writer_.reset();
    ++files_;
    co_return Status{};
  }
  [[nodiscard]] std::size_t files() const { return files_; }

 private:
  [[nodiscard]] std::string absolute(std::string_view path) const { return cat(dest_ == "/" ? "" : dest_, "/", path); }

  Task<void> begin(TarEntry entry) {
    if (entry.path.empty()) co_return co_await make_folder(dest_, kFolderMode);
    CO_TRY(co_await check_parents(entry.path));
    const std::string path = absolute(entry.path);
    switch (entry.type) {
      case TarEntry::Type::folder: {
        CO_TRY(co_await clear_way(entry.path, Way::folder));
        CO_TRY(co_await make_folder(path, entry.mode));
        remember(entry.path);
        co_return Status{};
      }
      case TarEntry::Type::file: {
        CO_TRY(co_await clear_way(entry.path, Way::file));
        CO_TRY_ASSIGN(writer_, co_await machine_->files().create(path, entry.mode, vm::CreateParents::yes, ""));
        co_return Status{};
      }
      case TarEntry::Type::symlink: {
        CO_TRY(runtime::check_symlink(dest_, entry.path, entry.link_target));
        CO_TRY(co_await clear_way(entry.path, Way::link));
        CO_TRY(co_await machine_->files().make_symlink(entry.link_target, path, vm::CreateParents::yes, ""));
        ++files_;
        co_return Status{};
      }
      case TarEntry::Type::hard_link:
        break;
    }
    co_return co_await copy(entry);
  }

  Task<void> make_folder(std::string path, std::uint32_t mode) {
    if (path == "/") co_return Status{};
    co_return co_await machine_->files().make_directory(std::move(path), mode, vm::CreateParents::yes, "");
  }

  // The guest has no call for hard links: the same content in a file of its own.
  Task<void> copy(const TarEntry& entry) {
    CO_TRY(co_await check_parents(entry.link_target));
    const std::string from = absolute(entry.link_target);
    CO_TRY_ASSIGN(const auto info, co_await machine_->files().lstat(from));
    if (info.type != vm::FileType::file) {
      co_return fail(Code::InvalidArgument, cat("the archive's entry '", to_utf8(entry.path), "' is a link to '",
                                                to_utf8(entry.link_target), "', which is no regular file"));
    }
    CO_TRY(co_await clear_way(entry.path, Way::file));
    CO_TRY_ASSIGN(writer_,
                  co_await machine_->files().create(absolute(entry.path), info.mode, vm::CreateParents::yes, ""));
    for (std::uint64_t at = 0;;) {
      CO_TRY_ASSIGN(std::string piece, co_await machine_->files().read(from, at));
      if (piece.empty()) co_return Status{};
      at += piece.size();
      CO_TRY(co_await writer_->write(std::move(piece)));
    }
  }

  // Every folder between dest and the entry is a real one, or not there yet.
  Task<void> check_parents(const std::string& path) {
    for (std::size_t slash = path.find('/'); slash != std::string::npos; slash = path.find('/', slash + 1)) {
      const std::string folder = path.substr(0, slash);
      if (known_.contains(folder)) continue;
      const auto info = co_await machine_->files().lstat(absolute(folder));
      if (!info && info.error().code == Code::NotFound) co_return Status{};
      CO_TRY(info);
      if (info->type != vm::FileType::directory) {
        co_return fail(Code::InvalidArgument, cat("the archive's entry '", to_utf8(path), "' lies behind '",
                                                  to_utf8(folder), "', which is no folder"));
      }
      remember(folder);
    }
    co_return Status{};
  }
  void remember(const std::string& folder) {
    if (known_.size() < kMaxKnownFolders) known_.insert(folder);
  }

  // What is in the place of an entry goes first, so that nothing is written through a link.
  enum class Way { file, folder, link };
  Task<void> clear_way(const std::string& path, Way way) {
    const auto info = co_await machine_->files().lstat(absolute(path));
    if (!info) {
      if (info.error().code == Code::NotFound) co_return Status{};
      co_return fail(info.error());
    }
    if (way == Way::folder && info->type == vm::FileType::directory) co_return Status{};
    if (way == Way::file && info->type == vm::FileType::file) co_return Status{};
    if (info->type == vm::FileType::directory) {
      co_return fail(Code::FailedPrecondition, cat("there is a folder where '", to_utf8(path), "' should go"));
    }
    co_return co_await machine_->files().remove(absolute(path), vm::Recursive::no);
  }

  std::shared_ptr<vm::Machine> machine_;
  std::string dest_;
  std::unique_ptr<vm::GuestFileWriter> writer_;
  std::set<std::string> known_;
  std::size_t files_ = 0;
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
  response.source = std::make_unique<Archive>(call.session->machine(), std::move(paths),
                                              std::move(excludes).value_or(std::vector<std::string>{}));
  co_return response;
}

Task<http::Response> runtime_upload(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::string asked, query_text(call, "dest"));
  CO_TRY_ASSIGN(const std::string dest, clean_path(asked.empty() ? "/" : asked));
  call.call.detail = dest;
  auto& sessions = call.services.sessions;
  if (sessions.unpacking() >= runtime::kUnpackers) {
    co_return fail(Code::ResourceExhausted, cat(runtime::kUnpackers, " uploads are running already"),
                   "try again when one has ended");
  }
  struct Place {
    std::size_t& count;
    explicit Place(std::size_t& counter) : count(counter) { ++count; }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { --count; }
  };
  const Place place(sessions.unpacking());
  // The feed goes before the request does.
  runtime::TarFeed feed(sessions.background(), sessions.unpackers(),
                        [body = call.request().body] { return body->next(); });
  Unpacking unpacking(call.session->machine(), dest);
  for (;;) {
    CO_TRY_ASSIGN(auto item, co_await feed.next());
    if (!item) break;
    CO_TRY(co_await unpacking.take(std::move(*item)));
  }
  CO_TRY(co_await unpacking.finish_file());
  co_return answer({{"dest", to_utf8(dest)}, {"files_extracted", unpacking.files()}});
}

}  // namespace cofferdam::api
