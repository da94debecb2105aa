// The last bytes of what a VMM says on stdout and stderr.
#pragma once
#include <string>
#include <string_view>

namespace cofferdam::jail {

class OutputTail {
 public:
  explicit OutputTail(std::size_t max_bytes) : max_bytes_(max_bytes) {}
  void append(std::string_view bytes) {
    if (bytes.size() > max_bytes_) bytes.remove_prefix(bytes.size() - max_bytes_);
    if (text_.size() + bytes.size() > max_bytes_) text_.erase(0, text_.size() + bytes.size() - max_bytes_);
    text_.append(bytes);
  }
  [[nodiscard]] const std::string& text() const { return text_; }

 private:
  std::size_t max_bytes_;
  std::string text_;
};

}  // namespace cofferdam::jail
