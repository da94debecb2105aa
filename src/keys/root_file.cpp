#include "keys/root_file.h"

#include <algorithm>

#include "base/random.h"
#include "base/text.h"

namespace cofferdam::keys {
namespace {

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kBlocks = 64;

}  // namespace

Result<std::vector<RootRecord>> RootFile::read() {
  std::vector<RootRecord> records;
  std::vector<Slot> live;
  TRY_ASSIGN(const auto size, files_->size(name_));
  if (size) {
    const auto blocks = std::min<std::uint64_t>(*size / kBlock, kBlocks);
    TRY_ASSIGN(const auto bytes, files_->read(name_, 0, blocks * kBlock));
    for (std::size_t i = 0; i < blocks; ++i) {
      auto record = decode_record(bytes.view().substr(i * kBlock, kRecordBytes));
      if (!record) continue;
      live.push_back({i, record->store, record->id});
      records.push_back(std::move(*record));
    }
  }
  live_ = std::move(live);
  // What another process did to the blocks is not known: they are made ready before the next one is used.
  next_ = kBlocks;
  return records;
}

Status RootFile::know() {
  if (live_) return {};
  TRY(read());
  return {};
}

bool RootFile::is_live(std::size_t index) const {
  return std::any_of(live_->begin(), live_->end(), [&](const Slot& slot) { return slot.index == index; });
}

Result<std::vector<RootRecord>> RootFile::load(const std::string& store) {
  TRY_ASSIGN(auto records, read());
  for (const auto& record : records) {
    if (record.store == store) continue;
    return fail(Code::FailedPrecondition, cat("'", path(), "' holds the root ", record.id, " of another key tree"),
                "is this the state folder you mean, and is its disk mounted? A root whose tree is gone for good can "
                "be removed with its file");
  }
  return records;
}

// Under another name first, so that a file that is there is whole.
Status RootFile::make() {
  const std::string fresh = name_ + ".new";
  TRY(files_->remove(fresh));
  TRY(files_->write(fresh, 0, std::string(kBlock * kBlocks, '\0')));
  TRY(files_->sync(fresh));
  TRY(files_->rename(fresh, name_));
  next_ = 0;
  return files_->sync_folder();
}

// Real blocks again wherever nothing lives.
Status RootFile::refill() {
  for (std::size_t i = 0; i < kBlocks; ++i) {
    if (!is_live(i)) TRY(files_->write(name_, i * kBlock, std::string(kBlock, '\0')));
  }
  next_ = 0;
  return files_->sync(name_);
}

Status RootFile::add(const std::string& store, const std::string& id, std::string_view payload) {
  TRY(know());
  TRY_ASSIGN(const auto there, files_->size(name_));
  if (!there || *there < kBlock * kBlocks) TRY(make());
  if (next_ == kBlocks) TRY(refill());
  while (next_ < kBlocks && is_live(next_)) ++next_;
  if (next_ == kBlocks) return fail(Code::ResourceExhausted, cat("'", path(), "' is full of roots in use"));
  const std::size_t index = next_++;
  // Whether or not this arrives, remove() must look there.
  live_->push_back({index, store, id});
  TRY(files_->write(name_, index * kBlock, encode_record(store, id, payload).view()));
  return files_->sync(name_);
}

Status RootFile::remove(const std::string& store, const std::string& id) {
  TRY(know());
  for (auto slot = live_->begin(); slot != live_->end();) {
    if (slot->store != store || slot->id != id) {
      ++slot;
      continue;
    }
    const std::uint64_t at = slot->index * kBlock;
    TRY(files_->write(name_, at, random_bytes(kBlock)));
    TRY(files_->sync(name_));
    slot = live_->erase(slot);
    // It holds nothing any more; that the block goes back may become durable later.
    TRY(files_->punch(name_, at, kBlock));
  }
  return {};
}

}  // namespace cofferdam::keys
