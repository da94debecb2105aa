// What a workspace is asked to be ready for, what is counted of it, and what ends with the token that began it.
#include "api/control_fixture.h"
#include "api/refusal_log.h"
#include "http/stream.h"

namespace cofferdam::api {
namespace {

using AccountingTest = ControlTest;

TEST_F(AccountingTest, a_ready_check_is_run_until_it_succeeds_and_one_that_never_does_leaves_nothing) {
  const auto made = ask("POST", "/workspace", R"({"name": "r", "config": {"ready_check": {"command": ["echo"]}}})");
  EXPECT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(record_.last_spec->argv, std::vector<std::string>{"echo"});
  const auto never = ask("POST", "/workspace",
                         R"({"name": "n", "config": {"ready_check": {"command": ["hang"], "timeout_seconds": 1}}})");
  expect_error(never, 504, "timeout");
  EXPECT_NE(text(never.body().at("message")).find("/config/ready_check"), std::string::npos) << never.text;
  EXPECT_EQ(ask("GET", "/workspace").body().at("total"), 1);
}

TEST_F(AccountingTest, a_ready_check_is_shown_changed_and_taken_away) {
  ask("POST", "/workspace", R"({"name": "r", "config": {"ready_check": {"command": ["echo"], "timeout_seconds": 5}}})");
  EXPECT_EQ(ask("GET", "/workspace/r/ready-check").body().at("ready_check"),
            json::parse(R"({"command": ["echo"], "timeout_seconds": 5})"));
  const auto set = ask("PUT", "/workspace/r/ready-check", R"({"command": ["complain"]})");
  ASSERT_EQ(set.status, 200) << set.text;
  EXPECT_EQ(set.body().at("ready_check"), json::parse(R"({"command": ["complain"], "timeout_seconds": 60})"));
  // It is kept, and what drills ask.
  const auto again = incident::Drills::open(io_.get_executor(), *database_, manager_, *ledger_).value();
  ASSERT_NE(again->check_of(text(ask("GET", "/workspace/r").body().at("workspace").at("id"))), nullptr);
  for (const auto& [body, pointer] : {std::pair(R"({})", "/command"), std::pair(R"({"command": "echo"})", "/command"),
                                      std::pair(R"({"command": ["a"], "timeout_seconds": 241})", "/timeout_seconds"),
                                      std::pair(R"({"command": ["a"], "target": "other"})", "/target")}) {
    const auto refused = ask("PUT", "/workspace/r/ready-check", body);
    expect_error(refused, 422, "validation_error");
    EXPECT_NE(text(refused.body().at("message")).find(pointer), std::string::npos) << refused.text;
  }
  const auto with_others = ask("PUT", "/workspace/r", R"({"config": {"ready_check": {"command": ["a"]}}})");
  expect_error(with_others, 501, "not_supported");
  EXPECT_NE(with_others.text.find("ready-check"), std::string::npos) << with_others.text;
  const auto reader = mint(R"({"scope": "workspace", "workspaceId": "r", "verbs": ["read"]})");
  EXPECT_EQ(far("GET", "/workspace/r/ready-check", bearer(reader)).status, 200);
  EXPECT_EQ(far("DELETE", "/workspace/r/ready-check", bearer(reader)).status, 403);
  EXPECT_TRUE(ask("DELETE", "/workspace/r/ready-check").body().at("ready_check").is_null());
  EXPECT_TRUE(ask("GET", "/workspace/r/ready-check").body().at("ready_check").is_null());
  EXPECT_EQ(ask("GET", "/workspace/nobody/ready-check").status, 404);
}

TEST_F(AccountingTest, what_a_create_says_of_the_exit_can_be_changed) {
  const auto id = make();
  const auto changed = ask("PUT", "/workspace/" + id,
                           R"({"config": {"remove_on_exit": true, "restart_policy": "always", "max_restarts": 3}})");
  ASSERT_EQ(changed.status, 200) << changed.text;
  const auto lifecycle = changed.body().at("workspace").at("config");
  EXPECT_TRUE(lifecycle.at("remove_on_exit").as_bool());
  EXPECT_EQ(text(lifecycle.at("restart_policy")), "always");
  EXPECT_EQ(lifecycle.at("max_restarts"), 3);
  expect_error(ask("PUT", "/workspace/" + id, R"({"config": {"remove_on_exit": "yes"}})"), 422, "validation_error");
  expect_error(ask("PUT", "/workspace/" + id, R"({"config": {"workloads": []}})"), 501, "not_supported");
}

TEST_F(AccountingTest, credits_are_limited_counted_and_begun_anew) {
  const auto space = make_space("acme");
  const std::string limit = R"({"namespace": "acme", "service": "sandbox", "quotaLimit": 2, "overdraft": 1,
    "onOverdraftAction": "stop_workspaces", "notificationThresholds": [50, 100]})";
  const auto set = ask("POST", "/credits/namespace-quota", limit);
  ASSERT_EQ(set.status, 200) << set.text;
  EXPECT_EQ(set.body().at("data").at("quotaLimit"), 2.0);
  make_in("acme", "inside");
  const auto news = run(quotas_->add({{space, 3.0}})).value();
  ASSERT_EQ(news.size(), 1U);
  EXPECT_EQ(news[0].threshold, 100U);
  EXPECT_TRUE(news[0].used_up);
  const auto refused = ask("POST", "/workspace", R"({"name": "more", "namespace": "acme"})");
  expect_error(refused, 402, "quota_exceeded");
  EXPECT_EQ(ask("POST", "/workspace/inside/suspend").status, 200);
  expect_error(ask("POST", "/workspace/inside/start"), 402, "quota_exceeded");
  expect_error(ask("POST", "/workspace/inside/resume"), 402, "quota_exceeded");
  const auto asleep = ask("GET", "/workspace/inside/runtime/files");
  expect_error(asleep, 402, "quota_exceeded");
  EXPECT_NE(text(asleep.body().at("hint")).find("reset-quota"), std::string::npos);
  EXPECT_TRUE(ask("GET", "/credits/namespaces/acme").body().at("data").at("quotas").at(0).at("exceeded").as_bool());
  EXPECT_EQ(ask("POST", "/credits/reset-quota", R"({"namespace": "acme", "service": "sandbox"})").status, 200);
  EXPECT_EQ(ask("GET", "/workspace/inside/runtime/files").status, 200);
  EXPECT_EQ(ask("POST", "/workspace", R"({"name": "more", "namespace": "acme"})").status, 201);
  for (const auto* wrong : {R"({"namespace": "acme", "service": "magic", "quotaLimit": 1})",
                            R"({"namespace": "acme", "service": "sandbox", "quotaLimit": -1})",
                            R"({"namespace": "acme", "service": "sandbox"})",
                            R"({"namespace": "acme", "service": "sandbox", "quotaLimit": 1, "overdraft": "x"})",
                            R"({"namespace": "acme", "service": "sandbox", "quotaLimit": 1,
                                "notificationThresholds": [50.5]})"}) {
    expect_error(ask("POST", "/credits/namespace-quota", wrong), 422, "validation_error");
  }
  expect_error(ask("POST", "/credits/namespace-quota", R"({"namespace": "no", "service": "sandbox", "quotaLimit": 1})"),
               404, "not_found");
}

TEST_F(AccountingTest, default_quotas_reach_namespaces_that_are_made_later) {
  const auto ask_default = [this](const char* method, const std::string& more) {
    return ask(method, "/credits/defaults", R"({"level": "namespace", "service": "workspace_vm")" + more + "}");
  };
  EXPECT_EQ(ask_default("POST", R"(, "quotaLimit": 7)").status, 200);
  EXPECT_EQ(ask("GET", "/credits/defaults?level=namespace&service=workspace_vm").body().at("data").at("quotaLimit"),
            7.0);
  make_space("before");
  EXPECT_EQ(ask("POST", "/credits/defaults/toggle-auto-apply",
                R"({"level": "namespace", "service": "workspace_vm", "autoApply": true})")
                .status,
            200);
  make_space("after");
  const auto quotas = [this](const std::string& slug) {
    return ask("GET", "/credits/namespaces/" + slug).body().at("data").at("quotas").as_array().size();
  };
  EXPECT_EQ(quotas("before"), 0U);
  EXPECT_EQ(quotas("after"), 1U);
  EXPECT_EQ(ask_default("DELETE", "").status, 200);
  expect_error(ask_default("DELETE", ""), 404, "not_found");
  EXPECT_EQ(ask("GET", "/credits/defaults/all?level=namespace").body().at("defaults").as_array().size(), 0U);
  expect_error(ask("GET", "/credits/defaults/all?level=user"), 422, "validation_error");
}

TEST_F(AccountingTest, what_was_used_is_told_by_the_hour_in_totals_and_of_the_namespace) {
  const auto space = make_space("acme");
  make_in("acme", "inside");
  const auto info = manager_.get("inside").value();
  monitor::UsageSample sample;
  sample.workspace_id = info.id;
  sample.namespace_id = space;
  sample.usage.cpu_ms = 30'000;
  sample.usage.vcpu_ms = 3'600'000;
  sample.usage.disk_written_bytes = 5;
  sample.usage.samples = 1;
  ASSERT_TRUE(run(usage_->add({sample, sample})));
  const auto usage = ask("GET", "/workspace/inside/usage?last=2").body();
  EXPECT_EQ(usage.at("total_cpu_time_ns"), 60'000'000'000);
  EXPECT_EQ(usage.at("data").as_array().size(), 1U);
  EXPECT_EQ(usage.at("data").at(0).at("credits"), 2.0);
  EXPECT_EQ(ask("GET", "/workspace/inside/usage/totals").body().at("total_disk_write"), 10);
  EXPECT_EQ(ask("GET", "/workspace/inside/usage/credits/chart").body().at("total"), 2.0);
  EXPECT_EQ(ask("GET", "/workspace/usage").body().at("total").at("total_cpu_time_ns"), 60'000'000'000);
  const auto units = ask("GET", "/namespaces/acme/usage-units?groupBy=day").body().at("data");
  EXPECT_EQ(units.at("totals").at("cpu_time_minutes"), 1.0);
  EXPECT_EQ(units.at("buckets").at(0).at("records"), 2);
  EXPECT_EQ(ask("POST", "/workspace/inside/usage/tracking/stop").body().at("tracking"), false);
  ASSERT_TRUE(run(usage_->add({sample})));
  EXPECT_EQ(ask("GET", "/workspace/inside/usage/totals").body().at("records"), 2);
  EXPECT_EQ(ask("GET", "/namespaces/acme/usage").body().at("data").at("used").at("records"), 3);
  EXPECT_EQ(ask("POST", "/workspace/inside/usage/tracking/start").body().at("tracking"), true);
  EXPECT_GE(ask("DELETE", "/workspace/inside/usage").body().at("wiped").as_int64(), 1);
  EXPECT_EQ(ask("GET", "/workspace/inside/usage?all=true").body().at("data").as_array().size(), 0U);
  for (const std::string wrong : {"from=yesterday", "tier=century", "last=x", "all=2", "groupBy=minute"}) {
    expect_error(ask("GET", "/workspace/inside/usage?" + wrong), 422, "validation_error");
  }
  const auto estimate = ask("GET", "/workspace/estimate?cpu=2").body().at("estimate");
  EXPECT_EQ(estimate.at("min"), 0.0);
  EXPECT_EQ(estimate.at("max"), 1460.0);
  expect_error(ask("GET", "/workspace/estimate?cpu=nan"), 422, "validation_error");
  expect_error(ask("GET", "/workspace/estimate?cpu=-1"), 422, "validation_error");
}

TEST_F(AccountingTest, a_body_is_cut_when_its_token_is_revoked) {
  make();
  const auto minted = ask("POST", "/tokens", R"({"scope": "account"})").body();
  const auto token = text(minted.at("token"));
  auto talk = [this, token, id = text(minted.at("id"))]() -> Task<std::string> {
    http::Endpoint far;
    far.address = address_;
    CO_TRY_ASSIGN(auto stream, co_await http::connect_to(far));
    const auto deadline = http::Stream::Clock::now() + 10s;
    const std::string head = "PUT /workspace/box/files/raw?path=/half HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " +
                             token + "\r\nContent-Length: 100000\r\n\r\nhalf of it";
    CO_TRY(co_await stream->write(head, {}, {}, deadline, "send"));
    CO_TRY(co_await loop::sleep_for(50ms));
    http::ClientRequest revoke;
    revoke.method = "DELETE";
    revoke.target = "/tokens/" + id;
    CO_TRY_ASSIGN(const auto revoked, co_await send(std::move(revoke)));
    EXPECT_EQ(revoked.status, 200);
    while (stream->buffered().find("requestId") == std::string_view::npos) {
      CO_TRY_ASSIGN(const std::size_t count, co_await stream->fill(65536, deadline, "receive"));
      if (count == 0) break;
    }
    co_return std::string(stream->buffered());
  };
  const auto got = run(talk());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(got->starts_with("HTTP/1.1 401 ")) << *got;
  EXPECT_EQ(record_.abandoned_writers, 1);
  EXPECT_EQ(ask("GET", "/workspace/box/files/stat?path=/half").status, 404);
}

TEST_F(AccountingTest, an_environment_with_a_control_token_is_refused_unless_forced) {
  const auto token = mint(R"({"scope": "account"})");
  const auto refused = ask("POST", "/workspace", R"({"config": {"env": ["A=1", "KEY=Bearer )" + token + R"("]}})");
  expect_error(refused, 422, "validation_error");
  EXPECT_NE(text(refused.body().at("message")).find("/config/env/1"), std::string::npos) << refused.text;
  EXPECT_EQ(refused.text.find(token), std::string::npos);
  EXPECT_EQ(ask("POST", "/workspace", R"({"force": true, "config": {"env": ["KEY=)" + token + R"("]}})").status, 201);
  make();
  const std::string run = R"({"cmd": ["echo"], "env": ["KEY=)" + token + "\"]";
  expect_error(ask("POST", "/workspace/box/runtime/exec", run + "}"), 422, "validation_error");
  EXPECT_EQ(ask("POST", "/workspace/box/runtime/exec", run + R"(, "force": true})").status, 200);
  expect_error(ask("POST", "/workspace/box/workloads", run + "}"), 422, "validation_error");
  EXPECT_EQ(finish(*open("/workspace/box/exec/ws", run + "}")).result.at("status").as_string(), "Failure");
}

TEST(RefusalLog, a_flood_of_refusals_leaves_a_count) {
  RefusalLog log;
  auto now = RefusalLog::Clock::now();
  for (int i = 0; i < 200; ++i) log.admit(now);
  EXPECT_EQ(log.suppressed(), 100U);
  EXPECT_FALSE(log.admit(now));
  EXPECT_TRUE(log.admit(now + 1s));
}

TEST_F(AccountingTest, every_refused_request_leaves_a_line_in_the_log) {
  testing::internal::CaptureStderr();
  expect_error(ask("GET", "/workspace/no-such-box"), 404, "not_found");
  expect_error(far("GET", "/workspace?token=cof_ctl_secret", bearer("cof_ctl_wrong")), 401, "unauthorized");
  expect_error(ask("POST", "/workspace", "{\"name\": \"a\\nb"), 422, "validation_error");
  const std::string log = testing::internal::GetCapturedStderr();
  EXPECT_NE(log.find("request refused"), std::string::npos);
  EXPECT_NE(log.find("status=\"404\""), std::string::npos) << log;
  EXPECT_NE(log.find("path=\"/workspace/no-such-box\""), std::string::npos) << log;
  EXPECT_NE(log.find("status=\"401\" from=\"127.0.0.1\""), std::string::npos) << log;
  EXPECT_NE(log.find("status=\"422\""), std::string::npos) << log;
  EXPECT_EQ(log.find("cof_ctl_"), std::string::npos) << log;
}

}  // namespace
}  // namespace cofferdam::api
