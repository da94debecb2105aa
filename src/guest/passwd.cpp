#include "guest/passwd.h"

#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::guest {
namespace {

constexpr std::size_t kMaxFileBytes = 1U << 20;
constexpr std::size_t kMaxGroups = 256;

std::optional<std::uint32_t> parse_number(std::string_view text) {
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // All ones means "leave it" to setresuid and is nobody's number.
  if (error != std::errc() || end != text.data() + text.size() || value == std::numeric_limits<std::uint32_t>::max()) {
    return std::nullopt;
  }
  return value;
}

// Calls `use` with each line's fields until it answers true.
template <class F>
void each_line(std::string_view text, std::size_t fields, F use) {
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    if (static_cast<std::size_t>(std::count(line.begin(), line.end(), ':')) + 1 != fields) continue;
    if (use(split(line, ':'))) return;
  }
}

std::optional<User> find_entry(std::string_view who, std::string_view passwd) {
  const auto number = parse_number(who);
  std::optional<User> found;
  each_line(passwd, 7, [&](const std::vector<std::string>& f) {
    const auto uid = parse_number(f[2]);
    const auto gid = parse_number(f[3]);
    if (!uid || !gid || (f[0] != who && uid != number)) return false;
    found = User{f[0], *uid, *gid, {}, f[5].empty() ? "/" : f[5], f[6].empty() ? "/bin/sh" : f[6]};
    return true;
  });
  return found;
}

std::optional<gid_t> find_group(std::string_view which, std::string_view group) {
  if (const auto number = parse_number(which)) return number;
  std::optional<gid_t> found;
  each_line(group, 4, [&](const std::vector<std::string>& f) {
    if (f[0] != which) return false;
    found = parse_number(f[2]);
    return found.has_value();
  });
  return found;
}

std::vector<gid_t> groups_of(const User& user, std::string_view group) {
  std::vector<gid_t> groups{user.gid};
  each_line(group, 4, [&](const std::vector<std::string>& f) {
    const auto gid = parse_number(f[2]);
    const auto members = split(f[3], ',');
    if (gid && *gid != user.gid && std::find(members.begin(), members.end(), user.name) != members.end()) {
      groups.push_back(*gid);
    }
    return groups.size() >= kMaxGroups;
  });
  return groups;
}

}  // namespace

Result<User> find_user(std::string_view spec) {
  return find_user_in(spec, read_file("/etc/passwd", kMaxFileBytes).value_or(""),
                      read_file("/etc/group", kMaxFileBytes).value_or(""));
}

UserCache::Version UserCache::version_of(const char* path) {
  constexpr std::int64_t kNsPerSecond = 1'000'000'000;
  struct stat file{};
  if (::stat(path, &file) != 0) return {};
  return {file.st_dev, file.st_ino, file.st_size, file.st_ctim.tv_sec * kNsPerSecond + file.st_ctim.tv_nsec};
}

Result<User> UserCache::find(const std::string& spec) {
  constexpr std::size_t kMaxKnown = 16;
  const Version passwd = version_of("/etc/passwd");
  const Version group = version_of("/etc/group");
  if (passwd != passwd_ || group != group_ || known_.size() > kMaxKnown) known_.clear();
  passwd_ = passwd;
  group_ = group;
  if (const auto found = known_.find(spec); found != known_.end()) return found->second;
  TRY_ASSIGN(const User user, find_user(spec));
  return known_.emplace(spec, user).first->second;
}

Result<User> find_user_in(std::string_view spec, std::string_view passwd, std::string_view group) {
  const std::size_t colon = spec.find(':');
  const std::string_view who = spec.empty() ? "root" : spec.substr(0, colon);

  auto entry = find_entry(who, passwd);
  if (!entry) {
    const auto number = who == "root" ? std::optional<std::uint32_t>(0) : parse_number(who);
    if (!number) return fail(Code::NotFound, cat("there is no user '", who, "' in the guest's /etc/passwd"));
    entry = User{std::string(who), *number, 0, {}, *number == 0 ? "/root" : "/", "/bin/sh"};
  }
  if (colon == std::string_view::npos) {
    entry->groups = groups_of(*entry, group);
    return *std::move(entry);
  }
  // A group that is named is the only one, as in other container tools.
  const std::string_view which = spec.substr(colon + 1);
  const auto gid = find_group(which, group);
  if (!gid) return fail(Code::NotFound, cat("there is no group '", which, "' in the guest's /etc/group"));
  entry->gid = *gid;
  entry->groups = {*gid};
  return *std::move(entry);
}

}  // namespace cofferdam::guest
