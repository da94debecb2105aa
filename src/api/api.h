// The HTTP API of cofferd: one object that answers every request.
#pragma once
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "base/secure_bytes.h"
#include "base/unique_fd.h"
#include "http/message.h"
#include "http/server.h"
#include "identity/identity.h"
#include "image/image_store.h"
#include "incident/containment.h"
#include "incident/drills.h"
#include "incident/evidence_desk.h"
#include "keys/receipt_book.h"
#include "ledger/ledger.h"
#include "loop/worker_pool.h"
#include "monitor/quotas.h"
#include "monitor/usage.h"
#include "monitor/watch.h"
#include "monitor/webhooks.h"
#include "net/networks.h"
#include "workspace/manager.h"

namespace cofferdam::api {

using loop::Task;

// What the daemon says about itself.
struct HostFacts {
  std::string version;
  std::string state_dir, run_dir, socket;
  std::string address;  // "https://127.0.0.1:7070"; empty: no TCP
  std::uint32_t max_workspaces = 1000;
  std::chrono::system_clock::time_point started_at;
};

// Ends what the daemon runs; the answer to the request that asked goes out before the daemon itself ends.
using Shutdown = std::function<Task<void>(workspace::Manager::Permanent permanent)>;

// Seals the daemon's state under a passphrase, in a file that stands at its start.
using MakeBackup = std::function<Task<UniqueFd>(SecureBytes passphrase)>;

class Api {
 public:
  // All references and `ledger` (null: none is kept) outlive the object. `workers` runs short calls of the image store
  // only; builds have threads of their own, which the executor's loop must outlive.
  Api(const loop::asio::any_io_executor& executor, workspace::Manager& manager, identity::Identity& identity,
      monitor::Webhooks& webhooks, monitor::UsageHistory& usage, monitor::Quotas& quotas, monitor::Watch& watch,
      net::Networks& networks, incident::Containment& containment, incident::Drills& drills,
      incident::EvidenceDesk& evidence, image::ImageStore& images, keys::ReceiptBook& receipts,
      loop::WorkerPool& workers, HostFacts facts, Shutdown shutdown, ledger::Ledger* ledger = nullptr);
  Api(const Api&) = delete;
  Api& operator=(const Api&) = delete;
  ~Api();  // must be stopped before

  // For the http::Server; the object outlives it.
  http::Handler handler();
  http::ErrorFormat error_format();
  // The local administrator: root, the daemon's own user, or a member of the group `cofferdam`.
  static http::AllowPeer local_administrators();
  // Of TCP: who somebody is, their credentials say.
  static http::AllowPeer anybody();

  // Before anything is asked; without it there are no backups.
  void serve_backups(MakeBackup make);
  // Once the TCP address is bound.
  void set_address(std::string address);
  [[nodiscard]] const std::string& address() const;

  // What has come of a namespace's quota, for whoever subscribed to it.
  void tell(const monitor::QuotaNews& news);
  // Begins to write down what happens to workspaces; once, when the loop runs.
  void start();
  // Cuts the streams, and waits until the builds that still run have ended: a build is never left half done.
  // After the manager has reconciled: what API clients had running goes on.
  void take_over();
  Task<void> stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cofferdam::api
