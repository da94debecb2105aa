#include "gate/http_head.h"

#include <gtest/gtest.h>

namespace cofferdam::gate {
namespace {

using namespace std::string_literals;

std::string request(std::string_view fields, std::string_view line = "GET / HTTP/1.1") {
  return std::string(line) + "\r\n" + std::string(fields) + "\r\n";
}

HttpRequests requests(Upgrade upgrade = Upgrade::refuse) { return {"a.example", 80, upgrade}; }

FlowReason verdict(const std::string& bytes) { return requests().scan(bytes).refused; }

TEST(RequestHead, the_host_is_read_in_every_form) {
  const auto host = [](const std::string& head) { return parse_request_head(head)->host; };
  EXPECT_EQ(host(request("Host: A.Example\r\n")), "a.example");
  EXPECT_EQ(host(request("x: y\r\nHOST:\ta.example:80 \r\n")), "a.example");
  EXPECT_EQ(host(request("Host: a.example\r\n", "GET http://A.example/x HTTP/1.1")), "a.example");
  EXPECT_EQ(host(request("Host: a.example\r\n", "OPTIONS * HTTP/1.1")), "a.example");
  EXPECT_EQ(host(request("Host: a.example\r\n", "GET /x?y HTTP/1.0")), "a.example");
}

TEST(RequestHead, what_two_servers_could_read_in_two_ways_is_refused) {
  const std::string heads[] = {
      request("Host: a.example\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n"),
      request("Host: a.example\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n"),
      request("Host: a.example\r\nContent-Length: 4\r\nContent-Length: 5\r\n"),
      request("Host: a.example\r\nContent-Length: 4\r\ncontent-length: 4\r\n"),
      request("Host: a.example\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"),
      request("Host: a.example\r\nTransfer-Encoding: gzip, chunked\r\n"),
      request("Host: a.example\r\nTransfer-Encoding: xchunked\r\n"),
      request("Host: a.example\r\nTransfer-Encoding:\x0b"
              "chunked\r\n"),
      request("Host: a.example\r\nTransfer-Encoding : chunked\r\n"),
      request("Host: a.example\r\nTransfer_Encoding: chunked\r\n"),
      request("Host: a.example\r\nContent_Length: 4\r\n"),
      request("Host: a.example\r\nTransfer-Encoding: chunked\r\n", "POST / HTTP/1.0"),
      request("Host: a.example\r\nContent-Length: +4\r\n"),
      request("Host: a.example\r\nContent-Length: -4\r\n"),
      request("Host: a.example\r\nContent-Length: 0x4\r\n"),
      request("Host: a.example\r\nContent-Length: 4, 4\r\n"),
      request("Host: a.example\r\nContent-Length:\r\n"),
      request("Host: a.example\r\nContent-Length: 99999999999999999999\r\n"),
      request("Host: a.example\r\n folded: yes\r\n"),
      request(" Host: a.example\r\n"),
      request("Host: a.example\r\nHost: b.example\r\n"),
      request("Host: a.example\r\nHost: a.example\r\n"),
      request("Host : a.example\r\n"),
      request("Host: a.example\nX: y\r\n"),
      request("Host: a.example\rX: y\r\n"),
      request("Host: a.example\r\nX: a\0b\r\n"s),
      request("Host: a.example\r\n: empty\r\n"),
      request("Host: a.example\r\nno colon\r\n"),
      request(""),
      request("Host:\r\n"),
      request("Host: a.example, b.example\r\n"),
      request("Host: user@a.example\r\n"),
      request("Host: a.example:80:80\r\n"),
      request("Host: a.example:0\r\n"),
      request("Host: [::1]\r\n"),
      request("Host: a.example\r\n", "GET http://b.example/ HTTP/1.1"),
      request("Host: a.example\r\n", "GET http://a.example@b.example/ HTTP/1.1"),
      request("Host: a.example\r\n", "GET http://a.example:81/ HTTP/1.1"),
      request("Host: a.example\r\n", "GET https://a.example/ HTTP/1.1"),
      request("Host: a.example\r\n", "GET b.example/ HTTP/1.1"),
      request("Host: a.example:443\r\n", "CONNECT a.example:443 HTTP/1.1"),
      request("Host: a.example\r\n", "connect a.example:443 HTTP/1.1"),
      request("Host: a.example\r\n", "GET / HTTP/2.0"),
      request("Host: a.example\r\n", "GET / http/1.1"),
      request("Host: a.example\r\n", "GET  / HTTP/1.1"),
      request("Host: a.example\r\n", "GET / x HTTP/1.1"),
      request("Host: a.example\r\n", "GET\t/ HTTP/1.1"),
      request("Host: a.example\r\n", "GET /\xc3\xa4 HTTP/1.1"),
      request("Host: a.example\r\n", "GET /"),
      request("", "PRI * HTTP/2.0"),
      "\r\n" + request("Host: a.example\r\n"),
  };
  for (const auto& head : heads) EXPECT_FALSE(parse_request_head(head)) << head;
}

TEST(HttpRequests, every_request_of_a_connection_is_checked) {
  auto flow = requests();
  const auto good = request("Host: a.example\r\n");
  auto scan = flow.scan(good + good);
  EXPECT_EQ(scan.pass, 2 * good.size());
  EXPECT_EQ(scan.refused, FlowReason::none);
  scan = flow.scan(good + request("Host: b.example\r\n"));
  EXPECT_EQ(scan.refused, FlowReason::host_mismatch);
  EXPECT_EQ(flow.last_host(), "b.example");
}

TEST(HttpRequests, nothing_of_a_head_passes_before_it_is_whole) {
  const auto good = request("Host: a.example\r\n");
  for (std::size_t n = 0; n < good.size(); ++n) {
    auto flow = requests();
    const auto scan = flow.scan(good.substr(0, n));
    EXPECT_EQ(scan.pass, 0U);
    EXPECT_EQ(scan.refused, FlowReason::none) << n;
  }
}

TEST(HttpRequests, bodies_pass_and_the_head_behind_them_is_found) {
  const auto smuggled = request("Host: b.example\r\n");
  auto flow = requests();
  const auto post = request("Host: a.example\r\nContent-Length: 4\r\n", "POST / HTTP/1.1");
  EXPECT_EQ(flow.scan(post + "bodyGET ").pass, post.size() + 4);
  EXPECT_TRUE(flow.in_head());
  EXPECT_EQ(flow.scan(smuggled).refused, FlowReason::host_mismatch);

  const auto chunked = request("Host: a.example\r\nTransfer-Encoding: chunked\r\n", "POST / HTTP/1.1");
  const auto whole = chunked + "4\r\nbody\r\n0000A\r\n0123456789\r\n0\r\n\r\n";
  for (std::size_t n = 1; n < whole.size(); ++n) {
    auto cut = requests();
    const auto first = cut.scan(whole.substr(0, n));
    EXPECT_EQ(first.refused, FlowReason::none) << n;
    const auto second = cut.scan(whole.substr(first.pass) + smuggled);
    EXPECT_EQ(second.refused, FlowReason::host_mismatch) << n;
    EXPECT_EQ(first.pass + second.pass, whole.size()) << n;
  }
}

TEST(HttpRequests, chunks_that_are_not_plain_are_refused) {
  const auto chunked = request("Host: a.example\r\nTransfer-Encoding: chunked\r\n", "POST / HTTP/1.1");
  for (const auto* body : {"4;ext=1\r\nbody\r\n", "4\nbody\r\n", "x\r\n", "-1\r\n", "+4\r\n", "0x4\r\n", " 4\r\n",
                           "4\r\nbodyGET", "0\r\nTrailer: x\r\n\r\n", "fffffffffffffffffff\r\n", "\r\n"}) {
    EXPECT_EQ(verdict(chunked + body), FlowReason::bad_http) << body;
  }
}

TEST(HttpRequests, another_host_or_port_is_a_mismatch) {
  for (const auto* host : {"b.example", "a.example.b.example", "xa.example", "a.example:8080", "127.0.0.1"}) {
    EXPECT_EQ(verdict(request("Host: " + std::string(host) + "\r\n")), FlowReason::host_mismatch) << host;
  }
}

TEST(HttpRequests, a_head_without_end_is_refused) {
  EXPECT_EQ(verdict("GET / HTTP/1.1\r\nX: " + std::string(kMaxHttpHead, 'x')), FlowReason::bad_http);
  EXPECT_EQ(verdict("GET / HTTP/1.1\nHost: a.example\n\n"), FlowReason::bad_http);
  std::string many;
  for (std::size_t i = 0; i <= kMaxHttpFields; ++i) many += "X: y\r\n";
  EXPECT_EQ(verdict(request("Host: a.example\r\n" + many)), FlowReason::bad_http);
}

TEST(HttpRequests, an_upgrade_passes_only_when_allowed_and_first) {
  const auto upgrade = request("Host: a.example\r\nConnection: upgrade\r\nUpgrade: websocket\r\n");
  EXPECT_EQ(verdict(upgrade), FlowReason::bad_http);
  auto allowed = requests(Upgrade::allow);
  EXPECT_EQ(allowed.scan(upgrade + "frames").pass, upgrade.size());
  EXPECT_TRUE(allowed.waits_for_answer());
  EXPECT_EQ(allowed.scan("frames").pass, 0U);
  allowed.not_upgraded();
  EXPECT_EQ(allowed.scan(request("Host: b.example\r\n")).refused, FlowReason::host_mismatch);
  auto second = requests(Upgrade::allow);
  EXPECT_EQ(second.scan(request("Host: a.example\r\n") + upgrade).refused, FlowReason::bad_http);
}

}  // namespace
}  // namespace cofferdam::gate
