#include "ledger/folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"

namespace cofferdam::ledger {
namespace {

constexpr std::size_t kMaxOwed = 16U << 20;

}  // namespace

Result<NodeFile> NodeFile::open(const std::string& folder) {
  TRY_ASSIGN(UniqueFd fd, open_file(nodes_path(folder), O_RDONLY));
  return NodeFile(std::move(fd));
}

Result<Hash> NodeFile::read(unsigned level, std::uint64_t index) const {
  Hash hash{};
  const auto place = static_cast<off_t>(node_place(level, index) * sizeof hash);
  const ssize_t got = ::pread(fd_.get(), hash.data(), hash.size(), place);
  if (got < 0) return fail_errno("read a node of the ledger's tree");
  if (got != static_cast<ssize_t>(hash.size())) {
    return fail(Code::NotFound, cat("node ", index, " of level ", level, " of the ledger's tree is not written down"));
  }
  return hash;
}

Result<std::size_t> read_offset(const std::string& folder, std::uint64_t number) {
  TRY_ASSIGN(const UniqueFd fd, open_file(offsets_path(folder), O_RDONLY));
  std::array<std::uint8_t, sizeof(std::uint32_t)> bytes{};
  const ssize_t got = ::pread(fd.get(), bytes.data(), bytes.size(), static_cast<off_t>(number * bytes.size()));
  if (got < 0) return fail_errno("read the offsets of the ledger");
  if (got != static_cast<ssize_t>(bytes.size())) return fail(Code::NotFound, "that offset is not written down");
  return ByteReader(bytes).u32();
}

Result<SideFile> SideFile::open(const std::string& path) {
  TRY_ASSIGN(UniqueFd fd, open_file(path, O_RDWR | O_CREAT, 0600));
  return SideFile(std::move(fd));
}

void SideFile::add(std::string_view bytes) {
  given_up_ = given_up_ || owed_.size() > kMaxOwed;
  if (given_up_) {
    owed_.clear();
  } else {
    owed_ += bytes;
  }
}

void SideFile::write(std::uint64_t end) {
  if (owed_.empty() || !write_at(fd_.get(), owed_, end - owed_.size())) return;
  owed_.clear();
}

Status SideFile::cut(std::uint64_t size) {
  if (::ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) return fail_errno("cut a file beside the ledger");
  return {};
}

Status SideFile::sync() {
  if (::fdatasync(fd_.get()) != 0) return fail_errno("make a file beside the ledger durable");
  return {};
}

Result<std::uint64_t> SideFile::size() const {
  struct stat info{};
  if (::fstat(fd_.get(), &info) != 0) return fail_errno("look at a file beside the ledger");
  return static_cast<std::uint64_t>(info.st_size);
}

Status write_at(int fd, std::string_view bytes, std::uint64_t offset) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno("write to the ledger");
    bytes.remove_prefix(static_cast<std::size_t>(n));
    offset += static_cast<std::size_t>(n);
  }
  return {};
}

}  // namespace cofferdam::ledger
