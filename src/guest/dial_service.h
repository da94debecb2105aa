// Connections of the host to servers on the guest's own loopback.
#pragma once
#include <cstdint>

#include "guest/stream_table.h"

namespace cofferdam::guest {

// Connects to 127.0.0.1, and to ::1 when nobody listens there, and answers the call on `stream` when it is known how
// that went: within 5 s. FailedPrecondition: nobody listens. From there on the stream carries the bytes.
Status open_dial(Loop& loop, SerialLink& link, StreamTable& table, std::uint32_t stream, const wire::Dial& request);

}  // namespace cofferdam::guest
