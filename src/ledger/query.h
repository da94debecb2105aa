// Reading what is written: the newest entries that match, or all in order. Calls block, and read files that a writer
// may be adding to.
#pragma once
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "ledger/canonical.h"

namespace cofferdam::ledger {

// What is empty or absent matches everything.
struct EventFilter {
  std::string workspace_id, actor;
  std::string kind;  // "exec.started", or "exec" for all that begin with "exec."
  std::optional<std::int64_t> since_us, until_us;
  std::function<bool(const Decoded&)> visible;  // called on other threads: owns what it uses
};
bool matches(const EventFilter& filter, const Decoded& entry);

struct EventPage {
  std::vector<Decoded> entries;  // oldest first
  // Where older ones begin, when there may be some: the next page is what comes before this number.
  std::optional<std::uint64_t> before;
};

// The last `limit` matches among the entries before `before`. Looks through at most 16 files at once: a page may be
// short, or empty, and still name where to go on.
Result<EventPage> find_events(const std::string& folder, const EventFilter& filter, std::uint64_t before,
                              std::size_t limit);

// Entries from one number on, file by file.
class EntryReader {
 public:
  EntryReader(std::string folder, std::uint64_t from) : folder_(std::move(folder)), next_(from) {}
  // At most `limit` of those before `until`, as their bytes; empty: there are no more. The number of the first is
  // next() before the call, or larger when those in between were given up.
  Result<std::vector<std::string>> read(std::uint64_t until, std::size_t limit);
  [[nodiscard]] std::uint64_t next() const { return next_; }

 private:
  std::string folder_;
  std::uint64_t next_;
  std::string bytes_;  // of the file that holds next_
  std::size_t offset_ = 0;
};

// NotFound: there is no such entry (any more).
Result<std::string> read_entry(const std::string& folder, std::uint64_t number);

}  // namespace cofferdam::ledger
