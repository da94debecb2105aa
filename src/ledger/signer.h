// The private key that signs the log, and its end: each epoch a new one takes over and the old one is destroyed.
//
// The key lies in a file of its own, beside it for a moment the next one ("FILE.next"). A next key counts once the log
// holds its link; what a crash leaves of one that does not is removed. Destroyed means overwritten in place, unlinked,
// and wiped from memory; what copies a file system or a flash disk keeps of overwritten blocks is beyond this file.
#pragma once
#include <string>

#include "base/secure_bytes.h"
#include "ledger/key_chain.h"

namespace cofferdam::ledger {

class Signer {
 public:
  // The key whose public half is the last of the chain. FailedPrecondition when it is not there.
  static Result<Signer> open(std::string path, const KeyChain& chain);
  // For a log that does not exist yet; a key that lies there already belongs to one that is gone: FailedPrecondition.
  static Result<Signer> for_new_log(std::string path);

  // A fresh key, durable in FILE.next; its link is signed by the key of now (by itself alone in epoch 0).
  Result<KeyLink> prepare(const std::string& origin, std::uint64_t size, const Hash& root);
  // The log holds the link, or will before anybody sees it: the new key signs from now on.
  void take_over(const KeyLink& link);
  // The log holds it: the old key is destroyed. What fails is tried again before the next prepare().
  Status destroy_old();
  // The log does not hold it, and take_over() was not called.
  void give_up();

  [[nodiscard]] SecureBytes copy_of_key() const { return key_.clone(); }
  [[nodiscard]] std::string sign(const Checkpoint& checkpoint) const;  // the note

 private:
  explicit Signer(std::string path) : path_(std::move(path)) {}
  [[nodiscard]] std::string next_path() const { return path_ + ".next"; }

  std::string path_;
  SecureBytes key_, next_;
  std::uint64_t next_epoch_ = 0;
  bool old_is_there_ = false;
};

}  // namespace cofferdam::ledger
