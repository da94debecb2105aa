// The tables of this room: workspaces, their workloads, snapshots and archives.
#pragma once
#include <span>

#include "store/migration.h"

namespace cofferdam::workspace {

// For store::join().
std::span<const store::Migration> migrations();

}  // namespace cofferdam::workspace
