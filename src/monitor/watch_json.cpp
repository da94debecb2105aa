#include "monitor/watch_json.h"

#include "base/time.h"

namespace cofferdam::monitor {
namespace {

namespace json = boost::json;

constexpr double kMs = 1000.0;

std::uint64_t per_second(std::uint64_t bytes, std::chrono::milliseconds passed) {
  return passed.count() <= 0 ? 0 : bytes * 1000 / static_cast<std::uint64_t>(passed.count());
}

}  // namespace

json::object figures_to_json(const Sight& sight) {
  if (!sight.latest) return {};
  const auto& now = *sight.latest;
  return {{"cpu_percent", now.cpu_percent},
          {"cpu_ms", sight.figures.cpu_ms},
          {"memory_bytes", now.memory_bytes},
          {"disk_allocated_bytes", now.disk_allocated_bytes},
          {"disk_growth_bytes_per_minute", sight.disk_growth_bytes_per_minute},
          {"disk_read_bytes", sight.figures.disk_read_bytes},
          {"disk_written_bytes", sight.figures.disk_written_bytes},
          {"disk_read_rate_bytes", per_second(now.disk_read_bytes, now.passed)},
          {"disk_written_rate_bytes", per_second(now.disk_written_bytes, now.passed)},
          {"network_out_bytes", sight.network.bytes_out},
          {"network_in_bytes", sight.network.bytes_in},
          {"network_out_rate_bytes", per_second(now.net_out_bytes, now.passed)},
          {"network_in_rate_bytes", per_second(now.net_in_bytes, now.passed)},
          {"connections_opened", sight.network.opened},
          {"connections_refused", sight.network.refused},
          {"connections_open", now.open_now}};
}

json::object to_json(const Sample& sample) {
  return {{"time", format_rfc3339(sample.time)},       {"seconds", static_cast<double>(sample.passed.count()) / kMs},
          {"cpu_percent", sample.cpu_percent},         {"cpu_ms", sample.cpu_ms},
          {"memory_bytes", sample.memory_bytes},       {"disk_allocated_bytes", sample.disk_allocated_bytes},
          {"disk_read_bytes", sample.disk_read_bytes}, {"disk_written_bytes", sample.disk_written_bytes},
          {"network_out_bytes", sample.net_out_bytes}, {"network_in_bytes", sample.net_in_bytes},
          {"connections_opened", sample.opened},       {"connections_refused", sample.refused},
          {"connections_open", sample.open_now}};
}

json::object to_json(const Rollup& rollup) {
  return {{"time", format_rfc3339(rollup.start)},
          {"seconds", static_cast<double>(rollup.passed_ms) / kMs},
          {"samples", rollup.samples},
          {"cpu_ms", rollup.cpu_ms},
          {"cpu_peak_percent", rollup.cpu_peak_percent},
          {"memory_peak_bytes", rollup.memory_peak_bytes},
          {"disk_allocated_bytes", rollup.disk_allocated_bytes},
          {"disk_read_bytes", rollup.disk_read_bytes},
          {"disk_written_bytes", rollup.disk_written_bytes},
          {"network_out_bytes", rollup.net_out_bytes},
          {"network_in_bytes", rollup.net_in_bytes},
          {"connections_opened", rollup.opened},
          {"connections_refused", rollup.refused}};
}

json::object to_json(const Destination& destination) {
  return {{"name", destination.name},
          {"first", format_rfc3339(destination.first)},
          {"last", format_rfc3339(destination.last)},
          {"opened", destination.opened},
          {"bytes_out", destination.bytes_out},
          {"bytes_in", destination.bytes_in}};
}

}  // namespace cofferdam::monitor
