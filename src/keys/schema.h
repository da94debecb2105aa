// The tables of this room.
#pragma once
#include <span>

#include "store/migration.h"

namespace cofferdam::keys {

// To be given to store::Database::open() with those of the other rooms.
std::span<const store::Migration> migrations();

}  // namespace cofferdam::keys
