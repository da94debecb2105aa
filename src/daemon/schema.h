// The tables of all rooms.
#pragma once
#include "store/migration.h"

namespace cofferdam::daemon {

store::Schema schema_of_all_rooms();

}  // namespace cofferdam::daemon
