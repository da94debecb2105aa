// A database that was put back, brought up to what has ended since it was copied. Nobody has it open yet; each function
// runs in the caller's transaction.
#pragma once
#include <set>
#include <string>
#include <utility>

#include "identity/clock.h"
#include "store/connection.h"

namespace cofferdam::identity {

// Tokens and API keys that were revoked, or whose secret was replaced: none of them is good any more. How many were.
Result<std::size_t> end_credentials(store::Connection& connection, const std::set<std::string>& ids, Time now);

// By id of the namespace and name. How many there were.
Result<std::size_t> remove_secrets(store::Connection& connection,
                                   const std::set<std::pair<std::string, std::string>>& secrets);

}  // namespace cofferdam::identity
