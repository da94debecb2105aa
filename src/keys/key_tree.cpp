#include "keys/key_tree.h"

#include <algorithm>
#include <array>
#include <mutex>

#include "base/bytes.h"
#include "base/id.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "keys/secret_writer.h"

namespace cofferdam::keys {
namespace {

const std::string kTree = "tree";
const std::string kNewTree = "tree.new";

// The two sectors are in blocks of their own, whatever the disk's blocks are.
constexpr std::array<std::uint64_t, 2> kPlaces{0, 4096};
constexpr std::uint64_t kHeaderBytes = 8192;
constexpr std::uint64_t kGrowBytes = 256U << 10;
constexpr std::uint32_t kMaxExtent = 64U << 20;

// A trunk in the clear: for each branch where it is and its key. All zero: there is none.
constexpr std::size_t kEntryBytes = sizeof(std::uint64_t) + sizeof(std::uint32_t) + crypto::kAeadKeyBytes;
constexpr std::size_t kTrunkBytes = kBranches * kEntryBytes;

std::string_view entry_of(const SecureBytes& trunk, std::size_t branch) {
  return trunk.view().substr(branch * kEntryBytes, kEntryBytes);
}

Extent extent_of(const SecureBytes& trunk, std::size_t branch) {
  ByteReader in(as_bytes(entry_of(trunk, branch)));
  Extent extent;
  extent.offset = in.u64();
  extent.size = in.u32();
  return extent;
}

SecureBytes key_of(const SecureBytes& trunk, std::size_t branch) {
  return SecureBytes::copy_of(entry_of(trunk, branch).substr(kEntryBytes - crypto::kAeadKeyBytes));
}

void set_entry(SecureBytes& trunk, std::size_t branch, Extent extent, const SecureBytes& key) {
  SecretWriter entry(kEntryBytes);
  entry.u64(extent.offset);
  entry.u32(extent.size);
  entry.raw(key.view());
  const auto written = std::move(entry).take();
  std::copy(written.view().begin(), written.view().end(),
            trunk.writable().begin() + static_cast<std::ptrdiff_t>(branch * kEntryBytes));
}

// The first one is 1, and they take turns.
unsigned place_of(const Superblock& block) { return block.sequence % 2 == 1 ? 0 : 1; }

std::string place_of_trunk(const Superblock& block) {
  return cat("cofferdam trunk", '\0', block.store, '\0', block.root_id, '\0', block.sequence);
}
std::string place_of_branch(const Superblock& block, std::size_t branch) {
  return cat("cofferdam branch", '\0', block.store, '\0', branch);
}

Root make_root() { return {new_id("root"), crypto::random_secret(kRootKeyBytes)}; }
Root copy_of(const Root& root) { return {root.id, root.key.clone()}; }

std::string names_of(const std::vector<Root>& roots) {
  std::string names;
  for (const auto& root : roots) names += cat(names.empty() ? "" : ", ", root.id);
  return names;
}

const Root* find_root(const std::vector<Root>& roots, const std::string& id) {
  const auto found = std::find_if(roots.begin(), roots.end(), [&](const Root& each) { return each.id == id; });
  return found == roots.end() ? nullptr : &*found;
}

}  // namespace

Result<std::unique_ptr<KeyTree>> KeyTree::open(Files& files, RootHolder& holder) {
  auto tree = std::unique_ptr<KeyTree>(new KeyTree(files, holder));
  auto started = tree->start();
  if (!started) return fail(std::move(started.error()).in("open the key tree"));
  return tree;
}

Status KeyTree::discard(Files& files, RootHolder& holder) {
  // The root reaches the holder while the tree still has the first of these names.
  for (const auto& name : {kNewTree, kTree}) {
    TRY_ASSIGN(const auto size, files.size(name));
    for (const auto place : kPlaces) {
      if (size.value_or(0) < place + kSectorBytes) continue;
      TRY_ASSIGN(const auto sector, files.read(name, place, kSectorBytes));
      const auto block = decode_superblock(sector.view());
      if (!block) continue;
      TRY_ASSIGN(const auto roots, holder.load(block->store));
      for (const auto& root : roots) TRY(holder.remove(block->store, root.id));
    }
    TRY(files.remove(name));
  }
  return files.sync_folder();
}

Status KeyTree::start() {
  TRY_ASSIGN(const auto there, files_.size(kTree));
  if (!there) {
    TRY_ASSIGN(const bool finished, finish_new());
    if (!finished) TRY(make_new());
  }
  return take_over();
}

// An empty tree has its name only after its root is in the holder, so whatever has the name had a root once.
Status KeyTree::make_new() {
  Superblock first;
  first.store = new_id("keys");
  // Is the holder's place free?
  TRY_ASSIGN(const auto others, holder_.load(first.store));
  const Root root = make_root();
  state_ = {first, SecureBytes(kTrunkBytes)};
  place_ = 1;
  file_size_ = kGrowBytes;
  TRY(files_.remove(kNewTree));
  TRY(files_.write(kNewTree, 0, std::string(kGrowBytes, '\0')));
  TRY_ASSIGN(const Plan planned, plan({}, root));
  for (const auto& [extent, bytes] : planned.writes) TRY(files_.write(kNewTree, extent.offset, bytes));
  TRY(files_.write(kNewTree, kPlaces[0], encode_superblock(planned.next.block)));
  TRY(files_.sync(kNewTree));
  TRY(files_.sync_folder());
  TRY(holder_.add(first.store, root));
  TRY(files_.rename(kNewTree, kTree));
  return files_.sync_folder();
}

// A first start that was cut off after its root had reached the holder. Anything less is begun again.
Result<bool> KeyTree::finish_new() {
  TRY_ASSIGN(const auto size, files_.size(kNewTree));
  if (!size || *size < kHeaderBytes) return false;
  TRY_ASSIGN(const auto sector, files_.read(kNewTree, kPlaces[0], kSectorBytes));
  const auto block = decode_superblock(sector.view());
  if (!block) return false;
  TRY_ASSIGN(const auto roots, holder_.load(block->store));
  if (find_root(roots, block->root_id) == nullptr) return false;
  TRY(files_.rename(kNewTree, kTree));
  TRY(files_.sync_folder());
  return true;
}

Status KeyTree::take_over() {
  TRY_ASSIGN(const auto size, files_.size(kTree));
  file_size_ = size.value_or(0);
  std::vector<Superblock> blocks;
  for (const auto place : kPlaces) {
    if (file_size_ < place + kSectorBytes) continue;
    TRY_ASSIGN(const auto sector, files_.read(kTree, place, kSectorBytes));
    if (auto block = decode_superblock(sector.view())) blocks.push_back(std::move(*block));
  }
  if (blocks.empty()) {
    return fail(Code::DataLoss, cat("'", files_.path(kTree), "' is damaged: neither of its heads can be read"),
                "put the file back from a copy that is as old as the root");
  }
  std::sort(blocks.begin(), blocks.end(),
            [](const Superblock& a, const Superblock& b) { return a.sequence > b.sequence; });
  TRY_ASSIGN(const auto roots, holder_.load(blocks.front().store));
  return adopt(blocks, roots);
}

Status KeyTree::adopt(const std::vector<Superblock>& blocks, const std::vector<Root>& roots) {
  const Superblock& newest = blocks.front();
  const Root* root = find_root(roots, newest.root_id);
  if (roots.empty()) {
    return fail(Code::FailedPrecondition,
                cat("lost root: '", files_.path(kTree), "' was written under ", newest.root_id, ", and ",
                    holder_.name(), " holds no root"),
                "put the root back, or choose the holder that has it (keys.root); without it no permanent "
                "workspace's disk opens again");
  }
  if (root == nullptr) {
    return fail(Code::FailedPrecondition,
                cat("wrong root: '", files_.path(kTree), "' was written under ", newest.root_id, ", and ",
                    holder_.name(), " holds ", names_of(roots)),
                "one of the two is an old copy: put back the one that belongs to the other");
  }
  auto opened = open_state(newest, *root);
  // Only a rotation that was cut off leaves two roots, and only then can what the sector refers to be incomplete.
  const bool in_rotation = roots.size() > 1;
  if (opened && in_rotation) {
    if (auto whole = check_branches(*opened); !whole) opened = fail(std::move(whole.error()));
  }
  if (opened) {
    state_ = std::move(*opened);
    root_ = copy_of(*root);
    place_ = place_of(newest);
  } else if (in_rotation && blocks.size() > 1 && blocks.back().root_id != newest.root_id) {
    TRY(go_back_to(blocks.back(), roots));
  } else {
    return fail(std::move(opened.error()));
  }
  for (const auto& each : roots) {
    if (each.id != root_.id) stray_.push_back(each.id);
  }
  if (auto settled = settle(); !settled) {
    log_warn("a root that is no longer in use could not be destroyed yet", {{"error", settled.error().message}});
  }
  return files_.remove(kNewTree);
}

// The state before a rotation that did not arrive as a whole.
Status KeyTree::go_back_to(const Superblock& before, const std::vector<Root>& roots) {
  const Root* root = find_root(roots, before.root_id);
  if (root == nullptr) {
    return fail(Code::DataLoss, cat("'", files_.path(kTree), "' is damaged: neither of its states can be opened"),
                "put the file back from a copy that was made under the same root");
  }
  TRY_ASSIGN(state_, open_state(before, *root));
  TRY(check_branches(state_));
  root_ = copy_of(*root);
  place_ = place_of(before);
  // The head that came to nothing must be gone before its root is: a later start would ask for it.
  return commit({}, Rotation::same_root);
}

Result<KeyTree::State> KeyTree::open_state(const Superblock& block, const Root& root) const {
  if (block.trunk.size > kMaxExtent || block.trunk.offset + block.trunk.size > file_size_) {
    return fail(Code::DataLoss, cat("'", files_.path(kTree), "' is damaged: its trunk is beyond its end"));
  }
  TRY_ASSIGN(const auto sealed, files_.read(kTree, block.trunk.offset, block.trunk.size));
  auto trunk = crypto::unseal(root.key, sealed.view(), place_of_trunk(block));
  if (!trunk || trunk->size() != kTrunkBytes) {
    return fail(Code::DataLoss, cat("'", files_.path(kTree), "' is damaged: its trunk does not open under ", root.id),
                "put the file back from a copy that was made under the same root");
  }
  return State{block, std::move(*trunk)};
}

Status KeyTree::check_branches(const State& state) const {
  for (std::size_t i = 0; i < kBranches; ++i) TRY(open_branch(state, i));
  return {};
}

Result<SecureBytes> KeyTree::open_branch(const State& state, std::size_t branch) const {
  const Extent extent = extent_of(state.trunk, branch);
  if (extent.size == 0) return SecureBytes();
  auto damaged = [&](std::string_view why) {
    return fail(Code::DataLoss, cat("'", files_.path(kTree), "' is damaged: branch ", branch, ": ", why));
  };
  if (extent.size > kMaxExtent || extent.offset + extent.size > file_size_) return damaged("it is beyond the end");
  TRY_ASSIGN(const auto sealed, files_.read(kTree, extent.offset, extent.size));
  auto plain = crypto::unseal(key_of(state.trunk, branch), sealed.view(), place_of_branch(state.block, branch));
  if (!plain) return damaged(plain.error().message);
  return plain;
}

Result<SecureBytes> KeyTree::read(std::size_t branch) const {
  const std::shared_lock lock(mutex_);
  return open_branch(state_, branch);
}

std::string KeyTree::root() const {
  const std::shared_lock lock(mutex_);
  return state_.block.trunk_digest;
}

// The first gap that is large enough; `used` is sorted, and takes what is found.
Result<Extent> KeyTree::find_room(std::vector<Extent>& used, std::size_t size) {
  if (size > kMaxExtent) return fail(Code::ResourceExhausted, "a branch of the key tree is full");
  const std::uint64_t wanted = (size + kSectorBytes - 1) / kSectorBytes * kSectorBytes;
  std::uint64_t at = kHeaderBytes;
  auto next = used.begin();
  for (; next != used.end() && next->offset < at + wanted; ++next) {
    at = std::max(at, (next->offset + next->size + kSectorBytes - 1) / kSectorBytes * kSectorBytes);
  }
  const Extent found{at, static_cast<std::uint32_t>(size)};
  used.insert(next, found);
  return found;
}

Result<KeyTree::Plan> KeyTree::plan(const Changes& changes, const Root& root) {
  Plan made{{state_.block, state_.trunk.clone()}, {}};
  Superblock& block = made.next.block;
  std::vector<Extent> used{state_.block.trunk};
  for (std::size_t i = 0; i < kBranches; ++i) used.push_back(extent_of(state_.trunk, i));
  std::erase_if(used, [](const Extent& extent) { return extent.size == 0; });
  std::sort(used.begin(), used.end(), [](const Extent& a, const Extent& b) { return a.offset < b.offset; });

  for (const auto& [branch, plain] : changes) {
    if (plain.empty()) {
      set_entry(made.next.trunk, branch, {}, SecureBytes(crypto::kAeadKeyBytes));
      continue;
    }
    const auto key = crypto::random_secret(crypto::kAeadKeyBytes);
    std::string sealed = crypto::seal(key, plain.view(), place_of_branch(block, branch));
    TRY_ASSIGN(const Extent extent, find_room(used, sealed.size()));
    set_entry(made.next.trunk, branch, extent, key);
    made.writes.emplace_back(extent, std::move(sealed));
  }
  block.sequence += 1;
  block.root_id = root.id;
  std::string sealed = crypto::seal(root.key, made.next.trunk.view(), place_of_trunk(block));
  block.trunk_digest = crypto::sha256_hex(sealed);
  TRY_ASSIGN(block.trunk, find_room(used, sealed.size()));
  made.writes.emplace_back(block.trunk, std::move(sealed));
  return made;
}

Status KeyTree::write(const Plan& plan, Rotation rotation) {
  const std::uint64_t have = file_size_;
  std::uint64_t end = have;
  for (const auto& [extent, bytes] : plan.writes) end = std::max(end, extent.offset + extent.size);
  if (end > have) {
    // Room for more than this, so that the file system has to find blocks now and then only.
    const std::uint64_t size = (end + kGrowBytes) / kGrowBytes * kGrowBytes;
    TRY(files_.write(kTree, have, std::string(size - have, '\0')));
    TRY(files_.sync(kTree));
    file_size_ = size;
  }
  for (const auto& [extent, bytes] : plan.writes) TRY(files_.write(kTree, extent.offset, bytes));
  if (rotation == Rotation::same_root) TRY(files_.sync(kTree));
  auto written = files_.write(kTree, kPlaces.at(1 - place_), encode_superblock(plan.next.block));
  if (written) written = files_.sync(kTree);
  unknown_ = !written;
  return written;
}

Error KeyTree::unknown_state() const {
  return {Code::Unavailable, cat("the disk failed under '", files_.path(kTree), "', and what is durable is not known"),
          "look after the disk, then start cofferd again"};
}

Status KeyTree::commit(const Changes& changes, Rotation rotation) {
  if (unknown_) return fail(unknown_state());
  const bool rotates = rotation == Rotation::new_root;
  Root root = rotates ? make_root() : copy_of(root_);
  TRY_ASSIGN(Plan planned, plan(changes, root));
  if (rotates) {
    // Until the new state is durable this is the stray one, and after an error it may be in the holder or not.
    stray_.push_back(root.id);
    if (auto added = holder_.add(state_.block.store, root); !added) {
      (void)settle();
      return fail(std::move(added.error()).in("store a new root key"));
    }
  }
  if (auto written = write(planned, rotation); !written) {
    if (!unknown_) (void)settle();
    return fail(std::move(written.error()).in("change the key tree"));
  }
  {
    const std::unique_lock lock(mutex_);
    state_ = std::move(planned.next);
    place_ = 1 - place_;
  }
  if (!rotates) return {};
  std::replace(stray_.begin(), stray_.end(), root.id, root_.id);
  root_ = std::move(root);
  return settle();
}

Status KeyTree::settle() {
  // Which root is the stray one is not known either.
  if (unknown_) return fail(unknown_state());
  while (!stray_.empty()) {
    if (auto removed = holder_.remove(state_.block.store, stray_.back()); !removed) {
      return fail(std::move(removed.error()).in(cat("destroy the root key ", stray_.back())));
    }
    stray_.pop_back();
  }
  return {};
}

}  // namespace cofferdam::keys
