// What this room's tests share: a scratch folder and hand-made archives.
#pragma once
#include <array>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"

namespace cofferdam::image {

class ScratchFolder {
 public:
  ScratchFolder() : path_(cat("/tmp/image-test-", to_hex(random_bytes(8)))) { (void)make_directories(path_); }
  ScratchFolder(const ScratchFolder&) = delete;
  ScratchFolder& operator=(const ScratchFolder&) = delete;
  ~ScratchFolder() { (void)remove_tree(path_); }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Members in the ustar form, exactly as told: no name is cleaned, no lie refused.
class TarMaker {
 public:
  TarMaker& file(const std::string& name, const std::string& content, unsigned mode = 0644, unsigned owner = 0) {
    return member(name, '0', mode, owner, {}, content);
  }
  TarMaker& directory(const std::string& name, unsigned mode = 0755) { return member(name, '5', mode, 0, {}, {}); }
  TarMaker& symlink(const std::string& name, const std::string& target) {
    return member(name, '2', 0777, 0, target, {});
  }
  TarMaker& hardlink(const std::string& name, const std::string& target) {
    return member(name, '1', 0644, 0, target, {});
  }
  TarMaker& character_device(const std::string& name) { return member(name, '3', 0666, 0, {}, {}); }
  TarMaker& fifo(const std::string& name) { return member(name, '6', 0644, 0, {}, {}); }
  // Claims `size` bytes and brings none.
  TarMaker& huge_file(const std::string& name, std::uint64_t size) {
    header(name, '0', 0644, 0, {}, size);
    return *this;
  }
  [[nodiscard]] std::string bytes() const { return out_ + std::string(2 * kBlock, '\0'); }

 private:
  static constexpr std::size_t kBlock = 512;

  TarMaker& member(const std::string& name, char type, unsigned mode, unsigned owner, const std::string& link,
                   const std::string& content) {
    header(name, type, mode, owner, link, content.size());
    out_ += content;
    out_.append((kBlock - content.size() % kBlock) % kBlock, '\0');
    return *this;
  }

  void header(const std::string& name, char type, unsigned mode, unsigned owner, const std::string& link,
              std::uint64_t size) {
    std::array<char, kBlock> block{};
    const auto put = [&](std::size_t at, const std::string& text) {
      std::memcpy(&block[at], text.data(), text.size());
    };
    const auto octal = [](std::uint64_t value, int digits) {
      std::array<char, 32> text{};
      std::snprintf(text.data(), text.size(), "%0*llo", digits, static_cast<unsigned long long>(value));
      return std::string(text.data());
    };
    put(0, name.substr(0, 100));
    put(100, octal(mode, 7));
    put(108, octal(owner, 7));
    put(116, octal(owner, 7));
    put(124, octal(size, 11));
    put(136, octal(1'600'000'000, 11));
    put(148, "        ");
    block[156] = type;
    put(157, link.substr(0, 100));
    put(257, std::string("ustar\00000", 8));
    unsigned sum = 0;
    for (const char c : block) sum += static_cast<unsigned char>(c);
    put(148, octal(sum, 6) + std::string("\0 ", 2));
    out_.append(block.data(), block.size());
  }

  std::string out_;
};

}  // namespace cofferdam::image
