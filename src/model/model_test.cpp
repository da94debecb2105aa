#include <gtest/gtest.h>

#include "model/json.h"
#include "model/workspace_state.h"

namespace cofferdam::model {
namespace {

Result<WorkspaceSpec> spec_of(std::string_view text) {
  TRY_ASSIGN(auto value, parse_json(text));
  return workspace_spec_from_json(value);
}

TEST(WorkspaceSpec, defaults_are_the_safe_end) {
  const auto spec = spec_of("{}").value();
  EXPECT_EQ(spec.image, "debian-12");
  EXPECT_EQ(spec.cpu_millis, 1000U);
  EXPECT_EQ(spec.memory_mib, 512U);
  EXPECT_EQ(spec.disk_mib, 4096U);
  EXPECT_EQ(spec.ttl.value(), kDefaultTemporaryTtl);
}

TEST(WorkspaceSpec, round_trips) {
  const auto spec = spec_of(R"({"name":"a","mode":"permanent","image":"minimal",
      "config":{"cpus":0.5,"memory_mb":256,"disk_size_mb":128,"ttl":"30m","env":["A=b",{"key":"C","value":"d"}]}})");
  ASSERT_TRUE(spec) << spec.error().message;
  EXPECT_EQ(spec->cpu_millis, 500U);
  EXPECT_EQ(spec->shape().vcpus, 1U);
  EXPECT_EQ(spec->env, (std::vector<std::string>{"A=b", "C=d"}));
  const auto again = workspace_spec_from_json(boost::json::value(workspace_spec_to_json(*spec))).value();
  EXPECT_EQ(again.cpu_millis, spec->cpu_millis);
  EXPECT_EQ(again.ttl, spec->ttl);
  EXPECT_EQ(again.env, spec->env);
}

TEST(WorkspaceSpec, what_is_said_of_its_life_round_trips) {
  const auto spec = spec_of(R"({"slug":"box-1","logo":"x.png","namespace":"ns_1","metadata":{"a":"b","n":3},
      "config":{"ttl":60,"ttl_action":"suspend","remove_on_exit":true,"restart_policy":"on_failure","max_restarts":3,
      "idle":{"suspend_after":"10m","stop_after":3600},"secrets":["API_KEY"]}})");
  ASSERT_TRUE(spec) << spec.error().message;
  const auto again = workspace_spec_from_json(boost::json::value(workspace_spec_to_json(*spec))).value();
  EXPECT_EQ(again.slug, "box-1");
  EXPECT_EQ(again.logo, "x.png");
  EXPECT_EQ(again.namespace_id, "ns_1");
  EXPECT_EQ(again.metadata, (Metadata{{"a", "b"}, {"n", "3"}}));
  EXPECT_EQ(again.ttl_action, TtlAction::suspend);
  EXPECT_EQ(again.on_exit, OnExit::remove);
  EXPECT_EQ(again.restart_policy, RestartPolicy::on_failure);
  EXPECT_EQ(again.max_restarts, 3U);
  EXPECT_EQ(again.idle, (IdlePolicy{std::chrono::minutes(10), std::chrono::hours(1)}));
  EXPECT_EQ(again.secrets, std::vector<std::string>{"API_KEY"});
}

TEST(WorkspaceSpec, what_follows_a_time_to_live_depends_on_the_mode) {
  WorkspaceSpec spec;
  EXPECT_EQ(spec.at_end_of_ttl(), TtlAction::remove);
  EXPECT_FALSE(spec.keeps_disk());
  spec.ttl_action = TtlAction::stop;
  EXPECT_TRUE(spec.keeps_disk());
  spec.ttl_action.reset();
  spec.mode = Mode::permanent;
  EXPECT_EQ(spec.at_end_of_ttl(), TtlAction::stop);
}

TEST(WorkspaceSpec, metadata_is_bounded) {
  Metadata many;
  for (int i = 0; i < 64; ++i) many["k" + std::to_string(i)] = "v";
  EXPECT_TRUE(validate(many));
  many["one more"] = "v";
  EXPECT_FALSE(validate(many));
  EXPECT_FALSE(validate(Metadata{{"", "v"}}));
  EXPECT_TRUE(validate(Metadata{{"k", std::string((64U << 10) - 1, 'v')}}));
  EXPECT_FALSE(validate(Metadata{{"k", std::string(64U << 10, 'v')}}));
}

TEST(IdlePolicy, zero_and_nothing_are_no_policy) {
  EXPECT_EQ(idle_policy_from_json(parse_json(R"({"suspend_after":0})").value()).value(), std::nullopt);
  EXPECT_EQ(idle_policy_from_json(parse_json("{}").value()).value(), std::nullopt);
}

TEST(WorkspaceSpec, bad_values_name_their_field) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"config":{"memory_mb":0}})", "/config/memory_mb"},
      {R"({"config":{"memory_mb":-5}})", "/config/memory_mb"},
      {R"({"config":{"memory_mb":1e300}})", "/config/memory_mb"},
      {R"({"config":{"cpus":"two"}})", "/config/cpus"},
      {R"({"config":{"cpus":1000}})", "/config/cpus"},
      {R"({"config":{"disk_size_mb":1}})", "/config/disk_size_mb"},
      {R"({"config":{"env":["nonsense"]}})", "/config/env"},
      {R"({"config":[]})", "/config"},
      {R"({"image":"../../etc"})", "/image"},
      {R"({"mode":"forever"})", "/mode"},
      {R"({"config":{"ttl":"soon"}})", "/config/ttl"},
      {R"({"config":{"ttl":0}})", "/config/ttl"},
      {R"({"slug":"Upper"})", "/slug"},
      {R"({"slug":"-a"})", "/slug"},
      {R"({"metadata":[]})", "/metadata"},
      {R"({"metadata":{"a":{}}})", "/metadata/a"},
      {R"({"config":{"ttl_action":"explode"}})", "/config/ttl_action"},
      {R"({"config":{"restart_policy":"sometimes"}})", "/config/restart_policy"},
      {R"({"config":{"max_restarts":100000}})", "/config/max_restarts"},
      {R"({"config":{"idle":{"suspend_after":60,"stop_after":30}}})", "/config/idle/stop_after"},
      {R"({"config":{"idle":{"suspend_after":0.5}}})", "/config/idle/suspend_after"},
      {R"({"config":{"idle":{"stop_after":"soon"}}})", "/config/idle"},
      {R"({"config":{"secrets":["A=b"]}})", "/config/secrets/0"},
      {R"({"config":{"remove_on_exit":"yes"}})", "/config/remove_on_exit"},
      {"[]", "/"},
  };
  for (const auto& [text, path] : cases) {
    const auto spec = spec_of(text);
    ASSERT_FALSE(spec) << text;
    EXPECT_EQ(spec.error().code, Code::InvalidArgument);
    EXPECT_NE(spec.error().message.find(path), std::string::npos) << text << ": " << spec.error().message;
  }
}

TEST(WorkspaceSpec, a_secret_in_a_bad_env_item_is_not_repeated) {
  const auto spec = spec_of(R"({"config":{"env":["hunter2hunter2"]}})");
  EXPECT_EQ(spec.error().message.find("hunter2"), std::string::npos);
}

TEST(Json, a_deeply_nested_body_is_refused) {
  EXPECT_FALSE(parse_json(std::string(100'000, '[')));
  const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
  EXPECT_TRUE(parse_json(nested(kMaxJsonDepth)));
  EXPECT_FALSE(parse_json(nested(kMaxJsonDepth + 1)));
}

TEST(Json, the_same_key_twice_is_refused) {
  for (const char* bad : {R"({"a":1,"a":2})", R"({"a":{"b":1,"b":1}})", R"([{"a":1,"\u0061":2}])"}) {
    const auto parsed = parse_json(bad);
    ASSERT_FALSE(parsed) << bad;
    EXPECT_EQ(parsed.error().code, Code::InvalidArgument);
  }
  EXPECT_TRUE(parse_json(R"({"a":":","b:":{"a":"\":\\"},"c":[{"a":1},{"a":1}]})"));
}

TEST(Json, numbers_out_of_range_and_words_for_them_are_refused) {
  for (const char* bad :
       {"1e999", "-1e999", R"({"a":[1e400]})", "NaN", "nan", "Infinity", "-Infinity", "+1", "01", ".5", "0x10", "1e"}) {
    EXPECT_FALSE(parse_json(bad)) << bad;
  }
  for (const char* good : {"1e308", "-0", "18446744073709551615", "1e-999", "123456789012345678901234567890"}) {
    EXPECT_TRUE(parse_json(good)) << good;
  }
}

TEST(Json, text_that_is_not_utf8_is_refused) {
  EXPECT_FALSE(parse_json("\"\xff\""));
  EXPECT_FALSE(parse_json("\"\xed\xa0\x80\""));
  EXPECT_FALSE(parse_json(R"("\ud800")"));
}

TEST(ExecSpec, a_string_runs_in_a_shell_and_bad_words_are_refused) {
  auto spec = exec_spec_from_json(parse_json(R"({"cmd":"echo hi","tty":true,"timeout_ms":0})").value()).value();
  EXPECT_EQ(spec.argv, (std::vector<std::string>{"/bin/sh", "-c", "echo hi"}));
  EXPECT_EQ(spec.timeout.count(), 0);
  for (const char* bad :
       {R"({})", R"({"cmd":[]})", R"({"cmd":[1]})", R"({"cmd":["a\u0000b"]})", R"({"cmd":"x","rows":0})"}) {
    EXPECT_FALSE(exec_spec_from_json(parse_json(bad).value())) << bad;
  }
}

TEST(ExitStatus, round_trips) {
  ExitStatus status;
  status.code = 137;
  status.signal = 9;
  status.oom_killed = true;
  const auto again = exit_status_from_json(boost::json::value(exit_status_to_json(status))).value();
  EXPECT_EQ(again.code, 137);
  EXPECT_EQ(again.signal, 9);
  EXPECT_TRUE(again.oom_killed);
}

TEST(State, names_round_trip_and_removed_is_final) {
  for (auto state : {State::creating, State::running, State::paused, State::suspended, State::stopping, State::stopped,
                     State::removing, State::failed}) {
    EXPECT_EQ(state_from_name(state_name(state)), state);
    EXPECT_FALSE(may_change(State::removing, state));
  }
  EXPECT_TRUE(may_change(State::stopped, State::creating));
  EXPECT_FALSE(may_change(State::stopped, State::running));
  EXPECT_TRUE(may_change(State::running, State::suspended));
  EXPECT_TRUE(may_change(State::suspended, State::running));
  EXPECT_FALSE(may_change(State::stopped, State::paused));
}

}  // namespace
}  // namespace cofferdam::model
