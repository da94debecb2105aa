// The server over TCP, and what a client far away may try to hold it with: each attack over a raw socket.
#include "http/tcp.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "http/server_fixture.h"

namespace cofferdam::http {
namespace {

TEST(TcpAddress, is_read_and_written) {
  for (const std::string good : {"127.0.0.1:7070", "0.0.0.0:1", "[::1]:7070", "[2001:db8::1]:0"}) {
    const auto address = parse_tcp_address(good);
    ASSERT_TRUE(address) << good << ": " << address.error().message;
    EXPECT_EQ(address->text(), good);
  }
  EXPECT_EQ(parse_host_and_port("coffer.example", 80)->text(), "coffer.example:80");
  EXPECT_EQ(parse_host_and_port("[::1]", 443)->text(), "[::1]:443");
}

TEST(TcpAddress, what_is_none_is_refused) {
  for (const std::string bad : {"", "7070", ":7070", "localhost:7070", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536",
                                "127.0.0.1:-1", "127.0.0.1:7070x", "::1:7070", "[::1]", "[::1]7070", "[::1:7070",
                                "[127.0.0.1]:1", "[]:1", "1.2.3:4", "a b:1", "127.0.0.1:7 0"}) {
    const auto address = parse_tcp_address(bad);
    ASSERT_FALSE(address) << bad;
    EXPECT_EQ(address.error().code, Code::InvalidArgument);
  }
}

TEST(TcpAddress, loopback_is_known) {
  for (const char* near : {"127.0.0.1", "127.1.2.3", "::1", "localhost"}) EXPECT_TRUE(is_loopback({near, 1})) << near;
  for (const char* far : {"0.0.0.0", "192.0.2.1", "::", "2001:db8::1"}) EXPECT_FALSE(is_loopback({far, 1})) << far;
}

TEST(TcpAddress, one_ipv6_network_is_one_source) {
  EXPECT_EQ(source_network("2001:db8::1"), source_network("2001:db8::ffff:1"));
  EXPECT_NE(source_network("2001:db8::1"), source_network("2001:db8:0:1::1"));
  EXPECT_NE(source_network("192.0.2.1"), source_network("192.0.2.2"));
}

TEST(Endpoint, is_read_from_a_url) {
  EXPECT_EQ(parse_endpoint("unix:/run/x.sock")->socket_path, "/run/x.sock");
  EXPECT_EQ(parse_endpoint("unix:///run/x.sock")->socket_path, "/run/x.sock");
  EXPECT_EQ(parse_endpoint("http://127.0.0.1:7070/")->text(), "http://127.0.0.1:7070");
  EXPECT_EQ(parse_endpoint("http://h")->host(), "h:80");
  EXPECT_FALSE(parse_endpoint("http://h", TlsTrust{"ca", ""})->tls);
  const auto secure = parse_endpoint("https://[::1]", TlsTrust{"ca", ""}).value();
  EXPECT_EQ(secure.text(), "https://[::1]:443");
  EXPECT_EQ(secure.tls->ca_file, "ca");
  for (const std::string bad :
       {"", "x", "unix:x", "ftp://h", "http://", "http://h/path", "http://u@h", "http://h:0", "https://h?x"}) {
    EXPECT_FALSE(parse_endpoint(bad)) << bad;
  }
}

class Tcp : public Http {
 public:
  static constexpr std::string_view kHello = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
};

TEST_F(Tcp, the_same_requests_pass_over_ipv4_and_ipv6) {
  for (const std::string host : {"127.0.0.1", "::1"}) {
    serve_tcp({}, {}, host);
    Client client(io_.get_executor(), tcp_);
    EXPECT_EQ(run(ask(client, get("/hello")))->body, "hello GET");
    EXPECT_EQ(run(ask(client, get("/peer")))->body, "remote " + host);
    ClientRequest request;
    request.method = "PUT";
    request.target = "/count";
    request.source = std::make_unique<CountedSource>(100, nullptr);
    EXPECT_EQ(run(ask(client, std::move(request)))->body, std::to_string(100 * kPiece));
    EXPECT_EQ(run(ask(client, get("/big")))->body.size(), 64 * kPiece);
    auto socket = run(client.websocket("/ws", {})).value();
    ASSERT_TRUE(run(socket->write(WebSocket::Kind::text, "over TCP")));
    EXPECT_EQ(run(socket->read()).value()->bytes, "over TCP");
  }
}

TEST_F(Tcp, unix_and_tcp_are_served_side_by_side) {
  serve();
  serve_tcp();
  Client local(io_.get_executor(), path_);
  Client remote(io_.get_executor(), tcp_);
  EXPECT_EQ(run(ask(local, get("/peer")))->body, "local ");
  EXPECT_EQ(run(ask(remote, get("/peer")))->body, "remote 127.0.0.1");
}

TEST_F(Tcp, a_name_is_resolved_by_the_client) {
  serve_tcp();
  Client client(io_.get_executor(), parse_endpoint(cat("http://localhost:", tcp_.address.port)).value());
  EXPECT_EQ(run(ask(client, get("/hello")))->body, "hello GET");
}

TEST_F(Tcp, a_port_that_is_taken_and_one_that_nobody_has_are_unavailable) {
  serve_tcp();
  EXPECT_EQ(server_->listen_tcp(tcp_.address, {}).error().code, Code::Unavailable);
  EXPECT_EQ(server_->listen_tcp({"192.0.2.1", 0}, {}).error().code, Code::InvalidArgument);
  ASSERT_TRUE(run(server_->stop(0ms)));
  Client client(io_.get_executor(), tcp_);
  EXPECT_EQ(run(client.request(get("/"))).error().code, Code::Unavailable);
}

TEST_F(Tcp, a_peer_that_is_not_allowed_gets_403) {
  serve_tcp({}, [](const Peer& peer) -> Status {
    EXPECT_FALSE(peer.local());
    EXPECT_FALSE(peer.in_group(peer.gid));
    return fail(Code::PermissionDenied, "not from " + peer.address);
  });
  const auto got = run(raw(std::string(kHello))).value();
  EXPECT_EQ(got.find("HTTP/1.1 403 "), 0U) << got;
  EXPECT_EQ(handled_, 0);
}

TEST_F(Tcp, a_head_that_trickles_in_is_cut) {
  ServerOptions options;
  options.header_timeout = 200ms;
  serve_tcp(options);
  auto stream = run(raw_connection(tcp_)).value();
  std::string got;
  // Each byte comes in time, the head never: the clock runs from its first byte.
  for (int i = 0; i < 200 && got.empty(); ++i) {
    if (!run(send(*stream, i == 0 ? "GET /hello HTTP/1.1\r\nX: " : "a"))) break;
    (void)run(loop::sleep_for(10ms));
    if (stream->readable()) got = run(rest_of(*stream)).value();
  }
  EXPECT_EQ(got.find("HTTP/1.1 408 "), 0U) << got;
  EXPECT_EQ(handled_, 0);
}

TEST_F(Tcp, a_body_that_trickles_in_is_cut) {
  ServerOptions options;
  options.body_timeout = 200ms;
  options.min_body_rate = 1U << 20;
  serve_tcp(options);
  auto stream = run(raw_connection(tcp_)).value();
  std::string got;
  for (int i = 0; i < 200 && got.empty(); ++i) {
    if (!run(send(*stream, i == 0 ? "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n" : "a"))) break;
    (void)run(loop::sleep_for(10ms));
    if (stream->readable()) got = run(rest_of(*stream)).value();
  }
  EXPECT_EQ(got.find("HTTP/1.1 408 "), 0U) << got;
}

TEST_F(Tcp, a_local_body_may_trickle) {
  ServerOptions options;
  options.body_timeout = 10s;
  options.min_body_rate = 1U << 30;
  serve(options);
  auto stream = run(raw_connection(unix_endpoint(path_))).value();
  ASSERT_TRUE(run(send(*stream, "POST /count HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n")));
  for (int i = 0; i < 3; ++i) {
    (void)run(loop::sleep_for(20ms));
    ASSERT_TRUE(run(send(*stream, "a")));
  }
  EXPECT_NE(run(read_until(*stream, "\r\n\r\n3")).value().find("200 OK"), std::string::npos);
}

TEST_F(Tcp, a_reader_that_never_reads_is_cut_and_fills_no_memory) {
  ServerOptions options;
  options.write_timeout = 200ms;
  serve_tcp(options);
  auto stream = run(raw_connection(tcp_)).value();
  ASSERT_TRUE(run(send(*stream, "GET /big?length=1 HTTP/1.1\r\nHost: x\r\n\r\nGET /big HTTP/1.1\r\nHost: x\r\n\r\n")));
  for (int i = 0; i < 500 && server_->connections() != 0; ++i) (void)run(loop::sleep_for(10ms));
  EXPECT_EQ(server_->connections(), 0U);
  EXPECT_LT(pulled_, 128U) << "both answers were taken from their sources";
}

TEST_F(Tcp, ten_megabytes_of_header_are_431_and_of_target_414) {
  serve_tcp();
  const auto head = run(raw("GET /hello HTTP/1.1\r\nX: " + std::string(10U << 20, 'a'))).value();
  EXPECT_EQ(head.find("HTTP/1.1 431 "), 0U) << head.substr(0, 200);
  const auto line = run(raw("GET /" + std::string(10U << 20, 'a'))).value();
  EXPECT_EQ(line.find("HTTP/1.1 414 "), 0U) << line.substr(0, 200);
  EXPECT_EQ(handled_, 0);
}

TEST_F(Tcp, garbage_behind_a_request_is_refused_after_its_answer) {
  serve_tcp();
  const auto got = run(raw(cat(kHello, std::string("\0\1\2 garbage\r\n\r\n", 15), kHello))).value();
  EXPECT_EQ(got.find("HTTP/1.1 200 "), 0U) << got;
  EXPECT_NE(got.find("HTTP/1.1 400 "), std::string::npos) << got;
  EXPECT_EQ(handled_, 1) << "what stands behind garbage must not be served";
}

TEST_F(Tcp, a_thousand_pipelined_requests_are_answered_one_by_one) {
  serve_tcp();
  std::string all;
  for (int i = 0; i < 1000; ++i) all += kHello;
  const auto got = run(raw(all)).value();
  std::size_t answers = 0;
  for (auto at = got.find("hello GET"); at != std::string::npos; at = got.find("hello GET", at + 1)) ++answers;
  EXPECT_EQ(answers, 1000U);
  EXPECT_EQ(handled_, 1000);
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(Tcp, one_source_gets_no_more_than_its_share) {
  ServerOptions options;
  options.max_connections = 8;
  options.max_connections_per_source = 4;
  serve_tcp(options);
  std::vector<std::unique_ptr<Stream>> held;
  for (int i = 0; i < 4; ++i) {
    held.push_back(run(raw_connection(tcp_)).value());
    ASSERT_TRUE(run(send(*held.back(), std::string(kHello))));
    ASSERT_TRUE(run(read_until(*held.back(), "hello GET")));
  }
  auto refused = run(raw_connection(tcp_)).value();
  EXPECT_EQ(run(rest_of(*refused)).value().find("HTTP/1.1 503 "), 0U);
  EXPECT_EQ(server_->connections(), 4U);
  // Another source still gets a place.
  Endpoint other;
  other.address = server_->listen_tcp({"::1", 0}, {}).value();
  Client elsewhere(io_.get_executor(), other);
  EXPECT_EQ(run(ask(elsewhere, get("/hello")))->status, 200);
  // One that leaves makes room for the next.
  held.pop_back();
  for (int i = 0; i < 500 && server_->connections() != 4; ++i) (void)run(loop::sleep_for(2ms));
  auto next = run(raw_connection(tcp_)).value();
  ASSERT_TRUE(run(send(*next, std::string(kHello))));
  EXPECT_TRUE(run(read_until(*next, "hello GET")));
}

TEST_F(Tcp, a_flood_from_outside_leaves_the_local_socket_its_places) {
  ServerOptions options;
  options.max_connections = 2;
  options.max_connections_per_source = 100;
  serve(options);
  serve_tcp();
  std::vector<std::unique_ptr<Stream>> held;
  for (int i = 0; i < 2; ++i) {
    held.push_back(run(raw_connection(tcp_)).value());
    ASSERT_TRUE(run(send(*held.back(), std::string(kHello))));
    ASSERT_TRUE(run(read_until(*held.back(), "hello GET")));
  }
  auto refused = run(raw_connection(tcp_)).value();
  EXPECT_EQ(run(rest_of(*refused)).value().find("HTTP/1.1 503 "), 0U);
  Client local(io_.get_executor(), path_);
  EXPECT_EQ(run(ask(local, get("/hello")))->status, 200);
}

struct BadChunks {
  const char* name;
  std::string body;
};

class TcpChunks : public Tcp, public ::testing::WithParamInterface<BadChunks> {};

TEST_P(TcpChunks, are_refused_and_closed) {
  serve_tcp();
  const auto got = run(raw("POST /count HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + GetParam().body +
                           std::string(kHello)))
                       .value();
  EXPECT_EQ(got.find("HTTP/1.1 400 "), 0U) << got;
  EXPECT_EQ(got.find("HTTP/1.1", 1), std::string::npos) << "a second answer";
}

INSTANTIATE_TEST_SUITE_P(All, TcpChunks,
                         ::testing::Values(BadChunks{"no_number", "\r\nabc\r\n0\r\n\r\n"},
                                           BadChunks{"not_hex", "xyz\r\nabc\r\n0\r\n\r\n"},
                                           BadChunks{"negative", "-3\r\nabc\r\n0\r\n\r\n"},
                                           BadChunks{"signed", "+3\r\nabc\r\n0\r\n\r\n"},
                                           BadChunks{"prefixed", "0x3\r\nabc\r\n0\r\n\r\n"},
                                           BadChunks{"past_64_bits", "fffffffffffffffff\r\nabc\r\n0\r\n\r\n"},
                                           BadChunks{"longer_than_said", "3\r\nabcdef\r\n0\r\n\r\n"},
                                           BadChunks{"bare_line_feed", "3\nabc\n0\n\n"},
                                           BadChunks{"blank_before_the_number", " 3\r\nabc\r\n0\r\n\r\n"}),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace cofferdam::http
