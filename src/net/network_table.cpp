#include "net/network_table.h"

#include "base/text.h"
#include "store/database.h"

namespace cofferdam::net {
namespace {

std::int64_t to_ms(Time time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}
Time from_ms(std::int64_t ms) { return Time(std::chrono::milliseconds(ms)); }

// Entries hold no line end.
std::string joined(const std::vector<std::string>& entries) {
  std::string text;
  for (const auto& entry : entries) text += cat(entry, "\n");
  return text;
}

std::vector<std::string> lines(std::string_view text) {
  std::vector<std::string> entries;
  for (auto& line : split(text, '\n')) {
    if (!line.empty()) entries.push_back(std::move(line));
  }
  return entries;
}

Result<gate::Ports> ports_of(const std::string& text) {
  if (text.empty()) return gate::Ports{};
  return parse_ports(text);
}

}  // namespace

Result<Rows> NetworkTable::load() const {
  auto read = [](store::Connection& connection) -> Result<Rows> {
    Rows rows;
    TRY_ASSIGN(const auto networks,
               connection.query("SELECT workspace_id, pair, internet, entries, ports, ingress_ports FROM networks"));
    for (const auto& row : networks) {
      NetworkRow network;
      network.workspace = row.text(0);
      if (const auto pair = row.find_integer(1)) network.pair = static_cast<std::uint32_t>(*pair);
      if (row.integer(2) != 0) network.egress.internet = model::OpenInternet();
      network.egress.entries = lines(row.text(3));
      TRY_ASSIGN(network.egress.ports, ports_of(row.text(4)));
      TRY_ASSIGN(network.ingress_ports, ports_of(row.text(5)));
      rows.networks.push_back(std::move(network));
    }
    TRY_ASSIGN(
        const auto links,
        connection.query(
            "SELECT id, source, target, ports, note, expires_at, created_at, created_by FROM links ORDER BY id"));
    for (const auto& row : links) {
      Link link;
      link.id = row.text(0);
      link.source = row.text(1);
      link.target = row.text(2);
      TRY_ASSIGN(link.ports, ports_of(row.text(3)));
      link.note = row.text(4);
      if (const auto expires = row.find_integer(5)) link.expires_at = from_ms(*expires);
      link.created_at = from_ms(row.integer(6));
      link.created_by = row.text(7);
      rows.links.push_back(std::move(link));
    }
    TRY_ASSIGN(const auto exposures,
               connection.query("SELECT workspace_id, port, slug, label, token_digest, created_at FROM exposures"));
    for (const auto& row : exposures) {
      Exposure exposure;
      exposure.workspace = row.text(0);
      exposure.port = static_cast<std::uint16_t>(row.integer(1));
      exposure.slug = row.text(2);
      exposure.label = row.text(3);
      exposure.token_digest = row.text(4);
      exposure.created_at = from_ms(row.integer(5));
      rows.exposures.push_back(std::move(exposure));
    }
    return rows;
  };
  return database_->run_now(read);
}

Task<void> NetworkTable::write(NetworkRow row) const {
  auto work = [row = std::move(row)](store::Connection& connection) -> Status {
    store::Value pair;
    if (row.pair) pair = std::int64_t{*row.pair};
    TRY(connection.execute(
        "INSERT INTO networks (workspace_id, pair, internet, entries, ports, ingress_ports) "
        "VALUES ($1, $2, $3, $4, $5, $6) "
        "ON CONFLICT (workspace_id) DO UPDATE SET pair = excluded.pair, internet = excluded.internet, "
        "entries = excluded.entries, ports = excluded.ports, ingress_ports = excluded.ingress_ports",
        {row.workspace, std::move(pair), std::int64_t{row.egress.internet ? 1 : 0}, joined(row.egress.entries),
         ports_text(row.egress.ports), ports_text(row.ingress_ports)}));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

Task<void> NetworkTable::add(Link link) const {
  auto work = [link = std::move(link)](store::Connection& connection) -> Status {
    store::Value expires;
    if (link.expires_at) expires = to_ms(*link.expires_at);
    TRY(
        connection.execute("INSERT INTO links (id, source, target, ports, note, expires_at, created_at, created_by) "
                           "VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
                           {link.id, link.source, link.target, ports_text(link.ports), link.note, std::move(expires),
                            to_ms(link.created_at), link.created_by}));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

Task<void> NetworkTable::remove_link(std::string id) const {
  auto work = [id = std::move(id)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM links WHERE id = $1", {id}));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

Task<void> NetworkTable::write(Exposure exposure) const {
  auto work = [exposure = std::move(exposure)](store::Connection& connection) -> Status {
    TRY(connection.execute(
        "INSERT INTO exposures (workspace_id, port, slug, label, token_digest, created_at) "
        "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (workspace_id, port) DO UPDATE SET slug = excluded.slug, "
        "label = excluded.label, token_digest = excluded.token_digest",
        {exposure.workspace, std::int64_t{exposure.port}, exposure.slug, exposure.label, exposure.token_digest,
         to_ms(exposure.created_at)}));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

Task<void> NetworkTable::remove_exposure(std::string workspace, std::uint16_t port) const {
  auto work = [workspace = std::move(workspace), port](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM exposures WHERE workspace_id = $1 AND port = $2",
                           {workspace, std::int64_t{port}}));
    return {};
  };
  co_return co_await database_->run(std::move(work));
}

}  // namespace cofferdam::net
