#include "workspace/snapshot_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/hmac.h"
#include "disk/sealed_file.h"
#include "model/json.h"

namespace cofferdam::workspace {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxManifest = 4U << 20;
constexpr std::size_t kMaxState = 256U << 20;
constexpr std::uint64_t kStatBlock = 512;
constexpr int kNewPart = O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;

SecureBytes key_for(const keys::Key& key, std::string_view part) {
  return crypto::derive_key(key.bytes, cat("cofferdam snapshot 1 ", part));
}

std::string name_of(const std::string& id, std::string_view part) { return cat("the ", part, " of snapshot ", id); }

Result<std::uint64_t> allocated(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return fail_errno(cat("stat '", path, "'"));
  return static_cast<std::uint64_t>(st.st_blocks) * kStatBlock;
}

Result<UniqueFd> open_part(const std::string& folder, const std::string& id, std::string_view part) {
  auto file = open_file(cat(folder, "/", part), O_RDONLY | O_NOFOLLOW);
  if (!file) return fail(std::move(file.error()).in(name_of(id, part)));
  return file;
}

std::string manifest_to_text(const SnapshotManifest& manifest) {
  return json::serialize(json::object{{"id", manifest.id},
                                      {"record", record_to_text(manifest.record)},
                                      {"disk_bytes", manifest.disk.bytes},
                                      {"disk_header", manifest.disk.header_sha256}});
}

Result<SnapshotManifest> manifest_from_text(std::string_view text) {
  TRY_ASSIGN(const json::value value, model::parse_json(text));
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::DataLoss, "the manifest is not an object");
  SnapshotManifest manifest;
  TRY_ASSIGN(const auto id, model::get_string(*object, "", "id"));
  TRY_ASSIGN(const auto record, model::get_string(*object, "", "record"));
  TRY_ASSIGN(const auto bytes, model::get_number(*object, "", "disk_bytes"));
  TRY_ASSIGN(const auto header, model::get_string(*object, "", "disk_header"));
  if (!id || !record || !bytes || !header) return fail(Code::DataLoss, "the manifest lacks a part");
  manifest.id = *id;
  TRY_ASSIGN(manifest.record, record_from_text(*record));
  manifest.disk = {static_cast<std::uint64_t>(*bytes), *header};
  return manifest;
}

}  // namespace

std::string snapshot_disk_path(const std::string& folder) { return folder + "/disk"; }

Status write_saved(const std::string& folder, const std::string& id, vm::SavedMachine& saved, const keys::Key& key) {
  {
    TRY_ASSIGN(const UniqueFd file, open_file(folder + "/memory", kNewPart, 0600));
    disk::SealedWriter writer(file.get(), key_for(key, "memory"), name_of(id, "memory"));
    TRY(saved.memory->write([&writer](std::string_view bytes) { return writer.write(bytes); }));
    TRY(writer.finish());
  }
  TRY_ASSIGN(const UniqueFd file, open_file(folder + "/state", kNewPart, 0600));
  disk::SealedWriter writer(file.get(), key_for(key, "state"), name_of(id, "state"));
  TRY_ASSIGN(const UniqueFd from, open_file(cat("/proc/self/fd/", saved.state.get()), O_RDONLY));
  TRY_ASSIGN(const auto state, read_fd(from.get(), kMaxState));
  TRY(writer.write(state));
  return writer.finish();
}

Status copy_saved(const std::string& from, const std::string& from_id, const keys::Key& from_key, const std::string& to,
                  const std::string& id, const keys::Key& key) {
  for (const char* part : {"memory", "state"}) {
    TRY_ASSIGN(const UniqueFd source, open_part(from, from_id, part));
    TRY_ASSIGN(const UniqueFd file, open_file(cat(to, "/", part), kNewPart, 0600));
    disk::SealedReader reader(source.get(), key_for(from_key, part), name_of(from_id, part));
    disk::SealedWriter writer(file.get(), key_for(key, part), name_of(id, part));
    for (;;) {
      TRY_ASSIGN(const auto block, reader.next());
      if (!block) break;
      TRY(writer.write(*block));
    }
    TRY(writer.finish());
  }
  return {};
}

Result<std::uint64_t> write_snapshot(const std::string& folder, const SnapshotManifest& manifest,
                                     vm::SavedMachine& saved, const keys::Key& key) {
  TRY(write_saved(folder, manifest.id, saved, key));
  return finish_snapshot(folder, manifest, key);
}

Result<std::uint64_t> finish_snapshot(const std::string& folder, const SnapshotManifest& manifest,
                                      const keys::Key& key) {
  {
    TRY_ASSIGN(const UniqueFd disk, open_file(snapshot_disk_path(folder), O_RDWR));
    if (::fsync(disk.get()) != 0) return fail_errno(cat("sync ", name_of(manifest.id, "disk")));
  }
  TRY(write_file_atomically(folder + "/manifest", crypto::seal(key_for(key, "manifest"), manifest_to_text(manifest),
                                                               name_of(manifest.id, "manifest"))));
  std::uint64_t bytes = 0;
  for (const char* part : {"/memory", "/state", "/disk", "/manifest"}) {
    TRY_ASSIGN(const auto size, allocated(folder + part));
    bytes += size;
  }
  return bytes;
}

Result<SnapshotManifest> read_manifest(const std::string& folder, const std::string& id, const keys::Key& key) {
  const auto what = name_of(id, "manifest");
  auto sealed = read_file(folder + "/manifest", kMaxManifest);
  if (!sealed) return fail(std::move(sealed.error()).in(what));
  auto text = crypto::unseal(key_for(key, "manifest"), *sealed, what);
  if (!text) return fail(std::move(text.error()).in(what));
  auto manifest = manifest_from_text(text->view());
  if (!manifest) return fail(Code::DataLoss, cat(what, ": ", manifest.error().message));
  if (manifest->id != id) return fail(Code::DataLoss, cat(what, " is another snapshot's"));
  return manifest;
}

Result<std::shared_ptr<const vm::Saved>> read_saved(const std::string& folder, const SnapshotManifest& manifest,
                                                    const keys::Key& key) {
  auto saved = std::make_shared<vm::Saved>();
  const auto source_of = [&](int file, std::string_view part) {
    return disk::SealedSource(disk::SealedReader(file, key_for(key, part), name_of(manifest.id, part)));
  };
  {
    TRY_ASSIGN(const UniqueFd file, open_part(folder, manifest.id, "memory"));
    auto source = source_of(file.get(), "memory");
    const auto bytes = manifest.record.spec.memory_mib * model::kMiB;
    TRY_ASSIGN(saved->memory,
               vm::read_memory([&source](char* to, std::size_t size) { return source.read(to, size); }, bytes));
    TRY_ASSIGN(const bool over, source.at_end());
    if (!over) return fail(Code::DataLoss, cat(name_of(manifest.id, "memory"), " has more than a memory in it"));
  }
  TRY_ASSIGN(const UniqueFd file, open_part(folder, manifest.id, "state"));
  disk::SealedReader reader(file.get(), key_for(key, "state"), name_of(manifest.id, "state"));
  saved->state = UniqueFd(::memfd_create("coffer-saved-state", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!saved->state) return fail_errno("memfd_create");
  for (std::size_t total = 0;;) {
    TRY_ASSIGN(const auto block, reader.next());
    if (!block) break;
    total += block->size();
    if (total > kMaxState) return fail(Code::DataLoss, cat(name_of(manifest.id, "state"), " is too long"));
    TRY(write_all(saved->state.get(), *block));
  }
  if (::fcntl(saved->state.get(), F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    return fail_errno("seal the state of a machine");
  }
  return std::shared_ptr<const vm::Saved>(std::move(saved));
}

Status check_build(const std::map<std::string, std::string>& saved, const std::map<std::string, std::string>& now) {
  std::string differ;
  for (const auto& [name, value] : now) {
    const auto found = saved.find(name);
    if (found == saved.end() || found->second != value) differ += cat(differ.empty() ? "" : ", ", name);
  }
  for (const auto& [name, value] : saved) {
    if (!now.contains(name)) differ += cat(differ.empty() ? "" : ", ", name);
  }
  if (differ.empty()) return {};
  return fail(Code::FailedPrecondition, cat("the snapshot was taken with another ", differ, " than this host has now"),
              "a machine goes on only with exactly what it was saved with; its files are in the workspace's disk");
}

}  // namespace cofferdam::workspace
