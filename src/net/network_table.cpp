#include "net/network_table.h"

#include "base/log.h"
#include "base/text.h"
#include "crypto/aead.h"
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

// Binds a login to its place: one that is moved to another workspace or proxy does not open. No part has a NUL.
std::string place_of(std::string_view workspace, const Proxy& proxy) {
  return cat("cofferdam proxy", '\0', workspace, '\0', proxy_text(proxy));
}

std::optional<Proxy> proxy_of(const store::Row& row, std::size_t first, const SecureBytes& key) {
  if (row.is_null(first)) return std::nullopt;
  Proxy proxy;
  proxy.host = row.text(first);
  proxy.port = static_cast<std::uint16_t>(row.integer(first + 1));
  if (row.integer(first + 2) != 0) proxy.target = gate::ProxyTarget::name;
  if (row.is_null(first + 3)) return proxy;
  auto login = key.empty() ? Result<SecureBytes>(fail(Code::FailedPrecondition, "there is no key"))
                           : crypto::unseal(key, row.blob(first + 3), place_of(row.text(0), proxy));
  if (login) {
    proxy.login = std::make_shared<const SecureBytes>(std::move(*login));
  } else {
    proxy.state = Proxy::Login::unreadable;
    log_error("the login of a workspace's proxy cannot be opened",
              {{"workspace", row.text(0)}, {"error", login.error().message}});
  }
  return proxy;
}

}  // namespace

Result<Rows> NetworkTable::load() const {
  auto read = [this](store::Connection& connection) -> Result<Rows> {
    Rows rows;
    TRY_ASSIGN(const auto networks,
               connection.query("SELECT workspace_id, pair, internet, entries, ports, ingress_ports, proxy_host, "
                                "proxy_port, proxy_resolves, proxy_login FROM networks"));
    for (const auto& row : networks) {
      NetworkRow network;
      network.workspace = row.text(0);
      if (const auto pair = row.find_integer(1)) network.pair = static_cast<std::uint32_t>(*pair);
      if (row.integer(2) != 0) network.egress.internet = model::OpenInternet();
      network.egress.entries = lines(row.text(3));
      TRY_ASSIGN(network.egress.ports, ports_of(row.text(4)));
      TRY_ASSIGN(network.ingress_ports, ports_of(row.text(5)));
      network.proxy = proxy_of(row, 6, key_);
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
  store::Values proxy(4);
  if (row.proxy) {
    proxy = {row.proxy->host, std::int64_t{row.proxy->port},
             std::int64_t{row.proxy->target == gate::ProxyTarget::name ? 1 : 0}, store::Value()};
    if (row.proxy->login && key_.empty()) {
      co_return fail(Code::FailedPrecondition, "a proxy's login cannot be kept: there is no key");
    }
    // Sealed here: what waits for the database's thread is cipher text.
    if (row.proxy->login) {
      proxy[3] = store::Blob{crypto::seal(key_, row.proxy->login->view(), place_of(row.workspace, *row.proxy))};
    }
  }
  // A login that could not be opened is left as it is: a later start may have its key.
  const bool keeps_login = row.proxy && row.proxy->state == Proxy::Login::unreadable;
  auto work = [row = std::move(row), proxy = std::move(proxy), keeps_login](store::Connection& connection) -> Status {
    store::Value pair;
    if (row.pair) pair = std::int64_t{*row.pair};
    TRY(connection.execute(
        cat("INSERT INTO networks (workspace_id, pair, internet, entries, ports, ingress_ports, proxy_host, "
            "proxy_port, proxy_resolves, proxy_login) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
            "ON CONFLICT (workspace_id) DO UPDATE SET pair = excluded.pair, internet = excluded.internet, "
            "entries = excluded.entries, ports = excluded.ports, ingress_ports = excluded.ingress_ports, "
            "proxy_host = excluded.proxy_host, proxy_port = excluded.proxy_port, "
            "proxy_resolves = excluded.proxy_resolves",
            keeps_login ? "" : ", proxy_login = excluded.proxy_login"),
        {row.workspace, std::move(pair), std::int64_t{row.egress.internet ? 1 : 0}, joined(row.egress.entries),
         ports_text(row.egress.ports), ports_text(row.ingress_ports), proxy[0], proxy[1], proxy[2], proxy[3]}));
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
