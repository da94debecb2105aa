#include "net/network_record.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace cofferdam::net {
namespace {

using namespace std::chrono_literals;

class Heard final : public ledger::Recorder {
 public:
  Task<void> record(model::Entry entry) override {
    note(std::move(entry));
    co_return Status{};
  }
  void note(model::Entry entry) override { entries.push_back(std::move(entry)); }
  void hurry() override {}
  [[nodiscard]] std::uint64_t mark() const override { return entries.size(); }
  Task<void> settled(std::uint64_t /*mark*/) override { co_return Status{}; }
  [[nodiscard]] Status ready() const override { return {}; }
  void conceal(const std::string& /*namespace_id*/, std::string_view /*value*/) override {}

  template <class Event>
  [[nodiscard]] std::vector<Event> all() const {
    std::vector<Event> found;
    for (const auto& entry : entries) {
      if (const auto* event = entry.event.as<Event>()) found.push_back(*event);
    }
    return found;
  }
  std::vector<model::Entry> entries;
};

Flow flow_to(std::string name, std::string event, std::string reason = "none") {
  Flow flow;
  flow.workspace = "ws_a";
  flow.kind = "egress";
  flow.event = std::move(event);
  flow.reason = std::move(reason);
  flow.name = std::move(name);
  flow.address = "203.0.113.1";
  flow.port = 443;
  flow.generation = 7;
  return flow;
}

class NetworkRecordTest : public testing::Test {
 protected:
  Heard heard_;
  NetworkRecord record_{&heard_, [](const std::string& id) { return "ns_of_" + id; }};
  std::chrono::steady_clock::time_point now_{1h};
};

TEST_F(NetworkRecordTest, an_allowed_connection_is_two_entries_with_its_policy) {
  auto flow = flow_to("pypi.org", "opened");
  flow.peer = "pypi.org";
  record_.connection(flow, now_);
  flow.event = "closed";
  flow.reason = "ended";
  flow.bytes_in = 100;
  record_.connection(flow, now_);
  ASSERT_EQ(heard_.entries.size(), 2U);
  EXPECT_EQ(heard_.entries[0].about.namespace_id, "ns_of_ws_a");
  const auto opened = heard_.all<model::ConnectionAllowed>().at(0);
  EXPECT_EQ(opened.name, "pypi.org");
  EXPECT_EQ(opened.policy_version, 7);
  const auto closed = heard_.all<model::ConnectionClosed>().at(0);
  EXPECT_EQ(closed.bytes_in, 100);
  EXPECT_EQ(closed.why, "ended");
}

TEST_F(NetworkRecordTest, refusals_alike_are_one_entry_and_then_their_count) {
  for (int i = 0; i < 5; ++i) record_.connection(flow_to("evil.example", "refused", "dns_name"), now_);
  ASSERT_EQ(heard_.all<model::ConnectionRefused>().size(), 1U);
  record_.end_windows(now_ + 9s);
  EXPECT_EQ(heard_.all<model::ConnectionRefused>().size(), 1U);
  record_.end_windows(now_ + 10s);
  const auto told = heard_.all<model::ConnectionRefused>();
  ASSERT_EQ(told.size(), 2U);
  EXPECT_EQ(told[0].times + told[1].times, 5);
  record_.end_windows(now_ + 30s);
  EXPECT_EQ(heard_.all<model::ConnectionRefused>().size(), 2U);
}

TEST_F(NetworkRecordTest, a_scan_is_bounded_and_no_refusal_is_uncounted) {
  for (int i = 0; i < 10'000; ++i) {
    record_.connection(flow_to(cat("host", i, ".example"), "refused", "not_allowed"), now_);
  }
  record_.end_windows(now_ + NetworkRecord::kWindow);
  const auto told = heard_.all<model::ConnectionRefused>();
  EXPECT_EQ(told.size(), NetworkRecord::kMaxAlike + 1);
  std::int64_t times = 0;
  for (const auto& event : told) times += event.times;
  EXPECT_EQ(times, 10'000);
}

TEST_F(NetworkRecordTest, records_that_were_left_out_are_a_gap) {
  Flow omitted;
  omitted.event = "omitted";
  omitted.omitted = 12;
  record_.connection(omitted, now_);
  EXPECT_EQ(heard_.all<model::LedgerGap>().at(0).dropped, 12);
}

TEST_F(NetworkRecordTest, of_a_proxy_its_place_is_told_and_never_its_login) {
  NetworkRow row;
  row.workspace = "ws_a";
  row.proxy = make_proxy({}, "Proxy.example", 3128, gate::ProxyTarget::name, SecureBytes::copy_of("me:hidden")).value();
  record_.policy({}, row, 1);
  EXPECT_EQ(heard_.all<model::PolicyChanged>().at(0).summary, "proxy=proxy.example:3128");
}

TEST_F(NetworkRecordTest, a_policy_is_told_in_words_with_who_changed_it) {
  NetworkRow row;
  row.workspace = "ws_a";
  row.egress.entries = {"pypi", "*.example.com"};
  row.ingress_ports = {{5432, 5432}};
  record_.policy({"tok_1", "10.0.0.1", "req_1"}, row, 3);
  const auto changed = heard_.all<model::PolicyChanged>().at(0);
  EXPECT_EQ(changed.summary, "pypi *.example.com ingress=5432");
  EXPECT_EQ(changed.policy_version, 3);
  EXPECT_EQ(heard_.entries[0].by.actor, "tok_1");
  record_.policy({}, {.workspace = "ws_a", .pair = {}, .egress = {}, .ingress_ports = {}, .proxy = {}}, 4);
  EXPECT_EQ(heard_.all<model::PolicyChanged>().at(1).summary, "nothing");
}

}  // namespace
}  // namespace cofferdam::net
