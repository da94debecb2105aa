// The holders there are, and how one is chosen.
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "crypto/password.h"
#include "keys/files.h"
#include "keys/root_holder.h"

namespace cofferdam::keys {

enum class HolderKind { file, tpm, passphrase, command };

struct HolderSettings {
  HolderKind kind = HolderKind::file;
  // file, passphrase: where the root is; a file system that overwrites in place forgets best.
  std::string root_file;
  // passphrase: read once, at the start; a terminal is asked without echo.
  std::string passphrase_file;
  crypto::DerivationCost cost;  // of a passphrase that is new; an old one says its own
  // tpm
  std::string tcti = "device:/dev/tpmrm0";
  std::uint32_t nv_index = 0x018c'0f00;  // the first of kTpmIndices
  // command
  std::string command;
  std::chrono::milliseconds command_timeout = std::chrono::seconds(20);
};

// How many NV indices the TPM holder may take: a rotation needs two, an interrupted one more.
inline constexpr std::uint32_t kTpmIndices = 4;

// Blocks, for a passphrase as long as its derivation takes. Errors: those of RootHolder, InvalidArgument for settings.
Result<std::unique_ptr<RootHolder>> make_holder(const HolderSettings& settings);

// A plain file: whoever reads it has the root. What protects it is its mode, and the disk's own encryption if any.
std::unique_ptr<RootHolder> make_file_holder(std::shared_ptr<Files> files, const std::string& name);

// The same file with every root sealed under a key that Argon2id makes of the passphrase: a stolen disk opens nothing.
// Who has the passphrase and an old copy of the file has an old root, so the file must forget all the same.
std::unique_ptr<RootHolder> make_passphrase_holder(std::shared_ptr<Files> files, const std::string& name,
                                                   SecureBytes passphrase, crypto::DerivationCost cost);

// NV indices of a TPM 2.0, written and read over a session that encrypts the root on its way. An index that is removed
// is overwritten, then undefined.
std::unique_ptr<RootHolder> make_tpm_holder(const std::string& tcti, std::uint32_t nv_index);

// A program that keeps secrets elsewhere (a KMS, a vault, another host), called as
//   COMMAND list STORE            prints the ids of STORE's roots, one a line
//   COMMAND get STORE ID          prints the root: 64 hex digits
//   COMMAND put STORE ID          reads the root from stdin; it is durable when the program ends
//   COMMAND delete STORE ID       it is gone for good when the program ends; absent is fine
// and ends with 0. Its environment is the daemon's. The last line of its stderr is shown when it fails.
std::unique_ptr<RootHolder> make_command_holder(const std::string& command, std::chrono::milliseconds timeout);

}  // namespace cofferdam::keys
