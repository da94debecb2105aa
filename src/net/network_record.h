// What the ledger is told of networks: every connection, and every change of what may be reached.
#pragma once
#include <chrono>
#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "ledger/recorder.h"
#include "net/flow_log.h"
#include "net/network_table.h"

namespace cofferdam::net {

// Used on the loop's thread only.
class NetworkRecord {
 public:
  // Refusals of one kind are one entry at first, and from then on one each window with their count. A workspace has at
  // most kMaxAlike kinds in a window; the rest is told apart by its reason alone.
  static constexpr std::chrono::seconds kWindow{10};
  static constexpr std::size_t kMaxAlike = 32;

  // `recorder` null: nothing is written down; it outlives this. `space_of` answers the namespace of a workspace, empty
  // for one that is unknown.
  NetworkRecord(ledger::Recorder* recorder, std::function<std::string(const std::string& workspace)> space_of)
      : recorder_(recorder == nullptr ? nothing_ : *recorder), space_of_(std::move(space_of)) {}

  void connection(const Flow& flow, std::chrono::steady_clock::time_point now = std::chrono::steady_clock::now());
  // `version`: the gate's number of it; 0 while the workspace has no gate.
  void policy(const model::Origin& by, const NetworkRow& row, std::uint64_t version);
  // `action`: "created", "removed", "expired".
  void link(const model::Origin& by, const Link& link, std::string_view action);
  // `action`: "opened", "closed". `address`: where it is reached from outside.
  void port(const model::Origin& by, const Exposure& exposure, std::string_view action, std::string address);

  // Counts of windows that are over become entries, each second until it is cancelled.
  Task<void> keep_counting();
  void end_windows(std::chrono::steady_clock::time_point now);

 private:
  struct Window {
    std::chrono::steady_clock::time_point ends;
    std::map<std::string, model::ConnectionRefused> alike;  // `times` of each: not told yet
  };
  [[nodiscard]] model::Subject subject(const std::string& workspace) const;
  void refused(const Flow& flow, std::chrono::steady_clock::time_point now);

  ledger::NoRecorder nothing_;
  ledger::Recorder& recorder_;
  std::function<std::string(const std::string&)> space_of_;
  std::map<std::string, Window> windows_;  // by workspace
};

}  // namespace cofferdam::net
