// Server-sent events and late answers: their bytes, their heart beats, and a reader that is slow or goes.
#include "http/event_stream.h"
#include "http/late_answer.h"
#include "http/server_fixture.h"
#include "http/sse.h"

namespace cofferdam::http {
namespace {

TEST(Sse, an_event_has_the_blank_and_one_line) {
  EXPECT_EQ(sse_event("exit", R"({"exit_code":0})").value(), "event: exit\ndata: {\"exit_code\":0}\n\n");
  EXPECT_EQ(sse_event("", "{}").value(), "data: {}\n\n");
}

TEST(Sse, a_line_end_is_refused) {
  for (const std::string& bad : {std::string("a\nb"), std::string("a\rb"), std::string("a\0b", 3)}) {
    EXPECT_FALSE(sse_event(bad, "{}"));
    EXPECT_FALSE(sse_event("x", bad));
  }
}

class Streaming : public Http {
 public:
  ~Streaming() override {
    if (server_) EXPECT_TRUE(run(server_->stop(0ms)));
    server_.reset();
    tasks_.cancel();
    EXPECT_TRUE(run(tasks_.join()));
  }

  std::shared_ptr<EventPipe> make_pipe(std::size_t max_bytes, std::chrono::milliseconds interval = 1h) {
    EventPipeOptions options = sse_options();
    options.max_bytes = max_bytes;
    options.interval = interval;
    return std::make_shared<EventPipe>(io_.get_executor(), std::move(options));
  }

  // Answers every request with what comes through the pipe.
  void answer_with(std::shared_ptr<EventPipe> pipe) {
    own_ = [pipe = std::move(pipe)](Request&) { return answer_from(pipe); };
  }
  static Task<Response> answer_from(std::shared_ptr<EventPipe> pipe) { co_return sse_response(std::move(pipe)); }

  Task<void> count_sent(std::shared_ptr<EventPipe> pipe, std::size_t events) {
    for (std::size_t i = 0; i < events; ++i) {
      if (auto sent = co_await pipe->send(std::string(1000, 'x')); !sent) {
        outcome_ = sent;
        co_return Status{};
      }
      ++sent_;
    }
    pipe->finish();
    co_return Status{};
  }

  template <class Done>
  void wait_for(const Done& done) {
    for (int i = 0; i < 2000 && !done(); ++i) (void)run(loop::sleep_for(5ms));
    EXPECT_TRUE(done());
  }

  loop::TaskGroup tasks_{io_.get_executor()};
  std::size_t sent_ = 0;
  Status outcome_;
};

TEST_F(Streaming, events_arrive_as_they_were_sent_and_the_stream_ends) {
  serve();
  auto pipe = make_pipe(1000);
  answer_with(pipe);
  Client client(io_.get_executor(), path_);
  auto response = run(client.request(get("/"))).value();
  EXPECT_EQ(*response->headers.find("Content-Type"), "text/event-stream");
  EXPECT_EQ(*response->headers.find("Cache-Control"), "no-cache");
  ASSERT_TRUE(run(pipe->send(sse_event("stdout", "{}").value())));
  EXPECT_EQ(run(response->next()).value(), "event: stdout\ndata: {}\n\n");
  EXPECT_TRUE(pipe->offer(sse_event("exit", "{}").value()));
  pipe->finish();
  EXPECT_FALSE(pipe->offer("late"));
  EXPECT_EQ(run(pipe->send("late")).error().code, Code::FailedPrecondition);
  EXPECT_EQ(run(response->read_all(1000)).value(), "event: exit\ndata: {}\n\n");
  wait_for([&] { return pipe->reader_gone(); });
}

TEST_F(Streaming, silence_is_filled_with_heart_beats) {
  serve();
  auto pipe = make_pipe(1000, 20ms);
  answer_with(pipe);
  Client client(io_.get_executor(), path_);
  auto response = run(client.request(get("/"))).value();
  EXPECT_TRUE(run(response->next())->starts_with(": hb\n\n"));
  EXPECT_TRUE(run(response->next())->starts_with(": hb\n\n"));
  pipe->finish();
  EXPECT_TRUE(run(response->read_all(1000)));
}

TEST_F(Streaming, a_slow_reader_holds_the_producer_back_and_misses_nothing) {
  serve();
  auto pipe = make_pipe(10'000);
  answer_with(pipe);
  Client client(io_.get_executor(), path_);
  auto response = run(client.request(get("/"))).value();
  tasks_.spawn("producer", count_sent(pipe, 5000));
  (void)run(loop::sleep_for(100ms));
  const std::size_t held = sent_;
  (void)run(loop::sleep_for(100ms));
  EXPECT_EQ(sent_, held) << "it went on without a reader";
  EXPECT_LT(held, 5000U);
  EXPECT_EQ(run(response->read_all(64U << 20))->size(), 5'000'000U);
  EXPECT_EQ(sent_, 5000U);
}

TEST_F(Streaming, many_producers_all_get_room) {
  auto pipe = make_pipe(1000);
  auto source = pipe_source(pipe);
  for (int i = 0; i < 10; ++i)
    tasks_.spawn("producer", [](auto to) -> Task<void> {
      for (int n = 0; n < 10; ++n) CO_TRY(co_await to->send(std::string(700, 'x')));
      co_return Status{};
    }(pipe));
  std::size_t got = 0;
  while (got < 70'000) got += run(source->next()).value().size();
  EXPECT_EQ(got, 70'000U);
  ASSERT_TRUE(run(tasks_.join()));
}

TEST_F(Streaming, a_full_pipe_refuses_an_offer) {
  auto pipe = make_pipe(10);
  auto source = pipe_source(pipe);
  EXPECT_TRUE(pipe->offer(std::string(100, 'x'))) << "one piece passes whatever its size";
  EXPECT_FALSE(pipe->offer("y"));
  EXPECT_EQ(run(source->next())->size(), 100U);
  EXPECT_TRUE(pipe->offer("y"));
}

TEST_F(Streaming, a_reader_that_goes_is_noticed_in_the_middle_of_the_silence) {
  serve();
  serve_tcp();
  for (const Endpoint& to : {unix_endpoint(path_), tcp_}) {
    auto pipe = make_pipe(1000);
    answer_with(pipe);
    auto stream = run(raw_connection(to)).value();
    ASSERT_TRUE(run(send(*stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
    ASSERT_TRUE(run(read_until(*stream, "\r\n\r\n")));
    EXPECT_FALSE(pipe->reader_gone());
    stream.reset();
    ASSERT_TRUE(run(pipe->wait_until_reader_gone()));
    EXPECT_EQ(run(pipe->send("x")).error().code, Code::Unavailable);
    EXPECT_FALSE(pipe->offer("x"));
  }
}

TEST_F(Streaming, a_producer_that_waits_for_room_learns_that_the_reader_has_gone) {
  serve();
  auto pipe = make_pipe(10'000);
  answer_with(pipe);
  auto stream = run(raw_connection(unix_endpoint(path_))).value();
  ASSERT_TRUE(run(send(*stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
  ASSERT_TRUE(run(read_until(*stream, "\r\n\r\n")));
  tasks_.spawn("producer", count_sent(pipe, 1'000'000));
  (void)run(loop::sleep_for(50ms));
  stream.reset();
  ASSERT_TRUE(run(tasks_.join()));
  EXPECT_EQ(outcome_.error().code, Code::Unavailable);
}

TEST_F(Streaming, a_pipelined_request_behind_a_stream_waits_for_its_end) {
  serve();
  auto pipe = make_pipe(1000);
  answer_with(pipe);
  auto stream = run(raw_connection(unix_endpoint(path_))).value();
  ASSERT_TRUE(run(send(*stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")));
  ASSERT_TRUE(run(read_until(*stream, "\r\n\r\n")));
  EXPECT_EQ(handled_, 1);
  own_ = {};
  pipe->finish();
  ASSERT_TRUE(run(read_until(*stream, "Content-Length: 0")));
  EXPECT_EQ(handled_, 2);
}

TEST_F(Streaming, a_broken_stream_is_seen_as_cut) {
  serve();
  auto pipe = make_pipe(1000);
  answer_with(pipe);
  Client client(io_.get_executor(), path_);
  auto response = run(client.request(get("/"))).value();
  pipe->abort();
  EXPECT_EQ(run(response->read_all(1000)).error().code, Code::DataLoss);
}

class ThrowingSource final : public BodySource {
 public:
  [[nodiscard]] bool may_wait() const override { return true; }
  Task<std::string> next() override {
    CO_TRY(co_await loop::sleep_for(1ms));
    throw std::runtime_error("a bug");
  }
};

TEST_F(Streaming, a_source_that_throws_cuts_its_answer_at_once) {
  serve();
  own_ = [](Request&) {
    return []() -> Task<Response> {
      Response response;
      response.source = std::make_unique<ThrowingSource>();
      co_return response;
    }();
  };
  Client client(io_.get_executor(), path_);
  EXPECT_EQ(run(ask(client, get("/"))).error().code, Code::DataLoss);
}

TEST_F(Streaming, the_reader_of_an_event_queue_may_go) {
  serve();
  auto queue = std::make_shared<EventQueue>(io_.get_executor(), 3);
  own_ = [queue](Request&) -> Task<Response> {
    return [](auto from) -> Task<Response> {
      Response response;
      response.source = event_source(from);
      co_return response;
    }(queue);
  };
  auto stream = run(raw_connection(unix_endpoint(path_))).value();
  ASSERT_TRUE(run(send(*stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")));
  ASSERT_TRUE(run(read_until(*stream, "\r\n\r\n")));
  stream.reset();
  wait_for([&] { return server_->connections() == 0; });
}

// Work whose end the test decides.
class LateAnswer : public Streaming {
 public:
  void answer_late(std::chrono::milliseconds grace, WhenReaderGoes when_reader_goes = WhenReaderGoes::cancel) {
    LateAnswerOptions options;
    options.grace = grace;
    options.interval = 10ms;
    options.when_reader_goes = when_reader_goes;
    options.late_error = [](const Error& error) {
      return cat(R"({"success":false,"message":")", error.message, "\"}");
    };
    own_ = [this, options](Request&) { return answer_when_ready(tasks_, "work", work(), options); };
  }
  Task<Response> work() {
    const Ended ended(ended_);
    CO_TRY(co_await go_.wait());
    if (throw_) throw std::runtime_error("a bug");
    if (error_) co_return fail(*error_);
    Response response;
    response.status = 201;
    response.body = R"({"success":true})";
    co_return response;
  }

  struct Ended {
    explicit Ended(int& all) : count(all) {}
    Ended(const Ended&) = delete;
    Ended& operator=(const Ended&) = delete;
    ~Ended() { ++count; }
    int& count;
  };
  loop::Event go_{io_.get_executor()};
  std::optional<Error> error_;
  bool throw_ = false;
  int ended_ = 0;
};

TEST_F(LateAnswer, one_in_time_keeps_its_status) {
  serve();
  answer_late(1h);
  Client client(io_.get_executor(), path_);
  go_.notify();
  auto done = run(ask(client, get("/"))).value();
  EXPECT_EQ(done.status, 201);
  EXPECT_EQ(*done.headers.find("Content-Length"), "16");
  error_ = Error{Code::NotFound, "no such command", {}};
  go_.notify();
  EXPECT_EQ(run(ask(client, get("/")))->status, 404);
}

TEST_F(LateAnswer, one_that_is_late_comes_behind_blanks) {
  serve();
  answer_late(0ms);
  Client client(io_.get_executor(), path_);
  auto response = run(client.request(get("/"))).value();
  EXPECT_EQ(response->status, 200);
  EXPECT_EQ(*response->headers.find("Content-Type"), "application/json");
  EXPECT_TRUE(run(response->next())->starts_with(' '));
  go_.notify();
  const std::string rest = run(response->read_all(1000)).value();
  EXPECT_EQ(trim(rest), R"({"success":true})");
}

TEST_F(LateAnswer, a_late_error_is_said_in_the_body) {
  serve();
  answer_late(0ms);
  error_ = Error{Code::Unavailable, "the guest is gone", {}};
  Client client(io_.get_executor(), path_);
  auto response = run(client.request(get("/"))).value();
  go_.notify();
  EXPECT_EQ(trim(run(response->read_all(1000)).value()), R"({"success":false,"message":"the guest is gone"})");
}

TEST_F(LateAnswer, work_that_throws_is_an_error) {
  serve();
  throw_ = true;
  Client client(io_.get_executor(), path_);
  answer_late(1h);
  go_.notify();
  EXPECT_EQ(run(ask(client, get("/")))->status, 500);
  answer_late(0ms);
  auto response = run(client.request(get("/"))).value();
  go_.notify();
  EXPECT_EQ(trim(run(response->read_all(1000)).value()).find(R"({"success":false)"), 0U);
}

TEST_F(LateAnswer, the_work_ends_with_its_reader) {
  serve();
  answer_late(0ms);
  auto stream = run(raw_connection(unix_endpoint(path_))).value();
  ASSERT_TRUE(run(send(*stream, "POST / HTTP/1.1\r\nHost: x\r\n\r\n")));
  ASSERT_TRUE(run(read_until(*stream, "\r\n\r\n")));
  EXPECT_EQ(ended_, 0);
  stream.reset();
  ASSERT_TRUE(run(tasks_.join()));
  EXPECT_EQ(ended_, 1);
}

TEST_F(LateAnswer, work_that_shall_goes_on_without_its_reader) {
  serve();
  answer_late(0ms, WhenReaderGoes::keep_working);
  auto stream = run(raw_connection(unix_endpoint(path_))).value();
  ASSERT_TRUE(run(send(*stream, "POST / HTTP/1.1\r\nHost: x\r\n\r\n")));
  ASSERT_TRUE(run(read_until(*stream, "\r\n\r\n")));
  stream.reset();
  wait_for([&] { return server_->connections() == 0; });
  EXPECT_EQ(ended_, 0);
  go_.notify();
  ASSERT_TRUE(run(tasks_.join()));
  EXPECT_EQ(ended_, 1);
}

TEST_F(LateAnswer, work_that_is_cancelled_leaves_no_reader_waiting) {
  serve();
  answer_late(0ms);
  Client client(io_.get_executor(), path_);
  auto response = run(client.request(get("/"))).value();
  tasks_.cancel();
  (void)run(response->read_all(1000));  // an error in JSON, or a cut answer: an end
  ASSERT_TRUE(run(tasks_.join()));
  EXPECT_EQ(run(ask(client, get("/")))->status, 503) << "nothing starts any more";
}

}  // namespace
}  // namespace cofferdam::http
