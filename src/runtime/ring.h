// The last bytes of a stream.
#pragma once
#include <cstddef>
#include <string>
#include <string_view>

namespace cofferdam::runtime {

class Ring {
 public:
  explicit Ring(std::size_t capacity) : capacity_(capacity) {}

  void append(std::string_view bytes) {
    total_ += bytes.size();
    if (bytes.size() > capacity_) bytes.remove_prefix(bytes.size() - capacity_);
    kept_ += bytes;
    // Cut in steps: moving everything for each piece would cost more than the room.
    if (kept_.size() > capacity_ + capacity_ / 2) trim();
  }
  // At most `capacity` bytes, the last ones.
  [[nodiscard]] std::string_view last(std::size_t count) const {
    std::string_view all = kept_;
    const std::size_t most = count < capacity_ ? count : capacity_;
    return all.size() > most ? all.substr(all.size() - most) : all;
  }
  [[nodiscard]] std::string_view all() const { return last(capacity_); }
  // True when the beginning is gone.
  [[nodiscard]] bool lost_some() const { return total_ > all().size(); }
  [[nodiscard]] std::size_t capacity() const { return capacity_; }
  void set_capacity(std::size_t capacity) {
    capacity_ = capacity;
    trim();
    kept_.shrink_to_fit();
  }
  void clear() {
    kept_.clear();
    total_ = 0;
  }

 private:
  void trim() {
    if (kept_.size() > capacity_) kept_.erase(0, kept_.size() - capacity_);
  }
  std::size_t capacity_;
  std::size_t total_ = 0;
  std::string kept_;
};

}  // namespace cofferdam::runtime
