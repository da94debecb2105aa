// Links, exposed ports, their visitors, and the record of connections, over HTTP.
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include "api/api_fixture.h"

namespace cofferdam::api {
namespace {

class NetworkApiTest : public ApiTest {
 public:
  std::string named(const std::string& name) {
    const auto made = ask("POST", "/workspace", R"({"name": ")" + name + R"("})");
    return std::string(made.body().at("workspace").at("id").as_string());
  }
  static std::string text(const json::value& value) { return std::string(value.as_string()); }
  Answer visit(const std::string& target, http::Headers headers) {
    http::ClientRequest request;
    request.target = target;
    request.headers = std::move(headers);
    return run(send(std::move(request))).value_or(Answer{});
  }
  // With a Host of its own, which the client does not take: the whole answer as it came.
  Task<std::string> raw(std::string request) {
    loop::asio::local::stream_protocol::socket socket(co_await loop::asio::this_coro::executor);
    const loop::asio::local::stream_protocol::endpoint where(dir_ + "/s");
    auto [not_connected] = co_await socket.async_connect(where, loop::as_result);
    if (not_connected) co_return fail(loop::asio_error("connect", not_connected));
    auto [not_written, n] = co_await loop::asio::async_write(socket, loop::asio::buffer(request), loop::as_result);
    if (not_written) co_return fail(loop::asio_error("write", not_written));
    std::string answer;
    std::string piece(4096, '\0');
    for (;;) {
      auto [over, got] = co_await socket.async_read_some(loop::asio::buffer(piece), loop::as_result);
      if (over) co_return answer;
      answer.append(piece, 0, got);
    }
  }
};

TEST_F(NetworkApiTest, a_proxy_of_its_own_is_set_shown_without_its_login_and_cleared) {
  const auto id = named("a");
  EXPECT_EQ(text(ask("GET", "/workspace/a/network").body().at("outbound_mode")), "managed");
  const auto set = ask("PATCH", "/workspace/a/network",
                       R"({"outbound_mode": "custom", "custom_proxy": {"host": "Proxy.example", "port": 3128,
                           "protocol": "http", "username": "me", "password": "in-no-answer"}})");
  ASSERT_EQ(set.status, 200) << set.text;
  EXPECT_EQ(set.text.find("in-no-answer"), std::string::npos);
  EXPECT_EQ(text(set.body().at("outbound_mode")), "custom");
  EXPECT_EQ(set.body().at("outbound_proxy"),
            json::parse(R"({"host": "proxy.example", "port": 3128, "protocol": "http", "has_credentials": true,
                            "resolves": false})"));
  EXPECT_EQ(networks_->proxy(id)->login->view(), "me:in-no-answer");
  // The mode alone, or something else, leaves it as it is.
  EXPECT_EQ(ask("PATCH", "/workspace/a/network", R"({"outbound_mode": "custom"})").status, 200);
  EXPECT_EQ(ask("PATCH", "/workspace/a/network", R"({"egress": ["example.com"]})").status, 200);
  EXPECT_TRUE(networks_->proxy(id).has_value());
  const auto cleared = ask("PATCH", "/workspace/a/network", R"({"outbound_mode": "managed"})").body();
  EXPECT_EQ(text(cleared.at("outbound_mode")), "managed");
  EXPECT_EQ(cleared.as_object().count("outbound_proxy"), 0U);
  EXPECT_EQ(cleared.at("egress").as_array().size(), 1U);
}

TEST_F(NetworkApiTest, a_login_is_kept_for_the_proxy_it_is_of_and_for_no_other) {
  const auto id = named("a");
  const auto with = [this](const std::string& proxy) {
    return ask("PATCH", "/workspace/a/network", R"({"custom_proxy": )" + proxy + "}");
  };
  EXPECT_EQ(with(R"({"host": "proxy.example", "port": 3128, "keep_credentials": true})").status, 422);
  ASSERT_EQ(with(R"({"host": "proxy.example", "port": 3128, "username": "me", "password": "hidden"})").status, 200);
  const auto kept = with(R"({"host": "Proxy.Example", "port": 3128, "resolves": true, "keep_credentials": true})");
  ASSERT_EQ(kept.status, 200) << kept.text;
  EXPECT_TRUE(kept.body().at("outbound_proxy").at("has_credentials").as_bool());
  EXPECT_EQ(networks_->proxy(id)->login->view(), "me:hidden");
  for (const char* elsewhere :
       {R"({"host": "other.example", "port": 3128, "keep_credentials": true})",
        R"({"host": "proxy.example", "port": 3129, "keep_credentials": true})",
        R"({"host": "proxy.example", "port": 3128, "keep_credentials": true, "username": "a"})"}) {
    const auto refused = with(elsewhere);
    EXPECT_EQ(refused.status, 422) << elsewhere;
    EXPECT_NE(refused.text.find("keep_credentials"), std::string::npos) << refused.text;
  }
  EXPECT_EQ(networks_->proxy(id)->login->view(), "me:hidden");
  ASSERT_EQ(with(R"({"host": "proxy.example", "port": 3128})").status, 200);
  EXPECT_EQ(networks_->proxy(id)->login, nullptr);
}

TEST_F(NetworkApiTest, flows_say_what_goes_out_by_a_proxy_and_who_sees_it_there) {
  const auto id = named("a");
  ask("PATCH", "/workspace/a/network", R"({"egress": ["example.com"]})");
  const auto flows = [this] { return ask("GET", "/flows?workspace=a").body().at("workspaces").at(0); };
  const auto seen = [](const json::value& one) { return json::serialize(one.at("seen_by").at("in_transit")); };
  EXPECT_EQ(json::serialize(flows().at("flows").at(0).at("ways")), "[[]]");
  EXPECT_EQ(seen(flows()).find("proxy"), std::string::npos) << seen(flows());
  ask("PATCH", "/workspace/a/network", R"({"custom_proxy": {"host": "proxy.example", "port": 3128, "resolves": true,
      "username": "me", "password": "hidden"}})");
  const auto led = flows();
  EXPECT_EQ(json::serialize(led.at("proxies")),
            R"([{"whose":"workspace","told":"names","place":"proxy.example:3128","login":true}])");
  EXPECT_EQ(json::serialize(led.at("flows").at(0).at("ways")), R"([["proxy.example:3128"]])");
  for (const char* line :
       {"the proxy proxy.example:3128, the workspace's own, which connections outside go through",
        "the name servers that the proxy proxy.example:3128 asks", "the login for it, which is not encrypted"}) {
    EXPECT_NE(seen(led).find(line), std::string::npos) << seen(led);
  }
  EXPECT_EQ(json::serialize(led).find("hidden"), std::string::npos);
  // What went through one that is not set any more was seen there all the same; of what is closed, nothing else is
  // said.
  net::Flow flow;
  flow.workspace = id;
  flow.kind = "egress";
  flow.event = "opened";
  flow.name = "example.com";
  flow.port = 443;
  flow.via = "operator,proxy.example:3128";
  networks_->flows().add(flow);
  ask("PATCH", "/workspace/a/network", R"({"allow_internet": false, "outbound_mode": "managed"})");
  const auto after = flows();
  EXPECT_TRUE(after.at("proxies").as_array().empty());
  EXPECT_NE(seen(after).find("the proxy proxy.example:3128, which connections outside went through before"),
            std::string::npos)
      << seen(after);
  EXPECT_NE(seen(after).find("the operator's proxy, which connections outside went through before"), std::string::npos);
  EXPECT_EQ(text(ask("GET", "/workspace/a/connections").body().at("connections").at(0).at("via")), flow.via);
}

TEST_F(NetworkApiTest, a_proxy_may_be_named_at_the_create) {
  const auto made = ask("POST", "/workspace", R"({"name": "b", "config": {"network_config": {"outbound_mode": "custom",
      "custom_proxy": {"host": "45.1.0.80", "port": 8080, "resolves": true}}}})");
  ASSERT_EQ(made.status, 201) << made.text;
  const auto shown = ask("GET", "/workspace/b/network").body().at("outbound_proxy");
  EXPECT_EQ(text(shown.at("host")), "45.1.0.80");
  EXPECT_TRUE(shown.at("resolves").as_bool());
  EXPECT_FALSE(shown.at("has_credentials").as_bool());
  const auto refused = ask("POST", "/workspace", R"({"name": "c", "config": {"network_config": {"custom_proxy":
      {"host": "127.0.0.1", "port": 8080}}}})");
  EXPECT_EQ(refused.status, 403) << refused.text;
  EXPECT_EQ(ask("GET", "/workspace/c").status, 404);
}

TEST_F(NetworkApiTest, a_proxy_that_leads_inwards_is_denied_or_makes_no_sense_is_refused) {
  named("a");
  const auto with = [this](const std::string& proxy) {
    return ask("PATCH", "/workspace/a/network", R"({"outbound_mode": "custom", "custom_proxy": )" + proxy + "}");
  };
  for (const char* host : {"10.0.0.1", "127.0.0.1", "169.254.169.254", "::1", "x.banned.example"}) {
    EXPECT_EQ(with(R"({"host": ")" + std::string(host) + R"(", "port": 1})").status, 403) << host;
  }
  for (const char* proxy :
       {R"({})", R"({"host": "proxy.example"})", R"({"port": 1})", R"({"host": "localhost", "port": 1})",
        R"({"host": "proxy.example", "port": 65536})", R"({"host": "proxy.example", "port": "x"})",
        R"({"host": "proxy.example", "port": 1, "protocol": "socks5"})",
        R"({"host": "proxy.example", "port": 1, "password": "hidden"})",
        R"({"host": "proxy.example", "port": 1, "username": "a:b", "password": "hidden"})",
        R"({"host": "proxy.example", "port": 1, "username": "a", "password": "hidden\r\nX: y"})"}) {
    const auto refused = with(proxy);
    EXPECT_EQ(refused.status, 422) << proxy;
    EXPECT_EQ(refused.text.find("hidden"), std::string::npos) << refused.text;
  }
  EXPECT_EQ(ask("PATCH", "/workspace/a/network", R"({"outbound_mode": "other"})").status, 422);
  EXPECT_EQ(text(ask("GET", "/workspace/a/network").body().at("outbound_mode")), "managed");
}

TEST_F(NetworkApiTest, a_link_is_made_listed_and_removed) {
  const auto a = named("a");
  const auto b = named("b");
  const auto made = ask("POST", "/links", R"({"from": "a", "to": "b", "ports": [5432, "8000-8010"], "note": "n"})");
  ASSERT_EQ(made.status, 201) << made.text;
  const auto link = made.body().at("link");
  EXPECT_EQ(text(link.at("from")), a);
  EXPECT_EQ(text(link.at("to")), b);
  EXPECT_EQ(link.at("ports"), json::parse(R"([5432, "8000-8010"])"));
  EXPECT_EQ(text(link.at("address")).substr(0, 7), "10.212.");
  EXPECT_EQ(ask("GET", "/links?workspace=b").body().at("links").as_array().size(), 1U);
  const auto graph = ask("GET", "/graph").body();
  EXPECT_EQ(graph.at("nodes").as_array().size(), 2U);
  EXPECT_EQ(text(graph.at("edges").as_array().at(0).at("kind")), "link");
  EXPECT_EQ(ask("DELETE", "/links/" + text(link.at("id"))).status, 200);
  EXPECT_EQ(ask("DELETE", "/links/" + text(link.at("id"))).status, 404);
}

TEST_F(NetworkApiTest, a_link_that_makes_no_sense_is_refused_by_its_field) {
  named("a");
  named("b");
  for (const auto& [body, field] : std::vector<std::pair<std::string, std::string>>{
           {R"({"from": "a", "to": "a", "ports": [1]})", "/to"},
           {R"({"from": "a", "to": "b"})", "/ports"},
           {R"({"from": "a", "to": "b", "ports": []})", "/ports"},
           {R"({"from": "a", "to": "b", "ports": [0]})", "/ports"},
           {R"({"from": "a", "to": "b", "ports": [70000]})", "/ports"},
           {R"({"from": "a", "to": "b", "ports": [true]})", "/ports"},
           {R"({"to": "b", "ports": [1]})", "/from"},
           {R"({"from": "a", "to": "b", "ports": [1], "ttl": "0s"})", "/ttl"}}) {
    const auto refused = ask("POST", "/links", body);
    EXPECT_EQ(refused.status, 422) << body;
    EXPECT_NE(text(refused.body().at("message")).find(field), std::string::npos) << refused.text;
  }
  EXPECT_EQ(ask("POST", "/links", R"({"from": "a", "to": "nobody", "ports": [1]})").status, 404);
}

TEST_F(NetworkApiTest, whoever_has_no_say_in_both_ends_makes_no_link_and_sees_none_of_others) {
  named("a");
  named("b");
  named("c");
  const auto token = mint(R"({"scope": "workspace", "workspaceId": "a", "verbs": ["read", "network"]})");
  EXPECT_EQ(far("POST", "/links", bearer(token), R"({"from": "a", "to": "b", "ports": [1]})").status, 404);
  EXPECT_EQ(far("POST", "/links", bearer(token), R"({"from": "b", "to": "a", "ports": [1]})").status, 404);
  const auto other = ask("POST", "/links", R"({"from": "b", "to": "c", "ports": [1]})").body();
  EXPECT_TRUE(far("GET", "/links", bearer(token)).body().at("links").as_array().empty());
  const auto id = text(other.at("link").at("id"));
  EXPECT_EQ(far("DELETE", "/links/" + id, bearer(token)).status, 404);
  // Of a link to a stranger, the id is all that is told.
  ask("POST", "/links", R"({"from": "b", "to": "a", "ports": [1]})");
  const auto seen = far("GET", "/links", bearer(token)).body().at("links").as_array();
  ASSERT_EQ(seen.size(), 1U);
  EXPECT_TRUE(seen[0].at("from_name").is_null());
  const auto reader = mint(R"({"scope": "workspace", "workspaceId": "a", "verbs": ["read"]})");
  EXPECT_EQ(far("DELETE", "/links/" + text(seen[0].at("id")), bearer(reader)).status, 403);
  EXPECT_EQ(far("DELETE", "/links/" + text(seen[0].at("id")), bearer(token)).status, 200);
}

TEST_F(NetworkApiTest, an_exposed_port_serves_visitors_by_host_and_by_path) {
  make();
  record_.http_answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a=b\r\nClear-Site-Data: \"*\"\r\n\r\nhi";
  ASSERT_EQ(ask("POST", "/workspace/box/public-access", R"({"port": 8080, "slug": "shop"})").status, 201);
  const auto by_host =
      run(raw("GET /a%20b?x=1 HTTP/1.1\r\nHost: Shop.preview.localhost:7070\r\nForwarded: for=1.2.3.4\r\n"
              "Connection: close\r\n\r\n"));
  ASSERT_TRUE(by_host) << by_host.error().message;
  EXPECT_EQ(by_host->substr(0, 12), "HTTP/1.1 200") << *by_host;
  EXPECT_EQ(by_host->substr(by_host->size() - 2), "hi");
  EXPECT_NE(by_host->find("Set-Cookie: a=b\r\n"), std::string::npos);
  EXPECT_NE(record_.http_request.find("GET /a%20b?x=1 HTTP/1.1\r\n"), std::string::npos) << record_.http_request;
  EXPECT_EQ(record_.http_request.find("1.2.3.4"), std::string::npos);
  const auto by_path = visit("/preview/shop/c/d?preview_token=x&y=2", {});
  EXPECT_EQ(by_path.status, 200) << by_path.text;
  EXPECT_NE(record_.http_request.find("GET /c/d?y=2 HTTP/1.1\r\n"), std::string::npos) << record_.http_request;
  EXPECT_EQ(by_path.headers.find("Set-Cookie"), nullptr);
  EXPECT_EQ(by_path.headers.find("Clear-Site-Data"), nullptr);
  ASSERT_NE(by_path.headers.find("Content-Security-Policy"), nullptr);
  EXPECT_NE(by_path.headers.find("Content-Security-Policy")->find("sandbox"), std::string::npos);
  EXPECT_EQ(by_path.headers.find("Content-Security-Policy")->find("allow-same-origin"), std::string::npos);
  EXPECT_EQ(visit("/preview/nobody/", {}).status, 404);
  EXPECT_EQ(ask("DELETE", "/workspace/box/public-access/8080").status, 200);
  EXPECT_EQ(visit("/preview/shop/", {}).status, 404);
}

TEST_F(NetworkApiTest, a_protected_port_is_for_who_has_the_token_and_the_server_never_sees_it) {
  make();
  record_.http_answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
  const auto made = ask("POST", "/workspace/box/public-access", R"({"port": 8080, "slug": "till", "token": true})");
  const auto token = text(made.body().at("port").at("token"));
  EXPECT_EQ(ask("GET", "/workspace/box/public-access").text.find(token), std::string::npos);
  EXPECT_EQ(visit("/preview/till/", {}).status, 401);
  EXPECT_EQ(visit("/preview/till/", {{"X-Preview-Token", token + "0"}}).status, 401);
  EXPECT_EQ(visit("/preview/till/", {{"X-Preview-Token", token}}).status, 200);
  EXPECT_EQ(record_.http_request.find(token), std::string::npos);
  const auto first = visit("/preview/till/?preview_token=" + token, {});
  EXPECT_EQ(first.status, 200);
  ASSERT_NE(first.headers.find("Set-Cookie"), nullptr);
  const auto cookie = first.headers.find("Set-Cookie")->substr(0, first.headers.find("Set-Cookie")->find(';'));
  EXPECT_NE(first.headers.find("Set-Cookie")->find("HttpOnly"), std::string::npos);
  EXPECT_EQ(visit("/preview/till/", {{"Cookie", "own=1; " + cookie}}).status, 200);
  EXPECT_NE(record_.http_request.find("Cookie: own=1\r\n"), std::string::npos) << record_.http_request;
  EXPECT_EQ(record_.http_request.find(token), std::string::npos);
}

TEST_F(NetworkApiTest, slugs_are_unique_and_databases_stay_inside) {
  named("a");
  named("b");
  ASSERT_EQ(ask("POST", "/workspace/a/public-access", R"({"port": 8080, "slug": "one"})").status, 201);
  EXPECT_EQ(ask("POST", "/workspace/b/public-access", R"({"port": 8080, "slug": "one"})").status, 409);
  EXPECT_EQ(ask("POST", "/workspace/b/public-access", R"({"port": 8080, "slug": "No Name"})").status, 422);
  EXPECT_NE(ask("POST", "/workspace/b/public-access", R"({"port": 5432})").status, 201);
  EXPECT_EQ(ask("POST", "/workspace/b/public-access", R"({"port": 5432, "force": true})").status, 201);
  ask("POST", "/workspace", R"({"name": "db", "type": "database"})");
  EXPECT_NE(ask("POST", "/workspace/db/public-access", R"({"port": 8080, "force": true})").status, 201);
}

TEST_F(NetworkApiTest, a_forwarded_port_carries_bytes_both_ways_to_its_end) {
  make();
  auto socket = run(client_->websocket("/workspace/box/ports/7", {}));
  ASSERT_TRUE(socket) << socket.error().message;
  ASSERT_TRUE(run((*socket)->write(WebSocket::Kind::binary, "ping")));
  auto echoed = run((*socket)->read());
  ASSERT_TRUE(echoed && *echoed);
  EXPECT_EQ((*echoed)->bytes, "ping");
  ASSERT_TRUE(run((*socket)->write(WebSocket::Kind::text, "end")));
  auto ended = run((*socket)->read());
  ASSERT_TRUE(ended && *ended);
  EXPECT_EQ((*ended)->kind, WebSocket::Kind::text);
  socket->reset();
  pause();
  const auto flows = ask("GET", "/workspace/box/connections").body().at("connections").as_array();
  ASSERT_EQ(flows.size(), 1U);
  EXPECT_EQ(text(flows[0].at("name")), "port-forward");
  EXPECT_EQ(flows[0].at("bytes_in").to_number<int>(), 4);
}

TEST_F(NetworkApiTest, a_create_opens_what_it_lists_and_a_bad_list_leaves_nothing) {
  const auto made =
      ask("POST", "/workspace", R"({"name": "n", "config": {"network_config": {"egress": ["pypi.org"]}}})");
  ASSERT_EQ(made.status, 201) << made.text;
  EXPECT_EQ(ask("GET", "/workspace/n/network").body().at("egress").as_array().size(), 1U);
  EXPECT_EQ(ask("POST", "/workspace", R"({"name": "m", "config": {"egress": ["0x7f.1"]}})").status, 422);
  EXPECT_EQ(ask("GET", "/workspace/m").status, 404);
  const auto token = mint(R"({"scope": "account", "verbs": ["read", "lifecycle"]})");
  EXPECT_EQ(far("POST", "/workspace", bearer(token), R"({"name": "o", "config": {"allow_internet": true}})").status,
            403);
}

}  // namespace
}  // namespace cofferdam::api
