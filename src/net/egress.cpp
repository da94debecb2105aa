#include "net/egress.h"

#include <algorithm>

#include "base/dns_name.h"
#include "base/file.h"
#include "base/text.h"

namespace cofferdam::net {
namespace {

constexpr std::size_t kMaxEntry = 300;
constexpr std::size_t kMaxPresetBytes = 64U << 10;
constexpr std::uint16_t kLastPort = 65535;
constexpr std::string_view kRaw = "tcp://";
constexpr std::string_view kStrict = "strict://";

const gate::Ports& web_ports() {
  static const gate::Ports kPorts{{443, 443}, {80, 80}};
  return kPorts;
}

tl::unexpected<Error> wrong(std::string_view entry, std::string_view why) {
  return fail(Code::InvalidArgument, cat("'", entry.substr(0, kMaxEntry), "' ", why),
              "write a host (pypi.org), *.suffix, or a range (203.0.113.0/24), each with :PORT when it is not 443 and "
              "80; or the name of a preset");
}

Status add_entry(const std::string& given, const gate::Ports& ports, EgressRules& rules) {
  if (given.size() > kMaxEntry) return wrong(given, "is too long");
  std::string_view entry = given;
  gate::NameRule rule;
  rule.ports = ports;
  if (starts_with(entry, kRaw)) {
    rule.inspect = gate::Inspect::raw;
    entry.remove_prefix(kRaw.size());
  } else if (starts_with(entry, kStrict)) {
    rule.strict = gate::Strict::yes;
    entry.remove_prefix(kStrict.size());
  }
  if (std::count(entry.begin(), entry.end(), ':') > 1) return wrong(given, "is IPv6, which no workspace has");
  if (const auto colon = entry.find(':'); colon != std::string_view::npos) {
    auto own = parse_ports(entry.substr(colon + 1));
    if (!own) return fail(std::move(own.error()).in(cat("'", given, "'")));
    rule.ports = std::move(*own);
    entry = entry.substr(0, colon);
  }
  if (const auto range = Cidr::parse(entry)) {
    if (!range->first().is_v4()) return wrong(given, "is IPv6, which no workspace has");
    if (rule.inspect == gate::Inspect::raw || rule.strict == gate::Strict::yes) {
      return wrong(given, "is a range, which is never looked into");
    }
    rules.ranges.push_back({*range, std::move(rule.ports)});
    return {};
  }
  rule.name = lower(entry);
  if (rule.name.ends_with('.')) rule.name.pop_back();
  const std::string_view host = starts_with(rule.name, "*.") ? std::string_view(rule.name).substr(2) : rule.name;
  if (!is_dns_name(host) || looks_like_address(host)) return wrong(given, "is no name, range or preset");
  if (host.find('.') == std::string_view::npos) return wrong(given, "is no preset, and a public name has a dot");
  rules.names.push_back(std::move(rule));
  return {};
}

Result<std::uint16_t> parse_port(std::string_view text) {
  TRY_ASSIGN(const auto port, parse_int("a port", text, 1, kLastPort));
  return static_cast<std::uint16_t>(port);
}

}  // namespace

Result<gate::Ports> parse_ports(std::string_view text) {
  gate::Ports ports;
  for (const auto& part : split(text, ',')) {
    const auto dash = part.find('-');
    gate::PortRange range;
    TRY_ASSIGN(range.first, parse_port(std::string_view(part).substr(0, dash)));
    range.last = range.first;
    if (dash != std::string::npos) {
      TRY_ASSIGN(range.last, parse_port(std::string_view(part).substr(dash + 1)));
    }
    if (range.last < range.first) return fail(Code::InvalidArgument, cat("'", part, "' is no range of ports"));
    ports.push_back(range);
  }
  if (ports.size() > gate::kMaxPortRanges) {
    return fail(Code::InvalidArgument, cat("more than ", gate::kMaxPortRanges, " ports or ranges of them"));
  }
  return ports;
}

std::string ports_text(const gate::Ports& ports) {
  std::string text;
  for (const auto& range : ports) {
    text += cat(text.empty() ? "" : ",", range.first);
    if (range.last != range.first) text += cat("-", range.last);
  }
  return text;
}

Result<Presets> Presets::load(const std::string& folder) {
  Presets presets;
  if (!path_exists(folder)) return presets;
  TRY_ASSIGN(const auto files, list_directory(folder));
  for (const auto& file : files) {
    if (file == "README.md") continue;
    TRY_ASSIGN(const auto text, read_file(cat(folder, "/", file), kMaxPresetBytes));
    std::vector<std::string> entries;
    EgressRules checked;
    std::size_t number = 0;
    for (const auto& line : split(text, '\n')) {
      ++number;
      const auto entry = trim(std::string_view(line).substr(0, line.find('#')));
      if (entry.empty()) continue;
      if (auto good = add_entry(std::string(entry), web_ports(), checked); !good) {
        return fail(std::move(good.error()).in(cat(folder, "/", file, ":", number)));
      }
      entries.emplace_back(entry);
    }
    presets.lists_.emplace(file, std::move(entries));
  }
  return presets;
}

const std::vector<std::string>* Presets::find(std::string_view name) const {
  const auto found = lists_.find(name);
  return found == lists_.end() ? nullptr : &found->second;
}

std::string Presets::names() const {
  std::string text;
  for (const auto& [name, entries] : lists_) text += cat(text.empty() ? "" : ", ", name);
  return text;
}

Result<EgressRules> compile(const Egress& egress, const Presets& presets) {
  if (egress.entries.size() > kMaxEgress) {
    return fail(Code::InvalidArgument, cat("/egress: ", egress.entries.size(), " entries are more than ", kMaxEgress));
  }
  EgressRules rules;
  if (egress.open()) {
    const gate::Ports all{{1, kLastPort}};
    gate::NameRule any;
    any.name = "*";
    any.ports = egress.ports.empty() ? all : egress.ports;
    any.inspect = gate::Inspect::observe;
    TRY_ASSIGN(const Cidr everywhere, Cidr::parse("0.0.0.0/0"));
    rules.ranges.push_back({everywhere, any.ports});
    rules.names.push_back(std::move(any));
    return rules;
  }
  const gate::Ports& ports = egress.ports.empty() ? web_ports() : egress.ports;
  for (std::size_t i = 0; i < egress.entries.size(); ++i) {
    const auto* preset = presets.find(egress.entries[i]);
    const std::vector<std::string> lone{egress.entries[i]};
    for (const auto& entry : preset == nullptr ? lone : *preset) {
      auto added = add_entry(entry, ports, rules);
      if (!added) {
        Error error = std::move(added.error());
        if (preset == nullptr) error.hint += cat(" (", presets.names(), ")");
        return fail(std::move(error).in(cat("/egress/", i)));
      }
    }
  }
  if (rules.names.size() > gate::kMaxRules || rules.ranges.size() > gate::kMaxRules) {
    return fail(Code::InvalidArgument, cat("/egress: stands for more than ", gate::kMaxRules, " rules"));
  }
  return rules;
}

}  // namespace cofferdam::net
