#include "disk/qcow2.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/text.h"
#include "crypto/xts.h"
#include "model/units.h"

namespace cofferdam::disk {
namespace {

constexpr std::uint32_t kMagic = 0x514649fb;
constexpr std::uint32_t kVersion = 3;
constexpr std::uint32_t kCryptLuks = 2;
constexpr std::uint32_t kHeaderLength = 104;
constexpr std::uint32_t kRefcountOrder = 4;  // 16 bits each
constexpr std::uint32_t kEncryptionExtension = 0x0537be77;
// Small, so that a small write to a fresh place encrypts little beside itself; see the README for what was measured.
constexpr std::uint32_t kClusterBits = 14;
constexpr std::uint64_t kCluster = 1ULL << kClusterBits;
constexpr std::uint64_t kEntry = 8;
constexpr std::uint64_t kEntriesPerTable = kCluster / kEntry;
constexpr std::uint64_t kReachOfTable = kEntriesPerTable * kCluster;
constexpr std::uint64_t kRefcountsPerBlock = kCluster / 2;
constexpr std::uint64_t kOffsetBits = 0x00fffffffffffe00;
constexpr std::uint64_t kCompressed = 1ULL << 62;
constexpr std::uint64_t kReadsAsZero = 1;
constexpr std::uint64_t kLargestDisk = 1ULL << 46;
constexpr std::uint64_t kCopied = 1ULL << 63;  // exactly one reference: may be written in place

std::uint64_t divide_up(std::uint64_t a, std::uint64_t b) { return (a + b - 1) / b; }

std::uint64_t get(const std::string& in, std::size_t at, unsigned bytes) {
  std::uint64_t value = 0;
  for (unsigned i = 0; i < bytes; ++i) value = value << 8 | static_cast<unsigned char>(in[at + i]);
  return value;
}

void put(std::string& out, std::uint64_t at, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) out[at + i] = static_cast<char>(value >> (8 * (bytes - 1 - i)));
}

// Clusters of the file, in this order: header, refcount table, L1 table, LUKS header, then L2 tables and data as they
// come, and the refcount blocks at the end.
struct Layout {
  explicit Layout(std::uint64_t bytes)
      : l1_entries(divide_up(bytes, kReachOfTable)), l1_clusters(divide_up(l1_entries * kEntry, kCluster)) {}
  std::uint64_t l1_entries, l1_clusters;
  static constexpr std::uint64_t kRefcountTable = 1;
  static constexpr std::uint64_t kL1 = 2;
  [[nodiscard]] std::uint64_t luks() const { return kL1 + l1_clusters; }
};

std::string make_header(std::uint64_t bytes, const Layout& layout, std::uint64_t luks_bytes) {
  std::string out(kCluster, '\0');
  put(out, 0, kMagic, 4);
  put(out, 4, kVersion, 4);
  put(out, 20, kClusterBits, 4);
  put(out, 24, bytes, 8);
  put(out, 32, kCryptLuks, 4);
  put(out, 36, layout.l1_entries, 4);
  put(out, 40, Layout::kL1 * kCluster, 8);
  put(out, 48, Layout::kRefcountTable * kCluster, 8);
  put(out, 56, 1, 4);
  put(out, 96, kRefcountOrder, 4);
  put(out, 100, kHeaderLength, 4);
  put(out, kHeaderLength, kEncryptionExtension, 4);
  put(out, kHeaderLength + 4, 2 * kEntry, 4);
  put(out, kHeaderLength + 8, layout.luks() * kCluster, 8);
  put(out, kHeaderLength + 16, luks_bytes, 8);
  return out;
}

Status write_at(int to, std::uint64_t cluster, std::string_view bytes) {
  for (;;) {
    const ssize_t n = ::pwrite(to, bytes.data(), bytes.size(), static_cast<off_t>(cluster * kCluster));
    if (n < 0 && errno == EINTR) continue;
    // All of it at once: a file takes less only when there is no room.
    if (n != static_cast<ssize_t>(bytes.size())) {
      if (n >= 0) errno = ENOSPC;
      return fail_errno("write a disk image");
    }
    return {};
  }
}

Status read_exactly(int file, std::span<char> bytes, std::uint64_t offset) {
  const ssize_t n = ::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(offset));
  if (n < 0) return fail_errno("read a disk image");
  if (n != static_cast<ssize_t>(bytes.size())) return fail(Code::DataLoss, "the disk image is cut");
  return {};
}

bool is_zero(std::span<const char> bytes) {
  return bytes[0] == 0 && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

// An image that is being written.
class Image {
 public:
  Image(int to, std::uint64_t bytes, const LuksHeader& header)
      : to_(to),
        bytes_(bytes),
        header_(header),
        layout_(bytes),
        cipher_(header.volume_key, crypto::Xts::Direction::encrypt),
        l1_(layout_.l1_entries),
        next_(layout_.luks() + divide_up(header.reserved, kCluster)) {}

  // The guest's cluster `number`; encrypted in place.
  Status add(std::uint64_t number, std::span<char> cluster) {
    const auto table = number / kEntriesPerTable;
    if (table >= l1_.size()) return fail(Code::InvalidArgument, "the content of a new disk is larger than the disk");
    if (l1_[table] == 0) {
      l1_[table] = next_++;
      l2_.emplace(table, std::string(kCluster, '\0'));
    }
    const auto where = next_++;
    cipher_.apply(where * (kCluster / crypto::kXtsSector), cluster);
    put(l2_.at(table), number % kEntriesPerTable * kEntry, where * kCluster | kCopied, kEntry);
    return write_at(to_, where, {cluster.data(), cluster.size()});
  }
  // Tables and headers.
  Status finish();

 private:
  int to_;
  std::uint64_t bytes_;
  const LuksHeader& header_;
  Layout layout_;
  crypto::Xts cipher_;
  std::vector<std::uint64_t> l1_;  // clusters of L2 tables
  std::map<std::uint64_t, std::string> l2_;
  std::uint64_t next_;  // free cluster
};

Status Image::finish() {
  TRY(write_at(to_, layout_.luks(), header_.bytes));
  std::string l1(layout_.l1_clusters * kCluster, '\0');
  for (const auto& [table, entries] : l2_) {
    put(l1, table * kEntry, l1_[table] * kCluster | kCopied, kEntry);
    TRY(write_at(to_, l1_[table], entries));
  }
  TRY(write_at(to_, Layout::kL1, l1));
  // The blocks of counts count themselves.
  std::uint64_t blocks = 1;
  while (blocks * kRefcountsPerBlock < next_ + blocks) ++blocks;
  if (blocks > kEntriesPerTable) return fail(Code::InvalidArgument, "the content of a new disk is too large");
  const auto end = next_ + blocks;
  std::string counts_table(kCluster, '\0');
  for (std::uint64_t block = 0; block < blocks; ++block) {
    std::string counts(kCluster, '\0');
    const auto first = block * kRefcountsPerBlock;
    for (auto i = first; i < std::min(end, first + kRefcountsPerBlock); ++i) put(counts, (i - first) * 2, 1, 2);
    TRY(write_at(to_, next_ + block, counts));
    put(counts_table, block * kEntry, (next_ + block) * kCluster, kEntry);
  }
  TRY(write_at(to_, Layout::kRefcountTable, counts_table));
  // Last: without it the file is no image.
  return write_at(to_, 0, make_header(bytes_, layout_, header_.reserved));
}

// Each cluster of a raw disk that holds anything.
Status add_raw(Image& image, int source) {
  struct stat st{};
  if (::fstat(source, &st) != 0) return fail_errno("stat the content of a new disk");
  std::vector<char> cluster(kCluster);
  off_t at = 0;
  while (at < st.st_size) {
    at = ::lseek(source, at, SEEK_DATA);
    if (at < 0) {
      if (errno == ENXIO) break;
      return fail_errno("seek in the content of a new disk");
    }
    const off_t hole = ::lseek(source, at, SEEK_HOLE);
    if (hole < 0) return fail_errno("seek in the content of a new disk");
    auto number = static_cast<std::uint64_t>(at) / kCluster;
    for (; number * kCluster < static_cast<std::uint64_t>(hole); ++number) {
      TRY(read_exactly(source, cluster, number * kCluster));
      if (!is_zero(cluster)) TRY(image.add(number, cluster));
    }
    at = static_cast<off_t>(number * kCluster);
  }
  return {};
}

struct Head {
  std::uint64_t bytes = 0, l1_entries = 0, l1_offset = 0;
};

// Of what a VMM may have written, only what has a bound.
Result<Head> read_head(int file) {
  std::string header(kHeaderLength, '\0');
  TRY(read_exactly(file, header, 0));
  Head head;
  head.bytes = get(header, 24, 8);
  head.l1_entries = get(header, 36, 4);
  head.l1_offset = get(header, 40, 8);
  const bool ours = get(header, 0, 4) == kMagic && get(header, 4, 4) == kVersion && get(header, 8, 8) == 0 &&
                    get(header, 20, 4) == kClusterBits && get(header, 32, 4) == kCryptLuks && head.bytes > 0 &&
                    head.bytes <= kLargestDisk && head.l1_entries <= Layout(kLargestDisk).l1_entries;
  if (!ours) return fail(Code::DataLoss, "this is no disk of a workspace");
  return head;
}

// Every cluster that `file`, an image of at most `bytes`, has: where its content lies in the file. DataLoss for one
// that refers to what lies behind its end.
Status walk(int file, std::uint64_t bytes, const std::function<Status(std::uint64_t number, std::uint64_t at)>& each) {
  TRY_ASSIGN(const Head head, read_head(file));
  if (head.bytes > bytes) {
    return fail(Code::DataLoss, cat("it says that it has ", head.bytes, " bytes, and should have ", bytes));
  }
  // A growth may leave room for more.
  if (head.l1_entries > 2 * Layout(bytes).l1_entries) return fail(Code::DataLoss, "its first table is too long");
  struct stat st{};
  if (::fstat(file, &st) != 0) return fail_errno("stat a disk image");
  const auto size = static_cast<std::uint64_t>(st.st_size);
  const auto inside = [size](std::uint64_t offset) { return offset <= size && size - offset >= kCluster; };
  const Error cut{Code::DataLoss, "the disk image is cut: it refers to what lies behind its end", {}};
  std::string tables(head.l1_entries * kEntry, '\0');
  TRY(read_exactly(file, tables, head.l1_offset));
  std::string table(kCluster, '\0');
  for (std::size_t i = 0; i < head.l1_entries; ++i) {
    const auto at = get(tables, i * kEntry, kEntry) & kOffsetBits;
    if (at == 0) continue;
    if (!inside(at)) return fail(cut);
    TRY(read_exactly(file, table, at));
    for (std::size_t k = 0; k < kEntriesPerTable; ++k) {
      const auto entry = get(table, k * kEntry, kEntry);
      const auto cluster = entry & kOffsetBits;
      if ((entry & kCompressed) != 0) return fail(Code::DataLoss, "it has compressed clusters");
      if (cluster == 0 || (entry & kReadsAsZero) != 0) continue;
      if (!inside(cluster)) return fail(cut);
      TRY(each(i * kEntriesPerTable + k, cluster));
    }
  }
  return {};
}

}  // namespace

Status write_image(int to, std::uint64_t bytes, const LuksHeader& header, int source) {
  Image image(to, bytes, header);
  if (source >= 0) TRY(add_raw(image, source));
  return image.finish();
}

Status rewrite_image(int to, std::uint64_t bytes, const LuksHeader& header, const EncryptedSource& source) {
  Image image(to, bytes, header);
  crypto::Xts cipher(source.volume_key, crypto::Xts::Direction::decrypt);
  SecureBytes cluster(kCluster);
  const auto copy = [&](std::uint64_t number, std::uint64_t at) -> Status {
    TRY(read_exactly(source.file, cluster.writable(), at));
    cipher.apply(at / crypto::kXtsSector, cluster.writable());
    return image.add(number, cluster.writable());
  };
  TRY(walk(source.file, source.bytes, copy));
  return image.finish();
}

Result<LuksHeader> read_header(int file) {
  TRY_ASSIGN(const Head head, read_head(file));
  LuksHeader header;
  header.bytes.resize(kLuksFilledBytes);
  TRY(read_exactly(file, header.bytes, Layout(head.bytes).luks() * kCluster));
  return header;
}

Status check_image(int file, std::uint64_t bytes) {
  return walk(file, bytes, [](std::uint64_t /*number*/, std::uint64_t /*at*/) { return Status{}; });
}

std::uint64_t largest_file(std::uint64_t bytes) {
  // Every cluster written, its 8 bytes of map and 2 of count, the headers, and some that are on their way.
  constexpr std::uint64_t kSlack = 16 * model::kMiB;
  return bytes + bytes / kCluster * 16 + kSlack;
}

}  // namespace cofferdam::disk
