#include "gate/proxy_talk.h"

#include <gtest/gtest.h>

namespace cofferdam::gate {
namespace {

TEST(GateProxy, is_asked_by_name_or_address_and_told_who_asks) {
  EXPECT_EQ(connect_request("pypi.org", 443, ""), "CONNECT pypi.org:443 HTTP/1.1\r\nHost: pypi.org:443\r\n\r\n");
  EXPECT_EQ(connect_request("2001:4860::8", 80, ""),
            "CONNECT [2001:4860::8]:80 HTTP/1.1\r\nHost: [2001:4860::8]:80\r\n\r\n");
  EXPECT_EQ(connect_request("1.2.3.4", 22, "me:pass:word"),
            "CONNECT 1.2.3.4:22 HTTP/1.1\r\nHost: 1.2.3.4:22\r\n"
            "Proxy-Authorization: Basic bWU6cGFzczp3b3Jk\r\n\r\n");
}

TEST(GateProxy, an_answer_of_2xx_ends_where_its_head_does) {
  for (const std::string head : {"HTTP/1.1 200 Connection established\r\n\r\n", "HTTP/1.0 200\r\n\r\n",
                                 "HTTP/1.1 201 x\r\nContent-Length: 5\r\nVia: 1.1 p\r\n\r\n"}) {
    const auto verdict = read_proxy_answer(head + "SSH-2.0-x\r\n\r\n");
    EXPECT_EQ(verdict.answer, ProxyAnswer::accepted) << head;
    EXPECT_EQ(verdict.head, head.size()) << head;
    for (std::size_t n = 0; n < head.size(); ++n) {
      EXPECT_EQ(read_proxy_answer(head.substr(0, n)).answer, ProxyAnswer::more) << head.substr(0, n);
    }
  }
}

TEST(GateProxy, any_other_answer_is_a_refusal_at_once) {
  for (const char* answer :
       {"HTTP/1.1 407 Proxy Authentication Required\r\n", "HTTP/1.1 403 x", "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 302 Found\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.2 200 OK\r\n\r\n", "HTTP/1.1 2000 OK\r\n\r\n",
        "HTTP/1.1  200 OK\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "SSH-2.0-OpenSSH", "\x16\x03\x01", "HTTP/1.1\r\n\r\n",
        "http/1.1 200 OK\r\n\r\n", " HTTP/1.1 200 OK\r\n\r\n"}) {
    EXPECT_EQ(read_proxy_answer(answer).answer, ProxyAnswer::refused) << answer;
  }
}

TEST(GateProxy, a_head_without_end_is_a_refusal) {
  const std::string endless = "HTTP/1.1 200 OK\r\nX: " + std::string(kMaxProxyAnswer, 'x');
  EXPECT_EQ(read_proxy_answer(endless.substr(0, kMaxProxyAnswer - 1)).answer, ProxyAnswer::more);
  EXPECT_EQ(read_proxy_answer(endless.substr(0, kMaxProxyAnswer)).answer, ProxyAnswer::refused);
  EXPECT_EQ(read_proxy_answer(endless + "\r\n\r\n").answer, ProxyAnswer::refused);
}

}  // namespace
}  // namespace cofferdam::gate
