#include "incident/incident_book.h"

#include <boost/json/serialize.hpp>

#include "base/text.h"

namespace cofferdam::incident {
namespace {

std::int64_t to_ms(Time time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

}  // namespace

Result<std::unique_ptr<IncidentBook>> IncidentBook::open(store::Database& database) {
  std::unique_ptr<IncidentBook> book(new IncidentBook(database));
  auto load = [&book](store::Connection& connection) -> Status {
    TRY_ASSIGN(const auto rows, connection.query("SELECT record FROM incidents WHERE released_at IS NULL"));
    for (const auto& row : rows) {
      TRY_ASSIGN(auto incident, incident_from_text(row.text(0)));
      const auto workspace = incident.workspace_id;
      book->open_.emplace(workspace, std::move(incident));
    }
    return {};
  };
  // A containment that cannot be read must not be taken for none.
  TRY(database.run_now(std::move(load)));
  return book;
}

const Incident* IncidentBook::of(const std::string& workspace_id) const {
  const auto found = open_.find(workspace_id);
  return found == open_.end() ? nullptr : &found->second;
}

std::optional<std::string> IncidentBook::because(const std::string& workspace_id) const {
  const auto* incident = of(workspace_id);
  if (incident == nullptr) return std::nullopt;
  return incident->why;
}

std::vector<Incident> IncidentBook::all_open() const {
  std::vector<Incident> all;
  all.reserve(open_.size());
  for (const auto& [workspace, incident] : open_) all.push_back(incident);
  return all;
}

Task<void> IncidentBook::keep(Incident incident, store::Durability durability) {
  open_.insert_or_assign(incident.workspace_id, incident);
  co_return co_await write(std::move(incident), durability);
}

Task<void> IncidentBook::close(Incident incident) {
  CO_TRY(co_await write(incident, store::Durability::power_loss));
  open_.erase(incident.workspace_id);
  co_return Status{};
}

Status IncidentBook::put(store::Connection& connection, const Incident& incident) {
  store::Value released;
  if (incident.released_at) released = to_ms(*incident.released_at);
  TRY(connection.execute(
      "INSERT INTO incidents (id, workspace_id, began_at, released_at, record) VALUES ($1, $2, $3, $4, $5) "
      "ON CONFLICT (id) DO UPDATE SET released_at = excluded.released_at, record = excluded.record",
      {incident.id, incident.workspace_id, to_ms(incident.began_at), std::move(released),
       std::string(boost::json::serialize(to_json(incident)))}));
  return {};
}

Task<void> IncidentBook::write(Incident incident, store::Durability durability) {
  auto work = [incident = std::move(incident)](store::Connection& connection) { return put(connection, incident); };
  co_return co_await database_.run(std::move(work), durability);
}

Status IncidentBook::contain_still(store::Connection& connection, const Incident& incident) {
  TRY_ASSIGN(const auto open,
             connection.query("SELECT id FROM incidents WHERE workspace_id = $1 AND released_at IS NULL",
                              {incident.workspace_id}));
  return open.empty() ? put(connection, incident) : Status{};
}

Task<std::vector<Incident>> IncidentBook::list(std::string workspace_id, std::size_t limit) {
  auto work = [id = std::move(workspace_id), limit](store::Connection& connection) -> Result<std::vector<Incident>> {
    TRY_ASSIGN(const auto rows, connection.query("SELECT record FROM incidents WHERE $1 = '' OR workspace_id = $1 "
                                                 "ORDER BY began_at DESC, id DESC LIMIT $2",
                                                 {id, static_cast<std::int64_t>(limit)}));
    std::vector<Incident> found;
    for (const auto& row : rows) {
      TRY_ASSIGN(auto incident, incident_from_text(row.text(0)));
      found.push_back(std::move(incident));
    }
    return found;
  };
  co_return co_await database_.run(std::move(work));
}

}  // namespace cofferdam::incident
