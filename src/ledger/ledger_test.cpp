#include "ledger/ledger.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>

#include "http/server.h"
#include "ledger/folder.h"
#include "ledger/json.h"
#include "ledger/syslog.h"
#include "ledger/tail.h"
#include "ledger/test_support.h"
#include "ledger/witness.h"
#include "loop/run.h"

namespace cofferdam::ledger {
namespace {

using namespace std::chrono_literals;

class LedgerTest : public LogTest {
 protected:
  void open_ledger() {
    LedgerOptions options;
    options.files = options_;
    options.max_queued = max_queued_;
    options.stamp = [this](model::Entry entry) {
      Pending pending = happened_now(std::move(entry));
      pending.time_us += clock_moved_us_;
      return pending;
    };
    options.sign_every = 50ms;
    auto opened = Ledger::open(io_.get_executor(), std::move(options));
    ASSERT_TRUE(opened) << opened.error().message;
    ledger_ = std::move(*opened);
    ledger_->start();
  }
  void SetUp() override {
    LogTest::SetUp();
    open_ledger();
  }
  void TearDown() override {
    if (ledger_) close();
    LogTest::TearDown();
  }
  void close() {
    EXPECT_TRUE(run(ledger_->close()));
    ledger_.reset();
    const auto report = check();
    EXPECT_TRUE(report.good()) << findings(report);
  }
  template <class T>
  Result<T> run(Task<T> task) {
    return loop::run_on(io_, std::move(task));
  }
  // Files may not grow beyond what they are now, and `more`.
  void limit_files(std::size_t more) {
    ::signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &unlimited_), 0);
    const rlimit tight{bytes_of(0).size() + more, unlimited_.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  }
  void unlimit_files() { ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &unlimited_), 0); }
  std::vector<std::string> kinds() {
    std::vector<std::string> all;
    const auto page = run(ledger_->events({}, std::nullopt, 1000)).value();
    for (const auto& found : page.entries) all.push_back(found.kind_text());
    return all;
  }

  rlimit unlimited_{};
  std::size_t max_queued_ = 65'536;
  std::int64_t clock_moved_us_ = 0;
  loop::asio::io_context io_;
  std::unique_ptr<Ledger> ledger_;
};

TEST_F(LedgerTest, what_is_recorded_is_durable_when_it_is_answered) {
  ASSERT_TRUE(run(ledger_->record(entry("a"))));
  const std::string bytes = bytes_of(0);
  EXPECT_NE(bytes.find("ws_a"), std::string::npos);
  EXPECT_EQ(ledger_->size(), 3U);
}

TEST_F(LedgerTest, what_is_noted_before_is_durable_too) {
  ledger_->note(entry("first"));
  ledger_->note(entry("second"));
  ASSERT_TRUE(run(ledger_->record(entry("third"))));
  const std::string bytes = bytes_of(0);
  EXPECT_LT(bytes.find("ws_first"), bytes.find("ws_second"));
  EXPECT_LT(bytes.find("ws_second"), bytes.find("ws_third"));
  ledger_->note(entry("fourth"));
  ASSERT_TRUE(run(ledger_->settled()));
  EXPECT_NE(bytes_of(0).find("ws_fourth"), std::string::npos);
}

TEST_F(LedgerTest, who_asks_sees_all_that_was_noted_before) {
  ledger_->note(entry("first"));
  EXPECT_EQ(run(ledger_->events({}, std::nullopt, 1)).value().entries.at(0).text(kWorkspace), "ws_first");
  ledger_->note(entry("second"));
  const auto note = parse_note(run(ledger_->checkpoint_of_now()).value()).value();
  EXPECT_EQ(parse_checkpoint(note.text).value().size, 4U);
}

TEST_F(LedgerTest, what_is_proved_consistent_is_signed_first) {
  ledger_->note(entry("first"));
  ASSERT_TRUE(run(ledger_->settled()));
  const auto size = ledger_->size();
  ASSERT_TRUE(run(ledger_->prove_consistency(1, size)));
  EXPECT_EQ(parse_checkpoint(parse_note(ledger_->checkpoint()).value().text).value().size, size);
}

TEST_F(LedgerTest, the_end_of_a_command_is_written_with_what_comes_next_or_soon_by_itself) {
  const model::Entry end{{"tok_2", "", ""}, {"ws_end", ""}, model::ExecEnded{}};
  ledger_->note(end);
  io_.restart();
  io_.poll();
  EXPECT_EQ(ledger_->size(), 2U);
  ASSERT_TRUE(run(ledger_->record(entry("next"))));
  EXPECT_EQ(ledger_->size(), 4U);
  const std::string bytes = bytes_of(0);
  EXPECT_LT(bytes.find("ws_end"), bytes.find("ws_next"));
  ledger_->note(end);
  for (int i = 0; i < 500 && ledger_->size() < 5; ++i) ASSERT_TRUE(run(loop::sleep_for(10ms)));
  EXPECT_EQ(ledger_->size(), 5U);
  ledger_->note(end);  // the daemon's end waits for it
}

TEST_F(LedgerTest, the_start_of_a_command_is_written_a_moment_later_or_when_somebody_hurries) {
  ledger_->note(entry("first"));
  io_.restart();
  io_.poll();
  EXPECT_EQ(ledger_->size(), 2U);
  for (int i = 0; i < 500 && ledger_->size() < 3; ++i) ASSERT_TRUE(run(loop::sleep_for(10ms)));
  EXPECT_EQ(ledger_->size(), 3U);
  ledger_->note(entry("second"));
  ASSERT_TRUE(run(ledger_->settled()));
  EXPECT_EQ(ledger_->size(), 4U);
  ledger_->note(entry("third"));
  ledger_->hurry();
  io_.restart();
  io_.poll();
  ledger_->note(entry("fourth"));  // of the next batch
  for (int i = 0; i < 500 && ledger_->size() < 5; ++i) io_.run_one();
  EXPECT_EQ(ledger_->size(), 5U);
  // What is urgent does not wait for what is not.
  ledger_->note({{"tok_2", "", ""}, {"ws_end", ""}, model::ExecEnded{}});
  ledger_->note(entry("fifth"));
  for (int i = 0; i < 500 && ledger_->size() < 8; ++i) ASSERT_TRUE(run(loop::sleep_for(10ms)));
  EXPECT_EQ(ledger_->size(), 8U);
  EXPECT_LT(bytes_of(0).find("ws_end"), bytes_of(0).find("ws_fifth"));
}

TEST_F(LedgerTest, entries_share_the_wait_for_the_disk) {
  int done = 0;
  for (int i = 0; i < 2000; ++i) {
    loop::asio::co_spawn(io_, ledger_->record(entry(std::to_string(i))),
                         [&](const std::exception_ptr&, const Status& recorded) { done += recorded ? 1 : 0; });
  }
  io_.restart();
  while (done < 2000) io_.run_one();
  EXPECT_EQ(ledger_->size(), 2002U);
}

TEST_F(LedgerTest, secrets_are_taken_out_on_the_way_in) {
  ledger_->conceal("ns_1", "a-delivered-secret");
  model::ExecStarted started;
  started.argv = {"echo", "a-delivered-secret"};
  ASSERT_TRUE(run(ledger_->record({{}, {"ws_1", "ns_1"}, started})));
  const std::string bytes = bytes_of(0);
  EXPECT_EQ(bytes.find("a-delivered-secret"), std::string::npos);
  EXPECT_NE(bytes.find("[secret]"), std::string::npos);
}

TEST_F(LedgerTest, when_the_disk_is_full_changes_are_refused_and_what_happens_is_kept_for_later) {
  ASSERT_TRUE(run(ledger_->record(entry("before"))));
  limit_files(0);
  EXPECT_FALSE(run(ledger_->record(entry("refused"))));
  EXPECT_EQ(ledger_->ready().error().code, Code::ResourceExhausted);
  EXPECT_FALSE(ledger_->status().trouble.empty());
  ledger_->note(entry("kept"));
  EXPECT_FALSE(run(ledger_->settled()));
  EXPECT_EQ(run(ledger_->events({}, std::nullopt, 1)).value().entries.at(0).text(kWorkspace), "ws_before");
  unlimit_files();
  while (!ledger_->ready()) ASSERT_TRUE(run(loop::sleep_for(20ms)));
  ASSERT_TRUE(run(ledger_->record(entry("after"))));
  const std::string bytes = bytes_of(0);
  EXPECT_EQ(bytes.find("ws_refused"), std::string::npos);
  EXPECT_LT(bytes.find("ws_kept"), bytes.find("ws_after"));
}

TEST_F(LedgerTest, what_there_is_no_room_for_is_counted_in_an_entry) {
  close();
  max_queued_ = 100;
  open_ledger();
  // The loop does not run meanwhile: nothing is taken out of the queue.
  for (int i = 0; i < 80; ++i) ledger_->note({{}, {"ws_1", ""}, model::ConnectionRefused{}});
  for (int i = 0; i < 60; ++i) ledger_->note(entry("x"));
  EXPECT_EQ(ledger_->status().dropped, 40U);
  EXPECT_EQ(ledger_->ready().error().code, Code::ResourceExhausted);
  ASSERT_TRUE(run(ledger_->settled()));
  ASSERT_TRUE(run(ledger_->record(entry("last"))));
  EventFilter gaps;
  gaps.kind = "ledger.gap";
  const auto page = run(ledger_->events(gaps, std::nullopt, 10)).value();
  ASSERT_EQ(page.entries.size(), 1U);
  const auto told = to_json(page.entries[0]);
  EXPECT_EQ(told.at("dropped").as_int64(), 40);
  EXPECT_EQ(told.at("kinds").as_array().front().as_string(), "connection.refused 30");
}

TEST_F(LedgerTest, a_clock_that_jumps_is_said_to) {
  ASSERT_TRUE(run(ledger_->record(entry("a"))));
  clock_moved_us_ = -3'600'000'000;
  ASSERT_TRUE(run(ledger_->record(entry("b"))));
  ASSERT_TRUE(run(ledger_->record(entry("c"))));
  EXPECT_EQ(kinds(), (std::vector<std::string>{"ledger.keyed", "ledger.keyed", "exec.started", "clock.jumped",
                                               "exec.started", "exec.started"}));
}

TEST_F(LedgerTest, events_are_found_by_what_they_are_about) {
  for (int i = 0; i < 30; ++i) ledger_->note(entry(std::to_string(i % 3)));
  ledger_->note({{"tok_2", "", ""}, {"ws_0", ""}, model::ExecEnded{}});
  ASSERT_TRUE(run(ledger_->settled()));
  EventFilter filter;
  filter.workspace_id = "ws_0";
  EXPECT_EQ(run(ledger_->events(filter, std::nullopt, 100)).value().entries.size(), 11U);
  filter.kind = "exec";
  filter.actor = "tok_2";
  EXPECT_EQ(run(ledger_->events(filter, std::nullopt, 100)).value().entries.size(), 1U);
  filter = {};
  filter.kind = "exec.started";
  auto page = run(ledger_->events(filter, std::nullopt, 12)).value();
  EXPECT_EQ(page.entries.size(), 12U);
  EXPECT_EQ(page.entries.back().text(kWorkspace), "ws_2");
  ASSERT_TRUE(page.before);
  page = run(ledger_->events(filter, page.before, 100)).value();
  EXPECT_EQ(page.entries.size(), 18U);
  EXPECT_FALSE(page.before);
  filter.visible = [](const Decoded& found) { return found.text(kWorkspace) == "ws_1"; };
  EXPECT_EQ(run(ledger_->events(filter, std::nullopt, 100)).value().entries.size(), 10U);
  filter.since_us = INT64_MAX;
  EXPECT_TRUE(run(ledger_->events(filter, std::nullopt, 100)).value().entries.empty());
}

TEST_F(LedgerTest, a_tail_leaves_nothing_out) {
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(run(ledger_->record(entry(std::to_string(i)))));
  Tail tail(*ledger_, 2);
  for (std::uint64_t number = 2; number < 12; ++number) {
    EXPECT_EQ(run(tail.next()).value()->stamp.number, number);
  }
  // More come than a feed holds, while nobody reads.
  for (int i = 0; i < 3000; ++i) ledger_->note(entry(std::to_string(i)));
  ASSERT_TRUE(run(ledger_->settled()));
  for (std::uint64_t number = 12; number < 3012; ++number) {
    ASSERT_EQ(run(tail.next()).value()->stamp.number, number);
  }
}

TEST_F(LedgerTest, an_entry_is_proven_at_once) {
  ASSERT_TRUE(run(ledger_->record(entry("a"))));
  const auto proof = run(ledger_->prove(2));
  ASSERT_TRUE(proof) << proof.error().message;
  const auto keys = KeyChain::parse(run(ledger_->keys()).value()).value();
  EXPECT_EQ(check_proof(*proof, keys).value().text(kWorkspace), "ws_a");
  EXPECT_EQ(run(ledger_->prove(99)).error().code, Code::NotFound);
  EXPECT_TRUE(run(ledger_->prove_consistency(1, 0)));
  EXPECT_FALSE(run(ledger_->prove_consistency(1, 99)));
}

TEST_F(LedgerTest, after_a_crash_what_was_unsigned_is_named) {
  ASSERT_TRUE(run(ledger_->record(entry("a"))));
  close();
  {
    auto log = open();
    ASSERT_TRUE(log->commit(batch(3), Sign::no));
  }
  open_ledger();
  const auto page = run(ledger_->events({}, std::nullopt, 1000)).value();
  const auto recovered = std::find_if(page.entries.begin(), page.entries.end(),
                                      [](const Decoded& found) { return found.kind_text() == "ledger.recovered"; });
  ASSERT_NE(recovered, page.entries.end());
  EXPECT_EQ(to_json(*recovered).at("unsigned_count").as_int64(), 3);
}

TEST_F(LedgerTest, a_closed_ledger_takes_nothing) {
  ASSERT_TRUE(run(ledger_->close()));
  EXPECT_FALSE(run(ledger_->record(entry("a"))));
  EXPECT_FALSE(ledger_->ready());
  ledger_->note(entry("b"));
  ledger_.reset();
}

TEST_F(LedgerTest, entries_are_told_as_json_and_as_ocsf) {
  model::ApiChanged change{"DELETE", "/tokens/{token}", "/tokens/tok_9", 403, "permission_denied", ""};
  ASSERT_TRUE(run(ledger_->record({{"key_1", "10.1.2.3", "req_7"}, {"ws_1", ""}, change})));
  const auto page = run(ledger_->events({}, std::nullopt, 1)).value();
  const auto plain = to_json(page.entries[0]);
  EXPECT_EQ(plain.at("kind").as_string(), "api.changed");
  EXPECT_EQ(plain.at("status").as_int64(), 403);
  const auto ocsf = to_ocsf(page.entries[0], "cofferdam/ldg_1");
  EXPECT_EQ(ocsf.at("class_uid").as_int64(), 6003);
  EXPECT_EQ(ocsf.at("activity_id").as_int64(), 4);
  EXPECT_EQ(ocsf.at("type_uid").as_int64(), 600304);
  EXPECT_EQ(ocsf.at("status_id").as_int64(), 2);
  EXPECT_EQ(ocsf.at("actor").at("user").at("uid").as_string(), "key_1");
  EXPECT_EQ(ocsf.at("src_endpoint").at("ip").as_string(), "10.1.2.3");
  EXPECT_EQ(ocsf.at("unmapped").as_object(), plain);
}

TEST_F(LedgerTest, a_syslog_server_gets_every_entry) {
  const std::string path = state_ + "/log";
  const UniqueFd server(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, path.size());
  ASSERT_EQ(::bind(server.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  loop::TaskGroup group(io_.get_executor());
  group.spawn("syslog", send_to_syslog(*ledger_, path));
  ASSERT_TRUE(run(loop::sleep_for(10ms)));
  ASSERT_TRUE(run(ledger_->record(entry("seen\nforged"))));
  ASSERT_TRUE(run(loop::sleep_for(100ms)));
  std::string message(16'384, '\0');
  const ssize_t got = ::recv(server.get(), message.data(), message.size(), MSG_DONTWAIT);
  ASSERT_GT(got, 0);
  message.resize(static_cast<std::size_t>(got));
  EXPECT_TRUE(message.starts_with("<110>1 ")) << message;
  EXPECT_EQ(message.find('\n'), std::string::npos);
  const auto json = boost::json::parse(message.substr(message.find('{')));
  EXPECT_EQ(json.at("exec").as_string(), "seen\nforged");
  group.cancel();
  ASSERT_TRUE(run(group.join()));
  for (const char* bad : {"", "udp:", "udp:host:514", "tcp:1.2.3.4:5", "log"}) EXPECT_FALSE(check_syslog_target(bad));
  EXPECT_TRUE(check_syslog_target("udp:[::1]:514"));
}

TEST_F(LedgerTest, witnesses_get_checkpoints_that_the_log_leads_to) {
  ASSERT_TRUE(run(ledger_->record(entry("a"))));
  ASSERT_TRUE(run(ledger_->prove(2)));
  std::uint64_t known = 0;
  const std::string file = state_ + "/checkpoints";
  ASSERT_TRUE(run(send_to_witness(*ledger_, parse_witness("file:" + file).value(), known)));
  const std::string repository = state_ + "/repository";
  ASSERT_EQ(::system(cat("git init -q ", repository).c_str()), 0);
  const auto committed = run(send_to_witness(*ledger_, parse_witness("git:" + repository).value(), known));
  ASSERT_TRUE(committed) << committed.error().message;
  ASSERT_TRUE(run(ledger_->record(entry("b"))));
  ASSERT_TRUE(run(ledger_->prove(3)));
  ASSERT_TRUE(run(send_to_witness(*ledger_, parse_witness("file:" + file).value(), known)));
  const auto kept = parse_notes(read_file(file, 1 << 20).value()).value();
  ASSERT_EQ(kept.size(), 2U);
  const auto in_git = parse_note(read_file(repository + "/checkpoint", 1 << 20).value()).value();
  ASSERT_TRUE(run(ledger_->close()));
  ledger_.reset();
  EXPECT_TRUE(check({kept[0], kept[1], in_git}).good());
  for (const char* bad : {"", "file:x", "ftp://a/b", "https://me:pw@host/", "unix:/x"})
    EXPECT_FALSE(parse_witness(bad)) << bad;
}

// A witness that has seen two entries, and holds what it is given against that.
TEST_F(LedgerTest, a_witness_over_http_gets_the_proof_from_what_it_has) {
  ASSERT_TRUE(run(ledger_->record(entry("a"))));
  ASSERT_TRUE(run(ledger_->prove(2)));
  std::vector<std::string> bodies;
  auto handler = [&](http::Request& request) -> Task<http::Response> {
    CO_TRY_ASSIGN(const std::string body, co_await request.body->read_all(1 << 20));
    bodies.push_back(body);
    http::Response response;
    response.status = bodies.size() == 1 ? 409 : 200;
    response.body = "2\n";
    co_return response;
  };
  const auto error = [](const http::Request&, int status, const Error&) {
    http::Response response;
    response.status = status;
    return response;
  };
  http::Server server(io_.get_executor(), http::ServerOptions{}, handler, error);
  const auto address = server.listen_tcp({"127.0.0.1", 0}, [](const http::Peer&) -> Status { return {}; }).value();
  std::uint64_t known = 0;
  const auto target = parse_witness(cat("http://", address.text(), "/add-checkpoint")).value();
  const auto sent = run(send_to_witness(*ledger_, target, known));
  EXPECT_TRUE(sent) << sent.error().message;
  ASSERT_EQ(bodies.size(), 2U);
  EXPECT_TRUE(bodies[0].starts_with("old 0\n\ncofferdam/ldg_")) << bodies[0];
  EXPECT_TRUE(bodies[1].starts_with("old 2\n")) << bodies[1];
  EXPECT_TRUE(bodies[1].ends_with(ledger_->checkpoint()));
  EXPECT_EQ(known, 3U);
  EXPECT_TRUE(run(server.stop(0ms)));
}

}  // namespace
}  // namespace cofferdam::ledger
