// Work inside another network namespace, on a thread that ends with it.
#pragma once
#include <optional>
#include <thread>
#include <type_traits>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::net {

// Enters the namespace for good: for a thread that does nothing else. FailedPrecondition when it is the one the
// process is in: nothing of this room may ever touch the host's own.
Status enter_namespace(const UniqueFd& name_space);

// A namespace with a wire in it, "tap0", as the jail makes them for a VMM: for the doctor and for tests.
struct Wire {
  UniqueFd name_space;
  UniqueFd tap;  // the guest's end
};
Result<Wire> make_wire();

// Runs `work` (no arguments, answers a Result<T>) inside and waits for it. Blocks: on a worker's thread only.
template <class Work>
std::invoke_result_t<Work> inside(const UniqueFd& name_space, Work work) {
  std::optional<std::invoke_result_t<Work>> answer;
  std::thread visitor([&] {
    if (Status entered = enter_namespace(name_space); !entered) {
      answer.emplace(tl::make_unexpected(std::move(entered.error())));
    } else {
      answer.emplace(work());
    }
  });
  visitor.join();
  return std::move(*answer);
}

}  // namespace cofferdam::net
