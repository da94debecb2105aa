// Walks through a folder and all below it, for the host: in a child of the agent, which the loop never waits for, and
// as fast as the host reads.
#pragma once
#include <cstdint>

#include "guest/stream_table.h"

namespace cofferdam::guest {

// Answers the call on `stream` when the root is open; then the stream carries the batches.
Status open_walk(Loop& loop, SerialLink& link, StreamTable& table, std::uint32_t stream, const wire::Walk& request);

}  // namespace cofferdam::guest
