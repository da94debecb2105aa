#include "vm/guest_files.h"

#include <algorithm>

#include "base/text.h"
#include "vm/guest_walk.h"

namespace cofferdam::vm {
namespace {

constexpr std::chrono::seconds kQuick{30};
constexpr std::chrono::minutes kSlow{5};  // a deep remove, a commit of much data
constexpr std::size_t kMaxListed = 100'000;

class LinkFileWriter : public GuestFileWriter {
 public:
  LinkFileWriter(std::shared_ptr<GuestLink> link, std::uint32_t handle) : link_(std::move(link)), handle_(handle) {}
  LinkFileWriter(const LinkFileWriter&) = delete;
  LinkFileWriter& operator=(const LinkFileWriter&) = delete;
  ~LinkFileWriter() override {
    if (committed_) return;
    wire::FileHandle handle;
    handle.handle = handle_;
    link_->post(wire::Op::FileWriteAbort, wire::encode(handle));
  }
  Task<void> write(std::string bytes) override {
    for (std::size_t at = 0; at < bytes.size(); at += wire::kMaxChunk) {
      wire::FileWriteChunk chunk;
      chunk.handle = handle_;
      chunk.bytes = bytes.substr(at, wire::kMaxChunk);
      auto done = co_await link_->call<wire::Empty>(wire::Op::FileWriteChunk, std::move(chunk), kQuick);
      if (!done) co_return fail(std::move(done.error()));
    }
    co_return Status{};
  }
  Task<void> commit() override {
    wire::FileWriteCommit commit;
    commit.handle = handle_;
    auto done = co_await link_->call<wire::FileInfo>(wire::Op::FileWriteCommit, commit, kSlow);
    if (!done) co_return fail(std::move(done.error()));
    committed_ = true;
    co_return Status{};
  }

 private:
  std::shared_ptr<GuestLink> link_;
  std::uint32_t handle_;
  bool committed_ = false;
};

wire::MakeParents to_wire(CreateParents parents) {
  return parents == CreateParents::yes ? wire::MakeParents::Yes : wire::MakeParents::No;
}

wire::PlacedKind to_wire(PlacedEntry::Kind kind) {
  switch (kind) {
    case PlacedEntry::Kind::file:
      return wire::PlacedKind::File;
    case PlacedEntry::Kind::folder:
      return wire::PlacedKind::Folder;
    case PlacedEntry::Kind::symlink:
      return wire::PlacedKind::Symlink;
    case PlacedEntry::Kind::hard_link:
      break;
  }
  return wire::PlacedKind::HardLink;
}

}  // namespace

Task<FileInfo> LinkFiles::stat(std::string path) {
  wire::FileStat stat;
  stat.path = std::move(path);
  auto answer = co_await link_->call<wire::FileInfo>(wire::Op::FileStat, std::move(stat), kQuick);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return to_file_info(std::move(*answer));
}

Task<FileInfo> LinkFiles::lstat(std::string path) {
  wire::FileStat stat;
  stat.path = std::move(path);
  stat.follow = wire::Follow::No;
  auto answer = co_await link_->call<wire::FileInfo>(wire::Op::FileStat, std::move(stat), kQuick);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return to_file_info(std::move(*answer));
}

Task<std::vector<FileInfo>> LinkFiles::list(std::string path) {
  std::vector<FileInfo> entries;
  wire::FileList list;
  list.path = std::move(path);
  list.limit = 1024;
  do {
    auto page = co_await link_->call<wire::FileListResult>(wire::Op::FileList, list, kQuick);
    if (!page) co_return fail(std::move(page.error()));
    for (auto& entry : page->entries) entries.push_back(to_file_info(std::move(entry)));
    if (entries.size() > kMaxListed) {
      co_return fail(Code::ResourceExhausted, cat("'", list.path, "' has more than ", kMaxListed, " entries"));
    }
    if (page->entries.empty()) break;  // whatever cursor the guest gives then, it leads nowhere
    list.cursor = page->next_cursor;
  } while (list.cursor != 0);
  co_return entries;
}

Task<std::string> LinkFiles::read(std::string path, std::uint64_t offset) {
  wire::FileRead read;
  read.path = std::move(path);
  read.offset = offset;
  auto answer = co_await link_->call<wire::FileReadResult>(wire::Op::FileRead, std::move(read), kQuick);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return std::move(answer->bytes);
}

Task<std::unique_ptr<GuestFileWriter>> LinkFiles::create(std::string path, std::uint32_t mode, CreateParents parents,
                                                         std::string owner) {
  return open_writer(std::move(path), mode, parents, std::move(owner), wire::WriteMode::Replace);
}

Task<std::unique_ptr<GuestFileWriter>> LinkFiles::append(std::string path, std::uint32_t mode, CreateParents parents,
                                                         std::string owner) {
  return open_writer(std::move(path), mode, parents, std::move(owner), wire::WriteMode::Append);
}

Task<std::unique_ptr<GuestFileWriter>> LinkFiles::open_writer(std::string path, std::uint32_t mode,
                                                              CreateParents parents, std::string owner,
                                                              wire::WriteMode write_mode) {
  wire::FileWriteOpen open;
  open.path = std::move(path);
  open.mode = mode;
  open.make_parents = to_wire(parents);
  open.user = std::move(owner);
  open.write_mode = write_mode;
  auto handle = co_await link_->call<wire::FileHandle>(wire::Op::FileWriteOpen, std::move(open), kQuick);
  if (!handle) co_return fail(std::move(handle.error()));
  std::unique_ptr<GuestFileWriter> writer = std::make_unique<LinkFileWriter>(link_, handle->handle);
  co_return writer;
}

Task<std::unique_ptr<GuestFileWriter>> LinkFiles::place(PlacedEntry entry) {
  const bool file = entry.kind == PlacedEntry::Kind::file;
  wire::Place place;
  place.root = std::move(entry.root);
  place.path = std::move(entry.path);
  place.kind = to_wire(entry.kind);
  place.mode = entry.mode;
  place.target = std::move(entry.target);
  place.user = std::move(entry.owner);
  auto handle = co_await link_->call<wire::FileHandle>(wire::Op::Place, std::move(place), kQuick);
  if (!handle) co_return fail(std::move(handle.error()));
  if (!file) co_return std::unique_ptr<GuestFileWriter>();
  std::unique_ptr<GuestFileWriter> writer = std::make_unique<LinkFileWriter>(link_, handle->handle);
  co_return writer;
}

Task<void> LinkFiles::make_directory(std::string path, std::uint32_t mode, CreateParents parents, std::string owner) {
  wire::Mkdir mkdir;
  mkdir.path = std::move(path);
  mkdir.mode = mode;
  mkdir.make_parents = to_wire(parents);
  mkdir.user = std::move(owner);
  auto done = co_await link_->call<wire::Empty>(wire::Op::Mkdir, std::move(mkdir), kQuick);
  if (!done) co_return fail(std::move(done.error()));
  co_return Status{};
}

Task<void> LinkFiles::remove(std::string path, Recursive recursive) {
  wire::Remove remove;
  remove.path = std::move(path);
  remove.recursive = recursive == Recursive::yes ? wire::Recursive::Yes : wire::Recursive::No;
  auto done = co_await link_->call<wire::Empty>(wire::Op::Remove, std::move(remove), kSlow);
  if (!done) co_return fail(std::move(done.error()));
  co_return Status{};
}

Task<void> LinkFiles::rename(std::string from, std::string to) {
  wire::Rename rename;
  rename.from = std::move(from);
  rename.to = std::move(to);
  auto done = co_await link_->call<wire::Empty>(wire::Op::Rename, std::move(rename), kQuick);
  if (!done) co_return fail(std::move(done.error()));
  co_return Status{};
}

Task<void> LinkFiles::make_symlink(std::string target, std::string path, CreateParents parents, std::string owner) {
  wire::MakeSymlink link;
  link.target = std::move(target);
  link.path = std::move(path);
  link.make_parents = to_wire(parents);
  link.user = std::move(owner);
  auto done = co_await link_->call<wire::Empty>(wire::Op::MakeSymlink, std::move(link), kQuick);
  if (!done) co_return fail(std::move(done.error()));
  co_return Status{};
}

Task<void> LinkFiles::set_mode(std::string path, std::uint32_t mode) {
  wire::SetAttributes attributes;
  attributes.path = std::move(path);
  attributes.mode = mode;
  return set_attributes(std::move(attributes));
}

Task<void> LinkFiles::set_modified(std::string path, std::int64_t modified_ms) {
  constexpr std::int64_t kNsPerMs = 1'000'000;
  wire::SetAttributes attributes;
  attributes.path = std::move(path);
  attributes.mtime_ns = std::clamp(modified_ms, INT64_MIN / kNsPerMs, INT64_MAX / kNsPerMs) * kNsPerMs;
  return set_attributes(std::move(attributes));
}

Task<void> LinkFiles::set_attributes(wire::SetAttributes attributes) {
  auto done = co_await link_->call<wire::Empty>(wire::Op::SetAttributes, std::move(attributes), kQuick);
  if (!done) co_return fail(std::move(done.error()));
  co_return Status{};
}

Task<std::unique_ptr<GuestWalk>> LinkFiles::walk(std::string root, WalkOptions options) {
  return open_guest_walk(link_, std::move(root), std::move(options));
}

}  // namespace cofferdam::vm
