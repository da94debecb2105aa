#include "keys/key_store.h"

#include <algorithm>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <utility>

#include "base/id.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "keys/branch.h"
#include "keys/files.h"
#include "keys/key_tree.h"

namespace cofferdam::keys {
namespace {

constexpr std::size_t kMaxOwner = 64;
constexpr std::size_t kMaxName = 128;
// So many erasures are served by one new root at most.
constexpr std::size_t kMaxNames = 4096;

bool is_word(std::string_view text, std::size_t max, std::string_view also) {
  const auto fits = [&](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-' || also.find(c) != std::string_view::npos;
  };
  return !text.empty() && text.size() <= max && std::all_of(text.begin(), text.end(), fits);
}

Status check_owner(std::string_view owner) {
  if (is_word(owner, kMaxOwner, "")) return {};
  return fail(Code::InvalidArgument, cat("the owner of a key: 1 to ", kMaxOwner, " letters, digits, '_', '.' and '-'"));
}

Status check_name(const KeyName& name) {
  TRY(check_owner(name.owner));
  if (is_word(name.name, kMaxName, "/")) return {};
  return fail(Code::InvalidArgument,
              cat("the name of a key: 1 to ", kMaxName, " letters, digits, '_', '.', '-' and '/'"));
}

std::size_t branch_of(std::string_view owner) {
  static_assert(kBranches == 256);
  return static_cast<unsigned char>(from_hex(crypto::sha256_hex(owner).substr(0, 2)).value().front());
}

tl::unexpected<Error> no_such_key(const KeyName& name) {
  return fail(Code::NotFound, cat("there is no key '", name.name, "' of '", name.owner, "'"));
}

// What to erase: one key, or all of an owner.
struct Target {
  std::string owner;
  std::optional<std::string> name;
};

// An erasure that waits for its turn, or for somebody else's turn that takes it along.
struct Request {
  std::vector<Target> targets;
  std::optional<Result<Erasure>> answer;
};

}  // namespace

Key make_key(std::size_t bytes) { return {new_id("key"), crypto::random_secret(bytes)}; }

class KeyStore::Impl {
 public:
  explicit Impl(std::unique_ptr<Files> own_files) : own_files_(std::move(own_files)) {}
  Status open(Files& files, RootHolder& holder) {
    TRY_ASSIGN(tree_, KeyTree::open(files, holder));
    return {};
  }
  [[nodiscard]] const KeyTree& tree() const { return *tree_; }

  Status keep(const KeyName& name, const Key& key);
  Result<Erasure> erase(std::vector<Target> targets);
  Status settle() {
    const std::lock_guard turn(changes_);
    return tree_->settle();
  }

 private:
  void serve(std::span<Request* const> requests);
  Result<std::vector<std::vector<KeyInfo>>> take_out(std::span<Request* const> requests);

  std::unique_ptr<Files> own_files_;
  std::unique_ptr<KeyTree> tree_;
  std::mutex changes_;  // one change at a time
  std::mutex queue_;    // of waiting_
  std::deque<Request*> waiting_;
};

Status KeyStore::Impl::keep(const KeyName& name, const Key& key) {
  const std::lock_guard turn(changes_);
  const std::size_t index = branch_of(name.owner);
  TRY_ASSIGN(const SecureBytes bytes, tree_->read(index));
  Branch branch;
  if (!bytes.empty()) {
    TRY_ASSIGN(branch, decode_branch(bytes));
  }
  const SecureBytes fresh = crypto::random_secret(crypto::kAeadKeyBytes);
  BranchOwner* owner = find_owner(branch, name.owner);
  if (owner == nullptr) owner = &branch.emplace_back(BranchOwner{name.owner, fresh.view(), {}});
  if (find_key(*owner, name.name) != nullptr) {
    return fail(Code::AlreadyExists, cat("'", name.owner, "' has a key '", name.name, "' already"));
  }
  const std::string sealed = wrap_key(SecureBytes::copy_of(owner->wrapping), name, key);
  owner->keys.push_back({name.name, key.id, sealed});
  KeyTree::Changes changes;
  changes.emplace(index, encode_branch(branch));
  return tree_->commit(changes, Rotation::same_root);
}

// Erasures that meet share one new root: with holders that take their time, that is what keeps many deletions quick.
Result<Erasure> KeyStore::Impl::erase(std::vector<Target> targets) {
  Request ours{std::move(targets), std::nullopt};
  {
    const std::lock_guard lock(queue_);
    waiting_.push_back(&ours);
  }
  const std::lock_guard turn(changes_);
  // Unless somebody's turn took it along it is in the queue, though perhaps not in the first batch.
  while (!ours.answer) {
    std::vector<Request*> batch;
    std::size_t names = 0;
    {
      const std::lock_guard lock(queue_);
      while (!waiting_.empty() && (batch.empty() || names + waiting_.front()->targets.size() <= kMaxNames)) {
        names += waiting_.front()->targets.size();
        batch.push_back(waiting_.front());
        waiting_.pop_front();
      }
    }
    serve(batch);
  }
  return std::move(*ours.answer);
}

void KeyStore::Impl::serve(std::span<Request* const> requests) {
  const std::string before = tree_->root();
  auto erased = take_out(requests);
  const std::string after = tree_->root();
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (erased) {
      requests[i]->answer = Erasure{std::move((*erased)[i]), before, after};
    } else {
      requests[i]->answer = fail(erased.error());
    }
  }
}

// For each request what of it was there.
Result<std::vector<std::vector<KeyInfo>>> KeyStore::Impl::take_out(std::span<Request* const> requests) {
  // What an earlier erasure left undone comes first: an answer says that all of it is gone.
  TRY(tree_->settle());
  struct Opened {
    SecureBytes bytes;
    Branch branch;
    enum { untouched, changed } state = untouched;
  };
  std::map<std::size_t, Opened> opened;
  std::vector<std::vector<KeyInfo>> found(requests.size());
  for (std::size_t i = 0; i < requests.size(); ++i) {
    for (const auto& target : requests[i]->targets) {
      const std::size_t index = branch_of(target.owner);
      auto at = opened.find(index);
      if (at == opened.end()) {
        Opened now;
        TRY_ASSIGN(now.bytes, tree_->read(index));
        if (!now.bytes.empty()) {
          TRY_ASSIGN(now.branch, decode_branch(now.bytes));
        }
        at = opened.emplace(index, std::move(now)).first;
      }
      BranchOwner* owner = find_owner(at->second.branch, target.owner);
      if (owner == nullptr) continue;
      const auto gone = std::partition(owner->keys.begin(), owner->keys.end(),
                                       [&](const BranchKey& key) { return target.name && key.name != *target.name; });
      for (auto key = gone; key != owner->keys.end(); ++key) {
        found[i].push_back({{target.owner, std::string(key->name)}, std::string(key->id)});
        at->second.state = Opened::changed;
      }
      owner->keys.erase(gone, owner->keys.end());
      if (owner->keys.empty()) {
        std::erase_if(at->second.branch, [&](const BranchOwner& each) { return each.owner == target.owner; });
      }
    }
  }
  KeyTree::Changes changes;
  for (const auto& [index, now] : opened) {
    if (now.state == Opened::untouched) continue;
    changes.emplace(index, now.branch.empty() ? SecureBytes() : encode_branch(now.branch));
  }
  if (!changes.empty()) TRY(tree_->commit(changes, Rotation::new_root));
  return found;
}

KeyStore::KeyStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
KeyStore::~KeyStore() = default;

Result<std::unique_ptr<KeyStore>> KeyStore::open(const std::string& dir, RootHolder& holder) {
  TRY_ASSIGN(auto files, HostFiles::open(dir));
  Files& used = *files;
  auto impl = std::make_unique<Impl>(std::move(files));
  TRY(impl->open(used, holder));
  return std::unique_ptr<KeyStore>(new KeyStore(std::move(impl)));
}

Result<std::unique_ptr<KeyStore>> KeyStore::open(Files& files, RootHolder& holder) {
  auto impl = std::make_unique<Impl>(nullptr);
  TRY(impl->open(files, holder));
  return std::unique_ptr<KeyStore>(new KeyStore(std::move(impl)));
}

Status KeyStore::discard(const std::string& dir, RootHolder& holder) {
  TRY_ASSIGN(const auto files, HostFiles::open(dir));
  return KeyTree::discard(*files, holder);
}

Status KeyStore::keep(const KeyName& name, const Key& key) {
  TRY(check_name(name));
  if (key.bytes.empty() || key.bytes.size() > kMaxKeyBytes || !is_word(key.id, kMaxOwner, "")) {
    return fail(Code::InvalidArgument, cat("a key has 1 to ", kMaxKeyBytes, " bytes and an id"));
  }
  return impl_->keep(name, key);
}

Result<Key> KeyStore::get(const KeyName& name) {
  TRY(check_name(name));
  TRY_ASSIGN(const SecureBytes bytes, impl_->tree().read(branch_of(name.owner)));
  if (bytes.empty()) return no_such_key(name);
  TRY_ASSIGN(Branch branch, decode_branch(bytes));
  const BranchOwner* owner = find_owner(branch, name.owner);
  const BranchKey* key = owner == nullptr ? nullptr : find_key(*owner, name.name);
  if (key == nullptr) return no_such_key(name);
  return unwrap_key(*owner, *key);
}

namespace {

Status list_branch(const KeyTree& tree, std::size_t index, std::optional<std::string_view> owner,
                   std::vector<KeyInfo>& found) {
  TRY_ASSIGN(const SecureBytes bytes, tree.read(index));
  if (bytes.empty()) return {};
  TRY_ASSIGN(const Branch branch, decode_branch(bytes));
  for (const auto& each : branch) {
    if (owner && each.owner != *owner) continue;
    for (const auto& key : each.keys) {
      found.push_back({{std::string(each.owner), std::string(key.name)}, std::string(key.id)});
    }
  }
  return {};
}

std::vector<KeyInfo> sorted(std::vector<KeyInfo> infos) {
  std::sort(infos.begin(), infos.end(), [](const KeyInfo& a, const KeyInfo& b) { return a.name < b.name; });
  return infos;
}

}  // namespace

Result<std::vector<KeyInfo>> KeyStore::list(const std::string& owner) {
  TRY(check_owner(owner));
  std::vector<KeyInfo> found;
  TRY(list_branch(impl_->tree(), branch_of(owner), owner, found));
  return sorted(std::move(found));
}

Result<std::vector<KeyInfo>> KeyStore::list() {
  std::vector<KeyInfo> found;
  for (std::size_t i = 0; i < kBranches; ++i) TRY(list_branch(impl_->tree(), i, std::nullopt, found));
  return sorted(std::move(found));
}

Result<Erasure> KeyStore::erase(std::span<const KeyName> names) {
  std::vector<Target> targets;
  for (const auto& name : names) {
    TRY(check_name(name));
    targets.push_back({name.owner, name.name});
  }
  return impl_->erase(std::move(targets));
}

Result<Erasure> KeyStore::erase_owner(const std::string& owner) {
  TRY(check_owner(owner));
  return impl_->erase({{owner, std::nullopt}});
}

Status KeyStore::settle() { return impl_->settle(); }

std::string KeyStore::tree_root() const { return impl_->tree().root(); }

}  // namespace cofferdam::keys
