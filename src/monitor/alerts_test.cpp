#include "monitor/alerts.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <boost/json/parse.hpp>

#include "base/file.h"
#include "base/text.h"
#include "http/server.h"
#include "monitor/test_support.h"

namespace cofferdam::monitor {
namespace {

// What was noted, by the name of its kind.
class Notes final : public ledger::Recorder {
 public:
  Task<void> record(model::Entry entry) override {
    note(std::move(entry));
    co_return Status{};
  }
  void note(model::Entry entry) override { kinds.emplace_back(entry.event.kind().name); }
  void hurry() override {}
  [[nodiscard]] std::uint64_t mark() const override { return 0; }
  Task<void> settled(std::uint64_t /*mark*/) override { co_return Status{}; }
  [[nodiscard]] Status ready() const override { return {}; }
  void conceal(const std::string& /*namespace_id*/, std::string_view /*value*/) override {}
  std::vector<std::string> kinds;
};

class AlertsTest : public HandDriven {
 protected:
  AlertsTest() { workspace_.id = "ws_1", workspace_.name = "box", workspace_.namespace_id = "ns_1"; }
  ~AlertsTest() override { close(); }
  void open() {
    options_.clock = clock_;
    options_.recorder = &notes_;
    alerts_ = Alerts::open(io_.get_executor(), *database_, *webhooks_, options_).value();
    alerts_->start();
  }
  void close() {
    if (alerts_) EXPECT_TRUE(run(alerts_->close()));
    alerts_.reset();
  }
  Finding finding(RuleKind kind = RuleKind::cpu, std::string key = "") const {
    const auto& rules = rules_.all();
    return {&rules.at(static_cast<std::size_t>(kind)), std::move(key), "it is so", {{"now", "97 %"}}};
  }
  [[nodiscard]] UniqueFd bind_unix_datagram() const {
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    (state_ + "/log").copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    return fd;
  }
  [[nodiscard]] std::string script(const std::string& text) const {
    const std::string path = state_ + "/script";
    EXPECT_TRUE(write_file_atomically(path, cat("#!/bin/sh\n", text, "\n"), 0700));
    return path;
  }
  std::vector<Alert> all() { return run(alerts_->list({})).value(); }
  bool become(std::size_t count) {
    return becomes([&] { return all().size() == count; });
  }

  Rules rules_ = Rules::parse({}).value();
  Notes notes_;
  AlertOptions options_;
  Watched workspace_;
  std::unique_ptr<Alerts> alerts_;
};

TEST_F(AlertsTest, an_alert_says_what_where_when_and_what_next) {
  open();
  alerts_->raise(workspace_, finding());
  ASSERT_TRUE(become(1));
  const auto alert = all().front();
  EXPECT_TRUE(alert.id.starts_with("al_"));
  EXPECT_EQ(alert.rule, "cpu");
  EXPECT_EQ(alert.workspace_id, "ws_1");
  EXPECT_EQ(alert.workspace_name, "box");
  EXPECT_EQ(alert.cause, "it is so");
  EXPECT_EQ(alert.evidence, (Evidence{{"now", "97 %"}}));
  EXPECT_EQ(alert.next, "coffer stats ws_1");
  EXPECT_EQ(alert.first, wall_);
  EXPECT_EQ(notes_.kinds, std::vector<std::string>{"alert.raised"});
  EXPECT_EQ(alerts_->open_by_workspace().at("ws_1"), 1U);
}

TEST_F(AlertsTest, what_comes_from_inside_is_marked_as_the_guests_own_word) {
  open();
  alerts_->raise(workspace_, finding(RuleKind::stray_process, "xmrig"));
  ASSERT_TRUE(become(1));
  EXPECT_EQ(all().front().evidence.back().second, "the guest's own word");
}

TEST_F(AlertsTest, repetitions_are_one_alert_until_it_was_quiet_for_a_while) {
  open();
  for (int i = 0; i < 100; ++i, pass(1s)) alerts_->raise(workspace_, finding());
  ASSERT_TRUE(become(1));
  EXPECT_EQ(all().front().times, 100U);
  EXPECT_EQ(all().front().last - all().front().first, 99s);
  alerts_->raise(workspace_, finding(RuleKind::new_destination, "a:443"));
  alerts_->raise(workspace_, finding(RuleKind::new_destination, "b:443"));
  Watched other = workspace_;
  other.id = "ws_2";
  alerts_->raise(other, finding());
  ASSERT_TRUE(become(4));
  pass(Alerts::kQuiet);
  alerts_->raise(workspace_, finding());
  EXPECT_TRUE(become(5));
}

TEST_F(AlertsTest, a_clock_that_jumps_neither_repeats_nor_swallows_alerts) {
  open();
  alerts_->raise(workspace_, finding());
  wall_ += std::chrono::hours(24 * 365);
  steady_ += 1s;
  alerts_->raise(workspace_, finding());
  wall_ -= std::chrono::hours(24 * 3650);
  steady_ += 1s;
  alerts_->raise(workspace_, finding());
  ASSERT_TRUE(become(1));
  EXPECT_EQ(all().front().times, 3U);
  alerts_->raise(workspace_, finding(RuleKind::denied));
  ASSERT_TRUE(become(2));
  EXPECT_EQ(all().front().rule, "denied");  // the newest, whatever the time is
  steady_ += Alerts::kQuiet;
  alerts_->raise(workspace_, finding());
  EXPECT_TRUE(become(3));
}

TEST_F(AlertsTest, acknowledged_once_by_the_first_and_still_one_alert) {
  open();
  alerts_->raise(workspace_, finding());
  ASSERT_TRUE(become(1));
  const auto id = all().front().id;
  EXPECT_EQ(run(alerts_->acknowledge(id, {"alice", "", ""}))->acknowledged_by, "alice");
  EXPECT_EQ(run(alerts_->acknowledge(id, {"bob", "", ""}))->acknowledged_by, "alice");
  EXPECT_EQ(run(alerts_->acknowledge("al_none", {})).error().code, Code::NotFound);
  EXPECT_EQ(notes_.kinds, (std::vector<std::string>{"alert.raised", "alert.acknowledged"}));
  EXPECT_TRUE(alerts_->open_by_workspace().empty());
  pass(1s);
  alerts_->raise(workspace_, finding());
  AlertFilter open_ones;
  open_ones.state = AlertFilter::State::open;
  EXPECT_TRUE(run(alerts_->list(open_ones))->empty());
  ASSERT_EQ(all().size(), 1U);
  EXPECT_EQ(all().front().times, 2U);
  EXPECT_TRUE(all().front().acknowledged_at);
}

TEST_F(AlertsTest, a_restart_forgets_none_and_repeats_none) {
  open();
  alerts_->raise(workspace_, finding());
  close();
  open();
  pass(1s);
  alerts_->raise(workspace_, finding());
  ASSERT_EQ(all().size(), 1U);
  EXPECT_EQ(all().front().times, 2U);
  EXPECT_EQ(notes_.kinds.size(), 1U);
}

TEST_F(AlertsTest, a_storm_is_twenty_alerts_and_one_that_counts_the_rest) {
  open();
  for (int second = 0; second < 30; ++second, pass(1s)) {
    for (int i = 0; i < 500; ++i) {
      Watched other = workspace_;
      other.id = cat("ws_", i);
      alerts_->raise(other, finding());
    }
  }
  ASSERT_TRUE(become(Alerts::kMaxPerWindow + 1));
  EXPECT_EQ(alerts_->suppressed(), 500 - Alerts::kMaxPerWindow);
  pass(Alerts::kStormWindow);
  ASSERT_TRUE(becomes([&] {
    const auto alerts = all();
    return alerts.front().rule == Alerts::kStormRule && alerts.front().cause.find("480 more are") != std::string::npos;
  }));
  EXPECT_EQ(all().front().evidence.front(), (std::pair<std::string, std::string>{"rule cpu", "480"}));
  EXPECT_LE(all().front().evidence.size(), 21U);
  EXPECT_EQ(all().size(), Alerts::kMaxPerWindow + 1);
}

TEST_F(AlertsTest, a_rule_contains_and_the_alert_says_how_that_went) {
  std::vector<std::string> contained;
  options_.contain = [&contained](std::string workspace, std::string why) -> Task<void> {
    contained.push_back(cat(workspace, " ", why.substr(0, 9)));
    if (workspace == "ws_2") co_return fail(Code::Unavailable, "no");
    co_return Status{};
  };
  rules_ = Rules::parse({"denied action=contain"}).value();
  open();
  Finding found = finding();
  found.rule = rules_.containing();
  alerts_->raise(workspace_, found);
  Watched other = workspace_;
  other.id = "ws_2";
  alerts_->raise(other, found);
  alerts_->raise(other, found);
  ASSERT_TRUE(becomes([&] {
    const auto alerts = all();
    return alerts.size() == 2 && alerts[0].action == "not contained: no" && alerts[1].action == "contained";
  }));
  EXPECT_EQ(contained, (std::vector<std::string>{"ws_1 alert al_", "ws_2 alert al_"}));
}

TEST_F(AlertsTest, syslog_and_a_command_get_each_alert_and_a_command_that_hangs_holds_up_nobody) {
  const auto socket = bind_unix_datagram();
  options_.channels.syslog = state_ + "/log";
  options_.channels.command = script("cat >> " + state_ + "/told; sleep 60");
  options_.channels.command_limit = 200ms;
  open();
  alerts_->raise(workspace_, finding());
  alerts_->raise(workspace_, finding(RuleKind::denied));
  ASSERT_TRUE(become(2));
  std::string heard(8192, '\0');
  heard.resize(static_cast<std::size_t>(::recv(socket.get(), heard.data(), heard.size(), 0)));
  EXPECT_TRUE(heard.starts_with("<108>1 2027-")) << heard;
  EXPECT_NE(heard.find(" alert - {\"id\":\"al_"), std::string::npos) << heard;
  ASSERT_TRUE(becomes([&] {
    const auto told = read_file(state_ + "/told", 1U << 20);
    return told && told->find("\"rule\":\"cpu\"") != std::string::npos &&
           told->find("\"rule\":\"denied\"") != std::string::npos;
  }));
}

TEST_F(AlertsTest, a_webhook_that_hangs_keeps_no_other_from_hearing) {
  int hanging = 0;
  std::vector<std::string> heard;
  auto handler = [&](http::Request& request) -> http::Task<http::Response> {
    if (request.target == "/hangs") {
      ++hanging;
      CO_TRY(co_await loop::sleep_for(1h));
    }
    CO_TRY_ASSIGN(const auto body, co_await request.body->read_all(1U << 20));
    heard.push_back(std::string(boost::json::parse(body).at("data").at("alert").at("rule").as_string()));
    co_return http::Response();
  };
  http::Server server(io_.get_executor(), http::ServerOptions{}, handler, nullptr);
  const auto anybody = [](const http::Peer&) -> Status { return {}; };
  const auto url = cat("http://", server.listen_tcp({"127.0.0.1", 0}, anybody).value().text());
  for (const char* path : {"/hangs", "/hears"}) {
    WebhookDraft draft;
    draft.url = url + path;
    draft.events = {"alert.raised"};
    ASSERT_TRUE(run(webhooks_->create(std::move(draft))));
  }
  webhooks_->start();
  open();
  for (const auto kind : {RuleKind::cpu, RuleKind::denied, RuleKind::bytes_out, RuleKind::disk_growth}) {
    alerts_->raise(workspace_, finding(kind));
  }
  EXPECT_TRUE(becomes([&] { return heard.size() == 4; }));
  EXPECT_GE(hanging, 1);
  close();
  EXPECT_TRUE(run(webhooks_->close()));
  EXPECT_TRUE(run(server.stop(0ms)));
}

}  // namespace
}  // namespace cofferdam::monitor
