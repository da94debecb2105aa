// Watchers: what changes below a folder, told to the host.
#pragma once
#include <cstdint>

#include "guest/stream_table.h"

namespace cofferdam::guest {

// Answers the call on `stream` when every folder below the root is watched; then the stream carries the changes.
Status open_watch(Loop& loop, SerialLink& link, StreamTable& table, std::uint32_t stream,
                  const wire::WatchOpen& request);

}  // namespace cofferdam::guest
