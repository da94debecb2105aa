#include "identity/afterwards.h"

#include "identity/token_table.h"

namespace cofferdam::identity {

Result<std::size_t> end_credentials(store::Connection& connection, const std::set<std::string>& ids, Time now) {
  std::size_t ended = 0;
  for (const auto& id : ids) {
    TRY_ASSIGN(const auto live, connection.query("SELECT id FROM tokens WHERE id = $1 AND revoked_at IS NULL", {id}));
    ended += live.size();
    if (!live.empty()) TRY(token_table::revoke(connection, {id}, now));
    TRY_ASSIGN(const auto keys, connection.execute("DELETE FROM api_keys WHERE id = $1", {id}));
    ended += static_cast<std::size_t>(keys);
  }
  return ended;
}

Result<std::size_t> remove_secrets(store::Connection& connection,
                                   const std::set<std::pair<std::string, std::string>>& secrets) {
  std::size_t removed = 0;
  for (const auto& [space, name] : secrets) {
    TRY_ASSIGN(const auto rows,
               connection.execute("DELETE FROM secrets WHERE namespace_id = $1 AND name = $2", {space, name}));
    removed += static_cast<std::size_t>(rows);
  }
  return removed;
}

}  // namespace cofferdam::identity
