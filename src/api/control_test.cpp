// The control plane as its clients see it: who may do what, every family of calls, every shape of error.
#include "api/call.h"
#include "api/control_fixture.h"
#include "api/openapi.h"
#include "api/routes.h"

namespace cofferdam::api {
namespace {

// ---- who asks ----------------------------------------------------------------------------------------------------

TEST_F(ControlTest, tcp_without_credentials_is_told_how_to_bring_some) {
  const auto nobody = far("GET", "/workspace", {});
  expect_error(nobody, 401, "unauthorized");
  EXPECT_TRUE(nobody.headers.find("WWW-Authenticate")->starts_with("Bearer"));
  expect_error(far("GET", "/nothing/here", {}), 401, "unauthorized");
  expect_error(far("POST", "/workspace", {}, "{"), 401, "unauthorized");
}

TEST_F(ControlTest, the_administrators_id_and_secret_open_everything_over_tcp) {
  EXPECT_EQ(far("GET", "/workspace", administrator()).status, 200);
  EXPECT_EQ(far("GET", "/host", administrator()).status, 200);
  auto wrong = administrator();
  wrong.set("X-Client-Secret", "cof_key_wrong");
  expect_error(far("GET", "/workspace", wrong), 401, "unauthorized");
}

TEST_F(ControlTest, a_control_token_is_a_bearer_and_wins_over_an_id) {
  const auto token = mint(R"({"scope": "account"})");
  EXPECT_EQ(far("GET", "/workspace", bearer(token)).status, 200);
  EXPECT_EQ(far("GET", "/workspace", {{"Authorization", "bearer  " + token}}).status, 200);
  auto both = administrator();
  both.add("Authorization", "Bearer cof_ctl_nonsense");
  expect_error(far("GET", "/workspace", both), 401, "unauthorized");
  expect_error(far("GET", "/workspace", {{"Authorization", "Basic YTpi"}}), 401, "unauthorized");
  expect_error(far("GET", "/workspace", {{"Authorization", "Bearer " + token}, {"Authorization", "Bearer " + token}}),
               401, "unauthorized");
}

TEST_F(ControlTest, the_socket_needs_no_credentials_and_believes_those_it_gets) {
  EXPECT_EQ(ask("GET", "/workspace").status, 200);
  http::ClientRequest request;
  request.target = "/workspace";
  request.headers = bearer("cof_ctl_nonsense");
  EXPECT_EQ(run(send(std::move(request))).value().status, 401);
}

TEST_F(ControlTest, health_and_the_document_are_open_and_tell_no_version) {
  const auto health = far("GET", "/health", {});
  EXPECT_EQ(health.body(), json::parse(R"({"success": true, "status": "ok"})"));
  EXPECT_EQ(far("GET", "/openapi.json", {}).status, 200);
  EXPECT_EQ(far("GET", "/openapi.json", {}).text.find("1.2.3"), std::string::npos);
  expect_error(far("GET", "/health", bearer("cof_ctl_nonsense")), 401, "unauthorized");
}

TEST_F(ControlTest, a_runtime_token_opens_no_control_call) {
  const auto id = make();
  const auto token = text(ask("POST", "/workspace/box/runtime-api-access/enable").body().at("token"));
  EXPECT_TRUE(token.starts_with("cof_rt_"));
  const std::pair<const char*, std::string> calls[] = {
      {"GET", "/workspace"}, {"GET", "/workspace/" + id}, {"DELETE", "/workspace/" + id}, {"POST", "/tokens"}};
  for (const auto& [method, target] : calls) EXPECT_NE(far(method, target, bearer(token)).status / 100, 2) << target;
  EXPECT_EQ(ask("GET", "/workspace").body().at("total"), 1);
}

TEST_F(ControlTest, a_runtime_token_reaches_of_its_workspace_what_its_verbs_say) {
  make();
  const auto token = mint(R"({"kind": "runtime", "scope": "workspace", "workspaceId": "box", "verbs": ["files"]})");
  EXPECT_EQ(far("GET", "/files", bearer(token)).status, 200);
  expect_error(far("GET", "/runtimes/other/files/stat", bearer(token)), 404, "not_found");
  EXPECT_EQ(ask("GET", "/workspace/box/runtime/files").status, 200);
  expect_error(ask("GET", "/workspace/nobody/runtime/files"), 404, "not_found");
  const auto reader = mint(R"({"scope": "account", "verbs": ["read"]})");
  expect_error(far("GET", "/workspace/box/runtime/files", bearer(reader)), 403, "forbidden");
  expect_error(far("POST", "/exec", bearer(token)), 403, "forbidden");
  expect_error(far("GET", "/proxy/x", bearer(token)), 403, "forbidden");
  const auto wide = mint(R"({"kind": "runtime", "scope": "account"})");
  expect_error(far("GET", "/files", bearer(wide)), 403, "forbidden");
  expect_error(ask("POST", "/tokens", R"({"kind": "runtime", "scope": "account", "verbs": ["admin"]})"), 422,
               "validation_error");
}

TEST_F(ControlTest, a_token_in_the_query_counts_for_websockets_alone) {
  make();
  const auto token = mint(R"({"scope": "account"})");
  expect_error(far("GET", "/workspace?token=" + token, {}), 401, "unauthorized");
  auto socket = run(far_client_->websocket("/workspace/box/exec/ws?token=" + token, {}));
  ASSERT_TRUE(socket) << socket.error().message;
  EXPECT_TRUE(run((*socket)->write(WebSocket::Kind::text, R"({"cmd": ["echo", "hi"]})")));
  EXPECT_EQ(finish(**socket).out, "hi\n");
  EXPECT_FALSE(run(far_client_->websocket("/workspace/box/exec/ws?token=cof_ctl_x", {})));
}

TEST_F(ControlTest, guessing_is_slowed_down_with_the_time_to_wait) {
  Answer last;
  for (int i = 0; i < 12; ++i) last = far("GET", "/workspace", bearer("cof_ctl_guess"));
  expect_error(last, 429, "rate_limited");
  ASSERT_NE(last.headers.find("Retry-After"), nullptr);
  EXPECT_GE(std::stoi(*last.headers.find("Retry-After")), 1);
  expect_error(far("GET", "/workspace", administrator()), 429, "rate_limited");
  EXPECT_EQ(ask("GET", "/workspace").status, 200);
}

TEST_F(ControlTest, every_answer_carries_the_headers_of_caution) {
  for (const auto& answer : {ask("GET", "/workspace"), ask("GET", "/workspace/nobody"), far("GET", "/workspace", {})}) {
    EXPECT_EQ(*answer.headers.find("X-Content-Type-Options"), "nosniff");
    EXPECT_EQ(*answer.headers.find("Cache-Control"), "no-store");
    EXPECT_NE(answer.headers.find("Content-Security-Policy"), nullptr);
    EXPECT_EQ(answer.headers.find("Access-Control-Allow-Origin"), nullptr);
  }
}

// ---- what they may -----------------------------------------------------------------------------------------------

TEST_F(ControlTest, a_foreign_workspace_is_answered_in_the_words_of_a_missing_one) {
  const auto mine = make_space("mine");
  make_space("theirs");
  const auto own = make_in("mine", "own");
  const auto foreign = make_in("theirs", "foreign");
  const auto token = mint(R"({"scope": "namespace", "namespace": "mine"})");
  EXPECT_EQ(far("GET", "/workspace/" + own, bearer(token)).status, 200);
  for (const std::string rest : {"", "/lifecycle", "/stats", "/logs", "/runtime-api-access"}) {
    const auto there = far("GET", "/workspace/foreign" + rest, bearer(token));
    const auto missing = far("GET", "/workspace/nobody" + rest, bearer(token));
    expect_error(there, 404, "not_found");
    auto words = text(there.body().at("message"));
    EXPECT_EQ(words.replace(words.find("foreign"), 7, "nobody"), text(missing.body().at("message")));
    EXPECT_EQ(there.body().at("hint"), missing.body().at("hint"));
  }
  expect_error(far("DELETE", "/workspace/" + foreign, bearer(token)), 404, "not_found");
  const auto listed = far("GET", "/workspace", bearer(token)).body();
  EXPECT_EQ(listed.at("total"), 1);
  EXPECT_EQ(text(listed.at("workspaces").at(0).at("namespace")), "mine");
  EXPECT_EQ(far("GET", "/namespaces", bearer(token)).body().at("data").as_array().size(), 1U);
  expect_error(far("GET", "/namespaces/theirs", bearer(token)), 404, "not_found");
  expect_error(far("POST", "/workspace", bearer(token), R"({"name": "x", "namespace": "theirs"})"), 404, "not_found");
  const auto made = far("POST", "/workspace", bearer(token), R"({"name": "x"})");
  EXPECT_EQ(text(made.body().at("workspace").at("namespace_id")), mine);
}

TEST_F(ControlTest, a_verb_that_is_lacking_is_named) {
  make();
  const auto token = mint(R"({"scope": "account", "verbs": ["read"]})");
  EXPECT_EQ(far("GET", "/workspace/box", bearer(token)).status, 200);
  const auto refused = far("DELETE", "/workspace/box", bearer(token));
  expect_error(refused, 403, "forbidden");
  EXPECT_NE(text(refused.body().at("message")).find("'lifecycle'"), std::string::npos);
  expect_error(far("POST", "/workspace", bearer(token), R"({"name": "b"})"), 403, "forbidden");
  expect_error(far("POST", "/tokens", bearer(token), R"({"scope": "account"})"), 403, "forbidden");
  expect_error(far("PUT", "/secrets/A", bearer(token), R"({"value": "b"})"), 403, "forbidden");
  expect_error(far("POST", "/shutdown", bearer(token)), 403, "forbidden");
  EXPECT_EQ(ask("GET", "/workspace").body().at("total"), 1);
}

TEST_F(ControlTest, who_may_run_commands_may_not_therefore_destroy) {
  make();
  const auto token = mint(R"({"scope": "account", "verbs": ["exec"]})");
  EXPECT_FALSE(run(far_client_->websocket("/workspace/box/exec/ws?destroy_after=1&token=" + token, {})));
  EXPECT_TRUE(run(far_client_->websocket("/workspace/box/exec/ws?token=" + token, {})));
  pause();
  EXPECT_TRUE(record_.removed.empty());
}

TEST_F(ControlTest, a_token_of_one_namespace_has_nothing_of_the_host) {
  make_space("mine");
  const auto token = mint(R"({"scope": "namespace", "namespace": "mine"})");
  for (const std::string target : {"/host", "/credits/namespaces"}) {
    expect_error(far("GET", target, bearer(token)), 403, "forbidden");
  }
  expect_error(far("POST", "/namespaces", bearer(token), R"({"name": "more"})"), 403, "forbidden");
}

TEST_F(ControlTest, a_revoked_token_ends_its_open_streams_and_sockets) {
  make();
  const auto minted = ask("POST", "/tokens", R"({"scope": "account"})").body();
  const auto token = text(minted.at("token"));
  http::ClientRequest request;
  request.target = "/workspace/box/stats/stream";
  request.headers = bearer(token);
  auto stream = run(far_client_->request(std::move(request)));
  ASSERT_TRUE(stream) << stream.error().message;
  EXPECT_EQ((*stream)->status, 200);
  const auto first = run((*stream)->next()).value();
  EXPECT_TRUE(first.starts_with("data: {")) << first;
  auto socket = run(far_client_->websocket("/workspace/box/exec/ws?token=" + token, {}));
  ASSERT_TRUE(socket);
  EXPECT_TRUE(run((*socket)->write(WebSocket::Kind::text, R"({"cmd": ["hang"]})")));
  pause();
  EXPECT_EQ(record_.processes_alive, 1);
  EXPECT_EQ(ask("DELETE", "/tokens/" + text(minted.at("id"))).status, 200);
  // The stream is cut, not ended as if it were whole.
  EXPECT_FALSE(run((*stream)->read_all(1U << 20)));
  pause();
  EXPECT_EQ(record_.processes_alive, 0);
  EXPECT_FALSE(run((*socket)->read()).value_or(std::nullopt));
  expect_error(far("GET", "/workspace", bearer(token)), 401, "unauthorized");
}

// ---- workspaces --------------------------------------------------------------------------------------------------

TEST_F(ControlTest, a_create_takes_top_level_and_config_and_answers_the_whole_shape) {
  const auto made = ask("POST", "/workspace", R"({
    "name": "app", "slug": "my-app", "logo": "rocket", "wait_ready": false, "unknown": {"x": 1}, "cpus": 2,
    "metadata": {"team": "a"}, "config": {"cpus": 1, "memory_mb": 1024, "ttl": "30m", "ttl_action": "remove",
    "remove_on_exit": true, "env": ["A=1", {"key": "B", "value": "2"}], "writable_size_mb": 2048, "ssh_access": false,
    "wait_for_init": true, "desktop": {"enabled": false}, "kernel_id": null, "allow_internet": true}})");
  ASSERT_EQ(made.status, 201) << made.text;
  const auto body = made.body();
  const auto& workspace = body.at("workspace");
  EXPECT_TRUE(workspace.at("ready").as_bool());
  EXPECT_TRUE(workspace.at("provisioning").is_null());
  EXPECT_EQ(text(workspace.at("info").at("status")), "running");
  EXPECT_EQ(text(workspace.at("slug")), "my-app");
  EXPECT_EQ(text(workspace.at("namespace")), "default");
  EXPECT_EQ(workspace.at("resources"), json::parse(R"({"cpus": 2.0, "memory_mb": 1024, "disk_size_mb": 2048})"));
  EXPECT_EQ(workspace.at("config").at("env_names"), json::parse(R"(["A", "B"])"));
  EXPECT_TRUE(workspace.at("lifecycle").at("remove_on_exit").as_bool());
  EXPECT_GE(body.at("timings_us").at("create").as_int64(), 0);
  EXPECT_EQ(body.at("warnings").as_array().size(), 1U);
  EXPECT_EQ(ask("GET", "/workspace/my-app").body().at("workspace").at("id"), workspace.at("id"));
  EXPECT_EQ(made.text.find("\"2\""), std::string::npos) << "the value of a variable is told";
}

TEST_F(ControlTest, wrong_types_are_refused_with_the_pointer_of_the_field) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"({"name": 1})", "/name"},
      {R"({"config": []})", "/config"},
      {R"({"config": {"cpus": "many"}})", "/config/cpus"},
      {R"({"config": {"ttl": true}})", "/config/ttl"},
      {R"({"config": {"ttl_action": "explode"}})", "/config/ttl_action"},
      {R"({"config": {"idle": 3}})", "/config/idle"},
      {R"({"config": {"workloads": {}}})", "/config/workloads"},
      {R"({"config": {"workloads": [{"name": "x"}]}})", "/config/workloads/0"},
      {R"({"config": {"secrets": ["not a name"]}})", "/config/secrets/0"},
      {R"({"metadata": {"a": []}})", "/metadata/a"},
      {R"({"slug": "No Slug"})", "/slug"},
      {R"({"idempotency_key": 5})", "/idempotency_key"},
      {R"({"config": {"static_network": true}})", "/config/static_network"},
      {R"({"config": {"ssh_access": true}})", "/config/ssh_access"},
      {R"({"config": {"desktop": {"enabled": true}}})", "/config/desktop"},
      {R"({"config": {"macos": {"version": "15"}}})", "/config/macos"},
      {R"({"config": {"enable_kvm": true}})", "/config/enable_kvm"},
      {R"({"config": {"kernel_id": "k"}})", "/config/kernel_id"},
      {R"({"config": {"proxy_assignment_id": "p"}})", "/config/proxy_assignment_id"},
      {R"({"config": {"root_disk_id": "d"}})", "/config/root_disk_id"},
      {R"({"preset": "large"})", "/preset"},
      {R"({"type": "browser"})", "/type"},
      {R"({"wait_ready": "no"})", "/wait_ready"},
      {R"({"config": {"wait_for_init": 1}})", "/config/wait_for_init"},
      {R"({"config": {"keep_logs": "yes"}})", "/config/keep_logs"},
      {R"({"config": {"ready_check": {}}})", "/config/ready_check/command"},
      {R"({"config": {"ready_check": {"command": ["a"], "timeout_seconds": 0}}})", "/timeout_seconds"},
      {R"({"config": {"ready_check": {"command": ["a"], "target": "other"}}})", "/config/ready_check/target"},
      {R"({"config": {"workloads": [{"cmd": ["a"], "vm_on_exit": "burn"}]}})", "/config/workloads/0/vm_on_exit"},
      {R"({"config": {"workloads": [{"cmd": ["a"], "log_path": "/x"}]}})", "/config/workloads/0/log_path"},
      {R"({"config": {"workloads": [{"cmd": ["a"], "target": "other"}]}})", "/config/workloads/0/target"}};
  for (const auto& [body, pointer] : wrong) {
    const auto refused = ask("POST", "/workspace", body);
    expect_error(refused, 422, "validation_error");
    EXPECT_NE(text(refused.body().at("message")).find(pointer), std::string::npos) << body << refused.text;
  }
  EXPECT_EQ(ask("GET", "/workspace").body().at("total"), 0);
}

TEST_F(ControlTest, the_same_idempotency_key_makes_one_workspace) {
  const std::string body = R"({"name": "once", "idempotency_key": "k1"})";
  const auto first = ask("POST", "/workspace", body).body().at("workspace").at("id");
  EXPECT_EQ(ask("POST", "/workspace", body).body().at("workspace").at("id"), first);
  EXPECT_EQ(ask("GET", "/workspace").body().at("total"), 1);
}

TEST_F(ControlTest, a_repeated_create_that_fails_removes_nothing_that_was_there_before) {
  const auto made = ask("POST", "/workspace", R"({"name": "once", "idempotency_key": "k1"})");
  const auto id = made.body().at("workspace").at("id");
  const std::string more = R"("config": {"egress": ["127.1"]})";
  const auto again = ask("POST", "/workspace", R"({"name": "once", "idempotency_key": "k1", )" + more + "}");
  EXPECT_GE(again.status, 400) << again.text;
  EXPECT_EQ(ask("GET", "/workspace/once").body().at("workspace").at("id"), id);
  EXPECT_GE(ask("POST", "/workspace", R"({"name": "other", "idempotency_key": "k2", )" + more + "}").status, 400);
  EXPECT_EQ(ask("GET", "/workspace/other").status, 404);  // what this create has made goes with it
}

TEST_F(ControlTest, lists_have_pages_and_filters) {
  make_space("team");
  for (const std::string name : {"a", "b", "c"}) make_in("team", name);
  make();
  const auto second = ask("GET", "/workspace?page=2&limit=3").body();
  EXPECT_EQ(second.at("total"), 4);
  EXPECT_EQ(second.at("page"), 2);
  EXPECT_EQ(second.at("limit"), 3);
  EXPECT_EQ(second.at("workspaces").as_array().size(), 1U);
  EXPECT_EQ(ask("GET", "/workspace?namespace=team").body().at("total"), 3);
  EXPECT_EQ(ask("GET", "/workspace?namespace=none").body().at("total"), 0);
  EXPECT_EQ(ask("GET", "/workspace?mode=permanent").body().at("total"), 0);
  EXPECT_EQ(ask("GET", "/workspace?status=running").body().at("total"), 4);
  expect_error(ask("GET", "/workspace?page=0"), 422, "validation_error");
  expect_error(ask("GET", "/workspace?mode=odd"), 422, "validation_error");
}

TEST_F(ControlTest, power_calls_answer_the_workspace) {
  make();
  const auto status = [&](const std::string& call) {
    return text(ask("POST", "/workspace/box/" + call).body().at("workspace").at("status"));
  };
  EXPECT_EQ(status("pause"), "paused");
  EXPECT_EQ(status("resume"), "running");
  EXPECT_EQ(status("restart"), "running");
  EXPECT_EQ(status("stop"), "stopped");
  EXPECT_EQ(status("provisioning/retry"), "running");
  EXPECT_EQ(status("ping"), "running");
  EXPECT_EQ(ask("POST", "/workspace/box/start", R"({"force": true})").status, 200);
  EXPECT_EQ(ask("POST", "/workspace/box/ping", R"({"ttl_seconds": 120})").status, 200);
  expect_error(ask("POST", "/workspace/box/ping", R"({"ttl_seconds": 0})"), 422, "validation_error");
}

TEST_F(ControlTest, a_workspace_is_changed_and_its_slug_taken_away) {
  make();
  const auto changed = ask("PUT", "/workspace/box", R"({"name": "crate", "slug": "c", "config": {"memory_mb": 256}})");
  EXPECT_EQ(text(changed.body().at("workspace").at("name")), "crate");
  EXPECT_EQ(changed.body().at("workspace").at("pending_resources").at("memory_mb"), 256);
  EXPECT_TRUE(ask("PUT", "/workspace/c", R"({"slug": null})").body().at("workspace").at("slug").is_null());
  expect_error(ask("PUT", "/workspace/crate", R"({"config": {"env": ["A=1"]}})"), 501, "not_supported");
}

TEST_F(ControlTest, the_same_answer_is_given_again_until_the_workspace_changes) {
  make();
  const auto first = ask("GET", "/workspace/box").text;
  EXPECT_EQ(ask("GET", "/workspace/box").text, first);
  ASSERT_EQ(ask("POST", "/workspace/box/suspend").status, 200);
  const auto asleep = ask("GET", "/workspace/box").body().at("workspace");
  EXPECT_EQ(text(asleep.at("status")), "suspended");
  EXPECT_FALSE(asleep.at("ready").as_bool());
  ASSERT_EQ(ask("POST", "/workspace/box/start").status, 200);
  ASSERT_EQ(ask("PUT", "/workspace/box", R"({"name": "crate"})").status, 200);
  const auto crate = ask("GET", "/workspace/crate").body().at("workspace");
  EXPECT_EQ(text(crate.at("name")), "crate");
  EXPECT_EQ(text(crate.at("status")), "running");
  ASSERT_EQ(ask("DELETE", "/workspace/crate").status, 200);
  expect_error(ask("GET", "/workspace/crate"), 404, "not_found");
}

TEST_F(ControlTest, lifecycle_resources_and_metadata) {
  make();
  const auto lifecycle = ask("GET", "/workspace/box/lifecycle").body();
  EXPECT_EQ(text(lifecycle.at("mode")), "temporary");
  EXPECT_EQ(lifecycle.at("ttl"), 3600.0);
  EXPECT_TRUE(lifecycle.at("idle").is_null());
  EXPECT_TRUE(lifecycle.at("snapshot_supported").as_bool());
  const std::string base = "/workspace/box/lifecycle/";
  EXPECT_EQ(text(ask("POST", base + "permanent", R"({"restart_policy": "always"})").body().at("mode")), "permanent");
  EXPECT_EQ(text(ask("GET", "/workspace/box/lifecycle").body().at("restart_policy")), "always");
  EXPECT_EQ(text(ask("POST", base + "temporary", "{}").body().at("mode")), "temporary");
  EXPECT_EQ(ask("PUT", base + "idle", R"({"suspend_after": 60})").body().at("idle").at("suspend_after"), 60.0);
  EXPECT_TRUE(ask("PUT", base + "idle", R"({"suspend_after": 0})").body().at("idle").is_null());
  expect_error(ask("PUT", base + "idle", R"({"suspend_after": "later"})"), 422, "validation_error");

  const auto resources = ask("GET", "/workspace/box/resources").body();
  EXPECT_EQ(resources.at("resources").at("memory_mb"), 512);
  EXPECT_EQ(resources.at("memory_mb"), 512);
  const auto resized = ask("PATCH", "/workspace/box/resources", R"({"memory_mb": 1024, "apply": true})").body();
  EXPECT_TRUE(resized.at("relaunched").as_bool());
  EXPECT_EQ(resized.at("updated"), json::parse(R"({"memory_mb": 1024})"));
  expect_error(ask("PUT", "/workspace/box/resources", "{}"), 422, "validation_error");

  EXPECT_EQ(ask("PUT", "/workspace/box/metadata", R"({"metadata": {"a": "1"}})").body().at("a"), "1");
  const auto merged = ask("PATCH", "/workspace/box/metadata", R"({"metadata": {"b": "2"}})").body();
  EXPECT_EQ(merged.at("metadata"), json::parse(R"({"a": "1", "b": "2"})"));
  expect_error(ask("PUT", "/workspace/box/metadata", "{}"), 422, "validation_error");
}

TEST_F(ControlTest, figures_have_both_spellings_and_streams_end_with_their_reader) {
  make();
  const auto stats = ask("GET", "/workspace/box/stats").body();
  EXPECT_EQ(stats.at("stats").at("guestMemoryTotal"), 512 * model::kMiB);
  EXPECT_TRUE(stats.at("cpu_usage").is_number());
  EXPECT_EQ(stats.at("network"), json::parse(R"({"rx": 0, "tx": 0})"));
  http::ClientRequest request;
  request.target = "/workspace/box/stats/stream";
  {
    auto stream = run(client_->request(std::move(request))).value();
    EXPECT_EQ(*stream->headers.find("Content-Type"), "text/event-stream");
    const auto event = run(stream->next()).value();
    ASSERT_TRUE(event.starts_with("data: ") && event.ends_with("\n\n")) << event;
    EXPECT_TRUE(json::parse(std::string_view(event).substr(6)).at("stats").at("cpuUsage").is_number());
  }
  pause();
  EXPECT_EQ(text(ask("GET", "/workspace/box/info").body().at("status")), "running");
  EXPECT_EQ(ask("GET", "/workspace/box/config").body().at("config").at("memory_mb"), 512);
  EXPECT_EQ(ask("GET", "/workspace/box/usage").body().at("total_cpu_time_ns"), 0) << "nothing was measured yet";
}

TEST_F(ControlTest, logs_are_lines_files_and_streams) {
  make();
  const auto logs = ask("GET", "/workspace/box/logs?source=cmd&tail_lines=5").body();
  EXPECT_EQ(text(logs.at("logs").at(0).at("message")), "output");
  expect_error(ask("GET", "/workspace/box/logs?source=kernel"), 422, "validation_error");
  EXPECT_EQ(text(ask("GET", "/workspace/box/logs/list").body().at("files").at(1).at("name")), "cmd.log");
  const auto file = ask("GET", "/workspace/box/logs/file/boot.log").body();
  EXPECT_NE(text(file.at("content")).find("] created\n"), std::string::npos);
  expect_error(ask("GET", "/workspace/box/logs/file/passwd"), 404, "not_found");
  const auto stream = ask("GET", "/workspace/box/logs/stream/boot?tail_lines=1").text;
  EXPECT_NE(stream.find("\"message\":\"created\""), std::string::npos) << stream;
  EXPECT_NE(stream.find("\"line\":\"a line\""), std::string::npos) << stream;
  EXPECT_EQ(ask("DELETE", "/workspace/box/logs").status, 200);
}

TEST_F(ControlTest, the_network_is_closed_until_something_is_listed) {
  make();
  const auto network = ask("GET", "/workspace/box/network").body();
  EXPECT_FALSE(network.at("allow_internet").as_bool());
  EXPECT_TRUE(network.at("ingress_ports").as_array().empty());
  const std::string nothing = R"({"allow_internet": false, "egress": [], "outbound_mode": "managed"})";
  EXPECT_EQ(ask("PATCH", "/workspace/box/network", nothing).status, 200);
  const auto opened = ask("PATCH", "/workspace/box/network", R"({"egress": ["example.com"], "egress_ports": [443]})");
  ASSERT_EQ(opened.status, 200) << opened.text;
  EXPECT_EQ(opened.body().at("egress"), json::parse(R"(["example.com"])"));
  EXPECT_EQ(opened.body().at("egress_ports"), json::parse("[443]"));
  // What is not named stays; "no internet" means none.
  EXPECT_EQ(ask("PATCH", "/workspace/box/network", "{}").body().at("egress").as_array().size(), 1U);
  EXPECT_TRUE(
      ask("PUT", "/workspace/box/network", R"({"allow_internet": false})").body().at("egress").as_array().empty());
  expect_error(ask("PATCH", "/workspace/box/network", R"({"egress": ["127.1"]})"), 422, "validation_error");
  expect_error(ask("PATCH", "/workspace/box/network", R"({"outbound_mode": "custom"})"), 422, "validation_error");
}

TEST_F(ControlTest, snapshots_forks_and_holds) {
  make();
  expect_error(ask("POST", "/workspace/box/restore"), 404, "not_found");
  expect_error(ask("POST", "/workspace/box/snapshot", R"({"after": "explode"})"), 422, "validation_error");
  const auto taken = ask("POST", "/workspace/box/snapshot", R"({"after": "paused"})").body();
  EXPECT_EQ(text(taken.at("id")), "snap_1");
  EXPECT_EQ(text(taken.at("status")), "paused");
  EXPECT_EQ(taken.at("pause_ms"), 12.5);
  EXPECT_TRUE(taken.at("encrypted").as_bool());
  EXPECT_EQ(ask("GET", "/workspace/box/snapshots").body().at("snapshots").as_array().size(), 1U);
  EXPECT_EQ(text(ask("GET", "/workspace/box/snapshots/snap_1").body().at("id")), "snap_1");
  expect_error(ask("GET", "/workspace/box/snapshots/snap_2"), 404, "not_found");
  EXPECT_EQ(ask("POST", "/workspace/box/restore").status, 200);
  EXPECT_EQ(ask("POST", "/workspace/box/snapshots/snap_1/restore").status, 200);
  const auto forked = ask("POST", "/workspace/box/snapshots/snap_1/fork", R"({"count": 2, "name": "child"})").body();
  ASSERT_EQ(forked.at("workspaces").as_array().size(), 2U);
  EXPECT_EQ(text(forked.at("workspaces").at(1).at("name")), "child-2");
  expect_error(ask("POST", "/workspace/box/fork", R"({"count": 65})"), 422, "validation_error");
  EXPECT_EQ(ask("DELETE", "/workspace/box/snapshots/snap_1").status, 200);
  const auto held = ask("POST", "/workspace/box/hold", R"({"reason": "case 7"})").body();
  EXPECT_EQ(text(held.at("workspace").at("hold").at("reason")), "case 7");
  EXPECT_TRUE(ask("DELETE", "/workspace/box/hold").body().at("workspace").at("hold").is_null());
  EXPECT_EQ(text(held.at("workspace").at("encryption").at("cipher")), "aes-256-xts");
}

TEST_F(ControlTest, archives_are_kept_listed_read_and_removed) {
  make();
  expect_error(ask("POST", "/workspace/box/archives", R"({"format": "zip"})"), 422, "validation_error");
  expect_error(ask("POST", "/workspace/box/archives", R"({"vm_paths": ["../x"]})"), 422, "validation_error");
  expect_error(ask("GET", "/workspace/box/archives/1"), 404, "not_found");
  const auto made = ask("POST", "/workspace/box/archives", R"({"vm_paths": ["/"], "version": 7})").body();
  EXPECT_EQ(text(made.at("version")), "7");
  EXPECT_EQ(text(made.at("format")), "tar.zst");
  EXPECT_GT(made.at("size_bytes").as_int64(), 0);
  expect_error(ask("POST", "/workspace/box/archives", R"({"version": "7"})"), 409, "conflict");
  EXPECT_EQ(ask("GET", "/workspace/box/archives").body().at("archives").as_array().size(), 1U);
  EXPECT_EQ(text(ask("GET", "/workspace/box/archives/7").body().at("version")), "7");
  const auto bytes = ask("GET", "/workspace/box/archives/7/download");
  EXPECT_EQ(bytes.status, 200);
  EXPECT_TRUE(bytes.text.starts_with("\x28\xb5\x2f\xfd"));
  EXPECT_EQ(ask("POST", "/workspace/box/archives/7/restore", R"({"dest": "/back"})").status, 200);
  EXPECT_EQ(ask("POST", "/workspace/box/archives/7/workspace", R"({"image": "debian-12"})").status, 201);
  EXPECT_EQ(ask("DELETE", "/workspace/box/archives/7").status, 200);
  EXPECT_TRUE(ask("GET", "/workspace/box/archives").body().at("archives").as_array().empty());
}

TEST_F(ControlTest, what_this_host_has_not_is_said_with_501) {
  make();
  for (const std::string target : {"/workspace/box/ssh", "/workspace/box/domain", "/workspace/box/desktop/installation",
                                   "/billing/plans", "/cdn/files", "/notifications/devices"}) {
    expect_error(ask("GET", target), 501, "not_supported");
  }
  expect_error(ask("GET", "/workspace/nobody/archives"), 404, "not_found");
}

TEST_F(ControlTest, the_accounts_figures_are_simple_truths) {
  make();
  const auto quota = ask("GET", "/workspace/quota").body();
  EXPECT_EQ(quota.at("currentWorkspaces"), 1);
  EXPECT_TRUE(quota.at("canCreate").as_bool());
  EXPECT_EQ(quota.at("running_pool_usage").at("memory_mb"), 512);
  EXPECT_EQ(ask("GET", "/workspace/estimate?cpu=1").body().at("estimate").at("max"), 730.0);
  const auto activity = ask("GET", "/workspace/activity").body().at("activity");
  EXPECT_EQ(text(activity.at(0).at("event")), "vm.created");
}

TEST_F(ControlTest, runtime_tokens_are_told_again_rotated_and_ended) {
  make();
  for (const std::string base : {"/workspace/box/runtime-api-access", "/workspace/box/internal-api-access"}) {
    EXPECT_FALSE(ask("GET", base).body().at("enabled").as_bool());
    const auto enabled = ask("POST", base + "/enable").body();
    EXPECT_TRUE(enabled.at("enabled").as_bool());
    EXPECT_TRUE(ask("GET", base).body().at("enabled").as_bool());
    EXPECT_EQ(ask("GET", base + "/token").body().at("token"), enabled.at("token"));
    const auto rotated = ask("POST", base + "/token").body();
    EXPECT_NE(rotated.at("token"), enabled.at("token"));
    EXPECT_EQ(ask("POST", base + "/disable").body().at("revoked"), 1);
    EXPECT_FALSE(ask("GET", base).body().at("enabled").as_bool());
    expect_error(ask("GET", base + "/token/raw"), 501, "not_supported");
  }
  const auto over_tcp = far("POST", "/workspace/box/runtime-api-access/enable", administrator()).body();
  EXPECT_EQ(text(over_tcp.at("runtime_url")), "http://" + address_.text());
  // Who has less does not get what somebody with more was told.
  const auto token = mint(R"({"scope": "account", "verbs": ["read", "tokens"]})");
  const auto less = far("POST", "/workspace/box/runtime-api-access/enable", bearer(token)).body();
  EXPECT_NE(less.at("token"), over_tcp.at("token"));
}

TEST_F(ControlTest, tokens_of_a_removed_workspace_end) {
  make();
  const auto token = text(ask("POST", "/workspace/box/runtime-api-access/enable").body().at("token"));
  const auto source = Address::parse("127.0.0.1").value();
  EXPECT_TRUE(identity_->tokens().check(token, identity::TokenKind::runtime, source));
  ask("DELETE", "/workspace/box");
  pause();
  EXPECT_FALSE(identity_->tokens().check(token, identity::TokenKind::runtime, source));
}

// ---- namespaces, tokens, secrets, webhooks -----------------------------------------------------------------------

TEST_F(ControlTest, namespaces_are_made_found_changed_suspended_and_removed) {
  const auto made = ask("POST", "/namespaces", R"({"name": "Team A", "type": "staging", "tags": ["x"],
    "resource_limits": {"max_workspaces": 1}})");
  ASSERT_EQ(made.status, 201) << made.text;
  const auto data = made.body().at("data");
  EXPECT_EQ(text(data.at("slug")), "team-a");
  EXPECT_EQ(data.at("resource_limits").at("max_workspaces"), 1);
  EXPECT_FALSE(text(data.at("client_id")).empty());
  EXPECT_FALSE(ask("POST", "/namespaces/ensure", R"({"name": "Team A"})").body().at("created").as_bool());
  EXPECT_EQ(ask("GET", "/namespaces/team-a").body().at("data").at("id"), data.at("id"));
  const auto page = ask("GET", "/namespaces?limit=1&sortBy=name&sortOrder=ASC").body();
  EXPECT_EQ(page.at("pagination").at("total"), 2);
  EXPECT_EQ(page.at("data").as_array().size(), 1U);
  const auto changed = ask("PUT", "/namespaces/team-a", R"({"description": "d", "resource_limits": {"max_vcpus": 4}})");
  EXPECT_EQ(changed.body().at("data").at("resource_limits").at("max_workspaces"), 1);

  make_in("team-a", "one");
  expect_error(ask("DELETE", "/namespaces/team-a"), 409, "conflict");
  EXPECT_EQ(ask("GET", "/namespaces/team-a/usage").body().at("usage").at("workspaces"), 1);
  EXPECT_EQ(text(ask("POST", "/namespaces/team-a/suspend").body().at("data").at("status")), "suspended");
  expect_error(ask("POST", "/workspace", R"({"namespace": "team-a"})"), 403, "namespace_suspended");
  EXPECT_EQ(ask("POST", "/workspace/one/start").status, 200);  // it runs, and may run on
  EXPECT_EQ(ask("POST", "/workspace/one/suspend").status, 200);
  for (const auto* wake : {"start", "restart", "resume"}) {
    expect_error(ask("POST", std::string("/workspace/one/") + wake), 403, "namespace_suspended");
  }
  expect_error(ask("GET", "/workspace/one/runtime/files"), 403, "namespace_suspended");
  expect_error(ask("POST", "/workspace/one/fork"), 403, "namespace_suspended");
  EXPECT_EQ(text(ask("GET", "/workspace/one").body().at("workspace").at("status")), "suspended");
  EXPECT_EQ(text(ask("POST", "/namespaces/team-a/activate").body().at("data").at("status")), "active");
  // Its limits were lowered: what sleeps counts, and does not wake before they are met.
  EXPECT_EQ(ask("PUT", "/namespaces/team-a", R"({"resource_limits": {"max_ram_mb": 1}})").status, 200);
  expect_error(ask("POST", "/workspace/one/start"), 409, "NAMESPACE_LIMIT_REACHED");
  expect_error(ask("GET", "/workspace/one/runtime/files"), 409, "NAMESPACE_LIMIT_REACHED");
  EXPECT_EQ(ask("PUT", "/namespaces/team-a", R"({"resource_limits": {"max_ram_mb": null}})").status, 200);
  EXPECT_EQ(ask("GET", "/workspace/one/runtime/files").status, 200);
  EXPECT_EQ(ask("POST", "/namespaces/team-a/stop-workspaces").body().at("stopped"), 1);
  const auto activity = ask("GET", "/namespaces/team-a/activity").body().at("data");
  EXPECT_GE(activity.as_array().size(), 4U);
  EXPECT_EQ(ask("DELETE", "/namespaces/team-a", R"({"deleteWorkspaces": true})").body().at("deletedWorkspaces"), 1);
  expect_error(ask("GET", "/namespaces/team-a"), 404, "not_found");
  expect_error(ask("DELETE", "/namespaces/default"), 409, "failed_precondition");
}

TEST_F(ControlTest, where_nobody_set_a_quota_there_is_none) {
  EXPECT_EQ(ask("GET", "/credits/namespaces").body().at("data").at(0).at("quotas").as_array().size(), 0U);
  EXPECT_EQ(ask("GET", "/credits/namespaces/default").status, 200);
  EXPECT_TRUE(ask("GET", "/credits/defaults?level=namespace&service=sandbox").body().at("data").is_null());
  expect_error(ask("POST", "/credits/namespace-quota", "{}"), 422, "validation_error");
  expect_error(ask("DELETE", "/credits/defaults", R"({"level": "namespace"})"), 422, "validation_error");
}

TEST_F(ControlTest, tokens_are_minted_listed_rotated_and_revoked) {
  make();
  const auto minted = ask("POST", "/tokens", R"({"scope": "workspace", "workspaceId": "box", "label": "ci"})");
  ASSERT_EQ(minted.status, 201) << minted.text;
  const auto body = minted.body();
  EXPECT_TRUE(text(body.at("token")).starts_with("cof_ctl_"));
  EXPECT_EQ(text(body.at("scope")), "workspace");
  EXPECT_EQ(body.at("ttl"), 900);
  EXPECT_FALSE(text(body.at("expiresAt")).empty());
  EXPECT_EQ(body.at("workspaces"), (json::array{fake_id(1)}));
  const auto id = text(body.at("id"));
  const auto listed = ask("GET", "/tokens");
  EXPECT_EQ(listed.body().at("total"), 1);
  EXPECT_EQ(listed.text.find("cof_ctl_"), std::string::npos);
  EXPECT_EQ(text(ask("GET", "/tokens/" + id).body().at("label")), "ci");
  const auto rotated = ask("POST", "/tokens/" + id + "/rotate").body();
  EXPECT_NE(rotated.at("token"), body.at("token"));
  expect_error(far("GET", "/workspace/box", bearer(text(body.at("token")))), 401, "unauthorized");
  EXPECT_EQ(far("GET", "/workspace/box", bearer(text(rotated.at("token")))).status, 200);
  EXPECT_EQ(ask("DELETE", "/tokens/" + id).body().at("revoked"), 1);
  expect_error(ask("GET", "/tokens/" + id), 404, "not_found");

  expect_error(ask("POST", "/tokens", "{}"), 422, "validation_error");
  expect_error(ask("POST", "/tokens", R"({"scope": "galaxy"})"), 422, "validation_error");
  expect_error(ask("POST", "/tokens", R"({"scope": "workspace"})"), 422, "validation_error");
  expect_error(ask("POST", "/tokens", R"({"scope": "workspace", "workspaceId": "nobody"})"), 404, "not_found");
  expect_error(ask("POST", "/tokens", R"({"scope": "account", "verbs": ["fly"]})"), 422, "validation_error");
  expect_error(ask("POST", "/tokens", R"({"scope": "account", "ttl": 0})"), 422, "validation_error");
}

TEST_F(ControlTest, nobody_mints_wider_than_himself) {
  make_space("mine");
  const auto token = mint(R"({"scope": "namespace", "namespace": "mine", "verbs": ["read", "tokens"]})");
  expect_error(far("POST", "/tokens", bearer(token), R"({"scope": "account"})"), 403, "forbidden");
  expect_error(far("POST", "/tokens", bearer(token), R"({"scope": "namespace", "verbs": ["exec"]})"), 403, "forbidden");
  EXPECT_EQ(far("POST", "/tokens", bearer(token), R"({"scope": "namespace", "ttl": 60})").status, 201);
}

TEST_F(ControlTest, secrets_are_set_and_never_told) {
  const auto set = ask("PUT", "/secrets/API_KEY", R"({"value": "hunter2hunter2"})");
  ASSERT_EQ(set.status, 200) << set.text;
  EXPECT_EQ(ask("PUT", "/secrets", R"({"name": "OTHER", "value": "x"})").status, 200);
  const auto listed = ask("GET", "/secrets");
  EXPECT_EQ(listed.body().at("secrets").as_array().size(), 2U);
  for (const auto& answer : {set, listed, ask("GET", "/secrets/API_KEY")}) {
    EXPECT_EQ(answer.text.find("hunter2"), std::string::npos);
  }
  const auto bad = ask("PUT", "/secrets/not-a-name", R"({"value": "hunter2hunter2"})");
  expect_error(bad, 422, "validation_error");
  EXPECT_EQ(bad.text.find("hunter2"), std::string::npos);
  expect_error(ask("PUT", "/secrets/A", R"({"value": 5})"), 422, "validation_error");
  expect_error(ask("PUT", "/secrets/A", "{}"), 422, "validation_error");
  EXPECT_EQ(ask("DELETE", "/secrets/API_KEY").status, 200);
  expect_error(ask("GET", "/secrets/API_KEY"), 404, "not_found");
  expect_error(ask("GET", "/secrets?namespace=none"), 404, "not_found");
}

TEST_F(ControlTest, webhooks_are_made_changed_and_removed_with_their_secret_masked) {
  make_space("mine");
  const auto made = ask("POST", "/webhooks", R"({"url": "https://example.com/hook", "events": ["vm.created"],
    "secret": "s3cr3t-s3cr3t", "namespace": "mine"})");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(made.text.find("s3cr3t"), std::string::npos);
  const auto hook = made.body().at("webhook");
  EXPECT_TRUE(hook.at("id").is_int64());
  EXPECT_EQ(text(hook.at("namespace")), "mine");
  const auto target = cat("/webhooks/", hook.at("id").as_int64());
  EXPECT_FALSE(ask("PUT", target, R"({"active": false})").body().at("webhook").at("active").as_bool());
  EXPECT_TRUE(ask("PUT", target, R"({"secret": null})").body().at("webhook").at("secret").is_null());
  EXPECT_EQ(ask("GET", "/webhooks?namespace=mine").body().at("webhooks").as_array().size(), 1U);
  EXPECT_EQ(ask("GET", "/webhooks?namespace=default").body().at("webhooks").as_array().size(), 0U);
  EXPECT_EQ(ask("GET", target + "/deliveries").body().at("deliveries").as_array().size(), 0U);
  EXPECT_FALSE(ask("GET", "/webhooks/events").body().at("events").as_array().empty());
  const auto token = mint(R"({"scope": "namespace", "namespace": "default", "verbs": ["admin", "read"]})");
  expect_error(far("GET", target, bearer(token)), 404, "not_found");
  EXPECT_EQ(ask("DELETE", target).status, 200);
  expect_error(ask("DELETE", target), 404, "not_found");
  expect_error(ask("GET", "/webhooks/abc"), 404, "not_found");
  expect_error(ask("POST", "/webhooks", R"({"url": "ftp://x", "events": ["vm.created"]})"), 422, "validation_error");
  expect_error(ask("POST", "/webhooks", R"({"url": "https://x", "events": ["nope"]})"), 422, "validation_error");
}

TEST_F(ControlTest, receipts_are_listed_and_shown_to_those_whose_workspace_it_was) {
  const auto space = make_space("mine");
  keys::ErasureFacts facts;
  facts.workspace_id = "ws_1";
  facts.namespace_id = space;
  facts.key_id = "key_1";
  const auto mine = run(receipts_->issue(facts)).value();
  facts.workspace_id = "ws_2";
  facts.namespace_id = "ns_other";
  const auto other = run(receipts_->issue(facts)).value();

  const auto all = ask("GET", "/receipts").body().at("receipts").as_array();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_EQ(text(all.front().at("receipt").at("id")), other.id);
  EXPECT_EQ(ask("GET", "/receipts?workspace=ws_1").body().at("receipts").as_array().size(), 1U);
  EXPECT_EQ(ask("GET", "/receipts?limit=1").body().at("receipts").as_array().size(), 1U);
  EXPECT_EQ(ask("GET", cat("/receipts?before=", other.id)).body().at("receipts").as_array().size(), 1U);
  expect_error(ask("GET", "/receipts?limit=0"), 422, "validation_error");

  // The answer as it is can be verified with the key that the API gives.
  const auto key = ask("GET", "/receipts/key").body();
  const auto shown = ask("GET", cat("/receipts/", mine.id));
  EXPECT_EQ(shown.status, 200);
  EXPECT_EQ(keys::verify_receipt(shown.text, text(key.at("public_key"))).value().workspace_id, "ws_1");
  EXPECT_TRUE(keys::verify_receipt(shown.text, text(key.at("pem"))));
  expect_error(ask("GET", "/receipts/rcp_none"), 404, "not_found");

  const auto token = mint(R"({"scope": "namespace", "namespace": "mine", "verbs": ["read"]})");
  const auto own = far("GET", "/receipts", bearer(token)).body().at("receipts").as_array();
  ASSERT_EQ(own.size(), 1U);
  EXPECT_EQ(text(own.front().at("receipt").at("id")), mine.id);
  EXPECT_EQ(far("GET", cat("/receipts/", mine.id), bearer(token)).status, 200);
  expect_error(far("GET", cat("/receipts/", other.id), bearer(token)), 404, "not_found");
  const auto blind = mint(R"({"scope": "account", "verbs": ["exec"]})");
  expect_error(far("GET", "/receipts", bearer(blind)), 403, "forbidden");
  expect_error(far("GET", "/receipts", {}), 401, "unauthorized");
}

TEST_F(ControlTest, workload_bodies_are_read_before_anything_is_asked) {
  make();
  expect_error(ask("POST", "/workspace/box/workloads", "{}"), 422, "validation_error");
  expect_error(ask("POST", "/workspace/box/workloads", R"({"cmd": [1]})"), 422, "validation_error");
  // The manager of these tests has none.
  EXPECT_EQ(ask("POST", "/workspace/box/workloads", R"({"cmd": ["true"]})").status, 501);
  EXPECT_EQ(ask("GET", "/workspace/box/workloads").status, 501);
}

// ---- the document ------------------------------------------------------------------------------------------------

TEST(OpenApi, the_document_has_every_route_and_no_other) {
  const auto document = openapi_document(routes(), "0");
  const auto& paths = document.at("paths").as_object();
  std::size_t operations = 0;
  for (const auto& item : paths) operations += item.value().as_object().size();
  EXPECT_EQ(operations, routes().size());
  const auto& schemas = document.at("components").at("schemas").as_object();
  for (const auto& route : routes()) {
    std::string method(route.method);
    for (auto& c : method) c = static_cast<char>(std::tolower(c));
    const auto& operation = paths.at(std::string(route.pattern)).at(method).as_object();
    EXPECT_EQ(operation.at("x-coffer-verb").as_string(), std::string(identity::verb_name(route.verb)));
    EXPECT_EQ(operation.contains("requestBody"), !route.body.empty());
    if (!route.body.empty()) EXPECT_TRUE(schemas.contains(std::string(route.body))) << route.body;
    std::size_t parameters = 0;
    for (const char c : route.pattern) parameters += c == '{' ? 1 : 0;
    if (!route.query.empty()) parameters += split(route.query, ',').size();
    const auto* listed = operation.if_contains("parameters");
    EXPECT_EQ(listed == nullptr ? 0 : listed->as_array().size(), parameters) << route.pattern;
  }
  // Nothing refers to what is not there.
  const auto whole = json::serialize(document);
  constexpr std::string_view kReference = "#/components/schemas/";
  for (auto at = whole.find(kReference); at != std::string::npos; at = whole.find(kReference, at + 1)) {
    const auto begin = at + kReference.size();
    const auto name = whole.substr(begin, whole.find('"', begin) - begin);
    EXPECT_TRUE(schemas.contains(name)) << name;
  }
}

TEST(Routes, every_call_of_the_published_client_has_one) {
  const auto calls = json::parse(read_file(std::string(COFFER_SOURCE_DIR) + "/tests/sdk/calls.json", 1U << 20).value());
  std::size_t looked_at = 0;
  for (const auto& call : calls.as_array()) {
    const auto name = text(call.at("call"));
    if (name.starts_with("rt.")) continue;
    auto segments = split(text(call.at("path")).substr(1), '/');
    for (auto& segment : segments) {
      if (segment.starts_with('{')) segment = "x1";
    }
    EXPECT_NE(find_route(text(call.at("method")), segments).route, nullptr) << name;
    ++looked_at;
  }
  EXPECT_GT(looked_at, 100U);
}

}  // namespace
}  // namespace cofferdam::api
