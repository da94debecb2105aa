// The way to servers on a workspace's own loopback.
#include "api/runtime_fixture.h"
#include "http/stream.h"

namespace cofferdam::api {
namespace {

constexpr std::size_t kPiece = 64U << 10;

TEST_F(RuntimeApiTest, the_proxy_passes_on_what_is_meant_for_the_server) {
  record_.http_answer =
      "HTTP/1.1 201 Created\r\nContent-Length: 5\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nX-App: yes\r\n"
      "Set-Cookie: a\r\nSet-Cookie: b\r\n\r\nhello";
  const auto token = mint(R"({"kind": "runtime", "scope": "workspace", "workspaceId": "box", "verbs": ["network"]})");
  http::Headers headers = bearer(token);
  headers.add("X-Oblien-Proxy-Target", "8080");
  headers.add("X-Mine", "kept");
  headers.add("TE", "trailers");
  const auto answer =
      far("POST", "/proxy/api%2Fv1/users?limit=1&x_oblien_target=9&token=" + token + "&b=%20", headers, "{}");
  EXPECT_EQ(answer.status, 201);
  EXPECT_EQ(answer.text, "hello");
  EXPECT_EQ(*answer.headers.find("X-App"), "yes");
  EXPECT_EQ(answer.headers.count("Set-Cookie"), 2U);
  EXPECT_EQ(answer.headers.find("X-Hop"), nullptr);
  const std::string& sent = record_.http_request;
  EXPECT_TRUE(sent.starts_with("POST /api%2Fv1/users?limit=1&b=%20 HTTP/1.1\r\nHost: localhost:8080\r\n")) << sent;
  EXPECT_NE(sent.find("X-Mine: kept\r\n"), std::string::npos);
  EXPECT_NE(sent.find("Content-Length: 2\r\n"), std::string::npos);
  EXPECT_TRUE(sent.ends_with("\r\n\r\n{}"));
  for (const std::string& stripped : {token, std::string("Oblien"), std::string("trailers"), std::string("x_oblien")}) {
    EXPECT_EQ(sent.find(stripped), std::string::npos) << stripped;
  }
}

TEST_F(RuntimeApiTest, the_proxy_is_told_its_target_in_three_ways_and_reaches_loopback_only) {
  record_.http_answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
  EXPECT_EQ(ask("GET", "/proxy/8080").text, "abc");
  EXPECT_TRUE(record_.http_request.starts_with("GET / HTTP/1.1\r\n"));
  EXPECT_EQ(ask("DELETE", "/proxy/8080/a/b/").text, "abc");
  EXPECT_TRUE(record_.http_request.starts_with("DELETE /a/b/ HTTP/1.1\r\n"));
  const auto token = mint(R"({"kind": "runtime", "scope": "workspace", "workspaceId": "box", "verbs": ["network"]})");
  EXPECT_EQ(far("GET", "/proxy/x?x_oblien_target=localhost:8080&token=app", bearer(token)).text, "abc");
  EXPECT_TRUE(record_.http_request.starts_with("GET /x?token=app HTTP/1.1\r\n"));
  record_.http_answer = "HTTP/1.0 200 OK\r\n\r\nuntil the end";
  EXPECT_EQ(ask("GET", "/proxy/8080/old").text, "until the end");
  record_.http_answer = "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
  EXPECT_EQ(ask("GET", "/proxy/8080/").status, 204);
  expect_error(ask("GET", "/proxy/x", "", {{"X-Oblien-Proxy-Target", "10.0.0.1:80"}}), 403, "forbidden");
  expect_error(ask("GET", "/proxy/x", "", {{"X-Oblien-Proxy-Target", "0"}}), 422, "validation_error");
  expect_error(ask("GET", "/proxy"), 422, "validation_error");
  expect_error(ask("GET", "/proxy/81/x"), 503, "unavailable");
  record_.http_answer = "this is no HTTP\r\n\r\n";
  expect_error(ask("GET", "/proxy/8080/"), 503, "unavailable");
}

TEST_F(RuntimeApiTest, a_websocket_passes_through_the_proxy_as_it_is) {
  record_.http_answer =
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
      "Sec-WebSocket-Accept: xyz\r\n\r\nfirst";
  auto talk = [this]() -> Task<std::string> {
    CO_TRY_ASSIGN(auto stream, co_await http::connect_to(http::unix_endpoint(dir_ + "/s")));
    const std::string head = "GET " + kBase +
                             "/proxy/sock?x_oblien_target=8080 HTTP/1.1\r\nHost: x\r\n"
                             "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
    const auto deadline = http::Stream::Clock::now() + 10s;
    CO_TRY(co_await stream->write(head, {}, {}, deadline, "send"));
    const auto until = [&stream, deadline](std::string wanted) -> Task<void> {
      while (stream->buffered().find(wanted) == std::string_view::npos) {
        CO_TRY_ASSIGN(const std::size_t count, co_await stream->fill(kPiece, deadline, "receive"));
        if (count == 0) co_return fail(Code::Unavailable, std::string(stream->buffered()));
      }
      co_return Status{};
    };
    CO_TRY(co_await until("first"));
    CO_TRY(co_await stream->write("\x81raw frame", {}, {}, deadline, "send"));
    CO_TRY(co_await until("raw frame"));
    co_return std::string(stream->buffered());
  };
  const auto got = run(talk());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(got->starts_with("HTTP/1.1 101 Switching Protocols\r\n")) << *got;
  EXPECT_NE(got->find("Sec-WebSocket-Accept: xyz\r\n"), std::string::npos);
  EXPECT_TRUE(got->ends_with("first\x81raw frame")) << *got;
  EXPECT_NE(record_.http_request.find("Connection: Upgrade\r\nUpgrade: websocket\r\n"), std::string::npos);
  EXPECT_NE(record_.http_request.find("Sec-WebSocket-Key: k\r\n"), std::string::npos);
  EXPECT_TRUE(record_.http_request.starts_with("GET /sock HTTP/1.1\r\n"));
}

// Whatever comes on a raw connection until `wanted` is there.
Task<void> receive(http::Stream& stream, std::string wanted) {
  const auto deadline = http::Stream::Clock::now() + 10s;
  while (stream.buffered().find(wanted) == std::string_view::npos) {
    CO_TRY_ASSIGN(const std::size_t count, co_await stream.fill(kPiece, deadline, "receive"));
    if (count == 0) co_return fail(Code::Unavailable, std::string(stream.buffered()));
  }
  co_return Status{};
}

TEST_F(RuntimeApiTest, an_answer_flows_while_the_body_of_its_request_still_does) {
  record_.http_answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nearly\r\n0\r\n\r\n";
  auto talk = [this]() -> Task<std::string> {
    CO_TRY_ASSIGN(auto stream, co_await http::connect_to(http::unix_endpoint(dir_ + "/s")));
    const auto deadline = http::Stream::Clock::now() + 10s;
    const std::string head = "POST " + kBase +
                             "/proxy/8080/up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                             "6\r\nfirst \r\n";
    CO_TRY(co_await stream->write(head, {}, {}, deadline, "send"));
    // The answer is there before the body has ended.
    CO_TRY(co_await receive(*stream, "early"));
    CO_TRY(co_await stream->write("6\r\nsecond\r\n0\r\n\r\n", {}, {}, deadline, "send"));
    CO_TRY(co_await receive(*stream, "\r\n0\r\n\r\n"));
    co_return std::string(stream->buffered());
  };
  const auto got = run(talk());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(got->starts_with("HTTP/1.1 200 OK\r\n")) << *got;
  EXPECT_NE(got->find("\r\n5\r\nearly\r\n0\r\n\r\n"), std::string::npos) << *got;
  EXPECT_TRUE(run(loop::sleep_for(100ms)));
  EXPECT_TRUE(record_.http_request.ends_with("6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n")) << record_.http_request;
}

TEST_F(RuntimeApiTest, a_client_that_goes_in_the_middle_of_its_body_ends_the_exchange) {
  record_.http_answer = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npart";
  auto talk = [this]() -> Task<void> {
    CO_TRY_ASSIGN(auto stream, co_await http::connect_to(http::unix_endpoint(dir_ + "/s")));
    const auto deadline = http::Stream::Clock::now() + 10s;
    const std::string head = "POST " + kBase + "/proxy/8080/up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nsome";
    CO_TRY(co_await stream->write(head, {}, {}, deadline, "send"));
    co_return co_await receive(*stream, "part");
  };
  ASSERT_TRUE(run(talk()));
  for (int i = 0; i < 100 && server_->connections() > 0; ++i) EXPECT_TRUE(run(loop::sleep_for(20ms)));
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(RuntimeApiTest, a_server_that_refuses_a_body_is_heard_before_the_body_ends) {
  record_.http_answer = "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nno!";
  auto talk = [this]() -> Task<std::string> {
    CO_TRY_ASSIGN(auto stream, co_await http::connect_to(http::unix_endpoint(dir_ + "/s")));
    const auto deadline = http::Stream::Clock::now() + 10s;
    const std::string head =
        "POST " + kBase + "/proxy/8080/up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nsome";
    CO_TRY(co_await stream->write(head, {}, {}, deadline, "send"));
    CO_TRY(co_await receive(*stream, "no!"));
    co_return std::string(stream->buffered());
  };
  const auto got = run(talk());
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_TRUE(got->starts_with("HTTP/1.1 413 ")) << *got;
}

TEST_F(RuntimeApiTest, a_revoked_token_cuts_a_tunnel_through_the_proxy) {
  record_.http_answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\nfirst";
  const auto minted = run(send([] {
                        http::ClientRequest request;
                        request.method = "POST";
                        request.target = "/tokens";
                        request.body = R"({"kind": "runtime", "scope": "workspace", "workspaceId": "box",
                                          "verbs": ["network"]})";
                        return request;
                      }()))
                          .value()
                          .body();
  const std::string token(minted.at("token").as_string());
  const std::string id(minted.at("id").as_string());
  auto talk = [this, token, id]() -> Task<std::size_t> {
    http::Endpoint far;
    far.address = address_;
    CO_TRY_ASSIGN(auto stream, co_await http::connect_to(far));
    const auto deadline = http::Stream::Clock::now() + 10s;
    const std::string head = "GET /proxy/8080/sock HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + token +
                             "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n";
    CO_TRY(co_await stream->write(head, {}, {}, deadline, "send"));
    CO_TRY(co_await receive(*stream, "first"));
    http::ClientRequest revoke;
    revoke.method = "DELETE";
    revoke.target = "/tokens/" + id;
    CO_TRY(co_await send(std::move(revoke)));
    co_return co_await stream->fill(kPiece, deadline, "receive");
  };
  const auto end = run(talk());
  EXPECT_TRUE(!end || *end == 0U) << "the tunnel is still open";
}

}  // namespace
}  // namespace cofferdam::api
