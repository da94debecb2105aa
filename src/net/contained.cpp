// What is contained is cut off: at the gate at once, then in everybody's rules.
#include <set>

#include "base/log.h"
#include "net/network.h"

namespace cofferdam::net {

bool Networks::contained(const std::string& workspace) const {
  return options_.contained && options_.contained(workspace);
}

Task<std::uint32_t> Networks::contain(std::string workspace) {
  std::uint32_t cut = 0;
  if (const auto gate = gate_; gate_runs()) {
    gate::Request request = gate::Cut{workspace, gate::CutKind::contain};
    auto done = co_await gate->ask(std::move(request));
    if (!done && done.error().code != Code::NotFound && gate_runs()) co_return fail(std::move(done.error()));
    if (done) cut = done->flows_cut;
  }
  CO_TRY(co_await refresh_around(std::move(workspace)));
  co_return cut;
}

Task<void> Networks::release(std::string workspace) {
  if (const auto gate = gate_; gate_runs()) {
    gate::Request request = gate::Release{workspace};
    auto done = co_await gate->ask(std::move(request));
    if (!done && done.error().code != Code::NotFound && gate_runs()) co_return fail(std::move(done.error()));
  }
  co_return co_await refresh_around(std::move(workspace));
}

// It comes first. What is wrong with another one's network is not this one's affair.
Task<void> Networks::refresh_around(std::string workspace) {
  if (const auto network = find(workspace)) CO_TRY(co_await refresh(network));
  std::set<std::string> others;
  for (const auto& [id, link] : links_) {
    if (link.source == workspace) others.insert(link.target);
    if (link.target == workspace) others.insert(link.source);
  }
  for (const auto& other : others) {
    const auto network = find(other);
    if (!network) continue;
    if (auto refreshed = co_await refresh(network); !refreshed) {
      log_error("the network of a workspace was not brought to its plan",
                {{"workspace", other}, {"error", refreshed.error().message}});
    }
  }
  co_return Status{};
}

}  // namespace cofferdam::net
