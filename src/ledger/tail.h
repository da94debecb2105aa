// Every entry from a number on: those that are written, and then those that come, none left out.
#pragma once
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "ledger/ledger.h"

namespace cofferdam::ledger {

// One reader, on the loop. The ledger outlives it.
class Tail {
 public:
  Tail(Ledger& ledger, std::uint64_t from)
      : ledger_(ledger), next_(from), feed_(ledger.follow()), behind_(from < ledger.size()) {}

  // Waits for the next; nullopt when the ledger has been closed. Cancelled when the reader was.
  Task<std::optional<Decoded>> next();

 private:
  Ledger& ledger_;
  std::uint64_t next_;
  std::shared_ptr<loop::Feed<std::shared_ptr<const News>>> feed_;
  bool behind_;  // there are entries to read before those that come
  std::shared_ptr<EntryReader> reader_;
  std::deque<std::string> read_;
  std::shared_ptr<const News> ahead_;  // came while there were others to read
};

}  // namespace cofferdam::ledger
