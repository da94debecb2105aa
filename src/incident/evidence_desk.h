// Evidence handed out, and looked into: bundles that can be checked anywhere, and workspaces that go on from a snapshot
// and reach nothing.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "evidence/verify.h"
#include "incident/age_pipe.h"
#include "incident/bundle_maker.h"

namespace cofferdam::incident {

struct EvidenceOptions {
  std::string state_dir;                // evidence/ in it is ours
  std::vector<std::string> recipients;  // every bundle is encrypted to these, whoever asks for it
  std::uint32_t age_uid = 0;            // that owns nothing
};

struct OpenWish {
  std::string name;  // of the workspace; empty: none
  std::chrono::milliseconds ttl = std::chrono::hours(1);
  // The first key of the ledger that sealed it, from elsewhere; nullopt: it must be this host's own.
  std::optional<ledger::VerifierKey> first_key;
  model::Origin by;
};

struct Opened {
  workspace::Info info;
  std::string from, snapshot;  // whose it was
};

// Used on the loop only.
class EvidenceDesk {
 public:
  // All outlive the object. Blocks: what a daemon that died has left half open is removed.
  static Result<std::unique_ptr<EvidenceDesk>> open(const loop::asio::any_io_executor& executor,
                                                    EvidenceOptions options, Containment& containment,
                                                    monitor::Watch& watch, ledger::Recorder& recorder,
                                                    loop::WorkerPool& workers);

  // A bundle, made while it is read. FailedPrecondition: no ledger is kept, which would seal it.
  Task<EvidenceBytes> export_of(EvidenceWish wish);
  // A workspace from what is kept of another one (snapshot: empty: that of its containment, else the latest).
  Task<Opened> look_into(std::string workspace, std::string snapshot, OpenWish wish);
  // The same from a bundle, in the clear. DataLoss: it is not what was signed, and then nothing of it is left.
  Task<Opened> look_into(EvidenceBytes bundle, OpenWish wish);
  Task<void> stop();

 private:
  struct Brought;
  EvidenceDesk(const loop::asio::any_io_executor& executor, EvidenceOptions options, Containment& containment,
               monitor::Watch& watch, ledger::Recorder& recorder, loop::WorkerPool& workers);
  [[nodiscard]] std::string folder() const { return options_.state_dir + "/evidence"; }
  Task<ledger::VerifierKey> own_first_key();
  Task<std::shared_ptr<Brought>> take_in(EvidenceBytes bundle, OpenWish wish);
  Task<Opened> grow(std::shared_ptr<Brought> brought, OpenWish wish);

  loop::asio::any_io_executor executor_;
  EvidenceOptions options_;
  Containment& containment_;
  monitor::Watch& watch_;
  ledger::Recorder& recorder_;
  loop::WorkerPool& workers_;
  loop::TaskGroup tasks_;
};

}  // namespace cofferdam::incident
