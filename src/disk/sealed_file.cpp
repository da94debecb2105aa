#include "disk/sealed_file.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"
#include "crypto/aead.h"

namespace cofferdam::disk {
namespace {

constexpr std::size_t kLengthBytes = 4;

// What a block is bound to beside its key.
std::string place_of(const std::string& name, std::uint64_t number, bool last) {
  return cat("cofferdam sealed file 1\n", name, "\n", number, last ? " last" : "");
}

}  // namespace

SealedWriter::SealedWriter(int file, SecureBytes key, std::string name)
    : file_(file), key_(std::move(key)), name_(std::move(name)), block_(kSealedBlock) {}

Status SealedWriter::write(std::string_view bytes) {
  while (!bytes.empty()) {
    // A full block waits for what follows: the last one is marked.
    if (filled_ == kSealedBlock) TRY(put(Last::no));
    const auto n = std::min(bytes.size(), kSealedBlock - filled_);
    std::memcpy(block_.writable().data() + filled_, bytes.data(), n);
    filled_ += n;
    bytes.remove_prefix(n);
  }
  return {};
}

Status SealedWriter::put(Last last) {
  const auto sealed = crypto::seal(key_, block_.view().substr(0, filled_), place_of(name_, number_, last == Last::yes));
  std::string length;
  ByteWriter(length).u32(static_cast<std::uint32_t>(sealed.size()));
  for (const std::string_view piece : {std::string_view(length), std::string_view(sealed)}) {
    auto written = write_all(file_, piece);
    if (!written) return fail(std::move(written.error()).in(cat("write ", name_)));
  }
  file_bytes_ += kLengthBytes + sealed.size();
  ++number_;
  filled_ = 0;
  return {};
}

Status SealedWriter::finish() {
  TRY(put(Last::yes));
  if (::fsync(file_) != 0) return fail_errno(cat("sync ", name_));
  return {};
}

SealedReader::SealedReader(int file, SecureBytes key, std::string name, std::uint64_t start)
    : file_(file),
      key_(std::move(key)),
      name_(std::move(name)),
      sealed_(kSealedBlock + crypto::kAeadOverhead, '\0'),
      plain_(kSealedBlock),
      offset_(start) {}

Result<std::optional<std::string_view>> SealedReader::next() {
  if (ended_) return std::nullopt;
  const auto damaged = [&](std::string_view how) {
    return fail(Code::DataLoss, cat("block ", number_, " of ", name_, " ", how),
                "it was damaged, changed, or is another file's: nothing of it is used");
  };
  std::array<char, kLengthBytes> head{};
  ssize_t n = ::pread(file_, head.data(), head.size(), static_cast<off_t>(offset_));
  if (n < 0) return fail_errno(cat("read ", name_));
  if (n != static_cast<ssize_t>(head.size())) return damaged("is cut off");
  const auto length = ByteReader(as_bytes({head.data(), head.size()})).u32();
  if (length < crypto::kAeadOverhead || length > sealed_.size()) return damaged("has an impossible length");
  n = ::pread(file_, sealed_.data(), length, static_cast<off_t>(offset_ + kLengthBytes));
  if (n < 0) return fail_errno(cat("read ", name_));
  if (n != static_cast<ssize_t>(length)) return damaged("is cut off");
  const std::string_view sealed(sealed_.data(), length);
  const auto plain = plain_.writable().first(length - crypto::kAeadOverhead);
  // Its place says whether more must follow: the end of the file cannot be moved.
  auto opened = crypto::unseal_into(key_, sealed, place_of(name_, number_, false), plain);
  const bool last = !opened;
  if (last) opened = crypto::unseal_into(key_, sealed, place_of(name_, number_, true), plain);
  if (!opened) return damaged("was changed");
  ended_ = last;
  offset_ += kLengthBytes + length;
  ++number_;
  return std::optional<std::string_view>({plain.data(), plain.size()});
}

Status SealedSource::read(char* to, std::size_t size) {
  while (size > 0) {
    TRY_ASSIGN(const bool over, at_end());
    if (over) return fail(Code::DataLoss, "a sealed file ends too early");
    const auto n = std::min(size, block_.size());
    std::memcpy(to, block_.data(), n);
    block_.remove_prefix(n);
    to += n;
    size -= n;
  }
  return {};
}

Result<bool> SealedSource::at_end() {
  while (!ended_ && block_.empty()) {
    TRY_ASSIGN(const auto block, reader_.next());
    ended_ = !block;
    if (block) block_ = *block;
  }
  return ended_;
}

}  // namespace cofferdam::disk
