#include "ledger/appender.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/bytes.h"
#include "base/file.h"
#include "base/id.h"
#include "base/log.h"
#include "base/text.h"

namespace cofferdam::ledger {
namespace {

constexpr std::string_view kOriginPrefix = "cofferdam/";
constexpr std::size_t kReserveSteps = 2;  // a step is asked for when less than one is left

model::Entry entry_of(const KeyLink& link) {
  model::LedgerKeyed keyed;
  keyed.epoch = static_cast<std::int64_t>(link.epoch);
  keyed.link = link.note;
  return {{}, {}, std::move(keyed)};
}

tl::unexpected<Error> damaged(const std::string& why) {
  return fail(
      Code::DataLoss, cat("the ledger is not what was written: ", why),
      "look with coffer-verify, and keep the folder STATE/ledger as evidence; to begin a new ledger, move it and "
      "STATE/keys/ledger.key elsewhere");
}

}  // namespace

Pending happened_now(model::Entry entry) {
  timespec up{};
  ::clock_gettime(CLOCK_BOOTTIME, &up);
  Pending pending{std::move(entry), 0, 0};
  pending.time_us =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  constexpr std::uint64_t kUsPerS = 1'000'000;
  constexpr std::uint64_t kNsPerUs = 1'000;
  pending.uptime_us =
      static_cast<std::uint64_t>(up.tv_sec) * kUsPerS + static_cast<std::uint64_t>(up.tv_nsec) / kNsPerUs;
  return pending;
}

Appender::~Appender() = default;

Result<std::unique_ptr<Appender>> Appender::open(AppenderOptions options) {
  std::unique_ptr<Appender> appender(new Appender(std::move(options)));
  const auto& folder = appender->options_.folder;
  TRY(make_directories(folder, 0700));
  const auto& key = appender->options_.key_path;
  TRY(make_directories(key.substr(0, key.rfind('/')), 0700));
  TRY_ASSIGN(appender->nodes_, SideFile::open(nodes_path(folder)));
  TRY_ASSIGN(appender->offsets_, SideFile::open(offsets_path(folder)));
  TRY_ASSIGN(const auto files, list_segments(folder));
  if (files.empty()) {
    TRY(appender->begin());
  } else {
    TRY(appender->resume(files));
  }
  appender->reserve();
  return appender;
}

// Entry 0 is the first key.
Status Appender::begin() {
  TRY_ASSIGN(Signer signer, Signer::for_new_log(options_.key_path));
  signer_ = std::make_unique<Signer>(std::move(signer));
  const std::string origin = cat(kOriginPrefix, new_id("ldg"));
  TRY_ASSIGN(const KeyLink link, signer_->prepare(origin, 0, empty_root()));
  TRY(chain_.add(link));
  const Pending first = happened_now(entry_of(link));
  const std::string entry = encode({0, first.time_us, first.uptime_us}, first.entry);
  const Hash leaf = leaf_hash(entry);
  signer_->take_over(link);
  std::string bytes(kSegmentMagic);
  append_frame(bytes, FrameType::header, encode_header({origin, 0, {}, {}}));
  grow(frontier_, leaf, bytes.size());
  append_entry_frame(bytes, entry, leaf);
  checkpoint_ = sign(frontier_);
  append_frame(bytes, FrameType::checkpoint, checkpoint_);
  TRY(write_file_atomically(keys_path(options_.folder), link.note));
  TRY(nodes_->cut(0));
  TRY(offsets_->cut(0));
  TRY(write_file_atomically(path(0), bytes));
  TRY(signer_->destroy_old());
  TRY(open_segment(0, bytes.size()));
  signed_size_ = size();
  sealed_ = true;
  write_side_files();
  publish();
  return {};
}

// Adds a leaf, and what is written down beside it.
void Appender::grow(Frontier& tree, const Hash& leaf, std::size_t offset) {
  std::string bytes;
  ByteWriter(bytes).u32(static_cast<std::uint32_t>(offset));
  offsets_->add(bytes);
  tree.push(leaf, [this](const Hash& node) { nodes_->add(text_of(node)); });
}

Status Appender::open_segment(std::uint64_t first, std::size_t bytes) {
  TRY_ASSIGN(segment_, open_file(path(first), O_WRONLY));
  first_ = first;
  offset_ = reserved_until_ = bytes;
  suspect_ = false;
  return {};
}

Status Appender::resume(const std::vector<std::uint64_t>& files) {
  TRY_ASSIGN(const std::string keys, read_file(keys_path(options_.folder), kMaxKeysBytes));
  auto chain = KeyChain::parse(keys);
  if (!chain || chain->empty()) return damaged(cat("its chain of keys: ", chain ? "empty" : chain.error().message));
  chain_ = std::move(*chain);
  std::uint64_t published = 0;
  if (const auto text = read_file(checkpoint_path(options_.folder), kMaxNoteFileBytes)) {
    const auto note = parse_note(*text);
    const auto newest = note ? parse_checkpoint(note->text) : Result<Checkpoint>(fail(note.error()));
    if (newest) published = newest->size;
  }
  TRY(read_back(files.back(), published));
  TRY_ASSIGN(Signer signer, Signer::open(options_.key_path, chain_));
  signer_ = std::make_unique<Signer>(std::move(signer));
  recovery_.unsigned_from = signed_size_;
  recovery_.unsigned_count = unsigned_entries();
  TRY(rebuild_side_files(files));
  return {};
}

// The newest file, up to where it is whole.
Status Appender::read_back(std::uint64_t first, std::uint64_t published) {
  TRY_ASSIGN(const std::string bytes, read_segment(options_.folder, first));
  SegmentReader reader(bytes);
  const auto head = reader.next();
  if (!head || head->type != FrameType::header) return damaged(cat(segment_name(first), " has no header"));
  TRY_ASSIGN(const SegmentHeader header, decode_header(head->payload));
  if (header.first != first || header.origin != origin())
    return damaged(cat(segment_name(first), " is not of this log"));
  TRY_ASSIGN(frontier_, Frontier::restore(first, header.frontier));
  signed_size_ = first;
  checkpoint_ = header.checkpoint;
  sealed_ = false;
  while (const auto frame = reader.next()) {
    sealed_ = frame->type == FrameType::checkpoint;
    if (sealed_) {
      const auto note = parse_note(frame->payload);
      const auto signed_tree = note ? chain_.check(*note) : Result<Checkpoint>(fail(note.error()));
      if (!signed_tree || signed_tree->size != size() || signed_tree->root != frontier_.root()) {
        return damaged(cat("what stands before entry ", size(), " in ", segment_name(first), " was changed"));
      }
      signed_size_ = size();
      checkpoint_ = frame->payload;
      continue;
    }
    auto entry = decode(frame->payload);
    if (frame->type != FrameType::entry || !entry || entry->stamp.number != size()) {
      return damaged(cat("where entry ", size(), " should stand in ", segment_name(first), " is something else"));
    }
    // A key whose link had not come into its file yet.
    if (entry->kind == model::LedgerKeyed::kKind.number && chain_.last().size < size()) {
      TRY_ASSIGN(const Note note, parse_note(entry->text(17)));
      TRY_ASSIGN(KeyLink link, parse_link(note));
      TRY(add_key(link));
    }
    grow(frontier_, frame->hash, frame->offset);
  }
  if (size() < published) {
    return damaged(cat("entries ", size(), " to ", published - 1, " are missing or damaged, though they were signed"));
  }
  TRY(open_segment(first, reader.offset()));
  if (bytes.size() > reader.offset()) {
    recovery_.cut_bytes = bytes.size() - reader.offset();
    take_back();
  }
  return {};
}

// What belongs to the newest file is written again at each start; what belongs to those before it only when it is not
// there.
Status Appender::rebuild_side_files(const std::vector<std::uint64_t>& files) {
  TRY_ASSIGN(const auto nodes, nodes_->size());
  TRY_ASSIGN(const auto offsets, offsets_->size());
  if (nodes < node_count(first_) * sizeof(Hash) || offsets < first_ * sizeof(std::uint32_t)) {
    log_warn("the index of the ledger is made again");
    const std::string newest_nodes = nodes_->take_owed();
    const std::string newest_offsets = offsets_->take_owed();
    for (const auto first : files) {
      if (first == first_) break;
      TRY_ASSIGN(const std::string bytes, read_segment(options_.folder, first));
      SegmentReader reader(bytes);
      const auto head = reader.next();
      if (!head || head->type != FrameType::header) return damaged(cat(segment_name(first), " has no header"));
      TRY_ASSIGN(const SegmentHeader header, decode_header(head->payload));
      TRY_ASSIGN(Frontier tree, Frontier::restore(first, header.frontier));
      while (const auto frame = reader.next()) {
        if (frame->type == FrameType::entry) grow(tree, frame->hash, frame->offset);
      }
      nodes_->write(node_count(tree.size()) * sizeof(Hash));
      offsets_->write(tree.size() * sizeof(std::uint32_t));
    }
    nodes_->add(newest_nodes);
    offsets_->add(newest_offsets);
  }
  TRY(nodes_->cut(node_count(first_) * sizeof(Hash)));
  TRY(offsets_->cut(first_ * sizeof(std::uint32_t)));
  write_side_files();
  return {};
}

std::string Appender::sign(const Frontier& frontier) const {
  return signer_->sign({origin(), frontier.size(), frontier.root()});
}

// Blocks beyond the file's end, so that entries fit when nothing else does.
void Appender::reserve() {
  const std::size_t step = options_.reserve_bytes;
  if (reserved_until_ >= offset_ + step) {
    has_room_ = true;
    return;
  }
  const std::size_t until = offset_ + kReserveSteps * step;
  if (::fallocate(segment_.get(), FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset_),
                  static_cast<off_t>(until - offset_)) == 0) {
    reserved_until_ = until;
    has_room_ = true;
  } else {
    // A file system that knows no reservations has room until a write says otherwise.
    has_room_ = errno == EOPNOTSUPP || errno == ENOSYS;
  }
}

Status Appender::write(const std::string& bytes) {
  auto written = write_at(segment_.get(), bytes, offset_);
  if (written && ::fdatasync(segment_.get()) != 0) {
    written = fail_errno("make the ledger durable");
    suspect_ = true;
  }
  if (!written) {
    has_room_ = false;
    take_back();
    return fail(std::move(written.error()).with_hint("make room on the disk of STATE/ledger, and look at its health"));
  }
  offset_ += bytes.size();
  return {};
}

// What was not made durable never was. The reserve goes with it, and is asked for again at once.
void Appender::take_back() {
  if (::ftruncate(segment_.get(), static_cast<off_t>(offset_)) != 0 || ::fdatasync(segment_.get()) != 0)
    suspect_ = true;
  reserved_until_ = offset_;
  const bool had_room = has_room_;
  reserve();
  has_room_ = has_room_ && had_room;
}

void Appender::write_side_files() {
  nodes_->write(node_count(size()) * sizeof(Hash));
  offsets_->write(size() * sizeof(std::uint32_t));
}

Result<std::vector<std::string>> Appender::commit(const std::vector<Pending>& batch, Sign sign_it) {
  if ((offset_ >= options_.segment_bytes && sealed_) || suspect_) TRY(roll());
  return append(batch, sign_it == Sign::yes || offset_ >= options_.segment_bytes ? Seal::yes : Seal::no);
}

Result<std::vector<std::string>> Appender::append(const std::vector<Pending>& batch, Seal seal) {
  Frontier grown = frontier_;
  std::string bytes;
  std::vector<std::string> entries;
  std::vector<std::pair<Hash, std::size_t>> leaves;  // and where their frames begin
  entries.reserve(batch.size());
  leaves.reserve(batch.size());
  for (const auto& pending : batch) {
    entries.push_back(encode({grown.size(), pending.time_us, pending.uptime_us}, pending.entry));
    const Hash leaf = leaf_hash(entries.back());
    leaves.emplace_back(leaf, offset_ + bytes.size());
    append_entry_frame(bytes, entries.back(), leaf);
    grown.push(leaf);
  }
  std::string checkpoint;
  if (seal == Seal::yes && (grown.size() > signed_size_ || !sealed_)) {
    checkpoint = sign(grown);
    append_frame(bytes, FrameType::checkpoint, checkpoint);
  }
  if (bytes.empty()) return entries;
  TRY(write(bytes));
  for (const auto& [leaf, offset] : leaves) grow(frontier_, leaf, offset);
  sealed_ = !checkpoint.empty();
  if (sealed_) {
    // Proofs are of what is signed.
    write_side_files();
    signed_size_ = size();
    checkpoint_ = std::move(checkpoint);
    publish();
  }
  reserve();
  return entries;
}

// For whoever looks without asking. Not synced: after a power cut an older one may be there, which is true as well.
void Appender::publish() {
  const std::string name = checkpoint_path(options_.folder);
  const std::string temporary = name + ".tmp";
  const auto fd = open_file(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (!fd || !write_all(fd->get(), checkpoint_) || ::rename(temporary.c_str(), name.c_str()) != 0) {
    // Without room that is no news.
    if (has_room_) log_warn("the newest checkpoint of the ledger was not published");
  }
}

// The file is sealed; or suspect, and then it ends where it was last durable.
Status Appender::roll() {
  if (size() == first_) return fail(Code::Unavailable, "the disk of the ledger fails", "look at the disk's health");
  if (!sealed_) {
    // Its end is signed in the header of the next.
    checkpoint_ = sign(frontier_);
    signed_size_ = size();
  }
  auto written = write_keys();
  write_side_files();
  if (!nodes_->sync() || !offsets_->sync()) log_warn("the index of the ledger is not durable yet");
  std::string bytes(kSegmentMagic);
  append_frame(bytes, FrameType::header, encode_header({origin(), size(), frontier_.hashes(), checkpoint_}));
  if (written) written = write_file_atomically(path(size()), bytes);
  if (!written) {
    has_room_ = false;
    // An old file may grow; a suspect one may not.
    return suspect_ ? written : Status{};
  }
  const UniqueFd old = std::move(segment_);
  const auto old_end = static_cast<off_t>(offset_);
  TRY(open_segment(size(), bytes.size()));
  sealed_ = true;
  if (::ftruncate(old.get(), old_end) != 0) log_warn("what was reserved for a file of the ledger was not given back");
  publish();
  reserve();
  return {};
}

Status Appender::add_key(const KeyLink& link) {
  TRY(chain_.add(link));
  keys_owed_ = true;
  return write_keys();
}

// A link that is not there yet is in the newest file of entries, which is not closed before it is.
Status Appender::write_keys() {
  if (!keys_owed_) return {};
  std::string notes;
  for (const auto& link : chain_.links()) notes += link.note;
  TRY(write_file_atomically(keys_path(options_.folder), notes));
  keys_owed_ = false;
  return {};
}

Status Appender::advance_key() {
  if (suspect_) TRY(roll());
  auto link = signer_->prepare(origin(), size(), frontier_.root());
  if (!link) {
    signer_->give_up();
    return fail(std::move(link.error()));
  }
  const std::vector<Pending> entry{happened_now(entry_of(*link))};
  // The entry is signed by the new key, once it has taken over.
  if (auto committed = append(entry, Seal::no); !committed) {
    signer_->give_up();
    return fail(std::move(committed.error()));
  }
  signer_->take_over(*link);
  TRY(add_key(*link));
  TRY(signer_->destroy_old());
  TRY(append({}, Seal::yes));
  return {};
}

Result<LedgerCopy> Appender::copy() {
  TRY(advance_key());
  LedgerCopy made;
  made.origin = origin();
  made.size = size();
  made.checkpoint = checkpoint_;
  for (const auto& link : chain_.links()) made.keys += link.note;
  made.signing_key = signer_->copy_of_key();
  TRY_ASSIGN(const auto files, list_segments(options_.folder));
  for (const auto first : files) {
    TRY_ASSIGN(UniqueFd fd, open_file(path(first), O_RDONLY));
    struct stat info{};
    if (::fstat(fd.get(), &info) != 0) return fail_errno("look at a file of the ledger");
    const auto bytes = first == first_ ? std::uint64_t{offset_} : static_cast<std::uint64_t>(info.st_size);
    made.segments.push_back({segment_name(first), std::move(fd), bytes});
  }
  TRY(advance_key());
  return made;
}

Result<std::uint64_t> Appender::prune(std::int64_t before_us) {
  TRY_ASSIGN(const auto files, list_segments(options_.folder));
  std::size_t gone = 0;
  std::string root;
  // A file goes when the first entry of the one behind it is old, too.
  for (std::size_t i = 0; i + 1 < files.size(); ++i) {
    TRY_ASSIGN(const std::string next, read_segment(options_.folder, files[i + 1]));
    SegmentReader reader(next);
    const auto head = reader.next();
    const auto entry = reader.next();
    if (!head || !entry || entry->type != FrameType::entry) break;
    TRY_ASSIGN(const SegmentHeader header, decode_header(head->payload));
    TRY_ASSIGN(const Decoded first, decode(entry->payload));
    TRY_ASSIGN(const Frontier frontier, Frontier::restore(header.first, header.frontier));
    if (first.stamp.time_us >= before_us) break;
    root = to_hex(text_of(frontier.root()));
    gone = i + 1;
  }
  if (gone == 0) return 0;
  model::LedgerPruned pruned;
  pruned.from = static_cast<std::int64_t>(files.front());
  pruned.to = static_cast<std::int64_t>(files[gone]) - 1;
  pruned.root = root;
  const std::vector<Pending> entry{happened_now({{}, {}, pruned})};
  TRY(commit(entry, Sign::yes));
  for (std::size_t i = 0; i < gone; ++i) TRY(remove_tree(path(files[i])));
  return files[gone] - files.front();
}

Status Appender::close() {
  TRY(commit({}, Sign::yes));
  if (::ftruncate(segment_.get(), static_cast<off_t>(offset_)) != 0) return fail_errno("give back what was reserved");
  return {};
}

}  // namespace cofferdam::ledger
