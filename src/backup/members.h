// The members of a backup as a run of bytes: u32 length of the name · name · u64 size · bytes, one after the other, the
// manifest last. Nothing of it is believed before the manifest has agreed with all that stood before.
#pragma once
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>

#include "backup/bundle.h"
#include "base/unique_fd.h"
#include "crypto/digest.h"
#include "disk/sealed_file.h"

namespace cofferdam::backup {

// Where each member lies below the state folder; the two that are no file of it begin with '='.
inline constexpr std::string_view kDatabase = "cofferd.db";
inline constexpr std::string_view kLedgerKey = "keys/ledger.key";
inline constexpr std::string_view kLedgerFolder = "ledger";
inline constexpr std::string_view kKeyList = "=keys";
inline constexpr std::string_view kManifest = "=manifest";
inline constexpr std::size_t kMaxKeyListBytes = 64U << 20;
inline constexpr std::size_t kMaxSmallFile = 64U << 10;

// The small files of a state folder that belong into a backup, as far as they are there.
std::vector<std::string> small_files(const std::string& state_dir);
// Whether a backup may have a member of that name: a place of the list above or below ledger/ and tls/, and no other.
bool is_member(std::string_view name);

class MemberWriter {
 public:
  explicit MemberWriter(disk::SealedWriter& out) : out_(out) {}
  Status add(std::string_view name, std::string_view bytes);
  // `bytes` of it from its start; it may be longer. DataLoss when it is shorter.
  Status add_file(std::string_view name, int file, std::uint64_t bytes);
  // With the members that were added.
  Status finish(Manifest manifest);

 private:
  Status begin(std::string_view name, std::uint64_t bytes);
  disk::SealedWriter& out_;
  std::vector<Member> members_;
};

// Where the bytes come from.
class Source {
 public:
  virtual ~Source() = default;
  // Exactly `size` bytes; DataLoss when it ends before.
  virtual Status read(char* to, std::size_t size) = 0;
  virtual Result<bool> at_end() = 0;
};

class MemberReader {
 public:
  explicit MemberReader(Source& source) : source_(source) {}
  // What is next; its bytes must be read before the one after it. nullopt: the manifest has come and is right. DataLoss
  // says what is not.
  Result<std::optional<Member>> next();  // without its digest
  // Up to as many bytes of the present member; 0: that was all.
  Result<std::size_t> read(std::span<char> room);
  // The whole of the present member, which is secret.
  Result<SecureBytes> read_all(std::size_t max_bytes);
  // After next() said nullopt.
  [[nodiscard]] const Manifest& manifest() const { return manifest_; }

 private:
  Status take_manifest(std::uint64_t bytes);
  Source& source_;
  std::vector<Member> members_;
  std::set<std::string, std::less<>> names_;
  std::uint64_t left_ = 0;
  std::optional<crypto::Sha256> digest_;  // of the present member
  Manifest manifest_;
};

}  // namespace cofferdam::backup
