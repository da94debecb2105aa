// TLS 1.3: whom a client believes, what a server refuses, and that all else passes over it as without it.
#include "http/tls.h"

#include <sys/stat.h>

#include "crypto/certificate.h"
#include "http/server_fixture.h"
#include "http/sse.h"
#include "http/tls_files.h"

namespace cofferdam::http {
namespace {

using Time = std::chrono::system_clock;

crypto::CertifiedKey make_key(const std::vector<std::string>& names) {
  return crypto::make_self_signed(names, Time::now() - 1h, 48h).value();
}
std::string fingerprint_of(const crypto::CertifiedKey& key) {
  return crypto::look_at_certificate(key.certificate_pem)->fingerprint;
}

class Tls : public Http {
 public:
  Tls() {
    ca_ = dir_ + "/ca.pem";
    EXPECT_TRUE(write_file_atomically(ca_, key_.certificate_pem));
  }
  void serve_tls(ServerOptions options = {}, const std::string& host = "127.0.0.1") {
    serve_tcp(options, {}, host, identity_);
    tcp_.tls = TlsTrust{ca_, ""};
    plain_ = tcp_;
    plain_.tls.reset();
  }
  Error refusal() {
    auto opened = run(connect_to(tcp_));
    return opened ? Error{Code::Unknown, "it was believed", {}} : opened.error();
  }

  crypto::CertifiedKey key_ = make_key({"localhost", "127.0.0.1", "::1"});
  std::shared_ptr<TlsIdentity> identity_ = TlsIdentity::make(key_.certificate_pem, key_.key_pem).value();
  std::string ca_;
  Endpoint plain_;
};

TEST_F(Tls, requests_pass_over_ipv4_and_ipv6) {
  for (const std::string host : {"127.0.0.1", "::1"}) {
    serve_tls({}, host);
    Client client(io_.get_executor(), tcp_);
    for (int i = 0; i < 3; ++i) {
      auto answer = run(ask(client, get("/hello")));
      ASSERT_TRUE(answer) << answer.error().message;
      EXPECT_EQ(answer->body, "hello GET");
    }
    EXPECT_EQ(run(ask(client, get("/peer")))->body, "remote " + host);
    EXPECT_EQ(server_->connections(), 1U) << "one connection carries all";
    client = Client(io_.get_executor(), tcp_);
    for (int i = 0; i < 500 && server_->connections() != 0; ++i) (void)run(loop::sleep_for(2ms));
  }
}

TEST_F(Tls, big_bodies_pass_both_ways_chunked_and_plain) {
  serve_tls();
  Client client(io_.get_executor(), tcp_);
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

TEST_F(Tls, a_websocket_carries_messages_both_ways_and_closes) {
  serve_tls();
  Client client(io_.get_executor(), tcp_);
  auto opened = run(client.websocket("/ws", {}));
  ASSERT_TRUE(opened) << opened.error().message;
  auto& socket = **opened;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, std::size_t{5000}, WebSocket::kMaxMessageBytes}) {
    ASSERT_TRUE(run(socket.write(WebSocket::Kind::binary, std::string(size, 'x'))));
    EXPECT_EQ(run(socket.read()).value()->bytes, std::string(size, 'x'));
  }
  loop::TaskGroup group(io_.get_executor());
  for (int i = 0; i < 20; ++i) {
    group.spawn("writer", socket.write(WebSocket::Kind::binary, std::string(20'000, static_cast<char>('a' + i))));
  }
  for (int i = 0; i < 20; ++i) {
    EXPECT_EQ(run(socket.read()).value()->bytes, std::string(20'000, static_cast<char>('a' + i)));
  }
  ASSERT_TRUE(run(group.join()));
  ASSERT_TRUE(run(socket.close(4002)));
  EXPECT_EQ(peer_code_, 4002);
}

TEST_F(Tls, the_end_of_a_websockets_client_is_noticed) {
  ServerOptions options;
  options.ping_interval = 20ms;
  serve_tls(options);
  {
    Client client(io_.get_executor(), tcp_);
    ASSERT_TRUE(run(client.websocket("/ws", {})));
  }
  for (int i = 0; i < 1000 && server_->connections() != 0; ++i) (void)run(loop::sleep_for(5ms));
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(Tls, a_reader_that_goes_is_noticed_in_the_middle_of_the_silence) {
  serve_tls();
  auto pipe = std::make_shared<EventPipe>(io_.get_executor(), sse_options());
  own_ = [pipe](Request&) {
    return [](auto from) -> Task<Response> { co_return sse_response(std::move(from)); }(pipe);
  };
  auto stream = run(connect_to(tcp_)).value();
  ASSERT_TRUE(run(send(*stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
  ASSERT_TRUE(run(read_until(*stream, "\r\n\r\n")));
  EXPECT_FALSE(pipe->reader_gone());
  stream.reset();
  ASSERT_TRUE(run(pipe->wait_until_reader_gone()));
}

TEST_F(Tls, a_reader_that_never_reads_is_cut) {
  ServerOptions options;
  options.write_timeout = 200ms;
  serve_tls(options);
  auto stream = run(connect_to(tcp_)).value();
  ASSERT_TRUE(run(send(*stream, "GET /big HTTP/1.1\r\nHost: x\r\n\r\nGET /big HTTP/1.1\r\nHost: x\r\n\r\n")));
  for (int i = 0; i < 500 && server_->connections() != 0; ++i) (void)run(loop::sleep_for(10ms));
  EXPECT_EQ(server_->connections(), 0U);
  EXPECT_LT(pulled_, 128U);
}

TEST_F(Tls, a_fingerprint_alone_is_enough_and_another_is_refused) {
  serve_tls();
  tcp_.tls = TlsTrust{"", fingerprint_of(key_)};
  Client client(io_.get_executor(), tcp_);
  EXPECT_EQ(run(ask(client, get("/hello")))->status, 200);
  tcp_.tls = TlsTrust{"", fingerprint_of(make_key({"localhost", "127.0.0.1"}))};
  EXPECT_EQ(refusal().code, Code::Unauthenticated);
  EXPECT_NE(refusal().message.find("another fingerprint"), std::string::npos);
}

TEST_F(Tls, a_certificate_that_nobody_vouches_for_is_refused) {
  serve_tls();
  tcp_.tls = TlsTrust{};
  EXPECT_EQ(refusal().code, Code::Unauthenticated) << refusal().message;
  ASSERT_TRUE(write_file_atomically(ca_, make_key({"localhost", "127.0.0.1"}).certificate_pem));
  tcp_.tls = TlsTrust{ca_, ""};
  EXPECT_EQ(refusal().code, Code::Unauthenticated) << refusal().message;
  EXPECT_EQ(handled_, 0);
}

TEST_F(Tls, a_certificate_of_another_name_or_that_has_expired_is_refused) {
  for (const auto& other : {make_key({"other.example", "192.0.2.1"}),
                            crypto::make_self_signed({"127.0.0.1"}, Time::now() - 48h, 24h).value()}) {
    ASSERT_TRUE(write_file_atomically(ca_, other.certificate_pem));
    ASSERT_TRUE(identity_->replace(other.certificate_pem, other.key_pem));
    server_.reset();
    serve_tls();
    EXPECT_EQ(refusal().code, Code::Unauthenticated) << refusal().message;
    tcp_.address.host = "localhost";
    EXPECT_EQ(refusal().code, Code::Unauthenticated) << refusal().message;
    ASSERT_TRUE(run(server_->stop(0ms)));
  }
}

TEST_F(Tls, a_ca_file_without_certificates_is_named) {
  serve_tls();
  ASSERT_TRUE(write_file_atomically(ca_, "nothing"));
  EXPECT_EQ(refusal().code, Code::InvalidArgument);
  tcp_.tls = TlsTrust{dir_ + "/absent.pem", ""};
  EXPECT_EQ(refusal().code, Code::NotFound);
}

TEST_F(Tls, a_replaced_certificate_is_for_new_connections) {
  serve_tls();
  Client old(io_.get_executor(), tcp_);
  EXPECT_EQ(run(ask(old, get("/hello")))->status, 200);
  const auto next = make_key({"127.0.0.1"});
  ASSERT_TRUE(identity_->replace(next.certificate_pem, next.key_pem));
  EXPECT_EQ(run(ask(old, get("/hello")))->status, 200);
  EXPECT_EQ(refusal().code, Code::Unauthenticated);
  tcp_.tls = TlsTrust{"", fingerprint_of(next)};
  Client client(io_.get_executor(), tcp_);
  EXPECT_EQ(run(ask(client, get("/hello")))->status, 200);
  // What cannot be used changes nothing.
  EXPECT_EQ(identity_->replace(key_.certificate_pem, next.key_pem).error().code, Code::InvalidArgument);
  EXPECT_EQ(identity_->replace("", key_.key_pem).error().code, Code::InvalidArgument);
  EXPECT_EQ(identity_->replace(key_.certificate_pem, "").error().code, Code::InvalidArgument);
  Client again(io_.get_executor(), tcp_);
  EXPECT_EQ(run(ask(again, get("/hello")))->status, 200);
}

TEST_F(Tls, plain_http_and_garbage_get_no_answer) {
  serve_tls();
  for (const std::string& bytes :
       {std::string("GET /hello HTTP/1.1\r\nHost: x\r\n\r\n"), std::string(100'000, '\xff'), std::string(5, '\x16')}) {
    auto stream = run(connect_to(plain_)).value();
    (void)run(send(*stream, bytes));
    stream->shut_down_writing();
    EXPECT_EQ(run(rest_of(*stream)).value().find("HTTP"), std::string::npos);
  }
  EXPECT_EQ(handled_, 0);
}

TEST_F(Tls, a_client_of_tls_1_2_gets_the_alert_for_it) {
  serve_tls();
  std::string hello("\x03\x03", 2);                       // version 1.2
  hello += std::string(32, 'r');                          // random
  hello += std::string("\0\0\4\xc0\x2b\xc0\x2f\1\0", 9);  // no session, two suites of 1.2, no compression
  const std::string extensions("\0\x0a\0\4\0\2\0\x17\0\x0d\0\4\0\2\4\3", 16);
  hello += std::string("\0\x10", 2) + extensions;
  std::string record("\x16\x03\x01\0", 4);
  record += static_cast<char>(hello.size() + 4);
  record += std::string("\1\0\0", 3) + static_cast<char>(hello.size()) + hello;
  auto stream = run(connect_to(plain_)).value();
  ASSERT_TRUE(run(send(*stream, record)));
  EXPECT_EQ(run(rest_of(*stream)).value(), std::string("\x15\x03\x03\0\2\2\x46", 7)) << "protocol_version";
}

TEST_F(Tls, a_handshake_that_does_not_come_is_cut) {
  ServerOptions options;
  options.handshake_timeout = 100ms;
  serve_tls(options);
  auto silent = run(connect_to(plain_)).value();
  auto slow = run(connect_to(plain_)).value();
  ASSERT_TRUE(run(send(*slow, std::string("\x16\x03\x01\0\xff\1", 6))));
  EXPECT_EQ(run(rest_of(*silent)).value(), "");
  EXPECT_TRUE(run(rest_of(*slow)));
  for (int i = 0; i < 500 && server_->connections() != 0; ++i) (void)run(loop::sleep_for(2ms));
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(Tls, who_has_not_shaken_hands_counts_toward_the_limits) {
  ServerOptions options;
  options.max_connections_per_source = 2;
  serve_tls(options);
  auto one = run(connect_to(plain_)).value();
  auto two = run(connect_to(plain_)).value();
  for (int i = 0; i < 500 && server_->connections() != 2; ++i) (void)run(loop::sleep_for(2ms));
  EXPECT_EQ(refusal().code, Code::Unavailable) << refusal().message;
  two.reset();
  for (int i = 0; i < 500 && server_->connections() != 1; ++i) (void)run(loop::sleep_for(2ms));
  EXPECT_TRUE(run(connect_to(tcp_)));
}

TEST_F(Tls, stop_ends_what_shakes_hands_and_what_is_idle) {
  serve_tls();
  auto shaking = run(connect_to(plain_)).value();
  auto idle = run(connect_to(tcp_)).value();
  for (int i = 0; i < 500 && server_->connections() != 2; ++i) (void)run(loop::sleep_for(2ms));
  ASSERT_TRUE(run(server_->stop(50ms)));
  EXPECT_EQ(server_->connections(), 0U);
}

TEST_F(Tls, a_pipelined_request_in_the_same_record_is_served) {
  serve_tls();
  auto stream = run(connect_to(tcp_)).value();
  const std::string one = "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n";
  ASSERT_TRUE(run(send(*stream, one + one + one)));
  std::string got;
  while (handled_ < 3 || got.size() < 3) got += run(read_until(*stream, "hello GET")).value();
  EXPECT_EQ(handled_, 3);
}

class TlsFilesTest : public Http {
 public:
  std::string folder_ = dir_ + "/tls";
  Time::time_point now_ = Time::now();
  std::vector<std::string> names_ = names_of_this_host();

  std::string fingerprint(Time::time_point at) {
    auto files = ensure_self_signed(folder_, names_, at);
    EXPECT_TRUE(files) << files.error().message;
    EXPECT_TRUE(load_tls(*files));
    return crypto::look_at_certificate(read_file(files->certificate, 1 << 20).value())->fingerprint;
  }
};

TEST_F(TlsFilesTest, a_certificate_is_made_once_and_renewed_a_month_before_its_end) {
  const auto first = fingerprint(now_);
  EXPECT_EQ(fingerprint(now_ + 24h * 334), first);
  EXPECT_NE(fingerprint(now_ + 24h * 336), first);
}

TEST_F(TlsFilesTest, only_its_owner_reads_the_key) {
  (void)fingerprint(now_);
  struct stat info{};
  ASSERT_EQ(::stat((folder_ + "/key.pem").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0600U);
  ASSERT_EQ(::stat(folder_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0700U);
  ASSERT_EQ(::chmod((folder_ + "/key.pem").c_str(), 0644), 0);
  EXPECT_EQ(load_tls({folder_ + "/certificate.pem", folder_ + "/key.pem"}).error().code, Code::PermissionDenied);
}

TEST_F(TlsFilesTest, it_names_this_host) {
  (void)fingerprint(now_);
  const auto facts = crypto::look_at_certificate(read_file(folder_ + "/certificate.pem", 1 << 20).value()).value();
  EXPECT_EQ(facts.names, names_);
  EXPECT_EQ(std::vector<std::string>(names_.begin(), names_.begin() + 3),
            (std::vector<std::string>{"localhost", "127.0.0.1", "::1"}));
}

TEST_F(TlsFilesTest, what_is_damaged_is_made_anew) {
  const auto first = fingerprint(now_);
  ASSERT_TRUE(write_file_atomically(folder_ + "/key.pem", "nothing"));
  const auto second = fingerprint(now_);
  EXPECT_NE(second, first);
  // A crash between the two files: the key of one, the certificate of another.
  ASSERT_TRUE(write_file_atomically(folder_ + "/key.pem", make_key(names_).key_pem));
  EXPECT_NE(fingerprint(now_), second);
}

TEST_F(TlsFilesTest, files_that_are_absent_or_wrong_are_named) {
  EXPECT_EQ(load_tls({dir_ + "/absent", dir_ + "/absent"}).error().code, Code::NotFound);
  ASSERT_TRUE(write_file_atomically(dir_ + "/a", "x"));
  const auto wrong = load_tls({dir_ + "/a", dir_ + "/a"}).error();
  EXPECT_EQ(wrong.code, Code::InvalidArgument);
  EXPECT_NE(wrong.message.find(dir_ + "/a"), std::string::npos);
}

}  // namespace
}  // namespace cofferdam::http
