// The watch as Prometheus reads it. The only user of prometheus-cpp in this room.
#pragma once
#include <string>

#include "monitor/watch.h"

namespace cofferdam::monitor {

// So many workspaces have series of their own; the rest are counted in cofferdam_workspaces_without_series.
inline constexpr std::size_t kMaxSeries = 1000;
inline constexpr std::size_t kMaxLabel = 128;  // bytes of a label's value

std::string metrics_text(const Watch& watch);

}  // namespace cofferdam::monitor
