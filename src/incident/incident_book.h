// The durable records of containments, and the answer to the question that every operation asks: is this workspace
// contained? That answer comes from memory, and is true from the moment a containment begins.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "incident/incident.h"
#include "loop/task.h"
#include "store/database.h"

namespace cofferdam::incident {

using loop::Task;

// Used on the loop only.
class IncidentBook {
 public:
  // Reads those that are open; blocks. `database` has the tables of schema.h and outlives this.
  static Result<std::unique_ptr<IncidentBook>> open(store::Database& database);

  // The open one of a workspace; null: it is not contained. Valid until the next call that changes something.
  [[nodiscard]] const Incident* of(const std::string& workspace_id) const;
  // Why it is contained, for people; nullopt: it is not.
  [[nodiscard]] std::optional<std::string> because(const std::string& workspace_id) const;
  [[nodiscard]] std::vector<Incident> all_open() const;

  // In force from now on; durable with keep().
  void begin(Incident incident) { open_.insert_or_assign(incident.workspace_id, std::move(incident)); }
  // Of one that is open: in force when this is called, even if the database then does not take it, which is the error.
  Task<void> keep(Incident incident, store::Durability durability);
  // Of one that is released: in force when it is durable, and not before.
  Task<void> close(Incident incident);

  // What has become of a workspace of a database that nobody has open yet; nothing, when it is contained there already.
  static Status contain_still(store::Connection& connection, const Incident& incident);

  // The newest first, of one workspace or of all (empty); at most `limit`.
  Task<std::vector<Incident>> list(std::string workspace_id, std::size_t limit);

 private:
  explicit IncidentBook(store::Database& database) : database_(database) {}
  Task<void> write(Incident incident, store::Durability durability);
  static Status put(store::Connection& connection, const Incident& incident);

  store::Database& database_;
  std::map<std::string, Incident> open_;  // by workspace
};

}  // namespace cofferdam::incident
