#include "keys/power_cut.h"

#include <algorithm>
#include <cstring>

#include "base/text.h"

namespace cofferdam::keys {
namespace {

constexpr std::size_t kSector = 512;

}  // namespace

void PowerCutFiles::put(File& file, std::uint64_t offset, std::string_view bytes) {
  if (file.now.size() < offset + bytes.size()) file.now.resize(offset + bytes.size(), '\0');
  file.now.replace(offset, bytes.size(), bytes);
  file.unsynced.push_back({offset, std::string(bytes)});
}

void PowerCutFiles::keep(File& file, std::uint64_t offset, std::string_view bytes) {
  if (file.durable.size() < offset + bytes.size()) file.durable.resize(offset + bytes.size(), '\0');
  file.durable.replace(offset, bytes.size(), bytes);
}

Result<std::optional<std::uint64_t>> PowerCutFiles::size(const std::string& name) {
  const auto found = cached_.find(name);
  if (found == cached_.end()) return std::nullopt;
  return found->second->now.size();
}

Result<SecureBytes> PowerCutFiles::read(const std::string& name, std::uint64_t offset, std::size_t size) {
  const auto found = cached_.find(name);
  if (found == cached_.end()) return fail(Code::NotFound, cat("no '", name, "'"));
  const std::string& now = found->second->now;
  if (offset + size > now.size()) return fail(Code::DataLoss, cat("'", name, "' was cut off"));
  return SecureBytes::copy_of(std::string_view(now).substr(offset, size));
}

Status PowerCutFiles::write(const std::string& name, std::uint64_t offset, std::string_view bytes) {
  if (power_.is_off()) return fail(PowerSwitch::error());
  const bool cut = power_.step();
  auto& file = cached_[name];
  if (!file) {
    file = std::make_shared<File>();
    name_changed();
  }
  put(*file, offset, bytes);
  if (cut) return fail(PowerSwitch::error());
  return {};
}

Status PowerCutFiles::punch(const std::string& name, std::uint64_t offset, std::uint64_t size) {
  return write(name, offset, std::string(size, '\0'));
}

Status PowerCutFiles::sync(const std::string& name) {
  if (power_.step()) return fail(PowerSwitch::error());
  const auto file = cached_.at(name);
  for (const auto& write : file->unsynced) keep(*file, write.offset, write.bytes);
  file->unsynced.clear();
  return {};
}

Status PowerCutFiles::rename(const std::string& from, const std::string& to) {
  if (power_.is_off()) return fail(PowerSwitch::error());
  const bool cut = power_.step();
  const auto found = cached_.find(from);
  if (found == cached_.end()) return fail(Code::NotFound, cat("no '", from, "'"));
  cached_[to] = found->second;
  cached_.erase(from);
  name_changed();
  if (cut) return fail(PowerSwitch::error());
  return {};
}

Status PowerCutFiles::remove(const std::string& name) {
  if (power_.is_off()) return fail(PowerSwitch::error());
  const bool cut = power_.step();
  if (cached_.erase(name) != 0) name_changed();
  if (cut) return fail(PowerSwitch::error());
  return {};
}

Status PowerCutFiles::sync_folder() {
  if (power_.step()) return fail(PowerSwitch::error());
  durable_ = cached_;
  folder_.clear();
  return {};
}

void PowerCutFiles::come_back(Kept kept, std::mt19937& random) {
  const auto chance = [&](unsigned in) { return random() % in == 0; };
  // A journal keeps changes of names in their order: some first ones of them.
  std::size_t names = 0;
  if (kept == Kept::everything) names = folder_.size();
  if (kept == Kept::some) names = random() % (folder_.size() + 1);
  if (names > 0) durable_ = folder_[names - 1];
  folder_.clear();
  for (auto& [name, file] : durable_) {
    for (const auto& write : file->unsynced) {
      for (std::size_t at = 0; at < write.bytes.size();) {
        // To the end of the sector.
        const std::size_t size = std::min(kSector - (write.offset + at) % kSector, write.bytes.size() - at);
        const bool stays = kept == Kept::everything || (kept == Kept::some && chance(2));
        if (stays) {
          keep(*file, write.offset + at, std::string_view(write.bytes).substr(at, size));
        }
        at += size;
      }
    }
    file->unsynced.clear();
    file->now = file->durable;
  }
  cached_ = durable_;
  power_.cut_at(0);
}

}  // namespace cofferdam::keys
