#include "image/cpio.h"

#include <sys/stat.h>

#include <array>
#include <cstdio>

namespace cofferdam::image {
namespace {

constexpr std::size_t kAlignment = 4;
constexpr std::string_view kTrailer = "TRAILER!!!";

}  // namespace

void CpioWriter::pad() {
  while (out_.size() % kAlignment != 0) out_.push_back('\0');
}

void CpioWriter::member(const Member& m) {
  const std::array<std::uint32_t, 13> fields = {
      m.path == kTrailer ? 0 : next_inode_++,
      m.mode,
      0,  // uid
      0,  // gid
      m.links,
      0,  // mtime
      static_cast<std::uint32_t>(m.bytes.size()),
      0,  // device of the file, major
      0,  // and minor
      m.major,
      m.minor,
      static_cast<std::uint32_t>(m.path.size() + 1),
      0,  // checksum: unused in this form
  };
  out_.append("070701");
  for (const std::uint32_t field : fields) {
    std::array<char, 9> hex{};
    std::snprintf(hex.data(), hex.size(), "%08X", field);
    out_.append(hex.data(), 8);
  }
  out_.append(m.path);
  out_.push_back('\0');
  pad();
  out_.append(m.bytes);
  pad();
}

void CpioWriter::directory(std::string_view path, unsigned mode) {
  member({.path = path, .mode = S_IFDIR | mode, .bytes = {}, .links = 2});
}

void CpioWriter::file(std::string_view path, unsigned mode, std::string_view bytes) {
  member({.path = path, .mode = S_IFREG | mode, .bytes = bytes});
}

void CpioWriter::character_device(std::string_view path, unsigned mode, unsigned major, unsigned minor) {
  member({.path = path, .mode = S_IFCHR | mode, .bytes = {}, .major = major, .minor = minor});
}

void CpioWriter::finish() { member({.path = kTrailer, .mode = 0, .bytes = {}}); }

}  // namespace cofferdam::image
