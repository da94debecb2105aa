#include "runtime/packing.h"

#include <algorithm>

namespace cofferdam::runtime {
namespace {

constexpr std::uint32_t kMaxDepth = 128;
constexpr std::size_t kOut = 32U << 10;

}  // namespace

Packing::Packing(std::shared_ptr<vm::Machine> machine, std::vector<std::string> paths,
                 std::vector<std::string> excludes, Compression compression)
    : machine_(std::move(machine)), paths_(std::move(paths)), excludes_(std::move(excludes)), writer_(compression) {}

Task<std::string> Packing::next() {
  std::string out;
  while (out.size() < kOut && !finished_) {
    CO_TRY(co_await step());
    out += writer_.take();
  }
  co_return out;
}

Task<void> Packing::step() {
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
    ListingOptions options;
    options.max_depth = kMaxDepth;
    options.gitignore = Gitignore::ignored;
    options.ignore = excludes_;
    listing_ = std::make_unique<Listing>(machine_, path, std::move(options));
  }
  co_return Status{};
}

Status Packing::begin(const std::string& path, const vm::FileInfo& info) {
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
Task<void> Packing::read_on() {
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

}  // namespace cofferdam::runtime
