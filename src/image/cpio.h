// Writes the "newc" cpio form that the kernel unpacks as its first root. Same calls, same bytes.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

namespace cofferdam::image {

// Paths are relative to the root, without a leading slash; a folder comes before what is in it. Modes are permission
// bits only. Everything belongs to root and carries the time 0. A member holds less than 4 GiB.
class CpioWriter {
 public:
  explicit CpioWriter(std::string& out) : out_(out) {}
  void directory(std::string_view path, unsigned mode);
  void file(std::string_view path, unsigned mode, std::string_view bytes);
  void character_device(std::string_view path, unsigned mode, unsigned major, unsigned minor);
  void finish();  // the trailer; nothing may follow

 private:
  struct Member {
    std::string_view path;
    unsigned mode;  // with the type bits
    std::string_view bytes;
    unsigned links = 1;
    unsigned major = 0;
    unsigned minor = 0;
  };
  void member(const Member& m);
  void pad();
  std::string& out_;
  std::uint32_t next_inode_ = 1;
};

}  // namespace cofferdam::image
