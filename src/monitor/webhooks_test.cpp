// Webhooks against a real HTTP server of the test's own, with pauses of milliseconds.
#include "monitor/webhooks.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>

#include "base/file.h"
#include "base/text.h"
#include "crypto/hmac.h"
#include "http/server.h"
#include "identity/schema.h"
#include "loop/run.h"
#include "monitor/schema.h"

namespace cofferdam::monitor {
namespace {

using namespace std::chrono_literals;
namespace json = boost::json;

struct Seen {
  std::string target, body;
  http::Headers headers;
};

class WebhooksTest : public testing::Test {
 protected:
  WebhooksTest() {
    std::string pattern = testing::TempDir() + "coffer-hooks-XXXXXX";
    state_ = ::mkdtemp(pattern.data());
    options_.state_dir = state_;
    options_.reach = Reach::private_too;
    options_.pauses = std::vector<std::chrono::milliseconds>(7, 1ms);
    options_.limit = 2s;
    open();
    auto handler = [this](http::Request& request) { return receive(request); };
    server_ = std::make_unique<http::Server>(io_.get_executor(), http::ServerOptions{}, handler, nullptr);
    const auto anybody = [](const http::Peer&) -> Status { return {}; };
    url_ = cat("http://", server_->listen_tcp({"127.0.0.1", 0}, anybody).value().text(), "/hook?x=1");
  }
  ~WebhooksTest() override {
    close();
    EXPECT_TRUE(run(server_->stop(0ms)));
    server_.reset();
    database_.reset();
    (void)remove_tree(state_);
  }

  void open() {
    if (!database_) {
      const auto schema = store::join({identity::migrations(), monitor::migrations()});
      database_ = store::Database::open(state_ + "/cofferd.db", schema).value();
    }
    hooks_ = Webhooks::open(io_.get_executor(), *database_, options_).value();
  }
  void close() {
    if (!hooks_) return;
    EXPECT_TRUE(run(hooks_->close()));
    hooks_.reset();
  }

  http::Task<http::Response> receive(http::Request& request) {
    Seen seen{request.target, "", request.headers};
    CO_TRY_ASSIGN(seen.body, co_await request.body->read_all(1U << 20));
    seen_.push_back(std::move(seen));
    http::Response response;
    response.status = answers_.empty() ? 200 : answers_.front();
    if (!answers_.empty()) answers_.erase(answers_.begin());
    if (response.status / 100 == 3) response.headers.add("Location", url_);
    response.body = answer_body_;
    co_return response;
  }

  template <class T>
  Result<T> run(Task<T> task) {
    return loop::run_on(io_, std::move(task), 20s);
  }
  template <class Condition>
  bool becomes(Condition condition) {
    for (int i = 0; i < 400 && !condition(); ++i) (void)run(loop::sleep_for(5ms));
    return condition();
  }

  Webhook make(std::vector<std::string> events = {"vm.created"}, std::string_view secret = "",
               std::optional<std::string> space = {}) {
    WebhookDraft draft;
    draft.url = url_;
    draft.events = std::move(events);
    draft.secret = SecureBytes::copy_of(secret);
    draft.namespace_id = std::move(space);
    return run(hooks_->create(std::move(draft))).value();
  }
  static Notice notice(const std::string& event = "vm.created") {
    Notice made;
    made.event = event;
    made.time = Time(std::chrono::milliseconds(1'800'000'000'123));
    made.workspace_id = "ws_1";
    made.workspace_name = "box";
    made.namespace_id = "ns_1";
    made.namespace_slug = "team";
    return made;
  }
  std::vector<Delivery> deliveries(std::int64_t id) { return run(hooks_->deliveries(id)).value(); }

  std::string state_, url_, answer_body_;
  WebhookOptions options_;
  loop::asio::io_context io_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Webhooks> hooks_;
  std::unique_ptr<http::Server> server_;
  std::vector<Seen> seen_;
  std::vector<int> answers_;
};

TEST_F(WebhooksTest, an_event_arrives_signed_in_the_shape_of_the_contract) {
  hooks_->start();
  const auto hook = make({"vm.created"}, "sesame");
  EXPECT_TRUE(hook.is_signed);
  hooks_->notify(notice());
  ASSERT_TRUE(becomes([&] { return seen_.size() == 1; }));
  const auto& got = seen_[0];
  EXPECT_EQ(got.target, "/hook?x=1");
  EXPECT_EQ(*got.headers.find("X-Webhook-Signature"), to_hex(crypto::hmac_sha256("sesame", got.body)));
  EXPECT_TRUE(got.headers.find("X-Webhook-Id")->starts_with("wd_"));
  EXPECT_NE(got.headers.find("X-Webhook-Timestamp"), nullptr);
  const auto body = json::parse(got.body);
  EXPECT_EQ(body.at("event").as_string(), "vm.created");
  EXPECT_EQ(body.at("namespace").as_string(), "team");
  EXPECT_EQ(body.at("timestamp").as_string(), "2027-01-15T08:00:00.123Z");
  EXPECT_EQ(body.at("data").at("workspace_name").as_string(), "box");
  ASSERT_TRUE(becomes([&] { return deliveries(hook.id).at(0).delivered; }));
  EXPECT_EQ(hooks_->get(hook.id)->last_status_code, 200);
}

TEST_F(WebhooksTest, only_those_hear_who_asked_for_the_event_and_its_namespace) {
  hooks_->start();
  const auto other_event = make({"vm.stopped"});
  const auto other_space = make({"*"}, "", "ns_2");
  const auto every = make({"*"});
  auto asleep = make();
  WebhookChange change;
  change.active = false;
  ASSERT_TRUE(run(hooks_->update(asleep.id, std::move(change))));
  hooks_->notify(notice());
  ASSERT_TRUE(becomes([&] { return seen_.size() == 1; }));
  (void)run(loop::sleep_for(50ms));
  EXPECT_EQ(seen_.size(), 1U);
  EXPECT_EQ(deliveries(every.id).size(), 1U);
  EXPECT_TRUE(deliveries(other_event.id).empty());
  EXPECT_TRUE(deliveries(other_space.id).empty());
  EXPECT_EQ(seen_[0].headers.find("X-Webhook-Signature"), nullptr);
}

TEST_F(WebhooksTest, what_fails_is_tried_again_under_the_same_id_until_it_is_taken) {
  hooks_->start();
  answers_ = {500, 302, 404, 200};
  const auto hook = make();
  hooks_->notify(notice());
  ASSERT_TRUE(becomes([&] { return seen_.size() == 4; }));
  for (const auto& got : seen_) EXPECT_EQ(*got.headers.find("X-Webhook-Id"), *seen_[0].headers.find("X-Webhook-Id"));
  ASSERT_TRUE(becomes([&] { return deliveries(hook.id).at(0).delivered; }));
  EXPECT_EQ(deliveries(hook.id).at(0).tries, 4);
  EXPECT_EQ(seen_.size(), 4U);  // the redirect was not followed
}

TEST_F(WebhooksTest, after_eight_tries_it_is_given_up) {
  hooks_->start();
  answers_ = std::vector<int>(20, 503);
  const auto hook = make();
  hooks_->notify(notice());
  ASSERT_TRUE(becomes([&] { return !deliveries(hook.id).empty() && !deliveries(hook.id).at(0).next_try_at; }));
  EXPECT_EQ(seen_.size(), 8U);
  const auto given_up = deliveries(hook.id).at(0);
  EXPECT_FALSE(given_up.delivered);
  EXPECT_EQ(given_up.status_code, 503);
  EXPECT_EQ(given_up.error, "it answered 503");
}

TEST_F(WebhooksTest, a_restart_forgets_neither_hooks_nor_what_is_due) {
  const auto hook = make({"*"}, "sesame");
  hooks_->notify(notice());
  close();
  EXPECT_TRUE(seen_.empty());
  open();
  hooks_->start();
  ASSERT_TRUE(becomes([&] { return seen_.size() == 1; }));
  EXPECT_EQ(*seen_[0].headers.find("X-Webhook-Signature"), to_hex(crypto::hmac_sha256("sesame", seen_[0].body)));
  EXPECT_EQ(hooks_->list().size(), 1U);
  EXPECT_EQ(hooks_->get(hook.id)->url, url_);
}

TEST_F(WebhooksTest, private_addresses_are_refused_where_they_are_connected_to) {
  close();
  options_.reach = Reach::public_only;
  open();
  hooks_->start();
  const auto hook = make();
  hooks_->notify(notice());
  ASSERT_TRUE(becomes([&] { return !deliveries(hook.id).empty() && !deliveries(hook.id).at(0).next_try_at; }));
  EXPECT_TRUE(seen_.empty());
  EXPECT_NE(deliveries(hook.id).at(0).error->find("not a public address"), std::string::npos);
}

TEST_F(WebhooksTest, a_flood_as_an_answer_is_read_no_further_than_its_bound) {
  hooks_->start();
  answer_body_ = std::string(8U << 20, 'x');
  const auto hook = make();
  hooks_->notify(notice());
  ASSERT_TRUE(becomes([&] { return !deliveries(hook.id).empty() && deliveries(hook.id).at(0).delivered; }));
}

TEST_F(WebhooksTest, the_secret_is_in_no_file_and_a_hundred_deliveries_are_kept) {
  hooks_->start();
  const auto hook = make({"*"}, "sesame-open-sesame");
  for (int i = 0; i < 130; ++i) hooks_->notify(notice());
  ASSERT_TRUE(becomes([&] { return seen_.size() == 130; }));
  ASSERT_TRUE(becomes([&] {
    const auto kept = deliveries(hook.id);
    return kept.size() == Webhooks::kKeptDeliveries && kept.front().delivered && kept.back().delivered;
  }));
  ASSERT_TRUE(run(database_->checkpoint()));
  EXPECT_EQ(read_file(state_ + "/cofferd.db", 1U << 26)->find("sesame-open"), std::string::npos);
  EXPECT_TRUE(run(hooks_->remove(hook.id)));
  EXPECT_EQ(run(hooks_->deliveries(hook.id)).error().code, Code::NotFound);
}

TEST_F(WebhooksTest, two_changes_at_once_are_both_made) {
  const auto id = make({"vm.created"}).id;
  WebhookChange off, other;
  off.active = false;
  other.events = std::vector<std::string>{"vm.stopped"};
  const auto one = loop::begin(io_, hooks_->update(id, std::move(off)));
  const auto two = loop::begin(io_, hooks_->update(id, std::move(other)));
  ASSERT_TRUE(becomes([&] { return one->has_value() && two->has_value(); }));
  for (int round = 0; round < 2; ++round) {
    const auto now = hooks_->get(id).value();
    EXPECT_FALSE(now.active);
    EXPECT_EQ(now.events, (std::vector<std::string>{"vm.stopped"}));
    close();
    open();
  }
}

TEST_F(WebhooksTest, bad_drafts_are_refused_with_their_field) {
  const auto error_of = [&](std::string url, std::vector<std::string> events) {
    WebhookDraft draft;
    draft.url = std::move(url);
    draft.events = std::move(events);
    return run(hooks_->create(std::move(draft))).error().message;
  };
  EXPECT_TRUE(error_of(url_, {}).starts_with("/events"));
  EXPECT_TRUE(error_of(url_, {"vm.exploded"}).starts_with("/events/0"));
  for (const std::string url : {"", "ftp://a/b", "https://", "http://user@host/", "https://a/#x", "https://a b/",
                                "http://a:99999/", "file:///etc/passwd", "https://a/\r\nX: y"}) {
    EXPECT_TRUE(error_of(url, {"*"}).starts_with("/url")) << url;
  }
}

TEST(Target, public_and_other_addresses) {
  for (const char* bad : {"127.0.0.1",
                          "10.1.2.3",
                          "192.168.0.1",
                          "172.31.255.255",
                          "169.254.169.254",
                          "100.64.0.1",
                          "0.0.0.0",
                          "224.0.0.1",
                          "255.255.255.255",
                          "::",
                          "::1",
                          "fe80::1",
                          "fc00::1",
                          "fd12::1",
                          "ff02::1",
                          "::ffff:10.0.0.1",
                          "64:ff9b::7f00:1",
                          "2002:7f00:1::1",
                          "nonsense",
                          ""}) {
    EXPECT_FALSE(check_address(bad, Reach::public_only)) << bad;
    EXPECT_TRUE(check_address(bad, Reach::private_too)) << bad;
  }
  for (const char* good : {"1.1.1.1", "172.32.0.1", "2606:4700::1111"}) {
    EXPECT_TRUE(check_address(good, Reach::public_only)) << good;
  }
}

TEST(Target, paths_and_queries_are_kept) {
  EXPECT_EQ(parse_target("https://example.com")->path, "/");
  EXPECT_EQ(parse_target("https://example.com?a=b")->path, "/?a=b");
  EXPECT_EQ(parse_target("http://example.com:8080/a/b?c")->path, "/a/b?c");
  EXPECT_EQ(parse_target("https://example.com/")->endpoint.address.port, 443);
}

}  // namespace
}  // namespace cofferdam::monitor
