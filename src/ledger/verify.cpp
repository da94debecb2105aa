#include "ledger/verify.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/file.h"
#include "base/text.h"
#include "ledger/canonical.h"
#include "ledger/folder.h"
#include "ledger/key_chain.h"
#include "ledger/segment.h"

namespace cofferdam::ledger {
namespace {

constexpr std::size_t kMaxFindings = 1000;
constexpr std::size_t kMaxRemarks = 200;
constexpr std::uint64_t kMaxUnknown = 1U << 16;  // entries that may be passed over unseen

std::string range_text(std::uint64_t from, std::uint64_t to) {
  return from == to ? cat("entry ", from) : cat("entries ", from, " to ", to);
}

template <class E>
constexpr bool is(const Decoded& entry) {
  return entry.kind == E::kKind.number;
}

class Verifier {
 public:
  explicit Verifier(const VerifyOptions& options) : options_(options) {
    if (auto nodes = NodeFile::open(options.folder)) nodes_.emplace(std::move(*nodes));
  }

  Result<VerifyReport> run();

 private:
  void find(std::uint64_t from, std::uint64_t to, std::string what) {
    ++report_.finding_count;
    if (report_.findings.size() < kMaxFindings) report_.findings.push_back({from, to, std::move(what)});
  }
  void remark(std::string what) {
    if (report_.remarks.size() < kMaxRemarks) report_.remarks.push_back(std::move(what));
  }

  void read_keys();
  void read_wanted();
  void want(const Note& note, std::string_view whose);
  Status read_file_from(std::uint64_t first);
  bool take_header(const Frame& frame, std::uint64_t first);
  void take_entry(const Frame& frame);
  void take_damaged(const Frame& frame);
  void take_checkpoint(const Frame& frame);
  void note_kind(const Decoded& entry);
  void push(const Hash& leaf);
  bool fill(std::uint64_t until);
  void at_size();
  void settle(const Hash& signed_root, std::string_view by);
  void finish();

  [[nodiscard]] std::uint64_t size() const { return frontier_.size(); }
  [[nodiscard]] Result<Hash> stored_leaf(std::uint64_t number) const {
    if (!nodes_) return fail(Code::NotFound, "there is no file of nodes");
    return nodes_->read(0, number);
  }

  const VerifyOptions& options_;
  VerifyReport report_;
  std::optional<NodeFile> nodes_;
  KeyChain chain_;
  bool have_keys_ = false;
  std::map<std::uint64_t, const KeyLink*> links_;                      // by the number of their entry
  std::multimap<std::uint64_t, std::pair<Hash, std::string>> wanted_;  // roots by size, and whose word they are

  Frontier frontier_;
  // Since the last root that came out: the tree there, and the leaves that were pushed.
  Frontier settled_;
  std::vector<Hash> leaves_;
  bool lost_ = false;  // the tree is another from here on, and was said to be
  std::uint64_t signed_size_ = 0;
  std::set<std::uint64_t> missing_;  // numbers that were passed over, and may stand further down
  std::uint64_t pruned_to_ = 0;      // entries below are gone by the log's own word
  std::int64_t last_time_us_ = 0;
};

Result<VerifyReport> Verifier::run() {
  TRY_ASSIGN(const auto files, list_segments(options_.folder));
  if (files.empty()) {
    return fail(Code::NotFound, cat("there is no ledger in '", options_.folder, "'"),
                "name the folder STATE/ledger of a daemon");
  }
  read_keys();
  report_.first = files.front();
  for (std::size_t i = 0; i < files.size(); ++i) {
    if (i > 0 && files[i] < size()) {
      find(files[i], files[i], cat("the file ", segment_name(files[i]), " begins within the one before it"));
      continue;
    }
    TRY(read_file_from(files[i]));
  }
  finish();
  return std::move(report_);
}

void Verifier::read_keys() {
  const auto text = read_file(keys_path(options_.folder), kMaxKeysBytes);
  auto chain = text ? KeyChain::parse(*text) : Result<KeyChain>(fail(text.error()));
  if (!chain || chain->empty()) {
    find(0, 0, cat("the chain of keys cannot be believed: ", chain ? "it is empty" : chain.error().message));
    return;
  }
  chain_ = std::move(*chain);
  have_keys_ = true;
  for (const auto& link : chain_.links()) links_[link.size] = &link;
  report_.origin = chain_.last().origin;
  report_.keys = chain_.links().size();
  report_.first_key = chain_.links().front().key;
  if (options_.first_key && *options_.first_key != chain_.links().front().key) {
    find(0, 0, "the chain of keys begins with another key than the one that was given");
  }
  read_wanted();
}

// Checkpoints that lie outside the log, and what the key links say of it.
void Verifier::read_wanted() {
  for (const auto& link : chain_.links()) {
    wanted_.emplace(link.size, std::pair(link.root, cat("the key of epoch ", link.epoch, " took over")));
  }
  for (const auto& note : options_.checkpoints) want(note, "the given checkpoint");
  if (!path_exists(checkpoint_path(options_.folder))) return;
  const auto text = read_file(checkpoint_path(options_.folder), kMaxNoteFileBytes);
  auto note = text ? parse_note(*text) : Result<Note>(fail(text.error()));
  if (note) {
    want(*note, "the newest checkpoint");
  } else {
    find(0, 0, cat("the file of the newest checkpoint cannot be read: ", note.error().message));
  }
}

void Verifier::want(const Note& note, std::string_view whose) {
  const auto checkpoint = chain_.check(note);
  if (!checkpoint) {
    find(0, 0, cat(whose, " cannot be believed: ", checkpoint.error().message));
    return;
  }
  wanted_.emplace(checkpoint->size, std::pair(checkpoint->root, cat(whose, " of ", checkpoint->size, " entries")));
}

Status Verifier::read_file_from(std::uint64_t first) {
  TRY_ASSIGN(const std::string bytes, read_segment(options_.folder, first));
  SegmentReader reader(bytes);
  const auto head = reader.next();
  if (!head || head->type != FrameType::header || !take_header(*head, first)) {
    find(first, first, cat("the file ", segment_name(first), " does not begin as one of this log"));
    return {};
  }
  for (;;) {
    while (const auto frame = reader.next()) {
      if (frame->type == FrameType::entry) take_entry(*frame);
      if (frame->type == FrameType::checkpoint) take_checkpoint(*frame);
      if (frame->type == FrameType::header) find(size(), size(), "a file has a second header");
    }
    if (!reader.torn()) return {};
    const auto at = reader.offset();
    if (!reader.skip_damaged()) {
      find(size(), size(), cat(segment_name(first), ", byte ", at, ": from here on the file cannot be read"));
      return {};
    }
    // As far as its lengths can be believed.
    const std::size_t payload = at + kFrameHeadBytes;
    Frame damaged;
    damaged.type = static_cast<FrameType>(bytes[at + 4]);
    damaged.payload = std::string_view(bytes).substr(payload, reader.offset() - payload);
    damaged.offset = at;
    take_damaged(damaged);
  }
}

bool Verifier::take_header(const Frame& frame, std::uint64_t first) {
  auto header = decode_header(frame.payload);
  if (!header || header->first != first) return false;
  if (have_keys_ && header->origin != report_.origin) return false;
  auto frontier = Frontier::restore(first, header->frontier);
  if (!frontier) return false;
  if (first > 0) {
    const auto note = parse_note(header->checkpoint);
    const auto sealed = note && have_keys_ ? chain_.check(*note) : Result<Checkpoint>(fail(Code::DataLoss, ""));
    const bool believed = sealed && sealed->size == first && sealed->root == frontier->root();
    if (!believed && have_keys_) {
      find(first, first, cat("the file ", segment_name(first), " begins with a state that nobody has signed"));
    }
    if (size() == 0) {
      // The oldest file that is kept.
      signed_size_ = first;
      frontier_ = settled_ = std::move(*frontier);
      return true;
    }
    if (first > size()) {
      find(
          size(), first - 1,
          cat(range_text(size(), first - 1), " are missing: the files before ", segment_name(first), " end too early"));
      frontier_ = settled_ = std::move(*frontier);
      leaves_.clear();
      lost_ = !believed;
    } else if (believed) {
      signed_size_ = size();
      settle(sealed->root, "the next file's header");
    }
  }
  return true;
}

void Verifier::push(const Hash& leaf) {
  at_size();
  frontier_.push(leaf);
  leaves_.push_back(leaf);
}

// What others say of the tree as large as it is now.
void Verifier::at_size() {
  for (auto at = wanted_.find(size()); at != wanted_.end(); at = wanted_.find(size())) {
    settle(at->second.first, at->second.second);
    wanted_.erase(at);
  }
}

// Passes over entries up to `until`, their leaves taken from what was written down. False: they are not known.
bool Verifier::fill(std::uint64_t until) {
  std::vector<Hash> leaves;
  for (auto number = size(); number < until; ++number) {
    auto leaf = stored_leaf(number);
    if (!leaf) {
      // Without them the numbers go on, and the tree is lost.
      if (nodes_ || until - size() > kMaxUnknown) return false;
      lost_ = true;
      leaf = Hash{};
    }
    leaves.push_back(*leaf);
  }
  for (const auto& leaf : leaves) {
    missing_.insert(size());
    push(leaf);
  }
  return true;
}

void Verifier::take_entry(const Frame& frame) {
  const auto entry = decode(frame.payload);
  if (!entry) {
    find(size(), size(), cat(range_text(size(), size()), " was changed: ", entry.error().message));
    push(frame.hash);
    return;
  }
  const auto number = entry->stamp.number;
  if (number < size()) {
    if (missing_.erase(number) != 0) {
      find(number, number, cat(describe(*entry), " is out of place: it stands behind entry ", size() - 1));
    } else {
      find(number, number, cat(describe(*entry), " was invented: there is an entry of that number already"));
    }
    return;
  }
  if (number > size() && !fill(number)) {
    find(size(), size(), cat("where ", range_text(size(), size()), " should stand is ", describe(*entry)));
    push(frame.hash);
    return;
  }
  last_time_us_ = entry->stamp.time_us;
  const auto link = links_.find(number);
  const bool keyed = is<model::LedgerKeyed>(*entry);
  if (have_keys_ && keyed != (link != links_.end())) {
    find(number, number,
         cat(describe(*entry),
             keyed ? " names a key that is not of the chain" : " stands where a key of the chain took over"));
  }
  push(frame.hash);
  note_kind(*entry);
}

void Verifier::take_damaged(const Frame& frame) {
  if (frame.type != FrameType::entry) {
    find(size(), size(), cat("a checkpoint behind entry ", size() == 0 ? 0 : size() - 1, " was changed"));
    return;
  }
  const auto entry = decode(frame.payload);
  const bool same_number = entry && entry->stamp.number == size();
  find(size(), size(), cat(same_number ? describe(*entry) : range_text(size(), size()), " was changed"));
  if (const auto leaf = stored_leaf(size())) {
    push(*leaf);
  } else {
    push(leaf_hash(frame.payload));
  }
}

void Verifier::note_kind(const Decoded& entry) {
  constexpr std::uint8_t kFirst = 16, kSecond = 17, kThird = 18;
  if (is<model::LedgerPruned>(entry)) {
    pruned_to_ = std::max(pruned_to_, static_cast<std::uint64_t>(entry.number(kSecond)) + 1);
  } else if (is<model::LedgerGap>(entry)) {
    remark(cat(describe(entry), ": ", entry.number(kFirst), " events were not written down"));
  } else if (is<model::ClockJumped>(entry)) {
    remark(cat(describe(entry), ": the clock was moved by ", entry.number(kFirst), " us"));
  } else if (is<model::LedgerRecovered>(entry) && entry.number(kThird) > 0) {
    const auto from = static_cast<std::uint64_t>(entry.number(kSecond));
    remark(cat(describe(entry), ": ", range_text(from, from + static_cast<std::uint64_t>(entry.number(kThird)) - 1),
               " had no signature when a daemon started after a crash"));
  }
}

void Verifier::take_checkpoint(const Frame& frame) {
  ++report_.checkpoints;
  const auto note = parse_note(frame.payload);
  const auto before = size() == 0 ? 0 : size() - 1;
  if (!note) {
    find(before, before, cat("the checkpoint behind entry ", before, " is none: ", note.error().message));
    return;
  }
  if (!have_keys_) return;
  const auto checkpoint = chain_.check(*note);
  if (!checkpoint) {
    find(before, before,
         cat("the checkpoint behind entry ", before, " cannot be believed: ", checkpoint.error().message));
    return;
  }
  if (checkpoint->size > size()) {
    const auto from = size();
    if (!fill(checkpoint->size)) {
      find(from, checkpoint->size - 1, cat(range_text(from, checkpoint->size - 1), " are missing"));
      return;
    }
  }
  if (checkpoint->size < size()) {
    find(checkpoint->size, size() - 1,
         cat("a checkpoint of ", checkpoint->size, " entries stands behind ", range_text(size() - 1, size() - 1)));
    return;
  }
  signed_size_ = size();
  settle(checkpoint->root, "a checkpoint");
  at_size();
}

// The tree is held against a root that was signed, and what does not fit is named.
void Verifier::settle(const Hash& signed_root, std::string_view by) {
  if (frontier_.root() != signed_root && !lost_) {
    Frontier repaired = settled_;
    std::vector<std::uint64_t> changed;
    bool known = true;
    for (std::size_t i = 0; i < leaves_.size() && known; ++i) {
      const auto number = settled_.size() + i;
      const auto leaf = stored_leaf(number);
      known = leaf.has_value();
      if (known && *leaf != leaves_[i]) changed.push_back(number);
      if (known) repaired.push(*leaf);
    }
    if (known && repaired.root() == signed_root) {
      for (const auto number : changed) {
        find(number, number, cat(range_text(number, number), " is not the one that was signed (", by, ")"));
      }
      frontier_ = std::move(repaired);
    } else {
      const auto from = settled_.size();
      const auto to = size() == 0 ? 0 : size() - 1;
      find(from, to,
           cat("among ", range_text(from, to),
               " something was changed: the tree is not the one that was "
               "signed (",
               by, ")"));
      lost_ = true;
    }
  }
  settled_ = frontier_;
  leaves_.clear();
}

void Verifier::finish() {
  at_size();
  if (!missing_.empty()) {
    auto from = *missing_.begin();
    auto to = from;
    for (const auto number : missing_) {
      if (number > to + 1) {
        find(from, to, cat(range_text(from, to), from == to ? " is" : " are", " missing"));
        from = number;
      }
      to = number;
    }
    find(from, to, cat(range_text(from, to), from == to ? " is" : " are", " missing"));
  }
  for (const auto& [at, word] : wanted_) {
    if (at > size()) {
      find(size(), at - 1, cat(range_text(size(), at - 1), " are missing at the end: ", word.second));
      continue;
    }
    // Of entries that are no longer kept: what was written down of the tree leads from there to where the log begins.
    if (at >= report_.first || at == 0) continue;
    const auto read = [&](unsigned level, std::uint64_t index) {
      return nodes_ ? nodes_->read(level, index) : Result<Hash>(fail(Code::NotFound, "it is not written down"));
    };
    const auto root = root_of(size(), read);
    const auto proof = consistency_proof(at, size(), read);
    const auto checked = root && proof ? check_consistency(at, word.first, size(), *root, *proof)
                                       : Status(fail(Code::NotFound, "the tree's nodes are not there"));
    if (!checked || (!lost_ && *root != frontier_.root())) {
      find(0, report_.first - 1,
           cat("nothing leads from ", word.second,
               " to this log: ", checked ? "the nodes are another tree's" : checked.error().message));
    }
  }
  if (report_.first > pruned_to_) {
    find(pruned_to_, report_.first - 1,
         cat(range_text(pruned_to_, report_.first - 1), " are missing: no entry says that they were given up"));
  }
  report_.size = size();
  report_.root = frontier_.root();
  report_.unsigned_entries = size() - std::min(size(), signed_size_);
  if (report_.unsigned_entries > 0 && last_time_us_ < options_.unsigned_before_us) {
    find(signed_size_, size() - 1,
         cat(range_text(signed_size_, size() - 1), " are signed by nobody: a crash left them, or somebody wrote them"));
  }
}

}  // namespace

Result<VerifyReport> verify(const VerifyOptions& options) { return Verifier(options).run(); }

}  // namespace cofferdam::ledger
