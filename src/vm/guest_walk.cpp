#include "vm/guest_walk.h"

#include <algorithm>

#include "base/bytes.h"
#include "vm/guest_stream.h"

namespace cofferdam::vm {
namespace {

constexpr std::chrono::seconds kOpening{30};
constexpr std::size_t kLengthBytes = 4;

class LinkWalk : public GuestWalk {
 public:
  LinkWalk(std::shared_ptr<GuestLink> link, std::shared_ptr<ProcessStream> stream, std::uint32_t max_entries)
      : stream_(std::move(link), std::move(stream), "walk in the guest"), left_(max_entries) {}

  Task<std::optional<std::vector<FileInfo>>> next() override {
    if (ended_) co_return std::optional<std::vector<FileInfo>>();
    CO_TRY(co_await fill(kLengthBytes));
    const std::size_t size = ByteReader(as_bytes(bytes_)).u32();
    if (size > wire::kMaxWalkBatch) co_return fail(Code::DataLoss, "the guest agent sent too long a piece of a walk");
    CO_TRY(co_await fill(kLengthBytes + size));
    auto batch = wire::decode<wire::WalkBatch>(std::string_view(bytes_).substr(kLengthBytes, size));
    bytes_.erase(0, kLengthBytes + size);
    if (!batch) co_return fail(std::move(batch.error()));
    CO_TRY(check(*batch));
    if (batch->end) {
      ended_ = true;
      summary_.complete = batch->end->stop == wire::WalkStop::Complete;
      summary_.unreadable_folders = batch->end->unreadable;
      if (batch->entries.empty()) co_return std::optional<std::vector<FileInfo>>();
    }
    std::optional<std::vector<FileInfo>> entries(std::in_place);
    entries->reserve(batch->entries.size());
    for (auto& entry : batch->entries) entries->push_back(to_file_info(std::move(entry)));
    co_return entries;
  }
  [[nodiscard]] Summary summary() const override { return summary_; }

 private:
  Task<void> fill(std::size_t size) {
    while (bytes_.size() < size) {
      auto more = co_await stream_.read();
      if (!more) co_return fail(std::move(more.error()));
      if (!*more) co_return fail(Code::DataLoss, "the guest's walk ended before its end", "try again");
      bytes_ += **more;
    }
    co_return Status{};
  }

  // The guest may not go on for ever, nor name what is elsewhere.
  Status check(const wire::WalkBatch& batch) {
    const bool plain = std::all_of(batch.entries.begin(), batch.entries.end(),
                                   [](const wire::FileInfo& entry) { return is_plain_relative(entry.name); });
    if (!plain) return fail(Code::DataLoss, "the guest agent told an entry outside of the walk");
    if (batch.entries.size() > left_ || (batch.entries.empty() && !batch.end)) {
      return fail(Code::DataLoss, "the guest agent's walk does not keep to its bounds");
    }
    left_ -= static_cast<std::uint32_t>(batch.entries.size());
    return {};
  }

  GuestStream stream_;
  std::uint32_t left_;
  std::string bytes_;
  bool ended_ = false;
  Summary summary_;
};

}  // namespace

FileInfo to_file_info(wire::FileInfo&& entry) {
  FileInfo info;
  info.name = std::move(entry.name);
  switch (entry.kind) {
    case wire::FileKind::File:
      info.type = FileType::file;
      break;
    case wire::FileKind::Folder:
      info.type = FileType::directory;
      break;
    case wire::FileKind::Symlink:
      info.type = FileType::symlink;
      break;
    default:
      info.type = FileType::other;
  }
  info.size = entry.size;
  info.mode = entry.mode;
  info.uid = entry.uid;
  info.gid = entry.gid;
  info.modified_ms = entry.mtime_ns / 1'000'000;
  info.symlink_target = std::move(entry.link_target);
  return info;
}

Task<std::unique_ptr<GuestWalk>> open_guest_walk(std::shared_ptr<GuestLink> link, std::string root,
                                                 WalkOptions options) {
  CO_TRY(check_excludes(options.excludes));
  wire::Walk walk;
  walk.path = std::move(root);
  walk.max_depth = std::clamp(options.max_depth, 1U, wire::kMaxWalkDepth);
  walk.max_entries = std::clamp(options.max_entries, 1U, wire::kMaxWalkEntries);
  walk.excludes = std::move(options.excludes);
  const std::uint32_t max_entries = walk.max_entries;
  auto opened = co_await link->open_stream<wire::Empty>(wire::Op::Walk, std::move(walk), kOpening);
  if (!opened) co_return fail(std::move(opened.error()));
  std::unique_ptr<GuestWalk> result = std::make_unique<LinkWalk>(link, std::move(opened->stream), max_entries);
  co_return result;
}

}  // namespace cofferdam::vm
