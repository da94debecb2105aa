// Versions of the tables: every room says how its tables came to be, step by step, forward only.
#pragma once
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "store/connection.h"

namespace cofferdam::store {

struct Migration {
  std::string_view room;
  int version;           // 1, 2, 3, … within the room; what was released is never changed
  std::string_view sql;  // one or more statements; STRICT tables
};

// The steps of all rooms together.
using Schema = std::vector<Migration>;
Schema join(std::initializer_list<std::span<const Migration>> rooms);

// FailedPrecondition, and nothing touched, when the database was written by a newer program: a room or a version that
// `schema` does not have. Internal when the versions of a room are not 1, 2, 3, ….
Status check_not_newer(Connection& connection, const Schema& schema);

// Brings the tables to `schema`, all of the missing steps in one transaction. A database that already has tables is
// first copied to "<backup_prefix><version>", where the version counts the steps of all rooms.
Status migrate(Connection& connection, const Schema& schema, const std::string& backup_prefix);

}  // namespace cofferdam::store
