#include "gate/control.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace cofferdam::gate {
namespace {

Address address(std::string_view text) { return Address::parse(text).value(); }
Cidr range(std::string_view text) { return Cidr::parse(text).value(); }

Policy full_policy() {
  Policy policy;
  policy.generation = 7;
  policy.names = {{"pypi.org", {{443, 443}, {80, 80}}, Inspect::require, Strict::yes, Upgrade::refuse},
                  {"*.debian.org", {{1, 65535}}, Inspect::raw, Strict::no, Upgrade::allow}};
  policy.ranges = {{range("1.2.3.0/24"), {{22, 22}}}};
  policy.links = {{"db.internal", address("10.64.0.6"), {{5432, 5432}}, "ws_b"}};
  policy.exposed = {8080};
  policy.limits = {1000, 2, 3, 4, 5};
  policy.proxy = OwnProxy{"proxy.example", 3128, ProxyTarget::address, "me:secret"};
  return policy;
}

Settings full_settings() {
  Settings settings;
  settings.resolvers = {{address("9.9.9.9"), 53}, {address("2620:fe::fe"), 5353}};
  settings.denied_names = {"*.onion.example", "paste.example"};
  settings.denied_ranges = {range("203.0.113.0/24"), range("2001:db8::/32")};
  settings.opened_ranges = {range("10.9.0.0/16")};
  settings.proxy = HttpProxy{{address("10.0.0.3"), 3128}, ProxyTarget::name, "site:secret"};
  return settings;
}

std::vector<Request> all_requests() {
  return {Start{100, 101, 10, full_settings()},
          ChangeSettings{Settings()},
          AddWorkspace{"ws_a", address("10.64.0.2"), range("198.18.0.0/16"), full_policy()},
          SetPolicy{"ws_a", Policy()},
          AddDialSockets{"ws_a"},
          Cut{"ws_a", CutKind::contain},
          Release{"ws_a"},
          RemoveWorkspace{"ws_a"},
          OpenIngress{"ws_a", 8080, IngressKind::forwarded, "203.0.113.9"},
          QueryCounters{""},
          Ping{}};
}

std::vector<Event> all_events() {
  FlowRecord record;
  record.workspace = "ws_a";
  record.flow = 9;
  record.reason = FlowReason::dns_rate;
  record.name = "pypi.org";
  record.bytes_in = 1;
  record.generation = 3;
  record.via = "operator,proxy.example:3128";
  return {Done{1, 2}, Failed{3, Code::NotFound, "no such workspace"}, NeedDialSockets{"ws_a", 8},
          FlowBatch{{record, record}, {{"ws_b", 77}}}, CountersReply{"ws_a", 1, 2, 3, 4, 5, 6, 7, 8, 9}};
}

TEST(GateControl, every_request_survives_the_way) {
  std::size_t kinds = 0;
  for (const auto& request : all_requests()) {
    const auto bytes = encode(42, request);
    ASSERT_TRUE(bytes) << bytes.error().message;
    const auto decoded = decode_request(*bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, (NumberedRequest{42, request}));
    EXPECT_EQ(request.index(), kinds++);
  }
  EXPECT_EQ(kinds, std::variant_size_v<Request>);
}

TEST(GateControl, a_batch_of_the_longest_records_fits_into_a_message) {
  const std::string long_text(1000, 'x');
  FlowRecord record;
  for (auto* text : {&record.workspace, &record.name, &record.address, &record.peer, &record.via}) *text = long_text;
  FlowBatch batch;
  batch.records.assign(kMaxRecordsPerBatch, record);
  batch.omitted.assign(kMaxOmittedPerBatch, {long_text, 1});
  EXPECT_LE(encode(batch).size(), kMaxControlBytes);
}

TEST(GateControl, every_event_survives_the_way) {
  std::size_t kinds = 0;
  for (const auto& event : all_events()) {
    const auto decoded = decode_event(encode(event));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, event);
    EXPECT_EQ(event.index(), kinds++);
  }
  EXPECT_EQ(kinds, std::variant_size_v<Event>);
}

TEST(GateControl, cut_short_or_with_more_behind_is_refused) {
  for (const auto& request : all_requests()) {
    const auto bytes = encode(1, request).value();
    for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_request(bytes.substr(0, n)));
    EXPECT_FALSE(decode_request(bytes + '\0'));
  }
  for (const auto& event : all_events()) {
    const auto bytes = encode(event);
    for (std::size_t n = 0; n < bytes.size(); ++n) EXPECT_FALSE(decode_event(bytes.substr(0, n)));
    EXPECT_FALSE(decode_event(bytes + '\0'));
  }
}

TEST(GateControl, what_is_out_of_bounds_is_not_sent) {
  const auto refused = [](const Request& request) { return !encode(1, request).has_value(); };
  EXPECT_TRUE(refused(Start{0, 1, 1, {}}));
  EXPECT_TRUE(refused(AddWorkspace{"", address("10.0.0.2"), range("198.18.0.0/16"), {}}));
  EXPECT_TRUE(refused(AddWorkspace{"w", address("::1"), range("198.18.0.0/16"), {}}));
  EXPECT_TRUE(refused(AddWorkspace{"w", address("10.0.0.2"), range("198.18.0.0/30"), {}}));
  EXPECT_TRUE(refused(AddWorkspace{"w", address("10.0.0.2"), range("2001:db8::/112"), {}}));
  EXPECT_TRUE(refused(OpenIngress{"w", 0, IngressKind::exposed, ""}));
  EXPECT_TRUE(refused(Cut{std::string(65, 'x'), CutKind::contain}));
  const auto by_proxy = [](OwnProxy proxy) {
    SetPolicy set{"w", {}};
    set.policy.proxy = std::move(proxy);
    return set;
  };
  EXPECT_FALSE(refused(by_proxy({"45.1.0.80", 3128, ProxyTarget::name, "me:"})));
  EXPECT_TRUE(refused(by_proxy({"", 3128, ProxyTarget::name, ""})));
  EXPECT_TRUE(refused(by_proxy({"Proxy.example", 3128, ProxyTarget::name, ""})));
  EXPECT_TRUE(refused(by_proxy({"proxy.example", 0, ProxyTarget::name, ""})));
  EXPECT_TRUE(refused(by_proxy({"proxy.example", 1, ProxyTarget::name, "nobody"})));
  EXPECT_TRUE(refused(by_proxy({"proxy.example", 1, ProxyTarget::name, std::string(kMaxLogin, 'x') + ":"})));
}

TEST(GateControl, an_error_about_a_login_does_not_repeat_it) {
  SetPolicy set{"w", {}};
  set.policy.proxy = OwnProxy{"proxy.example", 3128, ProxyTarget::address, "me:hidden\r\nX: y"};
  const auto refused = encode(1, set);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.find("hidden"), std::string::npos);
  EXPECT_EQ(refused.error().hint.find("hidden"), std::string::npos);
}

TEST(GateControl, every_reason_has_a_word_of_its_own) {
  std::vector<std::string_view> words;
  words.reserve(kFlowReasons);
  for (std::size_t i = 0; i < kFlowReasons; ++i) words.push_back(flow_reason_name(static_cast<FlowReason>(i)));
  std::sort(words.begin(), words.end());
  EXPECT_EQ(std::unique(words.begin(), words.end()), words.end());
  EXPECT_EQ(flow_reason_name(FlowReason::dns_rate), "dns_rate");
}

}  // namespace
}  // namespace cofferdam::gate
