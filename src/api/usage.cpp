// What workspaces and namespaces have used: measured by the daemon, kept by the hour and by the day.
#include <algorithm>
#include <charconv>

#include "api/handlers.h"
#include "api/permission.h"
#include "api/usage_json.h"
#include "base/text.h"
#include "base/time.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using monitor::Period;
using monitor::Usage;
using namespace std::chrono_literals;

constexpr std::uint64_t kNsPerMs = 1'000'000;
constexpr double kMsPerMinute = 60'000.0, kMsPerHour = 3'600'000.0;
constexpr double kGb = 1e9;
constexpr double kMibPerGb = 1024.0;
constexpr std::uint64_t kMostBuckets = 1000;

std::chrono::hours length_of(Period period) { return period == Period::hour ? 1h : 24h; }

Result<Period> period_of(const std::string& name) {
  if (name == "hour" || name == "hourly") return Period::hour;
  if (name == "day" || name == "daily") return Period::day;
  return fail(Code::InvalidArgument, cat("'", name.substr(0, 32), "' is neither hour nor day"));
}

Result<std::optional<monitor::Time>> time_of(const Call& call, std::string_view name) {
  TRY_ASSIGN(const auto text, query_text(call, name));
  if (!text) return std::nullopt;
  auto time = parse_rfc3339(*text);
  if (!time) return fail(std::move(time.error()).in(cat("the query parameter '", name, "'")));
  return *time;
}

json::array buckets_to_json(const std::vector<monitor::Bucket>& buckets) {
  json::array data;
  for (const auto& bucket : buckets) {
    json::object one = units_to_json(bucket.usage);
    for (auto& [key, value] : totals_to_json(bucket.usage)) one[key] = std::move(value);
    one["timestamp"] = format_rfc3339(bucket.start);
    data.emplace_back(std::move(one));
  }
  return data;
}

Usage sum_of(const std::vector<monitor::Bucket>& buckets) {
  Usage sum;
  for (const auto& bucket : buckets) sum += bucket.usage;
  return sum;
}

std::string_view period_name(Period period) { return period == Period::hour ? "hour" : "day"; }

json::object range_to_json(const Span& span) {
  return {{"from", format_rfc3339(span.from)}, {"to", format_rfc3339(span.to)}};
}

http::Response tracked(const Services& services, const std::string& id) {
  return answer({{"tracking", services.usage.tracking(id) == monitor::UsageHistory::Tracking::on}});
}

}  // namespace

json::object totals_to_json(const Usage& usage) {
  return {{"total_cpu_time_ns", usage.cpu_ms * kNsPerMs},
          {"total_disk_read", usage.disk_read_bytes},
          {"total_disk_write", usage.disk_written_bytes},
          {"total_net_rx", usage.net_in_bytes},
          {"total_net_tx", usage.net_out_bytes}};
}

json::object units_to_json(const Usage& usage) {
  const auto ratio = [](std::uint64_t part, double whole) { return static_cast<double>(part) / whole; };
  const double gb_seconds = ratio(usage.memory_mib_s, kMibPerGb);
  return {{"cpu_time_minutes", ratio(usage.cpu_ms, kMsPerMinute)},
          {"memory_gb_minutes", gb_seconds / 60},
          {"disk_io_gb", ratio(usage.disk_read_bytes + usage.disk_written_bytes, kGb)},
          {"network_gb", ratio(usage.net_in_bytes + usage.net_out_bytes, kGb)},
          {"vcpu_hours", ratio(usage.vcpu_ms, kMsPerHour)},
          {"gb_hours", gb_seconds / 3600},
          {"running_hours", ratio(usage.running_ms, kMsPerHour)},
          {"credits", usage.credits()},
          {"records", usage.samples}};
}

Result<Span> span_of(const Call& call) {
  Span span;
  const auto now = std::chrono::system_clock::now();
  span.to = now + 1s;
  TRY_ASSIGN(const auto tier, query_text(call, "tier"));
  TRY_ASSIGN(const auto group, query_text(call, "groupBy"));
  const auto named = group ? group : tier;
  if (named) {
    TRY_ASSIGN(span.period, period_of(*named));
  }
  TRY_ASSIGN(const auto from, time_of(call, "from"));
  TRY_ASSIGN(const auto to, time_of(call, "to"));
  TRY_ASSIGN(const auto last, query_text(call, "last"));
  TRY_ASSIGN(const bool all, query_flag(call, "all"));
  span.from = now - 7 * 24h;
  if (!named && !from && !all) span.period = Period::hour;
  if (last) {
    std::uint64_t count = 0;
    const char* end = last->data() + last->size();
    if (const auto [stop, ec] = std::from_chars(last->data(), end, count); ec == std::errc{} && stop == end) {
      span.from = now - length_of(span.period) * static_cast<std::int64_t>(std::min(count, kMostBuckets));
    } else {
      auto back = parse_duration(*last);
      if (!back) return fail(std::move(back.error()).in("the query parameter 'last'"));
      span.from = now - std::min<std::chrono::milliseconds>(*back, monitor::UsageHistory::kDaysKept);
    }
  }
  if (from) span.from = *from;
  if (to) span.to = *to;
  if (all) span.from = monitor::Time{};
  return span;
}

Task<http::Response> get_usage(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto totals, co_await services.usage.totals_of_workspaces());
  json::object usage;
  Usage sum;
  for (const auto& info : services.manager.list()) {
    if (!call.who().sees(info.id, info.spec.namespace_id)) continue;
    const auto found = totals.find(info.id);
    const Usage own = found == totals.end() ? Usage{} : found->second;
    usage[info.id] = totals_to_json(own);
    sum += own;
  }
  co_return answer({{"usage", std::move(usage)}, {"total", totals_to_json(sum)}});
}

Task<http::Response> get_workspace_usage(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto span, span_of(call));
  CO_TRY_ASSIGN(const auto buckets, co_await services.usage.of_workspace(call.id(), span.period, span.from, span.to));
  const Usage sum = sum_of(buckets);
  json::object whole{{"data", buckets_to_json(buckets)},
                     {"tier", period_name(span.period)},
                     {"range", range_to_json(span)},
                     {"totals", units_to_json(sum)},
                     {"tracking", services.usage.tracking(call.id()) == monitor::UsageHistory::Tracking::on}};
  for (auto& [key, value] : totals_to_json(sum)) whole[key] = std::move(value);
  co_return answer(std::move(whole));
}

Task<http::Response> get_workspace_totals(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto sum, co_await services.usage.total_of_workspace(call.id()));
  json::object totals = units_to_json(sum);
  for (auto& [key, value] : totals_to_json(sum)) totals[key] = std::move(value);
  json::object whole = totals;
  whole["totals"] = std::move(totals);
  co_return answer(std::move(whole));
}

Task<http::Response> get_credits_chart(Services& services, Call& call) {
  const auto now = std::chrono::system_clock::now();
  CO_TRY_ASSIGN(const auto buckets,
                co_await services.usage.of_workspace(call.id(), Period::day, now - 30 * 24h, now + 1s));
  json::array data;
  for (const auto& bucket : buckets) {
    data.emplace_back(
        json::object{{"date", format_rfc3339(bucket.start).substr(0, 10)}, {"creditsBurned", bucket.usage.credits()}});
  }
  co_return answer({{"granularity", "day"}, {"data", std::move(data)}, {"total", sum_of(buckets).credits()}});
}

Task<http::Response> wipe_usage(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto wiped, co_await services.usage.wipe(call.id()));
  co_return answer({{"wiped", wiped}});
}

Task<http::Response> start_tracking(Services& services, Call& call) {
  CO_TRY(co_await services.usage.track(call.id(), monitor::UsageHistory::Tracking::on));
  co_return tracked(services, call.id());
}

Task<http::Response> stop_tracking(Services& services, Call& call) {
  CO_TRY(co_await services.usage.track(call.id(), monitor::UsageHistory::Tracking::off));
  co_return tracked(services, call.id());
}

Task<http::Response> get_usage_units(Services& services, Call& call) {
  CO_TRY_ASSIGN(const auto space, co_await services.identity.namespaces().get(call.id()));
  CO_TRY_ASSIGN(const auto span, span_of(call));
  CO_TRY_ASSIGN(const auto buckets, co_await services.usage.of_namespace(space.id, span.period, span.from, span.to));
  co_return answer({{"data",
                     {{"namespace", space.slug},
                      {"range", range_to_json(span)},
                      {"group_by", period_name(span.period)},
                      {"buckets", buckets_to_json(buckets)},
                      {"totals", units_to_json(sum_of(buckets))}}}});
}

}  // namespace cofferdam::api
