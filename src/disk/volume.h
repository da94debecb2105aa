// One workspace's disk: an open descriptor that nobody else may open for use, and the key that opens what is in it.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "base/unique_fd.h"
#include "keys/key_store.h"

namespace cofferdam::disk {

// What must be known of a disk to open it again, beside its key. No secret.
struct VolumeFacts {
  std::uint64_t bytes = 0;    // that the guest sees
  std::string header_sha256;  // of its LUKS header, 64 hex digits
};

class Volume {
 public:
  Volume() = default;  // no disk
  // A volume that persist() named before, as large as the guest is to see it from now on. FailedPrecondition when a
  // virtual machine still has it; NotFound when it is gone; DataLoss when it is no disk, when it is cut, or when it has
  // another header than `facts` say: a damaged one, or another workspace's.
  static Result<Volume> open(const std::string& path, keys::Key key, VolumeFacts facts);

  // The same to copy from, for any number at once, while no virtual machine has it.
  static Result<Volume> open_to_read(const std::string& path, keys::Key key, VolumeFacts facts);

  // Gives an ephemeral volume the name `path` and makes it durable; it may be in use. AlreadyExists when something is
  // there. Its key is the caller's to keep, before.
  Status persist(const std::string& path);

  // A descriptor of the same open file for the VMM: as long as it is open anywhere, the volume counts as in use.
  [[nodiscard]] Result<UniqueFd> descriptor() const;
  // The key is nowhere in this process any more: what is in the file opens for nobody who has not kept one.
  void forget_key() { key_ = {}; }
  // After that, gives every block of the file back to the host's file system, also under a name, and answers how many
  // bytes that were. Nothing can be read from it afterwards. Not while a virtual machine has it.
  Result<std::uint64_t> discard();

  [[nodiscard]] std::uint64_t bytes() const { return facts_.bytes; }
  [[nodiscard]] const VolumeFacts& facts() const { return facts_; }
  [[nodiscard]] const keys::Key& key() const { return key_; }
  // The key as QEMU takes it.
  [[nodiscard]] SecureBytes passphrase() const;

 private:
  friend class VolumeStore;
  enum class Use { by_a_machine, to_read };
  static Result<Volume> open_for(Use use, const std::string& path, keys::Key key, VolumeFacts facts);
  Volume(UniqueFd file, keys::Key key, VolumeFacts facts)
      : file_(std::move(file)), key_(std::move(key)), facts_(std::move(facts)) {}
  UniqueFd file_;
  keys::Key key_;
  VolumeFacts facts_;
};

}  // namespace cofferdam::disk
