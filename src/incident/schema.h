// The table of incidents.
#pragma once
#include <span>

#include "store/migration.h"

namespace cofferdam::incident {

std::span<const store::Migration> migrations();

}  // namespace cofferdam::incident
