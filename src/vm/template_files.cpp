#include "vm/template_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/digest.h"

namespace cofferdam::vm {
namespace {

constexpr std::size_t kBlock = 1U << 20;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kMaxManifest = 64U << 10;

bool is_zero(const char* bytes, std::size_t n) { return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, n - 1) == 0; }

// Copies every page that is not zero to the same offset of `to`, and answers the digest of offsets and pages.
Result<std::string> copy_and_digest(int from, int to, std::uint64_t size) {
  if (::ftruncate(to, static_cast<off_t>(size)) != 0) return fail_errno("set a file's size");
  crypto::Sha256 digest;
  digest.update(cat("size ", size, "\n"));
  std::vector<char> buffer(kBlock);
  off_t at = 0;
  const auto end = static_cast<off_t>(size);
  while (at < end) {
    at = ::lseek(from, at, SEEK_DATA);
    if (at < 0) {
      if (errno == ENXIO) break;
      return fail_errno("seek in a template file");
    }
    at -= at % static_cast<off_t>(kPage);
    const off_t hole = std::min<off_t>(::lseek(from, at, SEEK_HOLE), end);
    while (at < hole) {
      const auto want = std::min<off_t>(hole - at, kBlock);
      const ssize_t n = ::pread(from, buffer.data(), static_cast<std::size_t>(want), at);
      if (n < 0 && errno == EINTR) continue;
      if (n <= 0) return fail_errno("read a template file");
      for (std::size_t start = 0; start < static_cast<std::size_t>(n); start += kPage) {
        const auto bytes = std::min(kPage, static_cast<std::size_t>(n) - start);
        if (is_zero(buffer.data() + start, bytes)) continue;
        const auto offset = at + static_cast<off_t>(start);
        // Page by page: where a file system puts its holes must not show in the digest.
        digest.update(std::string_view(reinterpret_cast<const char*>(&offset), sizeof offset));
        digest.update(std::string_view(buffer.data() + start, bytes));
        if (::pwrite(to, buffer.data() + start, bytes, offset) != static_cast<ssize_t>(bytes)) {
          return fail_errno("write a template file");
        }
      }
      at += n;
    }
  }
  return digest.hex();
}

Result<std::uint64_t> size_of(int fd) {
  struct stat st{};
  if (::fstat(fd, &st) != 0) return fail_errno("stat a template file");
  return static_cast<std::uint64_t>(st.st_size);
}

Result<std::string> store_file(const std::string& path, int from) {
  TRY_ASSIGN(UniqueFd to, open_file(path, O_RDWR | O_CREAT | O_EXCL, 0600));
  TRY_ASSIGN(const auto size, size_of(from));
  auto digest = copy_and_digest(from, to.get(), size);
  if (!digest) return fail(std::move(digest.error()).in(cat("'", path, "'")));
  if (::fsync(to.get()) != 0) return fail_errno(cat("sync '", path, "'"));
  return digest;
}

struct Loaded {
  UniqueFd fd;
  std::string digest;
};

Result<Loaded> load_file(const std::string& path, const char* name) {
  TRY_ASSIGN(UniqueFd from, open_file(path, O_RDONLY));
  TRY_ASSIGN(const auto size, size_of(from.get()));
  Loaded loaded;
  TRY_ASSIGN(loaded.fd, make_memory_file(name, size));
  TRY_ASSIGN(loaded.digest, copy_and_digest(from.get(), loaded.fd.get(), size));
  TRY(seal(loaded.fd.get()));
  return loaded;
}

std::string with_digests(const std::string& manifest, const std::string& memory, const std::string& state,
                         const std::string& disk) {
  return cat(manifest, "memory ", memory, "\nstate ", state, disk.empty() ? "" : "\ndisk image ", disk, "\n");
}

}  // namespace

Result<UniqueFd> make_memory_file(const std::string& name, std::uint64_t bytes) {
  UniqueFd fd(::memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!fd) return fail_errno("memfd_create");
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) return fail_errno("set the size of a memory file");
  return fd;
}

Status seal(int memfd) {
  if (::fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) != 0) {
    return fail_errno("seal a memory file");
  }
  return {};
}

Status store_template(const std::string& folder, const std::string& manifest, int memory, int state, int disk) {
  const auto temporary = cat(folder, ".tmp-", to_hex(random_bytes(6)));
  TRY(make_directories(temporary, 0700));
  auto store = [&]() -> Status {
    TRY_ASSIGN(const auto memory_digest, store_file(temporary + "/memory", memory));
    TRY_ASSIGN(const auto state_digest, store_file(temporary + "/state", state));
    std::string disk_digest;
    if (disk >= 0) {
      TRY_ASSIGN(disk_digest, store_file(temporary + "/disk", disk));
    }
    TRY(write_file_atomically(temporary + "/manifest",
                              with_digests(manifest, memory_digest, state_digest, disk_digest)));
    TRY(remove_tree(folder));
    if (::rename(temporary.c_str(), folder.c_str()) != 0) return fail_errno(cat("rename to '", folder, "'"));
    return {};
  };
  auto stored = store();
  if (!stored) (void)remove_tree(temporary);
  return stored;
}

Result<TemplateFiles> load_template(const std::string& folder, const std::string& manifest) {
  TRY_ASSIGN(const auto written, read_file(folder + "/manifest", kMaxManifest));
  // First the cheap comparison: what the template was built from.
  if (!starts_with(written, manifest)) return fail(Code::DataLoss, cat("'", folder, "' was built for something else"));
  auto memory = load_file(folder + "/memory", "coffer-template-memory");
  auto state = load_file(folder + "/state", "coffer-template-state");
  if (!memory) return fail(Code::DataLoss, memory.error().message);
  if (!state) return fail(Code::DataLoss, state.error().message);
  Result<Loaded> disk = Loaded{};
  if (path_exists(folder + "/disk")) disk = load_file(folder + "/disk", "coffer-template-disk");
  if (!disk) return fail(Code::DataLoss, disk.error().message);
  if (written != with_digests(manifest, memory->digest, state->digest, disk->digest)) {
    return fail(Code::DataLoss, cat("the files of '", folder, "' are not the ones its manifest names"));
  }
  (void)::utimensat(AT_FDCWD, folder.c_str(), nullptr, 0);  // used now: prune_templates goes by this
  TemplateFiles files;
  files.memory = std::move(memory->fd);
  files.state = std::move(state->fd);
  files.disk = std::move(disk->fd);
  return files;
}

Status prune_templates(const std::string& parent, std::size_t keep) {
  TRY_ASSIGN(const auto names, list_directory(parent));
  std::vector<std::pair<std::int64_t, std::string>> by_use;
  for (const auto& name : names) {
    const auto path = cat(parent, "/", name);
    struct stat st{};
    if (name.find(".tmp-") != std::string::npos) {
      TRY(remove_tree(path));
    } else if (::stat(path.c_str(), &st) == 0) {
      by_use.emplace_back(st.st_mtim.tv_sec, path);
    }
  }
  std::sort(by_use.rbegin(), by_use.rend());
  for (std::size_t i = keep; i < by_use.size(); ++i) TRY(remove_tree(by_use[i].second));
  return {};
}

}  // namespace cofferdam::vm
