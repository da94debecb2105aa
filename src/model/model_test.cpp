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
  for (auto state :
       {State::creating, State::running, State::stopping, State::stopped, State::removing, State::failed}) {
    EXPECT_EQ(state_from_name(state_name(state)), state);
    EXPECT_FALSE(may_change(State::removing, state));
  }
  EXPECT_TRUE(may_change(State::stopped, State::creating));
  EXPECT_FALSE(may_change(State::stopped, State::running));
}

}  // namespace
}  // namespace cofferdam::model
