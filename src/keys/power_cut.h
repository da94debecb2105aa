// For tests: files on a disk whose power can be cut at any operation, and that then keeps some of what was not synced,
// and a root holder that the same cut can fall before or after.
#pragma once
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <variant>
#include <vector>

#include "keys/files.h"
#include "keys/root_holder.h"

namespace cofferdam::keys {

// What of the unsynced operations a disk has kept when the power went.
enum class Kept { nothing, everything, some };

class PowerSwitch {
 public:
  // The `step`-th operation from now on (1: the next) is the last one that begins; 0: none.
  void cut_at(std::size_t step) {
    left_ = step;
    steps_ = 0;
    off_ = false;
  }
  // Called by every operation when it begins; true when it may not end.
  bool step() {
    ++steps_;
    if (off_) return true;
    if (left_ != 0) {
      --left_;
      off_ = left_ == 0;
    }
    return off_;
  }
  [[nodiscard]] bool is_off() const { return off_; }
  [[nodiscard]] std::size_t steps() const { return steps_; }
  static Error error() { return {Code::Internal, "the power is gone", ""}; }

 private:
  std::size_t left_ = 0, steps_ = 0;
  bool off_ = false;
};

class PowerCutFiles : public Files {
 public:
  explicit PowerCutFiles(PowerSwitch& power) : power_(power) {}

  // The power comes back: what was not synced is kept as `kept` says, sector by sector and name by name.
  void come_back(Kept kept, std::mt19937& random);
  [[nodiscard]] std::string content(const std::string& name) const { return cached_.at(name)->now; }
  void set_content(const std::string& name, const std::string& bytes) {
    cached_[name]->now = bytes;
    cached_[name]->durable = bytes;
  }
  [[nodiscard]] bool has(const std::string& name) const { return cached_.count(name) != 0; }

  [[nodiscard]] std::string path(const std::string& name) const override { return "/" + name; }
  Result<std::optional<std::uint64_t>> size(const std::string& name) override;
  Result<SecureBytes> read(const std::string& name, std::uint64_t offset, std::size_t size) override;
  Status write(const std::string& name, std::uint64_t offset, std::string_view bytes) override;
  Status punch(const std::string& name, std::uint64_t offset, std::uint64_t size) override;
  Status sync(const std::string& name) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& name) override;
  Status sync_folder() override;

 private:
  struct Write {
    std::uint64_t offset;
    std::string bytes;
  };
  struct File {
    std::string now, durable;
    std::vector<Write> unsynced;
  };
  using Names = std::map<std::string, std::shared_ptr<File>>;
  static void put(File& file, std::uint64_t offset, std::string_view bytes);
  static void keep(File& file, std::uint64_t offset, std::string_view bytes);
  void name_changed() { folder_.push_back(cached_); }

  PowerSwitch& power_;
  Names cached_;               // as programs see it
  Names durable_;              // as the disk has it
  std::vector<Names> folder_;  // what it was after each change that was not synced
};

// Any holder: the cut falls before what a call does, or after.
class PowerCutHolder : public RootHolder {
 public:
  PowerCutHolder(PowerSwitch& power, RootHolder& real) : power_(power), real_(real) {}
  [[nodiscard]] std::string name() const override { return real_.name(); }
  Result<std::vector<Root>> load(const std::string& store) override { return real_.load(store); }
  Status add(const std::string& store, const Root& root) override {
    return around([&] { return real_.add(store, root); });
  }
  Status remove(const std::string& store, const std::string& id) override {
    return around([&] { return real_.remove(store, id); });
  }

 private:
  Status around(const std::function<Status()>& work) {
    if (power_.step()) return fail(PowerSwitch::error());
    auto done = work();
    if (power_.step()) return fail(PowerSwitch::error());
    return done;
  }
  PowerSwitch& power_;
  RootHolder& real_;
};

// A holder whose calls are whole or were never there.
class MemoryHolder : public RootHolder {
 public:
  [[nodiscard]] std::string name() const override { return "the memory"; }
  Result<std::vector<Root>> load(const std::string& store) override {
    std::vector<Root> found;
    for (const auto& [key, root] : roots) {
      if (key.first == store) found.push_back({root.id, root.key.clone()});
    }
    return found;
  }
  Status add(const std::string& store, const Root& root) override {
    if (fails) return fail(Code::Unavailable, "the holder does not answer");
    roots[{store, root.id}] = {root.id, root.key.clone()};
    return {};
  }
  Status remove(const std::string& store, const std::string& id) override {
    if (fails || fails_to_remove) return fail(Code::Unavailable, "the holder does not answer");
    roots.erase({store, id});
    return {};
  }
  std::map<std::pair<std::string, std::string>, Root> roots;
  bool fails = false, fails_to_remove = false;
};

}  // namespace cofferdam::keys
