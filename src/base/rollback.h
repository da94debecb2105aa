// Undo steps of a multi-step create: run in reverse order unless commit() was reached.
#pragma once
#include <functional>
#include <utility>
#include <vector>

namespace cofferdam {

class Rollback {
 public:
  Rollback() = default;
  Rollback(const Rollback&) = delete;
  Rollback& operator=(const Rollback&) = delete;
  ~Rollback() {
    for (auto step = undo_.rbegin(); step != undo_.rend(); ++step) (*step)();
  }
  // `undo` must not throw and must not wait.
  void add(std::function<void()> undo) { undo_.push_back(std::move(undo)); }
  void commit() { undo_.clear(); }

 private:
  std::vector<std::function<void()>> undo_;
};

}  // namespace cofferdam
