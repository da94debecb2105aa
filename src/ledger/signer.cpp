#include "ledger/signer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "crypto/signature.h"

namespace cofferdam::ledger {
namespace {

// Without a detour over memory that nobody wipes.
Result<SecureBytes> read_key(const std::string& path) {
  TRY_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY | O_NOFOLLOW));
  SecureBytes key(crypto::kSigningKeyBytes);
  const ssize_t got = ::read(fd.get(), key.writable().data(), key.size());
  if (got != static_cast<ssize_t>(key.size())) {
    return fail(Code::DataLoss, cat("'", path, "' is no signing key of the ledger"));
  }
  return key;
}

Status overwrite(const std::string& path) {
  TRY_ASSIGN(const UniqueFd fd, open_file(path, O_WRONLY | O_NOFOLLOW));
  TRY(write_all(fd.get(), std::string(crypto::kSigningKeyBytes, '\0')));
  if (::fdatasync(fd.get()) != 0) return fail_errno(cat("overwrite '", path, "'"));
  return {};
}

}  // namespace

Result<Signer> Signer::for_new_log(std::string path) {
  Signer signer(std::move(path));
  if (path_exists(signer.path_)) {
    return fail(Code::FailedPrecondition, cat("the ledger is gone, and its key '", signer.path_, "' is still there"),
                "put STATE/ledger back; or, to begin a new ledger knowing that the old one is lost, remove that key");
  }
  signer.give_up();
  return signer;
}

Result<Signer> Signer::open(std::string path, const KeyChain& chain) {
  Signer signer(std::move(path));
  const auto fits = [&](const std::string& file) -> bool {
    auto key = read_key(file);
    if (!key || crypto::public_key_of(*key) != chain.last().key.public_key) return false;
    signer.key_ = std::move(*key);
    return true;
  };
  signer.next_epoch_ = chain.last().epoch + 1;
  if (fits(signer.next_path())) {
    TRY(signer.destroy_old());
    return signer;
  }
  if (!fits(signer.path_)) {
    return fail(Code::FailedPrecondition,
                cat("the key that signs the ledger is not in '", signer.path_, "': the ledger cannot go on"),
                "put the key back; or move STATE/ledger and the key elsewhere to begin a new ledger");
  }
  signer.give_up();
  return signer;
}

Result<KeyLink> Signer::prepare(const std::string& origin, std::uint64_t size, const Hash& root) {
  // What lies in FILE.next may be the only copy of the key that signs now.
  if (old_is_there_) TRY(destroy_old());
  next_ = crypto::make_signing_key();
  TRY(write_file_atomically(next_path(), next_.view(), 0600));
  return make_link(origin, next_epoch_, size, root, next_, key_.empty() ? nullptr : &key_);
}

void Signer::take_over(const KeyLink& link) {
  key_ = std::move(next_);
  next_ = SecureBytes();
  next_epoch_ = link.epoch + 1;
  old_is_there_ = true;
}

Status Signer::destroy_old() {
  if (path_exists(path_)) TRY(overwrite(path_));
  if (::rename(next_path().c_str(), path_.c_str()) != 0) return fail_errno(cat("put '", path_, "' in place"));
  const std::string folder = path_.substr(0, path_.rfind('/'));
  TRY_ASSIGN(const UniqueFd fd, open_file(folder, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return fail_errno(cat("make '", path_, "' durable"));
  old_is_there_ = false;
  return {};
}

void Signer::give_up() {
  next_ = SecureBytes();
  if (!path_exists(next_path())) return;
  auto gone = overwrite(next_path());
  if (gone) gone = remove_tree(next_path());
  if (!gone) log_warn("a key that was never used could not be removed", {{"error", gone.error().message}});
}

std::string Signer::sign(const Checkpoint& checkpoint) const {
  Note note{checkpoint.text(), {}};
  note.signatures.push_back(sign_text(note.text, checkpoint.origin, key_));
  return format_note(note);
}

}  // namespace cofferdam::ledger
