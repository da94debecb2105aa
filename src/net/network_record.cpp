#include "net/network_record.h"

#include <utility>

#include "base/text.h"
#include "crypto/digest.h"
#include "loop/deadline.h"

namespace cofferdam::net {
namespace {

constexpr std::chrono::seconds kTurn{1};

std::int64_t whole(std::uint64_t number) {
  return static_cast<std::int64_t>(std::min<std::uint64_t>(number, INT64_MAX));
}

std::string direction_of(const Flow& flow) {
  if (flow.kind == "link") return "link";
  return flow.kind == "ingress" ? "in" : "out";
}

// A packet that the second wall dropped carries its protocol as what it showed.
std::string protocol_of(const Flow& flow) {
  if (flow.kind == "packet") return flow.peer;
  return flow.kind == "dns" ? "dns" : "tcp";
}

template <class Event>
Event event_of(const Flow& flow) {
  Event event;
  event.direction = direction_of(flow);
  event.protocol = protocol_of(flow);
  event.name = flow.name;
  event.ip = flow.address;
  event.port = flow.port;
  return event;
}

std::string summary_of(const NetworkRow& row) {
  std::string summary;
  const auto add = [&summary](std::string_view part) { summary += cat(summary.empty() ? "" : " ", part); };
  for (const auto& entry : row.egress.entries) add(entry);
  if (row.egress.open()) add("every public address");
  if (!row.egress.ports.empty()) add(cat("ports=", ports_text(row.egress.ports)));
  if (!row.ingress_ports.empty()) add(cat("ingress=", ports_text(row.ingress_ports)));
  if (row.proxy) add(cat("proxy=", proxy_text(*row.proxy)));
  return summary.empty() ? "nothing" : summary;
}

}  // namespace

model::Subject NetworkRecord::subject(const std::string& workspace) const {
  return {workspace, workspace.empty() || !space_of_ ? std::string() : space_of_(workspace)};
}

void NetworkRecord::connection(const Flow& flow, std::chrono::steady_clock::time_point now) {
  if (flow.event == "omitted") {
    model::LedgerGap gap;
    gap.dropped = whole(flow.omitted);
    gap.since_us = gap.until_us = whole(flow.time_us);
    gap.kinds = {cat("connection ", flow.omitted)};
    return recorder_.note({{}, subject(flow.workspace), std::move(gap)});
  }
  if (flow.event == "refused") return refused(flow, now);
  if (flow.event == "opened") {
    auto opened = event_of<model::ConnectionAllowed>(flow);
    opened.shown = flow.peer;
    opened.policy_version = whole(flow.generation);
    return recorder_.note({{}, subject(flow.workspace), std::move(opened)});
  }
  auto closed = event_of<model::ConnectionClosed>(flow);
  closed.bytes_out = whole(flow.bytes_out);
  closed.bytes_in = whole(flow.bytes_in);
  closed.took_us = whole(flow.duration_us);
  closed.why = flow.reason;
  recorder_.note({{}, subject(flow.workspace), std::move(closed)});
}

void NetworkRecord::refused(const Flow& flow, std::chrono::steady_clock::time_point now) {
  auto event = event_of<model::ConnectionRefused>(flow);
  event.reason = flow.reason;
  event.policy_version = whole(flow.generation);
  Window& window = windows_.try_emplace(flow.workspace, Window{now + kWindow, {}}).first->second;
  std::string key =
      cat(event.direction, " ", event.protocol, " ", event.name, " ", event.ip, " ", event.port, " ", event.reason);
  if (const auto known = window.alike.find(key); known != window.alike.end()) {
    ++known->second.times;
    return;
  }
  if (window.alike.size() >= kMaxAlike) {
    event.name.clear();
    event.ip.clear();
    event.port = event.times = 0;
    key = cat(event.direction, " ", event.protocol, " ", event.reason);
    ++window.alike.try_emplace(std::move(key), std::move(event)).first->second.times;
    return;
  }
  recorder_.note({{}, subject(flow.workspace), event});
  event.times = 0;
  window.alike.emplace(std::move(key), std::move(event));
}

void NetworkRecord::end_windows(std::chrono::steady_clock::time_point now) {
  std::erase_if(windows_, [&](auto& item) {
    if (item.second.ends > now) return false;
    for (auto& [key, event] : item.second.alike) {
      if (event.times > 0) recorder_.note({{}, subject(item.first), std::move(event)});
    }
    return true;
  });
}

Task<void> NetworkRecord::keep_counting() {
  for (;;) {
    CO_TRY(co_await loop::sleep_for(kTurn));
    end_windows(std::chrono::steady_clock::now());
  }
}

void NetworkRecord::policy(const model::Origin& by, const NetworkRow& row, std::uint64_t version) {
  model::PolicyChanged changed;
  changed.policy_version = whole(version);
  changed.summary = summary_of(row);
  changed.digest = crypto::sha256_hex(changed.summary);
  recorder_.note({by, subject(row.workspace), std::move(changed)});
}

void NetworkRecord::link(const model::Origin& by, const Link& link, std::string_view action) {
  model::LinkChanged changed;
  changed.link = link.id;
  changed.action = action;
  changed.from = link.source;
  changed.to = link.target;
  changed.ports = ports_text(link.ports);
  if (link.ports.size() == 1 && link.ports.front().first == link.ports.front().last)
    changed.port = link.ports.front().first;
  recorder_.note({by, subject(link.source), std::move(changed)});
}

void NetworkRecord::port(const model::Origin& by, const Exposure& exposure, std::string_view action,
                         std::string address) {
  model::PortChanged changed;
  changed.action = action;
  changed.address = std::move(address);
  changed.guest_port = exposure.port;
  recorder_.note({by, subject(exposure.workspace), std::move(changed)});
}

}  // namespace cofferdam::net
