#include "keys/holders.h"

#include <filesystem>
#include <utility>

#include "base/passphrase.h"
#include "base/text.h"

namespace cofferdam::keys {
namespace {

// The range that the TPM's owner gives out.
constexpr std::uint32_t kFirstNvIndex = 0x0180'0000;
constexpr std::uint32_t kLastNvIndex = 0x01bf'ffff;

struct Place {
  std::shared_ptr<Files> files;
  std::string name;
};

Result<Place> place_of(const HolderSettings& settings) {
  const std::filesystem::path path = settings.root_file;
  if (!path.is_absolute() || !path.has_filename()) {
    return fail(Code::InvalidArgument, cat("keys.root_file: '", settings.root_file, "' is no absolute path of a file"));
  }
  TRY_ASSIGN(auto files, HostFiles::open(path.parent_path().string()));
  return Place{std::move(files), path.filename().string()};
}

}  // namespace

Result<std::unique_ptr<RootHolder>> make_holder(const HolderSettings& settings) {
  switch (settings.kind) {
    case HolderKind::file: {
      TRY_ASSIGN(Place place, place_of(settings));
      return make_file_holder(std::move(place.files), place.name);
    }
    case HolderKind::passphrase: {
      if (settings.passphrase_file.empty()) {
        return fail(Code::InvalidArgument, "keys.root: passphrase needs keys.passphrase_file: where to read it from");
      }
      TRY_ASSIGN(Place place, place_of(settings));
      TRY_ASSIGN(SecureBytes passphrase, read_passphrase(settings.passphrase_file, std::chrono::minutes(5),
                                                         "keys.passphrase_file", "Passphrase of the key tree: "));
      return make_passphrase_holder(std::move(place.files), place.name, std::move(passphrase), settings.cost);
    }
    case HolderKind::tpm:
      if (settings.nv_index < kFirstNvIndex || settings.nv_index > kLastNvIndex - kTpmIndices + 1) {
        return fail(Code::InvalidArgument, cat("keys.tpm_index: 0x", std::hex, settings.nv_index, " is not one of 0x",
                                               kFirstNvIndex, " to 0x", kLastNvIndex));
      }
      return make_tpm_holder(settings.tcti, settings.nv_index);
    case HolderKind::command:
      if (settings.command.empty() || settings.command.front() != '/') {
        return fail(Code::InvalidArgument, "keys.root: command needs keys.command: the absolute path of a program");
      }
      return make_command_holder(settings.command, settings.command_timeout);
  }
  return fail(Code::Internal, "an unknown holder of the root key");
}

}  // namespace cofferdam::keys
