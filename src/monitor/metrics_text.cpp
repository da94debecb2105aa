#include "monitor/metrics_text.h"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <sstream>
#include <vector>

namespace cofferdam::monitor {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;
using Labels = std::vector<ClientMetric::Label>;

MetricFamily family(const char* name, const char* help, MetricType type) {
  MetricFamily made;
  made.name = name;
  made.help = help;
  made.type = type;
  return made;
}

void add(MetricFamily& family, Labels labels, double value) {
  ClientMetric metric;
  metric.label = std::move(labels);
  if (family.type == MetricType::Counter) metric.counter.value = value;
  if (family.type == MetricType::Gauge) metric.gauge.value = value;
  family.metric.push_back(std::move(metric));
}

Labels labels_of(const Watched& workspace) {
  const auto& space = workspace.namespace_slug.empty() ? workspace.namespace_id : workspace.namespace_slug;
  return {{"workspace", workspace.id},
          {"name", workspace.name.substr(0, kMaxLabel)},
          {"namespace", space.substr(0, kMaxLabel)}};
}

// A figure of each workspace that runs.
struct Series {
  const char* name;
  const char* help;
  MetricType type;
  double (*value)(const Sight& sight);
};

constexpr double kMs = 1000;
constexpr Series kSeries[] = {
    {"cofferdam_workspace_cpu_seconds_total", "CPU time taken by the virtual machine", MetricType::Counter,
     [](const Sight& s) { return static_cast<double>(s.figures.cpu_ms) / kMs; }},
    {"cofferdam_workspace_cpu_promised", "CPUs that were promised", MetricType::Gauge,
     [](const Sight& s) { return s.workspace.cpu_millis / kMs; }},
    {"cofferdam_workspace_memory_bytes", "Memory that its control group is charged with", MetricType::Gauge,
     [](const Sight& s) { return static_cast<double>(s.figures.memory_bytes); }},
    {"cofferdam_workspace_disk_allocated_bytes", "Blocks of the host that its disk takes", MetricType::Gauge,
     [](const Sight& s) { return static_cast<double>(s.figures.disk_allocated_bytes); }},
    {"cofferdam_workspace_disk_read_bytes_total", "Bytes read by the guest", MetricType::Counter,
     [](const Sight& s) { return static_cast<double>(s.figures.disk_read_bytes); }},
    {"cofferdam_workspace_disk_written_bytes_total", "Bytes written by the guest", MetricType::Counter,
     [](const Sight& s) { return static_cast<double>(s.figures.disk_written_bytes); }},
    {"cofferdam_workspace_network_out_bytes_total", "Bytes that left it through the gate", MetricType::Counter,
     [](const Sight& s) { return static_cast<double>(s.network.bytes_out); }},
    {"cofferdam_workspace_network_in_bytes_total", "Bytes that came to it through the gate", MetricType::Counter,
     [](const Sight& s) { return static_cast<double>(s.network.bytes_in); }},
    {"cofferdam_workspace_connections_opened_total", "Connections that the gate let through", MetricType::Counter,
     [](const Sight& s) { return static_cast<double>(s.network.opened); }},
    {"cofferdam_workspace_connections_refused_total", "Connections and names that the gate refused",
     MetricType::Counter, [](const Sight& s) { return static_cast<double>(s.network.refused); }},
    {"cofferdam_workspace_connections_open", "Connections that are open", MetricType::Gauge,
     [](const Sight& s) { return static_cast<double>(s.network.open_now); }},
};

std::vector<MetricFamily> of_workspaces(const std::vector<Sight>& sights, std::size_t& left_out) {
  std::vector<MetricFamily> families;
  for (const auto& series : kSeries) families.push_back(family(series.name, series.help, series.type));
  std::size_t shown = 0;
  for (const auto& sight : sights) {
    if (!sight.latest) continue;
    if (shown++ >= kMaxSeries) continue;
    const auto labels = labels_of(sight.workspace);
    for (std::size_t i = 0; i < families.size(); ++i) add(families[i], labels, kSeries[i].value(sight));
  }
  left_out = shown - std::min(shown, kMaxSeries);
  return families;
}

}  // namespace

std::string metrics_text(const Watch& watch) {
  const auto sights = watch.sights();
  std::size_t left_out = 0;
  auto families = of_workspaces(sights, left_out);
  const auto one = [&families](const char* name, const char* help, MetricType type, double value) {
    families.push_back(family(name, help, type));
    add(families.back(), {}, value);
  };
  std::size_t running = 0;
  for (const auto& sight : sights) running += sight.workspace.machine ? 1 : 0;
  one("cofferdam_workspaces", "Workspaces there are", MetricType::Gauge, static_cast<double>(sights.size()));
  one("cofferdam_workspaces_running", "Workspaces with a machine", MetricType::Gauge, static_cast<double>(running));
  one("cofferdam_workspaces_without_series", "Running workspaces left out of this page", MetricType::Gauge,
      static_cast<double>(left_out));
  one("cofferdam_watch_rounds_total", "Rounds of looks at all workspaces", MetricType::Counter,
      static_cast<double>(watch.rounds()));
  std::size_t open = 0;
  for (const auto& [workspace, count] : watch.alerts().open_by_workspace()) open += count;
  one("cofferdam_alerts_open", "Alerts of the last ten minutes that nobody acknowledged", MetricType::Gauge,
      static_cast<double>(open));
  one("cofferdam_alerts_raised_total", "Alerts raised since the daemon started", MetricType::Counter,
      static_cast<double>(watch.alerts().raised()));
  one("cofferdam_alerts_counted_only_total", "Alerts of storms that were only counted", MetricType::Counter,
      static_cast<double>(watch.alerts().suppressed()));
  std::ostringstream text;
  prometheus::TextSerializer().Serialize(text, families);
  return text.str();
}

}  // namespace cofferdam::monitor
