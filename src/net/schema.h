// The tables of this room. They refer to those of the rooms' above: their migrations come after workspace's.
#pragma once
#include <span>

#include "store/migration.h"

namespace cofferdam::net {

std::span<const store::Migration> migrations();

}  // namespace cofferdam::net
