#include "backup/members.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <filesystem>

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"

namespace cofferdam::backup {
namespace {

constexpr std::array<std::string_view, 4> kSmallFiles{"admin.json", "keys/token.key", "keys/secrets.key",
                                                      "keys/webhooks.key"};
constexpr std::string_view kTls = "tls/";
constexpr std::size_t kMaxName = 128;
constexpr std::size_t kSegmentDigits = 20;
constexpr std::size_t kPiece = 256U << 10;

bool is_plain(std::string_view name) {
  constexpr std::size_t kMax = 64;
  const auto fits = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '.' ||
           c == '-';
  };
  return !name.empty() && name.size() <= kMax && name.front() != '.' && std::all_of(name.begin(), name.end(), fits);
}

bool is_ledger_file(std::string_view name) {
  if (name == "keys" || name == "checkpoint") return true;
  if (!name.ends_with(".seg") || name.size() != kSegmentDigits + 4) return false;
  return std::all_of(name.begin(), name.begin() + kSegmentDigits, [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace

bool is_member(std::string_view name) {
  if (name == kDatabase || name == kLedgerKey || name == kKeyList || name == kManifest) return true;
  if (std::find(kSmallFiles.begin(), kSmallFiles.end(), name) != kSmallFiles.end()) return true;
  if (name.starts_with(kTls)) return is_plain(name.substr(kTls.size()));
  return name.starts_with(cat(kLedgerFolder, "/")) && is_ledger_file(name.substr(kLedgerFolder.size() + 1));
}

std::vector<std::string> small_files(const std::string& state_dir) {
  std::vector<std::string> found;
  for (const auto name : kSmallFiles) {
    if (path_exists(cat(state_dir, "/", name))) found.emplace_back(name);
  }
  const auto tls = list_directory(cat(state_dir, "/tls"));
  if (!tls) return found;
  for (const auto& name : *tls) {
    if (is_plain(name) && std::filesystem::is_regular_file(cat(state_dir, "/tls/", name)))
      found.push_back(cat(kTls, name));
  }
  return found;
}

// -- writing ---------------------------------------------------------------------------------------------------------

Status MemberWriter::begin(std::string_view name, std::uint64_t bytes) {
  std::string head;
  ByteWriter out(head);
  out.text(name);
  out.u64(bytes);
  return out_.write(head);
}

Status MemberWriter::add(std::string_view name, std::string_view bytes) {
  TRY(begin(name, bytes.size()));
  TRY(out_.write(bytes));
  members_.push_back({std::string(name), bytes.size(), crypto::sha256_hex(bytes)});
  return {};
}

Status MemberWriter::add_file(std::string_view name, int file, std::uint64_t bytes) {
  TRY(begin(name, bytes));
  SecureBytes piece(kPiece);
  crypto::Sha256 digest;
  for (std::uint64_t at = 0; at < bytes;) {
    const auto wanted = std::min<std::uint64_t>(bytes - at, piece.size());
    const ssize_t n = ::pread(file, piece.writable().data(), wanted, static_cast<off_t>(at));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(cat("read ", name));
    if (n == 0) return fail(Code::DataLoss, cat(name, " ends after ", at, " of ", bytes, " bytes"));
    const auto got = piece.view().substr(0, static_cast<std::size_t>(n));
    digest.update(got);
    TRY(out_.write(got));
    at += got.size();
  }
  members_.push_back({std::string(name), bytes, digest.hex()});
  return {};
}

Status MemberWriter::finish(Manifest manifest) {
  manifest.members = std::move(members_);
  const std::string bytes = encode_manifest(manifest);
  TRY(begin(kManifest, bytes.size()));
  TRY(out_.write(bytes));
  return out_.finish();
}

// -- reading ---------------------------------------------------------------------------------------------------------

Result<std::optional<Member>> MemberReader::next() {
  if (left_ > 0) return fail(Code::Internal, "a member of a backup was not read to its end");
  if (digest_) {
    members_.back().sha256 = digest_->hex();
    digest_.reset();
  }
  std::array<char, sizeof(std::uint32_t)> length{};
  TRY(source_.read(length.data(), length.size()));
  const auto size = ByteReader(as_bytes({length.data(), length.size()})).u32();
  if (size == 0 || size > kMaxName) return fail(Code::DataLoss, "a member of the backup has an impossible name");
  Member member;
  member.name.resize(size);
  TRY(source_.read(member.name.data(), size));
  std::array<char, sizeof(std::uint64_t)> bytes{};
  TRY(source_.read(bytes.data(), bytes.size()));
  member.bytes = ByteReader(as_bytes({bytes.data(), bytes.size()})).u64();
  if (!is_member(member.name)) {
    return fail(Code::DataLoss, "a member of the backup has a name that this program does not know");
  }
  if (member.name == kManifest) {
    TRY(take_manifest(member.bytes));
    return std::nullopt;
  }
  if (!names_.insert(member.name).second)
    return fail(Code::DataLoss, cat("the backup has two members '", member.name, "'"));
  if (members_.size() == kMaxMembers)
    return fail(Code::DataLoss, cat("the backup has more than ", kMaxMembers, " members"));
  left_ = member.bytes;
  digest_.emplace();
  members_.push_back(member);
  return member;
}

Result<std::size_t> MemberReader::read(std::span<char> room) {
  const auto n = static_cast<std::size_t>(std::min<std::uint64_t>(room.size(), left_));
  if (n == 0) return 0;
  TRY(source_.read(room.data(), n));
  digest_->update({room.data(), n});
  left_ -= n;
  return n;
}

Result<SecureBytes> MemberReader::read_all(std::size_t max_bytes) {
  if (left_ > max_bytes)
    return fail(Code::DataLoss, cat("the member '", members_.back().name, "' of the backup is too long"));
  SecureBytes all(static_cast<std::size_t>(left_));
  TRY(read(all.writable()));
  return all;
}

Status MemberReader::take_manifest(std::uint64_t bytes) {
  if (bytes > kMaxManifestBytes) return fail(Code::DataLoss, "the manifest of the backup is too long");
  std::string text(static_cast<std::size_t>(bytes), '\0');
  TRY(source_.read(text.data(), text.size()));
  TRY_ASSIGN(manifest_, decode_manifest(text));
  TRY_ASSIGN(const bool over, source_.at_end());
  if (!over) return fail(Code::DataLoss, "something stands behind the manifest of the backup");
  if (manifest_.members.size() != members_.size()) {
    return fail(Code::DataLoss,
                cat("the backup has ", members_.size(), " members, and its manifest names ", manifest_.members.size()));
  }
  for (std::size_t i = 0; i < members_.size(); ++i) {
    if (members_[i] == manifest_.members[i]) continue;
    return fail(Code::DataLoss, cat("the member '", members_[i].name, "' of the backup is not what its manifest says"));
  }
  return {};
}

}  // namespace cofferdam::backup
