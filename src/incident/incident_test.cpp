#include "incident/incident.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>

#include "incident/reach.h"
#include "incident/traces.h"

namespace cofferdam::incident {
namespace {

namespace json = boost::json;

Incident some() {
  Incident incident;
  incident.id = "inc_1";
  incident.workspace_id = "ws_1";
  incident.why = "it \"mines\"\n";
  incident.by = "local:0";
  incident.began_at = Time(std::chrono::milliseconds(1'700'000'000'123));
  incident.tokens.emplace_back(json::object{{"id", "tok_1"}});
  incident.report["look_at"] = json::array{"a"};
  return incident;
}

TEST(Incident, is_read_as_it_was_written) {
  auto incident = some();
  incident.note({Step::flows, incident.began_at, std::chrono::microseconds(1500), "3 flows closed", ""});
  incident.note({Step::vcpus, incident.began_at, std::chrono::microseconds(500), "", "no answer"});
  const auto text = json::serialize(to_json(incident));
  const auto again = incident_from_text(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(json::serialize(to_json(*again)), text);
  EXPECT_EQ(again->token_ids(), std::vector<std::string>{"tok_1"});
  EXPECT_TRUE(again->open());
}

TEST(Incident, is_complete_when_every_step_was_taken_and_none_failed) {
  auto incident = some();
  for (const Step step : kSteps) {
    EXPECT_FALSE(incident.complete());
    incident.note({step, {}, {}, "done", ""});
  }
  EXPECT_TRUE(incident.complete());
  EXPECT_TRUE(std::is_sorted(incident.steps.begin(), incident.steps.end(),
                             [](const auto& a, const auto& b) { return a.step < b.step; }));
  incident.note({Step::tokens, {}, {}, "", "the database is full"});
  EXPECT_FALSE(incident.complete());
  EXPECT_EQ(incident.steps.size(), std::size(kSteps));
}

net::Flow flow(std::string kind, std::string event, std::string name, std::uint64_t out) {
  net::Flow one;
  one.kind = std::move(kind);
  one.event = std::move(event);
  one.name = std::move(name);
  one.port = 443;
  one.bytes_out = out;
  one.time_us = 1'000'000;
  return one;
}

TEST(Reach, connections_to_the_same_place_are_counted_together) {
  net::Flow lost;
  lost.omitted = 4;
  const auto seen = summarize({flow("egress", "opened", "a", 0), flow("egress", "closed", "a", 10),
                               flow("egress", "opened", "b", 0), flow("egress", "closed", "b", 500),
                               flow("egress", "refused", "c", 0), flow("dns", "refused", "d", 0), lost});
  ASSERT_EQ(seen.destinations.size(), 3U);
  EXPECT_EQ(seen.destinations[0].where(), "b:443");  // where most went comes first
  EXPECT_EQ(seen.destinations[0].bytes_out, 500U);
  EXPECT_EQ(seen.destinations[1].opened, 1U);
  EXPECT_EQ(seen.destinations[2].refused, 1U);
  EXPECT_EQ(seen.names_refused, 1U);
  EXPECT_EQ(seen.omitted, 4U);
}

TEST(Reach, the_ways_that_connections_took_are_kept_and_one_that_was_refused_took_none) {
  auto direct = flow("egress", "opened", "a", 0);
  direct.via = gate::kNoProxy;
  auto led = flow("egress", "closed", "a", 10);
  led.via = "operator,proxy.example:3128";
  const auto seen = summarize({direct, led, flow("egress", "refused", "b", 0)});
  ASSERT_EQ(seen.destinations.size(), 2U);
  EXPECT_EQ(json::serialize(to_json(seen.destinations[0]).at("ways")), R"([[],["operator","proxy.example:3128"]])");
  EXPECT_EQ(json::serialize(to_json(seen.destinations[1]).at("ways")), "[]");
  EXPECT_EQ(proxies_of(seen), (std::set<std::string>{"operator", "proxy.example:3128"}));
  EXPECT_EQ(proxy_name("operator"), "the operator's proxy");
}

ledger::Decoded entry(const std::string& actor, const std::string& workspace, model::Event event) {
  const auto bytes =
      ledger::encode(ledger::Stamp{1, 5, 5}, model::Entry{{actor, "10.0.0.1", ""}, {workspace, ""}, std::move(event)});
  return ledger::decode(bytes).value();
}

TEST(Traces, tell_what_was_done_with_a_workspace_and_by_its_tokens) {
  Traces traces;
  const std::set<std::string> tokens{"tok_1"};
  model::ApiChanged write;
  write.method = "PUT";
  write.route = "/workspace/{id}/files/raw";
  write.detail = "/etc/passwd";
  write.status = 200;
  model::ApiChanged create;
  create.method = "POST";
  create.route = "/workspace";
  create.status = 201;
  auto refused = write;
  refused.detail = "/etc/shadow";
  refused.code = "permission_denied";
  model::TokenIssued issued;
  issued.token = "tok_2";
  model::SecretUsed used;
  used.names = {"KEY"};
  traces.take(entry("somebody", "ws_1", write), "ws_1", tokens);
  traces.take(entry("tok_1", "ws_1", write), "ws_1", tokens);
  traces.take(entry("tok_1", "ws_1", refused), "ws_1", tokens);
  traces.take(entry("tok_1", "ws_2", create), "ws_1", tokens);
  traces.take(entry("somebody", "ws_3", create), "ws_1", tokens);
  traces.take(entry("tok_1", "", issued), "ws_1", tokens);
  traces.take(entry("somebody", "ws_1", used), "ws_1", tokens);
  traces.take(entry("somebody", "ws_1", model::ExecStarted{}), "ws_1", tokens);
  ASSERT_EQ(traces.files.size(), 1U);
  EXPECT_EQ(traces.files[0].path, "/etc/passwd");
  ASSERT_EQ(traces.workspaces.size(), 1U);
  EXPECT_EQ(traces.workspaces[0].id, "ws_2");
  ASSERT_EQ(traces.tokens.size(), 1U);
  EXPECT_EQ(traces.tokens[0].id, "tok_2");
  EXPECT_EQ(traces.secrets.at("KEY"), 1U);
  EXPECT_EQ(traces.commands, 1U);
  EXPECT_EQ(traces.addresses, std::set<std::string>{"10.0.0.1"});
}

}  // namespace
}  // namespace cofferdam::incident
