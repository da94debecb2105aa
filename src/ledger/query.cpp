#include "ledger/query.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <iterator>

#include "base/file.h"
#include "base/text.h"
#include "ledger/folder.h"
#include "ledger/segment.h"

namespace cofferdam::ledger {
namespace {

constexpr std::size_t kFilesAtOnce = 16;

// Of one file, the last `limit` matches before `before`; `oldest_us` becomes the time of its first entry.
Result<std::deque<Decoded>> find_in(const std::string& folder, std::uint64_t first, const EventFilter& filter,
                                    std::uint64_t before, std::size_t limit, std::int64_t& oldest_us) {
  TRY_ASSIGN(const std::string bytes, read_segment(folder, first));
  SegmentReader reader(bytes);
  std::deque<Decoded> found;
  bool any = false;
  while (const auto frame = reader.next()) {
    if (frame->type != FrameType::entry) continue;
    TRY_ASSIGN(Decoded entry, decode(frame->payload));
    if (!any) oldest_us = entry.stamp.time_us;
    any = true;
    if (entry.stamp.number >= before) break;
    if (!matches(filter, entry)) continue;
    if (found.size() == limit) found.pop_front();
    found.push_back(std::move(entry));
  }
  return found;
}

}  // namespace

bool matches(const EventFilter& filter, const Decoded& entry) {
  if (!filter.workspace_id.empty() && entry.text(kWorkspace) != filter.workspace_id) return false;
  if (!filter.actor.empty() && entry.text(kActor) != filter.actor) return false;
  if (filter.since_us && entry.stamp.time_us < *filter.since_us) return false;
  if (filter.until_us && entry.stamp.time_us >= *filter.until_us) return false;
  if (!filter.kind.empty()) {
    const std::string kind = entry.kind_text();
    if (kind != filter.kind && !kind.starts_with(filter.kind + ".")) return false;
  }
  return !filter.visible || filter.visible(entry);
}

Result<EventPage> find_events(const std::string& folder, const EventFilter& filter, std::uint64_t before,
                              std::size_t limit) {
  TRY_ASSIGN(const auto files, list_segments(folder));
  std::deque<Decoded> found;
  EventPage page;
  std::size_t looked_at = 0;
  for (auto first = files.rbegin(); first != files.rend(); ++first) {
    if (*first >= before) continue;
    if (looked_at == kFilesAtOnce) break;
    std::int64_t oldest_us = 0;
    auto here = find_in(folder, *first, filter, before, limit - found.size(), oldest_us);
    // Given up since it was listed.
    if (!here && here.error().code == Code::NotFound) break;
    if (!here) return fail(std::move(here.error()));
    found.insert(found.begin(), std::make_move_iterator(here->begin()), std::make_move_iterator(here->end()));
    ++looked_at;
    const bool older = std::next(first) != files.rend() && !(filter.since_us && oldest_us < *filter.since_us);
    page.before = older ? std::optional(*first) : std::nullopt;
    if (found.size() == limit) {
      page.before = found.front().stamp.number;
      break;
    }
    if (!older) break;
  }
  page.entries.assign(std::make_move_iterator(found.begin()), std::make_move_iterator(found.end()));
  return page;
}

Result<std::vector<std::string>> EntryReader::read(std::uint64_t until, std::size_t limit) {
  std::vector<std::string> entries;
  while (entries.empty() && next_ < until) {
    if (bytes_.empty()) {
      TRY_ASSIGN(const auto files, list_segments(folder_));
      auto holding = std::upper_bound(files.begin(), files.end(), next_);
      if (holding != files.begin()) --holding;
      if (holding == files.end()) return entries;
      next_ = std::max(next_, *holding);
      TRY_ASSIGN(bytes_, read_segment(folder_, *holding));
      offset_ = kSegmentMagic.size();
    }
    SegmentReader reader(bytes_, offset_);
    const auto before = next_;
    while (entries.size() < limit && next_ < until) {
      const auto frame = reader.next();
      if (!frame) {
        // The end of the file as it was when it was read.
        bytes_.clear();
        break;
      }
      if (frame->type != FrameType::entry) continue;
      TRY_ASSIGN(const Decoded entry, decode(frame->payload));
      if (entry.stamp.number < next_) continue;
      next_ = entry.stamp.number + 1;
      entries.emplace_back(frame->payload);
    }
    offset_ = reader.offset();
    if (entries.empty() && next_ == before) return entries;
  }
  return entries;
}

Result<std::string> read_entry(const std::string& folder, std::uint64_t number) {
  TRY_ASSIGN(const auto files, list_segments(folder));
  const auto behind = std::upper_bound(files.begin(), files.end(), number);
  const auto gone = [&] {
    return fail(Code::NotFound, cat("the ledger has no entry ", number), "it was given up, or is not written yet");
  };
  if (behind == files.begin()) return gone();
  const std::string path = cat(folder, "/", segment_name(*std::prev(behind)));
  TRY_ASSIGN(const std::size_t offset, read_offset(folder, number));
  TRY_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY));
  // As much as the largest entry may take; a reader looks at what is there.
  std::string bytes(kFrameHeadBytes + kMaxEntryBytes, '\0');
  const ssize_t got = ::pread(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (got < 0) return fail_errno("read an entry of the ledger");
  bytes.resize(static_cast<std::size_t>(got));
  SegmentReader reader(bytes, 0);
  const auto frame = reader.next();
  if (!frame || frame->type != FrameType::entry) return gone();
  TRY_ASSIGN(const Decoded entry, decode(frame->payload));
  if (entry.stamp.number != number) return gone();
  return std::string(frame->payload);
}

}  // namespace cofferdam::ledger
