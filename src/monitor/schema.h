// The tables of this room.
#pragma once
#include <span>

#include "store/migration.h"

namespace cofferdam::monitor {

// For store::join().
std::span<const store::Migration> migrations();

}  // namespace cofferdam::monitor
