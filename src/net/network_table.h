// The durable rows: what each workspace may reach, the links between them, and the ports that can be reached.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "loop/task.h"
#include "net/egress.h"
#include "net/exposure.h"
#include "net/link.h"
#include "net/proxy.h"

namespace cofferdam::store {
class Database;
}

namespace cofferdam::net {

using loop::Task;

struct NetworkRow {
  std::string workspace;
  std::optional<std::uint32_t> pair;  // of addresses; none before it first needs them
  Egress egress;
  gate::Ports ingress_ports;  // those that the links of the contract's private_link_ids open
  std::optional<Proxy> proxy;
};

struct Rows {
  std::vector<NetworkRow> networks;
  std::vector<Link> links;
  std::vector<Exposure> exposures;
};

class NetworkTable {
 public:
  // `key`: crypto::kAeadKeyBytes, under which the logins of proxies lie there; empty: there can be none.
  NetworkTable(store::Database& database, SecureBytes key) : database_(&database), key_(std::move(key)) {}
  // Blocks: at the start.
  [[nodiscard]] Result<Rows> load() const;
  // FailedPrecondition when there is no such workspace (any more), or no key for a login.
  Task<void> write(NetworkRow row) const;
  Task<void> add(Link link) const;
  Task<void> remove_link(std::string id) const;
  // AlreadyExists: the slug. A port's own exposure is replaced.
  Task<void> write(Exposure exposure) const;
  Task<void> remove_exposure(std::string workspace, std::uint16_t port) const;

 private:
  store::Database* database_;
  SecureBytes key_;
};

}  // namespace cofferdam::net
