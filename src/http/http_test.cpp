// The server, the client and the WebSocket against each other over a real Unix socket, and against raw hostile bytes.
#include "http/event_stream.h"
#include "http/server_fixture.h"

namespace cofferdam::http {
namespace {

TEST_F(Http, many_requests_share_one_connection) {
  serve();
  Client client(io_.get_executor(), path_);
  for (int i = 0; i < 50; ++i) {
    auto answer = run(ask(client, get("/hello")));
    ASSERT_TRUE(answer) << answer.error().message;
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, "hello GET");
    ASSERT_NE(answer->headers.find("x-request-id"), nullptr);
    EXPECT_EQ(answer->headers.find("Injected"), nullptr);
  }
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(Http, head_has_the_length_and_no_body) {
  serve();
  Client client(io_.get_executor(), path_);
  ClientRequest request = get("/hello");
  request.method = "HEAD";
  auto answer = run(ask(client, std::move(request))).value();
  EXPECT_EQ(answer.body, "");
  EXPECT_EQ(*answer.headers.find("Content-Length"), "10");
  EXPECT_EQ(run(ask(client, get("/hello")))->body, "hello GET");
}

TEST_F(Http, big_bodies_pass_both_ways_chunked_and_plain) {
  serve();
  Client client(io_.get_executor(), path_);
  for (const bool with_length : {false, true}) {
    ClientRequest request;
    request.method = "PUT";
    request.target = "/count";
    request.source = std::make_unique<CountedSource>(100, nullptr);
    if (with_length) request.source_length = 100 * kPiece;
    EXPECT_EQ(run(ask(client, std::move(request)))->body, std::to_string(100 * kPiece));
    EXPECT_EQ(run(ask(client, get(with_length ? "/big?length=1" : "/big")))->body.size(), 64 * kPiece);
  }
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(Http, a_reader_that_pauses_holds_the_source_back) {
  serve();
  Client client(io_.get_executor(), path_);
  auto response = run(client.request(get("/big"))).value();
  ASSERT_TRUE(run(loop::sleep_for(100ms)));
  // What fits into the socket's buffers, and no more.
  EXPECT_LT(pulled_, 16U);
  EXPECT_EQ(run(response->read_all(64U << 20))->size(), 64 * kPiece);
  EXPECT_EQ(pulled_, 64U);
}

TEST_F(Http, an_answer_dropped_half_way_does_not_confuse_the_next) {
  serve();
  Client client(io_.get_executor(), path_);
  {
    auto response = run(client.request(get("/big"))).value();
    EXPECT_FALSE(run(response->next())->empty());
  }
  EXPECT_EQ(run(ask(client, get("/hello")))->body, "hello GET");
}

TEST_F(Http, a_source_that_breaks_is_seen_as_a_cut_answer) {
  serve();
  Client client(io_.get_executor(), path_);
  auto answer = run(ask(client, get("/broken")));
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::DataLoss);
}

TEST_F(Http, errors_and_exceptions_become_answers) {
  serve();
  Client client(io_.get_executor(), path_);
  EXPECT_EQ(run(ask(client, get("/missing")))->status, 404);
  auto thrown = run(ask(client, get("/throw"))).value();
  EXPECT_EQ(thrown.status, 500);
  EXPECT_EQ(thrown.body.find("a bug\n"), std::string::npos);
  EXPECT_EQ(run(ask(client, get("/hello")))->status, 200);
  EXPECT_EQ(server_->connections(), 1U);
}

TEST_F(Http, a_body_over_the_handlers_limit_is_413) {
  serve();
  Client client(io_.get_executor(), path_);
  ClientRequest request;
  request.method = "POST";
  request.target = "/small";
  request.body = std::string(1001, 'x');
  EXPECT_EQ(run(ask(client, std::move(request)))->status, 413);
  ClientRequest chunked;
  chunked.method = "POST";
  chunked.target = "/small";
  chunked.source = std::make_unique<CountedSource>(200, nullptr);
  EXPECT_EQ(run(ask(client, std::move(chunked)))->status, 413);
  EXPECT_EQ(run(ask(client, get("/hello")))->status, 200);
}

TEST_F(Http, no_daemon_is_unavailable) {
  Client client(io_.get_executor(), dir_ + "/absent");
  EXPECT_EQ(run(client.request(get("/"))).error().code, Code::Unavailable);
  {
    auto left_behind = listen_unix(path_, SOCK_STREAM).value();
  }
  Client refused(io_.get_executor(), path_);
  EXPECT_EQ(run(refused.request(get("/"))).error().code, Code::Unavailable);
}

TEST_F(Http, a_restarted_server_is_found_again) {
  serve();
  Client client(io_.get_executor(), path_);
  EXPECT_EQ(run(ask(client, get("/hello")))->status, 200);
  ASSERT_TRUE(run(server_->stop(1s)));
  server_.reset();
  serve();
  EXPECT_EQ(run(ask(client, get("/hello")))->status, 200);
}

TEST_F(Http, a_file_is_sent_from_where_its_descriptor_stands) {
  serve();
  ASSERT_TRUE(write_file_atomically(dir_ + "/f", std::string(300'000, 'y')));
  Client client(io_.get_executor(), path_);
  auto fd = open_file(dir_ + "/f", O_RDONLY).value();
  ASSERT_EQ(::lseek(fd.get(), 100'000, SEEK_SET), 100'000);
  auto source = source_of(io_.get_executor(), std::move(fd)).value();
  EXPECT_EQ(source.length, 200'000U);
  ClientRequest request;
  request.method = "PUT";
  request.target = "/count";
  request.source = std::move(source.source);
  request.source_length = source.length;
  EXPECT_EQ(run(ask(client, std::move(request)))->body, "200000");
}

TEST_F(Http, pipelined_requests_are_answered_in_order) {
  serve();
  const std::string one = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string with_body = "POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc";
  const auto got = run(raw(one + with_body + one)).value();
  const auto first = got.find("hello GET"), second = got.find("abc"), third = got.rfind("hello GET");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_EQ(handled_, 3);
}

TEST_F(Http, a_body_that_the_handler_left_is_not_the_next_request) {
  serve();
  const std::string evil = "GET /throw HTTP/1.1\r\nHost: x\r\n\r\n";
  const auto got = run(raw(cat("POST /missing HTTP/1.1\r\nHost: x\r\nContent-Length: ", evil.size(), "\r\n\r\n", evil,
                               "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n")))
                       .value();
  EXPECT_EQ(handled_, 2);
  EXPECT_NE(got.find("404"), std::string::npos);
  EXPECT_NE(got.find("hello GET"), std::string::npos);
}

TEST_F(Http, expect_continue_is_answered_when_the_body_is_wanted) {
  serve();
  const std::string head = "\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";
  const auto wanted = run(raw("POST /small HTTP/1.1" + head + "abc")).value();
  EXPECT_EQ(wanted.find("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"), 0U) << wanted;
  const auto refused = run(raw("POST /missing HTTP/1.1" + head)).value();
  EXPECT_EQ(refused.find("HTTP/1.1 404"), 0U) << refused;
}

TEST_F(Http, http_1_0_gets_no_chunks_and_a_close) {
  serve();
  const auto got = run(raw("GET /big HTTP/1.0\r\n\r\n", Then::keep_open)).value();
  EXPECT_EQ(got.find("chunked"), std::string::npos);
  EXPECT_GT(got.size(), 64 * kPiece);
}

struct Malformed {
  const char* name;
  std::string bytes;
  const char* status;
};

class HttpMalformed : public Http, public ::testing::WithParamInterface<Malformed> {};

TEST_P(HttpMalformed, is_refused_and_closed) {
  serve();
  const auto got = run(raw(GetParam().bytes)).value();
  EXPECT_EQ(got.find(cat("HTTP/1.1 ", GetParam().status, " ")), 0U) << got.substr(0, 200);
  EXPECT_NE(got.find("Connection: close"), std::string::npos);
  EXPECT_EQ(got.find("HTTP/1.1", 1), std::string::npos) << "a second answer";
  EXPECT_EQ(server_->connections(), 0U);
}

const std::string kPost = "POST /count HTTP/1.1\r\nHost: x\r\n";
const std::string kSmuggled = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
INSTANTIATE_TEST_SUITE_P(
    All, HttpMalformed,
    ::testing::Values(
        Malformed{"garbage", "\x16\x03\x01 hello\r\n\r\n", "400"}, Malformed{"no_version", "GET /\r\n\r\n", "400"},
        Malformed{"bad_version", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", "400"},
        Malformed{"no_host", "GET /hello HTTP/1.1\r\n\r\n", "400"},
        Malformed{"two_hosts", "GET /hello HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "400"},
        Malformed{"absolute_target", "GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        Malformed{"bad_escape", "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        Malformed{"nul_in_path", "GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        Malformed{"dot_dot", "GET /a/%2e%2e/b HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        Malformed{"ten_megabytes_of_header", "GET / HTTP/1.1\r\nX: " + std::string(10U << 20, 'a'), "431"},
        Malformed{"ten_megabytes_of_target", "GET /" + std::string(10U << 20, 'a'), "414"},
        Malformed{"a_long_target", "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: x\r\n\r\n", "414"},
        Malformed{"a_thousand_headers",
                  [] {
                    std::string bytes = "GET / HTTP/1.1\r\n";
                    for (int i = 0; i < 1000; ++i) bytes += "A: b\r\n";
                    return bytes + "\r\n";
                  }(),
                  "431"},
        Malformed{"length_and_chunked",
                  kPost + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + kSmuggled, "400"},
        Malformed{"chunked_and_length",
                  kPost + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n" + kSmuggled, "400"},
        Malformed{"odd_coding", kPost + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + kSmuggled, "400"},
        Malformed{"coding_list", kPost + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" + kSmuggled, "400"},
        Malformed{"two_lengths", kPost + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab" + kSmuggled, "400"},
        Malformed{"same_length_twice", kPost + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na" + kSmuggled, "400"},
        Malformed{"negative_length", kPost + "Content-Length: -1\r\n\r\n" + kSmuggled, "400"},
        Malformed{"chunked_in_1_0", "POST /count HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        Malformed{"bad_chunk", kPost + "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc" + kSmuggled, "400"},
        Malformed{"endless_chunk_head",
                  kPost + "Transfer-Encoding: chunked\r\n\r\n1;" + std::string(1U << 20, 'x') + kSmuggled, "400"},
        Malformed{"cut_body", kPost + "Content-Length: 100\r\n\r\nabc", "400"},
        Malformed{"cut_chunk", kPost + "Transfer-Encoding: chunked\r\n\r\n5\r\nab", "400"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(Http, a_slow_head_is_cut) {
  ServerOptions options;
  options.header_timeout = 100ms;
  serve(options);
  const auto started = Clock::now();
  const auto got = run(raw("GET /hello HTTP/1.1\r\nHo", Then::keep_open)).value();
  EXPECT_EQ(got.find("HTTP/1.1 408 "), 0U) << got;
  EXPECT_GE(Clock::now() - started, 100ms);
  EXPECT_EQ(handled_, 0);
}

TEST_F(Http, a_slow_body_is_cut) {
  ServerOptions options;
  options.body_timeout = 100ms;
  serve(options);
  const auto got = run(raw(kPost + "Content-Length: 100\r\n\r\nabc", Then::keep_open)).value();
  EXPECT_EQ(got.find("HTTP/1.1 408 "), 0U) << got;
}

TEST_F(Http, an_idle_connection_ends) {
  ServerOptions options;
  options.idle_timeout = 100ms;
  serve(options);
  EXPECT_EQ(run(raw("", Then::keep_open)).value(), "");
  const auto kept = run(raw(kSmuggled, Then::keep_open)).value();
  EXPECT_NE(kept.find("hello GET"), std::string::npos);
}

TEST_F(Http, a_reader_that_never_reads_is_cut) {
  ServerOptions options;
  options.write_timeout = 100ms;
  serve(options);
  Client client(io_.get_executor(), path_);
  auto response = run(client.request(get("/big"))).value();
  ASSERT_TRUE(run(loop::sleep_for(400ms)));
  EXPECT_EQ(server_->connections(), 0U);
  EXPECT_LT(pulled_, 64U);
}

TEST_F(Http, a_peer_that_is_not_allowed_gets_403_and_a_close) {
  uid_t seen = 0;
  serve({}, [&](const Peer& peer) -> Status {
    seen = peer.uid;
    EXPECT_TRUE(peer.in_group(::getgid()));
    EXPECT_EQ(peer.pid, ::getpid());
    return fail(Code::PermissionDenied, "not you");
  });
  const auto got = run(raw(kSmuggled + kSmuggled)).value();
  EXPECT_EQ(got.find("HTTP/1.1 403 "), 0U) << got;
  EXPECT_EQ(got.find("HTTP/1.1", 1), std::string::npos);
  EXPECT_EQ(handled_, 0);
  EXPECT_EQ(seen, ::getuid());
}

TEST_F(Http, more_connections_than_allowed_are_answered_503) {
  ServerOptions options;
  options.max_connections = 1;
  serve(options);
  Client first(io_.get_executor(), path_);
  EXPECT_EQ(run(ask(first, get("/hello")))->status, 200);
  Client second(io_.get_executor(), path_);
  EXPECT_EQ(run(ask(second, get("/hello")))->status, 503);
  EXPECT_EQ(run(ask(first, get("/hello")))->status, 200);
}

TEST_F(Http, stop_waits_for_the_running_request_and_ends_the_idle_one) {
  slow_ = 200ms;
  serve();
  Client idle(io_.get_executor(), path_);
  ASSERT_TRUE(run(ask(idle, get("/hello"))));
  Client client(io_.get_executor(), path_);
  std::optional<Result<Answer>> slow;
  loop::TaskGroup group(io_.get_executor());
  auto running = [](Http* test, Client* with, std::optional<Result<Answer>>* out) -> Task<void> {
    *out = co_await test->ask(*with, get("/slow"));
    co_return Status{};
  };
  group.spawn("slow", running(this, &client, &slow));
  ASSERT_TRUE(run(loop::sleep_for(50ms)));
  ASSERT_TRUE(run(server_->stop(10s)));
  ASSERT_TRUE(run(group.join()));
  ASSERT_TRUE(slow && *slow);
  EXPECT_EQ((*slow)->body, "at last");
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(Http, stop_cuts_what_does_not_end_in_time) {
  serve();
  Client client(io_.get_executor(), path_);
  auto socket = run(client.websocket("/ws", {})).value();
  loop::TaskGroup group(io_.get_executor());
  auto running = [](Http* test, Client* with) -> Task<void> {
    EXPECT_FALSE(co_await test->ask(*with, get("/slow")));
    co_return Status{};
  };
  group.spawn("slow", running(this, &client));
  ASSERT_TRUE(run(loop::sleep_for(50ms)));
  EXPECT_EQ(server_->connections(), 2U);
  ASSERT_TRUE(run(server_->stop(50ms)));
  EXPECT_EQ(server_->connections(), 0U);
  ASSERT_TRUE(run(group.join()));
  EXPECT_FALSE(run(socket->read()).value_or(std::nullopt));
}

TEST_F(Http, websocket_echoes_text_and_binary_up_to_the_limit) {
  serve();
  Client client(io_.get_executor(), path_);
  const Headers asked{{"Sec-WebSocket-Protocol", "echo"}};
  auto opened = run(client.websocket("/ws", asked));
  ASSERT_TRUE(opened) << opened.error().message;
  auto& socket = **opened;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, WebSocket::kMaxMessageBytes}) {
    const std::string bytes(size, '\0');
    ASSERT_TRUE(run(socket.write(WebSocket::Kind::binary, bytes)));
    auto back = run(socket.read());
    ASSERT_TRUE(back) << back.error().message;
    ASSERT_TRUE(*back);
    EXPECT_EQ((*back)->kind, WebSocket::Kind::binary);
    EXPECT_EQ((*back)->bytes, bytes);
  }
  ASSERT_TRUE(run(socket.write(WebSocket::Kind::text, "ä")));
  EXPECT_EQ(run(socket.read()).value()->kind, WebSocket::Kind::text);
  ASSERT_TRUE(run(socket.close(4002)));
  EXPECT_EQ(peer_code_, 4002);
}

TEST_F(Http, websocket_close_code_of_the_server_arrives) {
  serve();
  Client client(io_.get_executor(), path_);
  auto socket = run(client.websocket("/ws", {})).value();
  ASSERT_TRUE(run(socket->write(WebSocket::Kind::text, "bye")));
  auto end = run(socket->read());
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_FALSE(*end);
  EXPECT_EQ(socket->peer_close_code(), 4001);
}

TEST_F(Http, websocket_message_over_the_limit_is_closed_with_1009) {
  serve();
  Client client(io_.get_executor(), path_);
  auto socket = run(client.websocket("/ws", {})).value();
  ASSERT_TRUE(run(socket->write(WebSocket::Kind::binary, std::string(WebSocket::kMaxMessageBytes + 1, 'x'))));
  auto end = run(socket->read());
  ASSERT_TRUE(end) << end.error().message;
  EXPECT_FALSE(*end);
  EXPECT_EQ(socket->peer_close_code(), 1009);
}

TEST_F(Http, websocket_writers_take_turns) {
  serve();
  Client client(io_.get_executor(), path_);
  auto socket = run(client.websocket("/ws", {})).value();
  loop::TaskGroup group(io_.get_executor());
  for (int i = 0; i < 20; ++i) {
    group.spawn("writer", socket->write(WebSocket::Kind::binary, std::string(20'000, static_cast<char>('a' + i))));
  }
  for (int i = 0; i < 20; ++i) {
    auto back = run(socket->read()).value().value();
    EXPECT_EQ(back.bytes, std::string(20'000, static_cast<char>('a' + i)));
  }
  ASSERT_TRUE(run(group.join()));
}

TEST_F(Http, websocket_outlives_pings_while_nobody_reads) {
  ServerOptions options;
  options.ping_interval = 20ms;
  serve(options);
  Client client(io_.get_executor(), path_);
  auto socket = run(client.websocket("/ws", {})).value();
  ASSERT_TRUE(run(loop::sleep_for(200ms)));
  ASSERT_TRUE(run(socket->write(WebSocket::Kind::text, "still here")));
  EXPECT_EQ(run(socket->read()).value()->bytes, "still here");
}

TEST_F(Http, a_client_that_is_gone_ends_its_websocket) {
  ServerOptions options;
  options.ping_interval = 20ms;
  serve(options);
  Client client(io_.get_executor(), path_);
  {
    auto socket = run(client.websocket("/ws", {})).value();
  }
  ASSERT_TRUE(run(loop::sleep_for(100ms)));
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(Http, upgrade_is_refused_where_there_is_none) {
  serve();
  Client client(io_.get_executor(), path_);
  auto refused = run(client.websocket("/missing", {}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::NotFound);
  EXPECT_EQ(refused.error().message, "nothing here");
  EXPECT_EQ(run(ask(client, get("/ws")))->status, 426);
}

TEST_F(Http, event_queue_is_bounded_and_always_ends) {
  auto queue = std::make_shared<EventQueue>(io_.get_executor(), 3);
  auto source = event_source(queue);
  for (int i = 0; i < 10; ++i) queue->push(std::to_string(i));
  queue->finish("end");
  queue->push("late");
  EXPECT_EQ(run(source->next()).value(), "8\n9\nend\n");
  EXPECT_EQ(run(source->next()).value(), "");
}

}  // namespace
}  // namespace cofferdam::http
