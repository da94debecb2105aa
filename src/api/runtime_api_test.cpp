// The runtime's calls over a real HTTP server on a Unix socket, with workspaces in memory.
#include <gtest/gtest.h>
#include <signal.h>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "api/runtime.h"
#include "api/runtime_call.h"
#include "api/runtime_fixture.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "http/stream.h"
#include "runtime/tar.h"

namespace cofferdam::api {
namespace {

constexpr std::size_t kPiece = 64U << 10;

TEST_F(RuntimeApiTest, health_info_and_targets) {
  EXPECT_EQ(ask("GET", "/health").body(), json::parse(R"({"status": "ok", "success": true})"));
  record_.scripts["/bin/sh"] = "/home/me\n/bin/bash\naarch64\n";
  const auto info = ask("GET", "/runtime").body();
  EXPECT_EQ(info.at("os").as_string(), "linux");
  EXPECT_EQ(info.at("arch").as_string(), "aarch64");
  EXPECT_EQ(info.at("cpus"), 1);
  EXPECT_EQ(info.at("home").as_string(), "/home/me");
  EXPECT_EQ(info.at("shell").as_string(), "/bin/bash");
  const auto targets = ask("GET", "/runtimes").body();
  EXPECT_EQ(targets.at("default_target").as_string(), "local");
  EXPECT_EQ(targets.at("targets").at(0).at("id").as_string(), "local");
}

TEST_F(RuntimeApiTest, a_target_in_front_is_the_local_one_or_unknown) {
  EXPECT_EQ(ask("GET", "/runtimes/local/health").status, 200);
  EXPECT_EQ(ask("GET", "/runtimes/default/health").status, 200);
  expect_error(ask("GET", "/runtimes/macos/health"), 404, "not_found");
}

TEST_F(RuntimeApiTest, unknown_paths_methods_and_workspaces_have_the_one_error_shape) {
  expect_error(ask("GET", "/nothing"), 404, "not_found");
  const auto wrong = ask("PATCH", "/files/write");
  expect_error(wrong, 405, "not_implemented");
  EXPECT_EQ(*wrong.headers.find("Allow"), "POST, PUT");
  http::ClientRequest request;
  request.target = "/workspace/nobody/runtime/health";
  expect_error(run(send(std::move(request))).value(), 404, "not_found");
  EXPECT_TRUE(run(manager_.stop("box")));
  expect_error(ask("GET", "/health"), 409, "failed_precondition");
  expect_error(ask("POST", "/exec", "{"), 409, "failed_precondition");
}

TEST_F(RuntimeApiTest, a_command_is_run_to_its_end_and_a_failed_one_is_no_error) {
  const auto ran = ask("POST", "/exec", R"({"cmd": ["echo", "hello"], "env": {"A": "b"}, "cwd": "/x", "user": "me"})");
  EXPECT_EQ(ran.status, 200);
  EXPECT_EQ(ran.body().at("status").as_string(), "exited");
  EXPECT_EQ(ran.body().at("exit_code"), 0);
  EXPECT_EQ(ran.body().at("guest_pid"), 77);
  EXPECT_EQ(ran.body().at("stdout").as_string(), "hello\n");
  EXPECT_EQ(ran.body().at("command"), json::parse(R"(["echo", "hello"])"));
  EXPECT_EQ(record_.last_spec->env, std::vector<std::string>{"A=b"});
  EXPECT_EQ(record_.last_spec->cwd, "/x");
  EXPECT_EQ(record_.last_spec->user, "me");
  EXPECT_EQ(record_.last_spec->timeout, 0ms);
  const auto failed = ask("POST", "/exec", R"({"cmd": ["complain"], "timeout_seconds": 2.5})");
  EXPECT_EQ(failed.status, 200);
  EXPECT_TRUE(failed.body().at("success").as_bool());
  EXPECT_EQ(failed.body().at("exit_code"), 3);
  EXPECT_EQ(failed.body().at("stderr").as_string(), "no\n");
  EXPECT_EQ(record_.last_spec->timeout, 2500ms);
}

TEST_F(RuntimeApiTest, a_command_that_takes_long_is_kept_alive_with_blanks) {
  // The heart beat is for after the first second.
  const auto waiting = [this]() -> Task<Answer> {
    http::ClientRequest request;
    request.method = "POST";
    request.target = kBase + "/exec";
    request.body = R"({"cmd": ["hang"]})";
    return send(std::move(request));
  };
  auto end_it = [this]() -> Task<void> {
    CO_TRY(co_await loop::sleep_for(1200ms));
    http::Client other(io_.get_executor(), dir_ + "/s");
    http::ClientRequest request;
    request.method = "DELETE";
    request.target = kBase + "/exec/1";
    CO_TRY_ASSIGN(const auto response, co_await other.request(std::move(request)));
    CO_TRY(co_await response->read_all(1000));
    co_return Status{};
  };
  using loop::asio::experimental::awaitable_operators::operator&&;
  auto both = [&]() -> Task<Answer> {
    auto [answer, ended] = co_await (waiting() && end_it());
    CO_TRY(ended);
    co_return std::move(answer);
  };
  const auto answer = run(both()).value();
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(*answer.headers.find("Transfer-Encoding"), "chunked");
  EXPECT_EQ(answer.body().at("exit_code"), 137);
}

TEST_F(RuntimeApiTest, bad_commands_are_refused_with_the_place) {
  for (const std::string bad :
       {"{}", "[]", "{", R"({"cmd": []})", R"({"cmd": [1]})", R"({"cmd": ["x"], "exec_mode": "magic"})",
        R"({"cmd": ["x"], "timeout_seconds": -1})", R"({"cmd": ["x"], "ttl_seconds": 1e9})",
        R"({"cmd": ["x"], "env": ["no equals"]})", R"({"cmd": ["x"], "keep_logs": "yes"})"}) {
    expect_error(ask("POST", "/exec", bad), 422, "validation_error");
  }
}

TEST_F(RuntimeApiTest, a_stream_is_framed_to_the_byte) {
  const auto stream = ask("POST", "/exec/stream", R"({"cmd": ["echo", "hi"]})");
  EXPECT_EQ(stream.status, 200);
  EXPECT_EQ(*stream.headers.find("Content-Type"), "text/event-stream");
  EXPECT_EQ(stream.text,
            "event: task_id\ndata: {\"task_id\":\"1\"}\n\n"
            "event: stdout\ndata: {\"data\":\"aGkK\"}\n\n"
            "event: exit\ndata: {\"exit_code\":0,\"status\":\"exited\",\"pid\":77}\n\n");
  const auto again = ask("GET", "/exec/stream?task_id=1");
  EXPECT_EQ(again.text,
            "event: output\ndata: {\"stdout\":\"hi\\n\"}\n\n"
            "event: exit\ndata: {\"exit_code\":0,\"status\":\"exited\",\"pid\":77}\n\n");
  const auto complaint = ask("POST", "/exec", R"({"cmd": ["complain"], "stream": true})");
  EXPECT_NE(complaint.text.find("event: stderr\ndata: {\"data\":\"bm8K\"}\n\n"), std::string::npos);
  expect_error(ask("GET", "/exec/stream?task_id=99"), 404, "not_found");
  expect_error(ask("GET", "/exec/stream"), 422, "validation_error");
}

TEST_F(RuntimeApiTest, a_flood_streams_whole) {
  const auto stream = ask("POST", "/exec/stream", R"({"cmd": ["flood", "100"]})");
  EXPECT_GT(stream.text.size(), 100 * kPiece * 4 / 3);
  EXPECT_TRUE(stream.text.ends_with("event: exit\ndata: {\"exit_code\":0,\"status\":\"exited\",\"pid\":77}\n\n"));
}

TEST_F(RuntimeApiTest, tasks_are_listed_fed_killed_and_deleted) {
  const auto started = ask("POST", "/exec", R"({"cmd": ["cat"], "background": true, "ttl_seconds": 60})");
  EXPECT_EQ(started.body().at("status").as_string(), "running");
  EXPECT_EQ(started.body().at("ttl_seconds"), 60.0);
  EXPECT_EQ(ask("POST", "/exec/1/input", "abc").body().at("bytes_written"), 3);
  settle();
  EXPECT_EQ(ask("GET", "/exec/1").body().at("stdout").as_string(), "abc");
  EXPECT_EQ(ask("GET", "/exec").body().at("tasks").as_array().size(), 1U);
  EXPECT_EQ(ask("POST", "/exec/1/input?close=1", "d").status, 200);
  settle();
  EXPECT_EQ(ask("GET", "/exec/1").body().at("status").as_string(), "exited");
  expect_error(ask("POST", "/exec/1/input", "x"), 409, "failed_precondition");
  ask("POST", "/exec", R"({"cmd": ["hang"], "background": true})");
  EXPECT_TRUE(ask("DELETE", "/exec/2").body().at("success").as_bool());
  settle();
  EXPECT_EQ(record_.signals, std::vector<int>{SIGKILL});
  expect_error(ask("GET", "/exec/2"), 404, "not_found");
  expect_error(ask("DELETE", "/exec/2"), 404, "not_found");
  EXPECT_EQ(ask("DELETE", "/exec").body().at("deleted"), 1);
}

TEST_F(RuntimeApiTest, the_fifty_first_task_is_refused) {
  for (int i = 0; i < 50; ++i) ask("POST", "/exec", R"({"cmd": ["hang"], "background": true})");
  expect_error(ask("POST", "/exec", R"({"cmd": ["echo"]})"), 429, "limit_reached");
  EXPECT_EQ(ask("DELETE", "/exec").body().at("deleted"), 50);
}

TEST_F(RuntimeApiTest, tasks_end_with_their_workspace) {
  ask("POST", "/exec", R"({"cmd": ["hang"], "background": true})");
  EXPECT_EQ(record_.processes_alive, 1);
  EXPECT_TRUE(run(manager_.stop("box")));
  settle();
  EXPECT_EQ(record_.processes_alive, 0);
  EXPECT_TRUE(run(manager_.start("box")));
  EXPECT_TRUE(ask("GET", "/exec").body().at("tasks").as_array().empty());
}

TEST_F(RuntimeApiTest, files_are_written_read_in_lines_and_looked_at) {
  EXPECT_EQ(
      ask("PUT", "/files/write", R"({"path": "/app//a.py", "content": "one\ntwo\nthree", "mode": "0600"})").body(),
      json::parse(R"({"path": "/app/a.py", "size": 13, "success": true})"));
  const auto all = ask("GET", "/files/read?path=/app/a.py").body();
  EXPECT_EQ(all.at("content").as_string(), "one\ntwo\nthree");
  EXPECT_EQ(all.at("lines"), 3);
  EXPECT_EQ(all.at("extension").as_string(), ".py");
  const auto some = ask("GET", "/files/read?path=/app/a.py&start_line=2&end_line=9&with_line_numbers=true").body();
  EXPECT_EQ(some.at("content").as_string(), "2\ttwo\n3\tthree");
  EXPECT_EQ(some.at("start_line"), 2);
  EXPECT_EQ(some.at("end_line"), 3);
  EXPECT_EQ(ask("POST", "/files/write", R"({"path": "/app/a.py", "content": "!", "append": true})").body().at("size"),
            14);
  const auto stat = ask("GET", "/files/stat?path=/app/a.py").body();
  EXPECT_EQ(stat.at("name").as_string(), "a.py");
  EXPECT_EQ(stat.at("permissions").as_string(), "0600");
  EXPECT_TRUE(stat.at("is_code").as_bool());
  expect_error(ask("GET", "/files/read?path=/nothing"), 404, "not_found");
  expect_error(ask("GET", "/files/read?path=/app"), 422, "validation_error");
  expect_error(ask("GET", "/files/read?path=relative"), 422, "validation_error");
  expect_error(ask("GET", "/files/read?path=/app/../x"), 422, "validation_error");
  expect_error(ask("GET", "/files/read?path=/app/a.py&start_line=0"), 422, "validation_error");
  expect_error(ask("GET", "/files/stat"), 422, "validation_error");
  expect_error(ask("POST", "/files/write", R"({"path": "/x"})"), 422, "validation_error");
}

TEST_F(RuntimeApiTest, folders_are_made_and_deleted_but_the_system_is_protected) {
  EXPECT_EQ(ask("POST", "/files/mkdir", R"({"path": "/new/one"})").status, 201);
  EXPECT_EQ(ask("POST", "/files/delete", R"({"path": "/new/one/"})").body().at("path").as_string(), "/new/one");
  write("/f", "x");
  EXPECT_EQ(ask("DELETE", "/files/delete?path=/f").status, 200);
  expect_error(ask("POST", "/files/delete", R"({"path": "/f"})"), 404, "not_found");
  for (const std::string path : {"/", "//", "/bin", "/usr/", "/etc/.", "/proc", "/run", "/lib64"}) {
    expect_error(ask("POST", "/files/delete", json::serialize(json::object{{"path", path}})), 403, "forbidden");
  }
}

TEST_F(RuntimeApiTest, listings_are_trees_flat_or_one_folder) {
  write("/app/src/a.go", "package a");
  write("/app/src/b.txt", "text");
  write("/app/.gitignore", "*.log\nout/\n");
  write("/app/x.log", "noise");
  write("/app/out/x", "built");
  const auto one = ask("GET", "/files?path=/app").body();
  EXPECT_EQ(one.at("count"), 2);
  EXPECT_EQ(one.at("entries").at(0).at("name").as_string(), ".gitignore");
  EXPECT_EQ(one.at("entries").at(1).at("type").as_string(), "directory");
  const auto tree = ask("GET", "/files?path=/app&nested=true").body();
  EXPECT_EQ(tree.at("count"), 4);
  EXPECT_EQ(tree.at("entries").at(1).at("children").at(0).at("path").as_string(), "/app/src/a.go");
  EXPECT_EQ(ask("GET", "/files?path=/app&nested=true&use_gitignore=false").body().at("count"), 7);
  const auto flat = ask("GET",
                        "/files?path=/app&nested=true&flatten=true&include_ext=go&include_hash=true&"
                        "include_content=true")
                        .body();
  ASSERT_EQ(flat.at("count"), 1);
  EXPECT_EQ(flat.at("entries").at(0).at("content").as_string(), "package a");
  EXPECT_EQ(flat.at("entries").at(0).at("hash").as_string(), crypto::sha256_hex("package a"));
  EXPECT_EQ(flat.at("entries").at(0).at("extension").as_string(), ".go");
  const auto light = ask("GET", "/files?path=/app/src&light=true&ignore_patterns=*.txt").body();
  EXPECT_EQ(light.at("entries"), json::parse(R"([{"name": "a.go", "path": "/app/src/a.go", "type": "file"}])"));
  const auto pruned = ask("GET", "/files?path=/app&nested=true&path_filter=b.txt").body();
  EXPECT_EQ(pruned.at("entries").as_array().size(), 1U);
  EXPECT_EQ(pruned.at("entries").at(0).at("children").as_array().size(), 1U);
  const auto poor = ask("GET", "/files?path=/app/src&include_content=true&max_content_budget=5").body();
  EXPECT_EQ(poor.at("entries").at(0).as_object().if_contains("content"), nullptr);
  EXPECT_EQ(poor.at("entries").at(1).at("content").as_string(), "text");
  EXPECT_EQ(ask("GET", "/files?path=/app&nested=1&max_depth=1").body().at("count"), 2);
  expect_error(ask("GET", "/files?path=/none"), 404, "not_found");
  expect_error(ask("GET", "/files?path=/app/x.log"), 422, "validation_error");
  expect_error(ask("GET", "/files?path=/app&max_depth=1000"), 422, "validation_error");
}

TEST_F(RuntimeApiTest, a_streamed_listing_is_framed_to_the_byte) {
  write("/app/a", "1");
  const auto stream = ask("GET", "/files/stream?path=/app&light=true");
  EXPECT_EQ(*stream.headers.find("Content-Type"), "application/x-ndjson");
  EXPECT_EQ(stream.text,
            "{\"event\":\"start\",\"path\":\"/app\"}\n"
            "{\"name\":\"a\",\"path\":\"/app/a\",\"type\":\"file\"}\n"
            "{\"event\":\"done\",\"count\":1}\n");
  expect_error(ask("GET", "/files/stream?path=/none"), 404, "not_found");
}

TEST_F(RuntimeApiTest, text_is_searched_without_ripgrep) {
  write("/app/a.go", "first\nNeedle here\nlast\n");
  write("/app/b.txt", "a needle and a needle\n");
  const auto found = ask("GET", "/files/search?q=needle&path=/app").body();
  EXPECT_EQ(found.at("total_matches"), 2);
  EXPECT_EQ(found.at("total_files"), 2);
  EXPECT_EQ(found.at("results").at("/app/a.go"), json::parse(R"([{"line": 2, "text": "Needle here", "column": 1}])"));
  EXPECT_FALSE(found.at("capped").as_bool());
  EXPECT_EQ(ask("GET", "/files/search?q=needle&path=/app&case_sensitive=1").body().at("total_files"), 1);
  EXPECT_EQ(ask("GET", "/files/search?q=needl&path=/app&whole_word=1").body().at("total_matches"), 0);
  EXPECT_EQ(ask("GET", "/files/search?q=needle&path=/app&file_types=go").body().at("total_files"), 1);
  EXPECT_TRUE(ask("GET", "/files/search?q=needle&path=/app&max_results=1").body().at("capped").as_bool());
  const auto context = ask("GET", "/files/search?q=needle&path=/app&context_lines=1&file_types=go").body();
  EXPECT_EQ(context.at("results").at("/app/a.go").as_array().size(), 3U);
  EXPECT_EQ(ask("GET", "/files/search?q=n.*dle&path=/app&regex=1&file_types=go").body().at("total_matches"), 1);
  EXPECT_EQ(ask("GET", "/files/search?q=%5Eneedle%24&path=/app&regex=1&whole_word=1&case_sensitive=1").status, 200);
  EXPECT_EQ(ask("GET", "/files/search?q=needle&path=/app/b.txt").body().at("total_matches"), 1) << "a file alone";
  expect_error(ask("GET", "/files/search?q=(n&path=/app&regex=1"), 422, "validation_error");
  expect_error(ask("GET", "/files/search?path=/app"), 422, "validation_error");
  EXPECT_FALSE(ask("GET", "/files/search/init").body().at("installed").as_bool());
  const auto made_ready = ask("POST", "/files/search/init");
  EXPECT_EQ(made_ready.status, 200);
  EXPECT_TRUE(made_ready.body().at("success").as_bool());
  EXPECT_FALSE(made_ready.body().at("installed").as_bool());
}

TEST_F(RuntimeApiTest, ripgrep_is_called_with_words_and_its_answer_is_bounded) {
  write("/usr/bin/rg", "#!");
  record_.scripts["/usr/bin/rg"] =
      "{\"type\":\"begin\",\"data\":{}}\nrubbish\n"
      R"({"type":"match","data":{"path":{"text":"/app/x"},"lines":{"text":"abc\n"},"line_number":7,"submatches":[{"start":1}]}})"
      "\n"
      R"({"type":"context","data":{"path":{"text":"/app/x"},"lines":{"text":"def\n"},"line_number":8}})"
      "\n";
  const auto found = ask("GET", "/files/search?q=-e%20%24(x)&path=/&ignore_patterns=*.o,tmp&regex=1").body();
  EXPECT_EQ(found.at("results").at("/app/x"),
            json::parse(R"([{"line": 7, "text": "abc", "column": 2}, {"line": 8, "text": "def", "context": true}])"));
  const auto& words = record_.last_spec->argv;
  const std::vector<std::string> tail(words.end() - 8, words.end());
  EXPECT_EQ(tail, (std::vector<std::string>{"--glob", "!*.o", "--glob", "!tmp", "--regexp", "-e $(x)", "--", "/"}));
  record_.scripts["/usr/bin/rg"] = "ripgrep 13.0.0\n";
  EXPECT_EQ(ask("GET", "/files/search/init").body().at("version").as_string(), "13.0.0");
  EXPECT_EQ(ask("POST", "/files/search/init").body().at("path").as_string(), "/usr/bin/rg");
}

TEST_F(RuntimeApiTest, file_names_are_searched) {
  write("/app/src/UserController.ts", "");
  write("/app/.hidden/controller", "");
  const auto found = ask("GET", "/files/search/files?q=controller&path=/app").body();
  EXPECT_EQ(found.at("files"), json::parse(R"(["src/UserController.ts"])"));
  EXPECT_EQ(ask("GET", "/files/search/files?q=controller&path=/app&include_hidden=1").body().at("total_files"), 2);
  EXPECT_EQ(ask("GET", "/files/search/files?q=*.ts&path=/app").body().at("total_files"), 1);
}

TEST_F(RuntimeApiTest, terminals_are_opened_listed_and_closed) {
  const auto opened = ask("POST", "/terminals", R"({"cmd": ["cat"], "cols": 120, "rows": 40})");
  EXPECT_EQ(opened.status, 201);
  EXPECT_EQ(opened.body().at("id").as_string(), "1");
  EXPECT_EQ(opened.body().at("cols"), 120);
  EXPECT_TRUE(opened.body().at("alive").as_bool());
  EXPECT_EQ(ask("GET", "/terminals").body().at("terminals").as_array().size(), 1U);
  const auto scrollback = ask("GET", "/terminals/1/scrollback").body();
  EXPECT_EQ(scrollback,
            json::parse(R"({"scrollback": "", "size": 0, "alive": true, "exit_code": 0, "success": true})"));
  EXPECT_EQ(ask("PATCH", "/terminals/1/scrollback", R"({"scrollback_size": 100})").body().at("scrollback_size"), 100);
  expect_error(ask("PATCH", "/terminals/1/scrollback", R"({"scrollback_size": 300000})"), 422, "validation_error");
  EXPECT_EQ(ask("DELETE", "/terminals/1/scrollback").status, 200);
  EXPECT_EQ(ask("DELETE", "/terminals/1").body().at("terminal_id").as_string(), "1");
  expect_error(ask("DELETE", "/terminals/1"), 404, "not_found");
  expect_error(ask("DELETE", "/terminals/300"), 404, "not_found");
  expect_error(ask("POST", "/terminals", R"({"cols": 0})"), 422, "validation_error");
  for (int i = 0; i < 10; ++i) EXPECT_EQ(ask("POST", "/terminals", R"({"command": "cat"})").status, 201);
  expect_error(ask("POST", "/terminals", R"({"cmd": ["cat"]})"), 429, "limit_reached");
}

TEST_F(RuntimeApiTest, one_socket_carries_terminals_for_several_clients) {
  ask("POST", "/terminals", R"({"cmd": ["cat"]})");
  auto first = open_socket();
  EXPECT_TRUE(run(first->write(WebSocket::Kind::binary, "\x01ls")));
  EXPECT_EQ(read_frame(*first), "b\x01ls");
  auto second = open_socket();
  EXPECT_EQ(read_frame(*second), "b\x01ls");
  // What nobody understands is passed over.
  EXPECT_TRUE(run(second->write(WebSocket::Kind::binary, "\x01")));
  EXPECT_TRUE(run(second->write(WebSocket::Kind::binary, "\x77gone")));
  EXPECT_TRUE(run(second->write(WebSocket::Kind::text, "no json")));
  EXPECT_TRUE(run(
      second->write(WebSocket::Kind::text, R"({"channel":"terminal","type":"resize","id":"1","cols":100,"rows":30})")));
  EXPECT_EQ(read_frame(*first),
            "b\x01"
            "30x100\n");
  EXPECT_TRUE(run(second->write(WebSocket::Kind::text, R"({"type":"resize","id":1,"cols":90,"rows":20})")));
  EXPECT_EQ(read_frame(*first),
            "b\x01"
            "20x90\n");
  ask("DELETE", "/terminals/1");
  EXPECT_EQ(read_frame(*first), R"(t{"channel":"terminal","type":"exit","id":"1","code":137})");
}

TEST_F(RuntimeApiTest, a_socket_hears_of_ended_terminals_and_of_the_end_of_the_workspace) {
  ask("POST", "/terminals", R"({"cmd": ["echo", "bye"]})");
  settle();
  auto socket = open_socket();
  EXPECT_EQ(read_frame(*socket),
            "b\x01"
            "bye\n");
  EXPECT_EQ(read_frame(*socket), R"(t{"channel":"terminal","type":"exit","id":"1","code":0})");
  EXPECT_TRUE(run(manager_.stop("box")));
  EXPECT_EQ(read_frame(*socket), "closed");
  EXPECT_EQ(socket->peer_close_code(), 1001);
}

TEST_F(RuntimeApiTest, watchers_tell_every_socket) {
  const auto added = ask("POST", "/watchers", R"({"path": "/app", "excludes": [".git"]})");
  EXPECT_EQ(added.status, 201);
  EXPECT_EQ(added.body().at("watcher").at("id").as_string(), "1");
  EXPECT_EQ(added.body().at("watcher").at("dir_count"), 1);
  EXPECT_EQ(added.body().at("root").as_string(), "/app");
  auto first = open_socket();
  auto second = open_socket();
  const std::string ready = R"(t{"channel":"watcher","type":"ready","watcher_id":"1","root":"/app","dirs":1})";
  EXPECT_EQ(read_frame(*first), ready);
  EXPECT_EQ(read_frame(*second), ready);
  write("/app/x", "1");
  const std::string change = R"(t{"channel":"watcher","type":"change","watcher_id":"1","path":"/app/x","op":"create"})";
  EXPECT_EQ(read_frame(*first), change);
  EXPECT_EQ(read_frame(*second), change);
  EXPECT_EQ(ask("GET", "/watchers").body().at("watchers").as_array().size(), 1U);
  EXPECT_TRUE(ask("GET", "/watchers/1").body().at("watcher").at("active").as_bool());
  EXPECT_EQ(ask("DELETE", "/watchers/1").status, 200);
  expect_error(ask("GET", "/watchers/1"), 404, "not_found");
  expect_error(ask("POST", "/watchers", "{}"), 422, "validation_error");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(ask("POST", "/watchers", R"({"root": "/app"})").status, 201);
  expect_error(ask("POST", "/watchers", R"({"path": "/app"})"), 409, "failed_precondition");
}

TEST_F(RuntimeApiTest, what_is_downloaded_can_be_uploaded) {
  write("/app/a", std::string(300'000, 'a'));
  write("/app/node_modules/x", "left out");
  write("/one", "1");
  const auto archive =
      ask("POST", "/files/transfer/download", R"({"paths": ["/app", "/one"], "exclude_patterns": ["node_modules"]})");
  EXPECT_EQ(archive.status, 200);
  EXPECT_EQ(*archive.headers.find("Content-Type"), "application/gzip");
  const auto uploaded = ask("POST", "/files/transfer/upload?dest=/copy", archive.text);
  EXPECT_EQ(uploaded.body(), json::parse(R"({"success": true, "dest": "/copy", "files_extracted": 2})"));
  EXPECT_EQ(ask("GET", "/files/read?path=/copy/app/a").body().at("size"), 300'000);
  EXPECT_EQ(ask("GET", "/files/read?path=/copy/one").body().at("content").as_string(), "1");
  expect_error(ask("GET", "/files/stat?path=/copy/app/node_modules"), 404, "not_found");
  expect_error(ask("POST", "/files/transfer/download", R"({"paths": ["/none"]})"), 404, "not_found");
  expect_error(ask("POST", "/files/transfer/download", "{}"), 422, "validation_error");
}

TEST_F(RuntimeApiTest, an_upload_that_would_leave_its_folder_is_refused_by_name) {
  const auto upload = [&](std::vector<runtime::TarEntry> entries) {
    runtime::TarWriter writer;
    for (const auto& entry : entries) EXPECT_TRUE(writer.begin(entry));
    EXPECT_TRUE(writer.finish());
    return ask("POST", "/files/transfer/upload?dest=/data", writer.take());
  };
  const auto link = [](std::string path, std::string target) {
    runtime::TarEntry entry;
    entry.type = runtime::TarEntry::Type::symlink;
    entry.path = std::move(path);
    entry.link_target = std::move(target);
    return entry;
  };
  runtime::TarEntry file;
  file.path = "../x";
  const auto refused = upload({file});
  expect_error(refused, 422, "validation_error");
  EXPECT_NE(refused.text.find("../x"), std::string::npos);
  expect_error(upload({link("l", "/etc")}), 422, "validation_error");
  expect_error(upload({link("l", "../etc")}), 422, "validation_error");
  // Through a link, also one that stays inside.
  file.path = "inside/x";
  expect_error(upload({link("inside", "other"), file}), 422, "validation_error");
  // A link that was there before is replaced, not followed.
  EXPECT_TRUE(
      run((*manager_.machine("box"))->files().make_symlink("/etc/passwd", "/data/f", vm::CreateParents::no, "")));
  file.path = "f";
  EXPECT_EQ(upload({file}).status, 200);
  EXPECT_EQ(ask("GET", "/files/stat?path=/data/f").body().at("type").as_string(), "file");
  expect_error(ask("GET", "/files/stat?path=/etc/passwd"), 404, "not_found");
  expect_error(ask("POST", "/files/transfer/upload?dest=work", "x"), 422, "validation_error");
  expect_error(ask("POST", "/files/transfer/upload?dest=/data", "no archive at all, just some bytes"), 422,
               "validation_error");
}

TEST_F(RuntimeApiTest, there_is_no_desktop) {
  EXPECT_EQ(ask("GET", "/desktop/status").body().at("supported"), false);
  expect_error(ask("POST", "/desktop/enable"), 501, "not_supported");
  expect_error(ask("GET", "/desktop/credentials"), 501, "not_supported");
  expect_error(ask("GET", "/desktop"), 501, "not_supported");
}

TEST(RuntimePaths, slashes_are_for_proxied_paths_only) {
  EXPECT_TRUE(has_stray_slash({"workspace", "a/b"}));
  EXPECT_TRUE(has_stray_slash({"workspace", "a/b", "runtime", "proxy", "x"}));
  EXPECT_TRUE(has_stray_slash({"workspace", "a", "runtime", "exec", "x/y"}));
  EXPECT_TRUE(has_stray_slash({"workspace", "a", "proxy", "x/y"}));
  EXPECT_FALSE(has_stray_slash({"workspace", "a", "runtime", "proxy", "x/y"}));
  EXPECT_FALSE(has_stray_slash({"runtimes", "local", "proxy", "x/y"}));
  EXPECT_FALSE(has_stray_slash({"proxy", "x/y"}));
}

TEST(Base64, padding) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("\xff\xfe\xfd\xfc"), "//79/A==");
}

}  // namespace
}  // namespace cofferdam::api
