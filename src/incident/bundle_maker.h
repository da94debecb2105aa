// Makes a bundle of evidence (room evidence), piece by piece while it is read: nothing of it lies on this host's disk.
//
// What is known of the workspace comes first, then the ledger's entries about it and those of its tokens, each with its
// proof, then the snapshot's files as they lie on the disk. The manifest comes last, is sealed by an entry of the
// ledger, and that entry is proven.
#pragma once
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "crypto/digest.h"
#include "evidence/manifest.h"
#include "incident/containment.h"
#include "loop/worker_pool.h"
#include "monitor/watch.h"

namespace cofferdam::incident {

struct EvidenceWish {
  std::string workspace;                // its id
  std::string snapshot;                 // empty: that of its containment, else the latest
  std::vector<std::string> recipients;  // whose keys it is encrypted to; empty: none, and then no key of ours is in it
  model::Origin by;
};

class BundleMaker {
 public:
  // All outlive the object. `sources.ledger` is there.
  BundleMaker(Sources sources, IncidentBook& book, monitor::Watch& watch, ledger::Recorder& recorder,
              loop::WorkerPool& workers, EvidenceWish wish);

  // What can fail for want of something fails here, before a byte is sent. NotFound: no such workspace or snapshot.
  Task<void> begin();
  // The next piece; empty at the end. After an error nothing more may be asked for.
  Task<std::string> next();

 private:
  // Adds some members; answers whether it has more of them.
  using Stage = Task<bool> (BundleMaker::*)();
  struct File {
    std::string name;
    UniqueFd fd;
    std::uint64_t size = 0, sent = 0;
    crypto::Sha256 digest;
  };
  Task<bool> add_workspace();
  Task<bool> add_connections();
  Task<bool> add_figures();
  Task<bool> add_console();
  Task<bool> add_checkpoint();
  Task<bool> add_entries();
  Task<bool> add_consistency();
  Task<bool> add_snapshot();
  Task<bool> seal();
  Task<std::string> next_of_file();
  // A member of a name that no other has.
  void add(std::string name, const std::string& content);
  void send(std::string_view name, const std::string& content);  // it is in no manifest
  Task<std::set<std::string>> tokens_of_it();

  Sources sources_;
  IncidentBook& book_;
  monitor::Watch& watch_;
  ledger::Recorder& recorder_;
  loop::WorkerPool& workers_;
  EvidenceWish wish_;
  std::optional<Incident> incident_;
  std::optional<workspace::Info> info_;
  std::optional<workspace::SealedSnapshot> snapshot_;
  std::size_t stage_ = 0;
  std::string ready_;  // to be sent
  std::size_t ready_sent_ = 0;
  std::deque<File> files_;  // to be sent after it
  evidence::Manifest manifest_;
  // Of the ledger's part.
  std::string checkpoint_;
  std::uint64_t tree_size_ = 0, first_entry_ = UINT64_MAX;
  std::optional<std::uint64_t> before_;
  ledger::EventFilter filter_;
  std::size_t pages_ = 0;
};

}  // namespace cofferdam::incident
