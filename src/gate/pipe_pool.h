// Pipes for splice(2). A flow holds one only while bytes lie in it, so an idle flow costs none.
#pragma once
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::gate {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
  explicit operator bool() const { return static_cast<bool>(read); }
};

class PipePool {
 public:
  // An empty pipe. ResourceExhausted when there are no descriptors left.
  Result<Pipe> take();
  // `pipe` must be empty; one that is not is simply dropped by its owner.
  void give_back(Pipe pipe);

 private:
  std::vector<Pipe> idle_;
};

}  // namespace cofferdam::gate
