// Folders as tar.gz, out of a workspace and into it, as streams.
#include <algorithm>

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

// Puts entries in place below a folder of the guest, which sees to it that nothing is written through a link there.
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
  Task<void> begin(TarEntry entry) {
    if (entry.path.empty()) {
      if (dest_ == "/") co_return Status{};
      co_return co_await machine_->files().make_directory(dest_, kFolderMode, vm::CreateParents::yes, "");
    }
    using Kind = vm::PlacedEntry::Kind;
    vm::PlacedEntry placed;
    placed.root = dest_;
    placed.path = entry.path;
    placed.mode = entry.mode;
    placed.target = entry.link_target;
    switch (entry.type) {
      case TarEntry::Type::file:
        break;
      case TarEntry::Type::folder:
        placed.kind = Kind::folder;
        break;
      case TarEntry::Type::symlink:
        CO_TRY(runtime::check_symlink(dest_, entry.path, entry.link_target));
        placed.kind = Kind::symlink;
        break;
      case TarEntry::Type::hard_link:
        placed.kind = Kind::hard_link;
        break;
    }
    auto put = co_await machine_->files().place(std::move(placed));
    if (!put) co_return fail(std::move(put.error()).in(cat("the archive's entry '", to_utf8(entry.path), "'")));
    writer_ = std::move(*put);
    if (entry.type == TarEntry::Type::symlink || entry.type == TarEntry::Type::hard_link) ++files_;
    co_return Status{};
  }

  std::shared_ptr<vm::Machine> machine_;
  std::string dest_;
  std::unique_ptr<vm::GuestFileWriter> writer_;
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
