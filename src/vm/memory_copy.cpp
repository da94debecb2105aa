#include "vm/memory_copy.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <span>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"
#include "vm/qemu_command.h"
#include "vm/template_files.h"

namespace cofferdam::vm {
namespace {

constexpr std::uint64_t kPage = 4096;
constexpr std::uint64_t kPiece = 1U << 20;
constexpr std::size_t kMaxMaps = 8U << 20;
constexpr std::size_t kHeadBytes = 12;  // of a run: its offset and its length
constexpr std::uint64_t kEnd = UINT64_MAX;

// Bits of /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst).
constexpr std::uint64_t kPresent = 1ULL << 63;
constexpr std::uint64_t kSwapped = 1ULL << 62;
constexpr std::uint64_t kOfFile = 1ULL << 61;

bool is_zero(const char* bytes, std::size_t n) { return bytes[0] == 0 && std::memcmp(bytes, bytes + 1, n - 1) == 0; }

// Anonymous memory outside of core dumps, never swapped where the limits allow it, and wiped at the end.
class Buffer {
 public:
  static Result<Buffer> make(std::uint64_t bytes) {
    Buffer buffer;
    if (bytes == 0) return buffer;
    void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED) return fail_errno("get memory for the copy of a guest's");
    buffer.at_ = static_cast<char*>(at);
    buffer.bytes_ = bytes;
    (void)::mlock(at, bytes);
    (void)::madvise(at, bytes, MADV_DONTDUMP);
    return buffer;
  }
  Buffer() = default;
  Buffer(Buffer&& other) noexcept : at_(std::exchange(other.at_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}
  Buffer& operator=(Buffer&& other) noexcept {
    std::swap(at_, other.at_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Buffer() {
    if (at_ == nullptr) return;
    ::explicit_bzero(at_, bytes_);
    (void)::munmap(at_, bytes_);
  }
  [[nodiscard]] char* data() const { return at_; }

 private:
  char* at_ = nullptr;
  std::uint64_t bytes_ = 0;
};

struct Mapping {
  std::uint64_t begin = 0, end = 0, offset = 0;
};

// Where the VMM has its guest's memory: the mappings of the file it was given for that.
Result<std::vector<Mapping>> find_mappings(int vmm_pid, const struct stat& base, std::uint64_t bytes) {
  TRY_ASSIGN(const auto maps, read_file(cat("/proc/", vmm_pid, "/maps"), kMaxMaps));
  std::vector<Mapping> found;
  std::uint64_t next = 0;
  for (const auto& line : split(maps, '\n')) {
    Mapping mapping;
    unsigned long long begin = 0, end = 0, offset = 0, inode = 0;
    char rights[8] = {};
    if (std::sscanf(line.c_str(), "%llx-%llx %4s %llx %*x:%*x %llu", &begin, &end, rights, &offset, &inode) != 5 ||
        inode != base.st_ino || line.find("/memfd:") == std::string::npos) {
      continue;
    }
    mapping = {begin, end, offset};
    if (mapping.offset != next || mapping.end <= mapping.begin) break;
    next += mapping.end - mapping.begin;
    found.push_back(mapping);
  }
  if (next != bytes) return fail(Code::DataLoss, "the memory of a guest is not where its VMM was told to have it");
  return found;
}

class Copy : public MemoryCopy {
 public:
  static Result<std::unique_ptr<MemoryCopy>> take(int vmm_pid);
  Status write(const std::function<Status(std::string_view)>& sink) override;

 private:
  Status find_changed(int vmm_pid, const std::vector<Mapping>& mappings);
  Status copy_changed(int vmm_pid, const std::vector<Mapping>& mappings);

  UniqueFd base_;
  std::uint64_t bytes_ = 0;
  std::vector<bool> changed_;  // by page
  std::uint64_t changed_pages_ = 0;
  Buffer pages_;  // the changed ones, in order
};

Result<std::unique_ptr<MemoryCopy>> Copy::take(int vmm_pid) {
  auto copy = std::make_unique<Copy>();
  TRY_ASSIGN(copy->base_, open_file(cat("/proc/", vmm_pid, "/fd/", fd_number::kMemory), O_RDONLY));
  struct stat st{};
  if (::fstat(copy->base_.get(), &st) != 0) return fail_errno("stat the memory a guest started from");
  const int seals = ::fcntl(copy->base_.get(), F_GET_SEALS);
  const auto bytes = copy->bytes_ = static_cast<std::uint64_t>(st.st_size);
  if (seals < 0 || (seals & F_SEAL_WRITE) == 0 || bytes == 0 || bytes % kPage != 0) {
    return fail(Code::DataLoss, "the memory a guest started from is not the file its VMM was given");
  }
  TRY_ASSIGN(const auto mappings, find_mappings(vmm_pid, st, bytes));
  copy->changed_.resize(bytes / kPage);
  TRY(copy->find_changed(vmm_pid, mappings));
  TRY_ASSIGN(copy->pages_, Buffer::make(copy->changed_pages_ * kPage));
  TRY(copy->copy_changed(vmm_pid, mappings));
  return std::unique_ptr<MemoryCopy>(std::move(copy));
}

Status Copy::find_changed(int vmm_pid, const std::vector<Mapping>& mappings) {
  TRY_ASSIGN(const UniqueFd pagemap, open_file(cat("/proc/", vmm_pid, "/pagemap"), O_RDONLY));
  std::vector<std::uint64_t> entries(kPiece / sizeof(std::uint64_t));
  for (const auto& mapping : mappings) {
    const auto pages = (mapping.end - mapping.begin) / kPage;
    for (std::uint64_t done = 0; done < pages;) {
      const auto want = std::min<std::uint64_t>(entries.size(), pages - done);
      const auto at = (mapping.begin / kPage + done) * sizeof(std::uint64_t);
      const ssize_t n = ::pread(pagemap.get(), entries.data(), want * sizeof(std::uint64_t), static_cast<off_t>(at));
      if (n != static_cast<ssize_t>(want * sizeof(std::uint64_t))) return fail_errno("read the page map of a VMM");
      for (std::uint64_t i = 0; i < want; ++i) {
        const bool own = (entries[i] & (kPresent | kSwapped)) != 0 && (entries[i] & kOfFile) == 0;
        if (!own) continue;
        changed_[mapping.offset / kPage + done + i] = true;
        ++changed_pages_;
      }
      done += want;
    }
  }
  return {};
}

Status Copy::copy_changed(int vmm_pid, const std::vector<Mapping>& mappings) {
  TRY_ASSIGN(const UniqueFd memory, open_file(cat("/proc/", vmm_pid, "/mem"), O_RDONLY));
  char* to = pages_.data();
  for (const auto& mapping : mappings) {
    const auto first = mapping.offset / kPage;
    const auto pages = (mapping.end - mapping.begin) / kPage;
    for (std::uint64_t i = 0; i < pages;) {
      if (!changed_[first + i]) {
        ++i;
        continue;
      }
      std::uint64_t run = 1;
      while (i + run < pages && changed_[first + i + run]) ++run;
      std::uint64_t left = run * kPage;
      auto from = mapping.begin + i * kPage;
      while (left > 0) {
        const ssize_t n = ::pread(memory.get(), to, left, static_cast<off_t>(from));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return fail_errno("read the memory of a VMM");
        to += n;
        from += static_cast<std::uint64_t>(n);
        left -= static_cast<std::uint64_t>(n);
      }
      i += run;
    }
  }
  return {};
}

Status write_run(const std::function<Status(std::string_view)>& sink, std::uint64_t offset, std::string_view bytes) {
  std::string head;
  ByteWriter writer(head);
  writer.u64(offset);
  writer.u32(static_cast<std::uint32_t>(bytes.size()));
  TRY(sink(head));
  return bytes.empty() ? Status{} : sink(bytes);
}

Status Copy::write(const std::function<Status(std::string_view)>& sink) {
  const char* own = pages_.data();
  std::vector<char> piece(kPiece);
  for (std::uint64_t at = 0; at < bytes_; at += piece.size()) {
    const auto size = std::min<std::uint64_t>(piece.size(), bytes_ - at);
    const ssize_t n = ::pread(base_.get(), piece.data(), size, static_cast<off_t>(at));
    if (n != static_cast<ssize_t>(size)) return fail_errno("read the memory a guest started from");
    for (std::uint64_t page = 0; page < size / kPage; ++page) {
      if (!changed_[at / kPage + page]) continue;
      std::memcpy(piece.data() + page * kPage, own, kPage);
      own += kPage;
    }
    // Runs of pages that hold anything.
    for (std::uint64_t page = 0; page < size / kPage;) {
      std::uint64_t run = 0;
      while (page + run < size / kPage && !is_zero(piece.data() + (page + run) * kPage, kPage)) ++run;
      if (run > 0) TRY(write_run(sink, at + page * kPage, {piece.data() + page * kPage, run * kPage}));
      page += std::max<std::uint64_t>(run, 1);
    }
  }
  ::explicit_bzero(piece.data(), piece.size());
  pages_ = Buffer();
  return write_run(sink, kEnd, {});
}

}  // namespace

Result<std::unique_ptr<MemoryCopy>> copy_memory(int vmm_pid) { return Copy::take(vmm_pid); }

Result<UniqueFd> read_memory(const std::function<Status(char* to, std::size_t size)>& source, std::uint64_t bytes) {
  TRY_ASSIGN(UniqueFd memory, make_memory_file("coffer-saved-memory", bytes));
  TRY_ASSIGN(const Buffer buffer, Buffer::make(kPiece));
  std::uint64_t least = 0;
  for (;;) {
    std::array<char, kHeadBytes> head{};
    TRY(source(head.data(), head.size()));
    ByteReader reader(as_bytes({head.data(), head.size()}));
    const auto offset = reader.u64();
    const auto size = reader.u32();
    if (offset == kEnd && size == 0) break;
    const bool sane = offset >= least && offset <= bytes && size > 0 && size <= kPiece && size <= bytes - offset &&
                      offset % kPage == 0 && size % kPage == 0;
    if (!sane) return fail(Code::DataLoss, "what was saved of a guest's memory is not of this guest");
    TRY(source(buffer.data(), size));
    if (::pwrite(memory.get(), buffer.data(), size, static_cast<off_t>(offset)) != static_cast<ssize_t>(size)) {
      return fail_errno("fill the memory of a guest");
    }
    least = offset + size;
  }
  TRY(seal(memory.get()));
  return memory;
}

}  // namespace cofferdam::vm
