// The API over a real HTTP server on a Unix socket, with workspaces in memory.
#include <gtest/gtest.h>
#include <signal.h>

#include "api/api_fixture.h"
#include "api/call.h"
#include "api/routes.h"
#include "api/workspace_json.h"
#include "base/file.h"
#include "base/text.h"
#include "base/utf8.h"
#include "model/json.h"

namespace cofferdam::api {
namespace {

constexpr std::size_t kPiece = 64U << 10;

class ZeroSource final : public http::BodySource {
 public:
  explicit ZeroSource(std::size_t bytes) : left_(bytes) {}
  Task<std::string> next() override {
    std::string piece(std::min(left_, kPiece), '\0');
    left_ -= piece.size();
    co_return piece;
  }

 private:
  std::size_t left_;
};

TEST_F(ApiTest, health_and_host) {
  const auto health = ask("GET", "/health");
  EXPECT_EQ(health.status, 200);
  EXPECT_EQ(health.body(), json::parse(R"({"success": true, "status": "ok", "version": "1.2.3"})"));
  const auto host = ask("GET", "/host").body();
  EXPECT_EQ(host.at("pid").as_int64(), ::getpid());
  EXPECT_EQ(host.at("accelerator").at("name").as_string(), "tcg");
  EXPECT_TRUE(host.at("pools").as_array().empty());
}

TEST_F(ApiTest, errors_have_one_shape) {
  const auto missing = ask("GET", "/workspace/nobody");
  EXPECT_EQ(missing.status, 404);
  const auto body = missing.body();
  EXPECT_FALSE(body.at("success").as_bool());
  EXPECT_EQ(body.at("error").as_string(), "not_found");
  EXPECT_EQ(body.at("code").as_string(), "not_found");
  EXPECT_EQ(body.at("hint").as_string(),
            "list them with `coffer ls`; a temporary one is gone when its time is over or its machine has ended");
  EXPECT_EQ(*missing.headers.find("X-Request-Id"), std::string(body.at("requestId").as_string()));
  EXPECT_EQ(ask("GET", "/nothing/here").status, 404);
  const auto wrong = ask("PATCH", "/workspace");
  EXPECT_EQ(wrong.status, 405);
  EXPECT_EQ(*wrong.headers.find("Allow"), "POST, GET");
}

TEST_F(ApiTest, bad_bodies_are_refused_with_the_place) {
  EXPECT_EQ(ask("POST", "/workspace", "{").status, 422);
  EXPECT_EQ(ask("POST", "/workspace", "[]").status, 422);
  const auto absurd = ask("POST", "/workspace", R"({"config": {"memory_mb": 1}})");
  EXPECT_EQ(absurd.status, 422);
  EXPECT_NE(absurd.text.find("/config/memory_mb"), std::string::npos);
  EXPECT_EQ(ask("POST", "/workspace", std::string(kMaxJsonBody + 1, ' ')).status, 413);
  EXPECT_EQ(ask("GET", "/health").status, 200);
}

TEST_F(ApiTest, ambiguous_bodies_paths_and_queries_are_refused) {
  EXPECT_EQ(ask("POST", "/workspace", R"({"name":"a","name":"b"})").status, 422);
  EXPECT_EQ(ask("POST", "/workspace", R"({"name":"a","config":{"cpus":1e999}})").status, 422);
  EXPECT_EQ(ask("POST", "/workspace", R"({"name":"a","config":{"cpus":NaN}})").status, 422);
  EXPECT_EQ(ask("POST", "/workspace", R"({"x":)" + std::string(40, '[') + std::string(40, ']') + "}").status, 422);
  make();
  EXPECT_EQ(ask("GET", "/workspace/box%2Fstats").status, 400);
  EXPECT_EQ(ask("GET", "/workspace/a%2F..%2Fbox").status, 400);
  EXPECT_EQ(ask("GET", "/workspace/%2e%2e/health").status, 400);
  EXPECT_EQ(ask("GET", "/workspace/box%00").status, 400);
  EXPECT_EQ(ask("GET", "/workspace/box/files/stat?path=/a&path=/b").status, 422);
}

TEST_F(ApiTest, workspace_is_created_listed_stopped_started_and_removed) {
  const auto made = ask("POST", "/workspace", R"({"name": "box", "image": "minimal", "config": {"ttl": "30m"}})");
  EXPECT_EQ(made.status, 201);
  const auto workspace = made.body().at("workspace");
  EXPECT_EQ(workspace.at("status").as_string(), "running");
  EXPECT_EQ(workspace.at("resources"), json::parse(R"({"cpus": 1.0, "memory_mb": 512, "disk_size_mb": 4096})"));
  EXPECT_EQ(workspace.at("lifecycle").at("ttl"), 1800.0);
  EXPECT_EQ(workspace.at("lifecycle").at("ttl_expires_at").as_string(), "2023-11-14T22:43:20.000Z");
  EXPECT_TRUE(workspace.at("info").at("is_running").as_bool());
  EXPECT_EQ(ask("GET", "/workspace").body().at("total"), 1);
  EXPECT_EQ(ask("GET", "/workspace/box").body().at("workspace").at("id"), workspace.at("id"));
  EXPECT_EQ(ask("POST", "/workspace/box/stop").body().at("workspace").at("status").as_string(), "stopped");
  EXPECT_EQ(ask("GET", "/workspace/box/stats").status, 409);
  EXPECT_EQ(ask("POST", "/workspace/box/start").body().at("workspace").at("ready"), true);
  const auto removed = ask("DELETE", "/workspace/box").body().at("removed");
  EXPECT_EQ(removed, (json::object{{"id", fake_id(1)}, {"took_ms", 1.5}, {"keys_gone_ms", 0.5}}));
  EXPECT_EQ(ask("GET", "/workspace").body().at("total"), 0);
}

TEST_F(ApiTest, ttl_is_changed_by_number_text_or_null) {
  make();
  const auto ttl_of = [&](const std::string& body) {
    return ask("PUT", "/workspace/box/lifecycle/ttl", body).body().at("workspace").at("lifecycle").at("ttl");
  };
  EXPECT_EQ(ttl_of(R"({"ttl": 90})"), 90.0);
  EXPECT_EQ(ttl_of(R"({"ttl": "2h"})"), 7200.0);
  EXPECT_TRUE(ttl_of(R"({"ttl": null})").is_null());
  for (const std::string bad :
       {"{}", R"({"ttl": -1})", R"({"ttl": 0})", R"({"ttl": 1e300})", R"({"ttl": "soon"})", R"({"ttl": true})"}) {
    EXPECT_EQ(ask("PUT", "/workspace/box/lifecycle/ttl", bad).status, 422) << bad;
  }
}

TEST_F(ApiTest, stats_and_boot_log) {
  make();
  const auto stats = ask("GET", "/workspace/box/stats").body();
  EXPECT_EQ(stats.at("stats").at("guest").at("memory_total_bytes"), 512 * model::kMiB);
  EXPECT_EQ(stats.at("stats").at("host").at("cpu_ms"), 12);
  EXPECT_EQ(stats.at("processes").at(0).at("command").as_string(), "bad\xef\xbf\xbd name");
  const auto log = ask("GET", "/workspace/box/logs/boot");
  EXPECT_EQ(log.text, "[    0.0] Linux\n");
  EXPECT_EQ(*log.headers.find("Content-Type"), "text/plain; charset=utf-8");
}

TEST_F(ApiTest, shutdown_ends_all_and_answers) {
  make();
  EXPECT_EQ(ask("POST", "/shutdown", R"({"keep_permanent": false})").status, 200);
  EXPECT_EQ(asked_to_end_, workspace::Manager::Permanent::stop);
  EXPECT_EQ(ask("POST", "/shutdown").status, 200);
  EXPECT_EQ(asked_to_end_, workspace::Manager::Permanent::keep_running);
}

TEST_F(ApiTest, a_backup_is_made_under_its_passphrase_and_streamed) {
  EXPECT_EQ(ask("POST", "/backup", R"({"passphrase": "correct horse"})").status, 501);
  std::string under;
  const std::string whole(3U << 20, 'b');
  api_->serve_backups([&](SecureBytes passphrase) -> Task<UniqueFd> {
    under = passphrase.view();
    CO_TRY(write_file_atomically(dir_ + "/sealed", whole));
    co_return open_file(dir_ + "/sealed", O_RDONLY);
  });
  for (const char* bad : {"{}", R"({"passphrase": "short"})", R"({"passphrase": 12345678})", ""}) {
    EXPECT_EQ(ask("POST", "/backup", bad).status, 422) << bad;
  }
  EXPECT_EQ(ask("POST", "/backup", cat(R"({"passphrase": ")", std::string(1025, 'x'), "\"}")).status, 422);
  EXPECT_TRUE(under.empty());
  const auto made = ask("POST", "/backup", R"({"passphrase": "correct horse"})");
  EXPECT_EQ(made.status, 200);
  EXPECT_EQ(made.text, whole);
  EXPECT_EQ(*made.headers.find("Content-Length"), cat(whole.size()));
  EXPECT_EQ(under, "correct horse");
  // A part of the account is not enough.
  const auto token = mint(R"({"scope": "account", "verbs": ["read", "lifecycle"]})");
  EXPECT_EQ(far("POST", "/backup", bearer(token), R"({"passphrase": "correct horse"})").status, 403);
}

TEST_F(ApiTest, files_are_written_and_read_as_streams) {
  make();
  constexpr std::size_t kBytes = (10U << 20) + 5;
  http::ClientRequest put;
  put.method = "PUT";
  put.target = "/workspace/box/files/raw?path=%2Fhome%2Fbig&mode=0750&parents=1";
  put.source = std::make_unique<ZeroSource>(kBytes);
  const auto written = run(send(std::move(put))).value();
  EXPECT_EQ(written.status, 200);
  EXPECT_EQ(written.body().at("size"), kBytes);
  const auto read = ask("GET", "/workspace/box/files/raw?path=/home/big");
  EXPECT_EQ(read.text, std::string(kBytes, '\0'));
  EXPECT_EQ(*read.headers.find("Content-Length"), std::to_string(kBytes));
  EXPECT_EQ(*read.headers.find("X-File-Mode"), "0750");
  const auto head = ask("HEAD", "/workspace/box/files/raw?path=/home/big");
  EXPECT_EQ(head.text, "");
  EXPECT_EQ(*head.headers.find("Content-Length"), std::to_string(kBytes));
  EXPECT_EQ(ask("PUT", "/workspace/box/files/raw?path=/empty", "").status, 200);
  EXPECT_EQ(ask("GET", "/workspace/box/files/raw?path=/empty").text, "");
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(ApiTest, a_cut_upload_leaves_no_file) {
  make();
  http::ClientRequest put;
  put.method = "PUT";
  put.target = "/workspace/box/files/raw?path=/half";
  put.source = std::make_unique<ZeroSource>(100);
  put.source_length = 1000;
  EXPECT_FALSE(run(send(std::move(put))));
  pause();
  EXPECT_EQ(record_.abandoned_writers, 1);
  EXPECT_EQ(ask("GET", "/workspace/box/files/stat?path=/half").status, 404);
}

TEST_F(ApiTest, files_are_looked_at_and_changed) {
  make();
  const auto listed = ask("GET", "/workspace/box/files/list?path=/dir").body().at("entries");
  EXPECT_EQ(listed.at(0).at("name").as_string(), "\xef\xbf\xbd");
  EXPECT_EQ(listed.at(0).at("name_hex").as_string(), "ff");
  const auto odd = ask("GET", "/workspace/box/files/stat?path=/dir/%FF").body();
  EXPECT_EQ(odd.at("mode").as_string(), "0600");
  EXPECT_EQ(odd.at("type").as_string(), "file");
  EXPECT_EQ(ask("GET", "/workspace/box/files/raw?path=/dir").status, 422);
  EXPECT_EQ(ask("GET", "/workspace/box/files/raw").status, 422);
  EXPECT_EQ(ask("PUT", "/workspace/box/files/raw?path=/x&mode=999", "a").status, 422);
  EXPECT_EQ(ask("PUT", "/workspace/box/files/raw?path=x", "a").status, 422);
  EXPECT_EQ(ask("POST", "/workspace/box/files/mkdir", R"({"path": "/new", "mode": "0700"})").status, 200);
  EXPECT_EQ(ask("POST", "/workspace/box/files/mkdir", R"({"path": "/new", "mode": 8.5})").status, 422);
  EXPECT_EQ(ask("PUT", "/workspace/box/files/raw?path=/a", "abc").status, 200);
  EXPECT_EQ(ask("POST", "/workspace/box/files/rename", R"({"from": "/a", "to": "/b"})").status, 200);
  EXPECT_EQ(ask("GET", "/workspace/box/files/raw?path=/b").text, "abc");
  EXPECT_EQ(ask("POST", "/workspace/box/files/delete", R"({"path": "/b", "recursive": true})").status, 200);
  EXPECT_EQ(ask("POST", "/workspace/box/files/delete", R"({"path": "/b"})").status, 404);
  EXPECT_EQ(ask("POST", "/workspace/box/files/delete", R"({"path": ""})").status, 422);
}

TEST_F(ApiTest, exec_streams_output_and_ends_with_the_result) {
  make();
  auto socket = open("/workspace/box/exec/ws", R"({"cmd": ["echo", "hello", "there"]})");
  const auto ended = finish(*socket);
  EXPECT_EQ(ended.out, "hello there\n");
  EXPECT_EQ(ended.result.at("status").as_string(), "Success");
  const auto exit = model::exit_status_from_json(ended.result.at("exit")).value();
  EXPECT_EQ(exit.code, 0);
  const auto& timings = ended.result.at("timings_us").as_object();
  EXPECT_LE(timings.at("start").as_int64(), timings.at("first_byte").as_int64());
  EXPECT_LE(timings.at("first_byte").as_int64(), timings.at("total").as_int64());
  EXPECT_EQ(ended.close_code, 1000);
  EXPECT_EQ(ended.result.if_contains("destroyed"), nullptr);
  EXPECT_EQ(record_.last_after, workspace::AfterExec::keep);
}

TEST_F(ApiTest, exec_passes_on_failures_of_commands) {
  make();
  auto complaint = finish(*open("/workspace/box/exec/ws", R"({"cmd": ["complain"]})"));
  EXPECT_EQ(complaint.err, "no\n");
  EXPECT_EQ(complaint.result.at("status").as_string(), "Failure");
  EXPECT_EQ(model::exit_status_from_json(complaint.result.at("exit"))->code, 3);
  auto absent = finish(*open("/workspace/box/exec/ws", R"({"cmd": ["no-such"]})"));
  EXPECT_EQ(absent.err, "no-such: not found\n");
  EXPECT_EQ(model::exit_status_from_json(absent.result.at("exit"))->code, 127);
  auto vanished = finish(*open("/workspace/box/exec/ws", R"({"cmd": ["vanish"]})"));
  EXPECT_EQ(vanished.result.at("error").at("code").as_string(), "unavailable");
}

TEST_F(ApiTest, exec_carries_stdin_to_its_end) {
  make();
  auto socket = open("/workspace/box/exec/ws", R"({"cmd": ["cat"], "stdin": true})");
  std::string sent;
  for (int i = 0; i < 3; ++i) {
    const std::string piece(kPiece, static_cast<char>('a' + i));
    sent += piece;
    send_frame(*socket, 0, piece);
  }
  send_frame(*socket, '\xff', std::string(1, '\0'));
  EXPECT_EQ(finish(*socket).out, sent);
  EXPECT_EQ(record_.input_bytes, sent.size());
}

TEST_F(ApiTest, exec_passes_signals_and_resizes) {
  make();
  auto socket = open("/workspace/box/exec/ws", R"({"cmd": ["size"], "tty": true})");
  send_frame(*socket, 4, R"({"Width": 100, "Height": 30})");
  send_frame(*socket, 42, "a channel of the future");
  pause();
  send_frame(*socket, 6, R"({"signal": 15})");
  const auto ended = finish(*socket);
  EXPECT_EQ(ended.out, "30x100\n");
  EXPECT_EQ(model::exit_status_from_json(ended.result.at("exit"))->code, 143);
  EXPECT_EQ(record_.signals, std::vector<int>{15});
}

TEST_F(ApiTest, exec_destroys_afterwards_when_asked) {
  make();
  const auto ended = finish(*open("/workspace/box/exec/ws?destroy_after=1", R"({"cmd": ["echo", "bye"]})"));
  EXPECT_EQ(ended.result.at("destroyed").at("took_ms"), 1.5);
  EXPECT_EQ(record_.removed, std::vector<std::string>{fake_id(1)});
  EXPECT_EQ(record_.last_after, workspace::AfterExec::remove);
  // Also when the command could not even be read.
  make();
  const auto bad = finish(*open("/workspace/box/exec/ws?destroy_after=1", "{"));
  EXPECT_EQ(bad.result.at("error").at("code").as_string(), "validation_error");
  EXPECT_EQ(record_.removed.size(), 2U);
}

TEST_F(ApiTest, exec_ends_when_its_client_goes) {
  make();
  {
    auto socket = open("/workspace/box/exec/ws?destroy_after=1", R"({"cmd": ["hang"]})");
    pause();
    EXPECT_EQ(record_.processes_alive, 1);
  }
  pause();
  EXPECT_EQ(record_.processes_alive, 0);
  EXPECT_EQ(record_.removed, std::vector<std::string>{fake_id(1)});
  EXPECT_EQ(server_->connections(), 1U);  // the one that made the workspace
}

TEST_F(ApiTest, exec_ends_when_its_client_goes_while_the_output_is_held_back) {
  make();
  {
    auto socket = open("/workspace/box/exec/ws", R"({"cmd": ["flood", "100000"]})");
    pause();
    // What fits into the socket's buffers, and no more.
    EXPECT_LT(record_.output_pieces, 16U);
    EXPECT_EQ(record_.processes_alive, 1);
  }
  pause();
  EXPECT_EQ(record_.processes_alive, 0);
}

TEST_F(ApiTest, exec_floods_arrive_whole) {
  make();
  EXPECT_EQ(finish(*open("/workspace/box/exec/ws", R"({"cmd": ["flood", "500"]})")).out.size(), 500 * kPiece);
}

TEST_F(ApiTest, exec_holds_input_back_that_nobody_takes) {
  make();
  auto socket = open("/workspace/box/exec/ws", R"({"cmd": ["deaf"], "stdin": true})");
  auto stuffing = [](WebSocket* into) -> Task<void> {
    for (int i = 0; i < 1000; ++i) CO_TRY(co_await into->write(WebSocket::Kind::binary, std::string(kPiece, '\0')));
    co_return Status{};
  };
  auto stuck = run(loop::with_deadline(stuffing(socket.get()), 200ms, "write"));
  ASSERT_FALSE(stuck);
  EXPECT_EQ(stuck.error().code, Code::DeadlineExceeded);
  EXPECT_EQ(record_.input_bytes, 0U);
  socket.reset();
  pause();
  EXPECT_EQ(record_.processes_alive, 0);
}

TEST_F(ApiTest, exec_refuses_what_breaks_the_protocol) {
  make();
  auto text = open("/workspace/box/exec/ws", R"({"cmd": ["hang"]})");
  EXPECT_TRUE(run(text->write(WebSocket::Kind::text, "again")));
  EXPECT_EQ(finish(*text).close_code, 1008);
  auto size = open("/workspace/box/exec/ws", R"({"cmd": ["hang"]})");
  send_frame(*size, 4, R"({"Width": 0, "Height": 1e9})");
  EXPECT_EQ(finish(*size).close_code, 1008);
  auto huge = open("/workspace/box/exec/ws", R"({"cmd": ["hang"]})");
  send_frame(*huge, 0, std::string(kPiece + 1, 'x'));
  EXPECT_EQ(finish(*huge).close_code, 1009);
  pause();
  EXPECT_EQ(record_.processes_alive, 0);
  auto empty = open("/workspace/box/exec/ws", R"({"cmd": []})");
  EXPECT_EQ(finish(*empty).result.at("error").at("code").as_string(), "validation_error");
}

TEST_F(ApiTest, exec_is_refused_before_the_upgrade_where_it_cannot_run) {
  EXPECT_EQ(run(client_->websocket("/workspace/nobody/exec/ws", {})).error().code, Code::NotFound);
  make();
  EXPECT_EQ(ask("GET", "/workspace/box/exec/ws").status, 426);
  ask("POST", "/workspace/box/stop");
  auto stopped = run(client_->websocket("/workspace/box/exec/ws", {}));
  EXPECT_EQ(stopped.error().code, Code::FailedPrecondition);
  EXPECT_EQ(json::parse(stopped.error().message).at("hint").as_string(), "start it first");
}

TEST_F(ApiTest, exec_is_cut_when_the_server_stops) {
  make();
  auto socket = open("/workspace/box/exec/ws", R"({"cmd": ["hang"]})");
  pause();
  EXPECT_TRUE(run(server_->stop(10ms)));
  EXPECT_EQ(record_.processes_alive, 0);
  EXPECT_FALSE(run(socket->read()).value_or(std::nullopt));
}

TEST_F(ApiTest, images_are_listed_with_recipes_that_are_not_built) {
  ASSERT_TRUE(write_file_atomically(dir_ + "/recipes/tiny.yaml", "name: tiny\ndescription: small\nkind: busybox\n"));
  const auto listed = ask("GET", "/workspace/images");
  ASSERT_EQ(listed.status, 200) << listed.text;
  const auto image = listed.body().at("images").at(0);
  EXPECT_EQ(image.at("image").as_string(), "tiny");
  EXPECT_FALSE(image.at("built").as_bool());
}

TEST_F(ApiTest, image_errors_arrive_as_events) {
  const auto build = ask("POST", "/workspace/images/nothing/build");
  EXPECT_EQ(build.status, 200);
  EXPECT_EQ(*build.headers.find("Content-Type"), "application/x-ndjson");
  const auto lines = split(std::string(trim(build.text)), '\n');
  const auto last = json::parse(lines.back());
  EXPECT_EQ(last.at("event").as_string(), "error");
  EXPECT_EQ(last.at("code").as_string(), "not_found");
  EXPECT_EQ(ask("POST", "/workspace/images/import", R"({"path": "relative", "name": "x"})").status, 422);
  EXPECT_EQ(ask("DELETE", "/workspace/images/nothing").status, 404);
}

TEST(Routes, literals_win_and_parameters_are_caught) {
  EXPECT_EQ(find_route("GET", {"workspace", "images"}).route->handler, &list_images);
  const auto match = find_route("PUT", {"workspace", "ws_1", "files", "raw"});
  EXPECT_EQ(match.route->handler, &write_raw_file);
  EXPECT_EQ(match.params, std::vector<std::string>{"ws_1"});
  EXPECT_EQ(find_route("GET", {"workspace", "a", "b", "c"}).route, nullptr);
  EXPECT_EQ(find_route("GET", {}).route, nullptr);
}

TEST(Utf8, invalid_bytes_are_replaced) {
  EXPECT_TRUE(is_utf8("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"));
  for (const std::string bad : {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe2\x82", "\x80"}) {
    EXPECT_FALSE(is_utf8(bad));
    EXPECT_TRUE(is_utf8(to_utf8(bad)));
  }
  EXPECT_EQ(to_utf8("a\xff"
                    "b"),
            "a\xef\xbf\xbd"
            "b");
}

TEST(Mode, octal_both_ways) {
  EXPECT_EQ(octal_mode(0644), "0644");
  EXPECT_EQ(octal_mode(04755), "4755");
  EXPECT_EQ(parse_mode("0755").value(), 0755U);
  EXPECT_FALSE(parse_mode("8"));
  EXPECT_FALSE(parse_mode(""));
  EXPECT_FALSE(parse_mode("10000"));
}

}  // namespace
}  // namespace cofferdam::api
