#include "vm/qmp.h"

#include <sys/socket.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/write.hpp>
#include <boost/json/serialize.hpp>

#include "base/fd_passing.h"
#include "base/text.h"
#include "loop/deadline.h"
#include "model/json.h"

namespace cofferdam::vm {

namespace json = boost::json;

constexpr std::chrono::milliseconds kWriterPause{1};

Result<QmpLine> parse_qmp_line(std::string_view line) {
  TRY_ASSIGN(auto value, model::parse_json(line));
  auto* object = value.if_object();
  if (object == nullptr) return fail(Code::InvalidArgument, "QMP: a line is not an object");
  QmpLine parsed;
  if (object->contains("QMP")) {
    parsed.kind = QmpLine::Kind::greeting;
    return parsed;
  }
  if (const auto* event = object->if_contains("event"); event != nullptr && event->is_string()) {
    parsed.text = event->get_string();
    return parsed;
  }
  const auto* id = object->if_contains("id");
  if (id == nullptr || !id->is_int64() || id->get_int64() < 0) return fail(Code::InvalidArgument, "QMP: no id");
  parsed.id = static_cast<std::uint64_t>(id->get_int64());
  if (auto* answer = object->if_contains("return")) {
    parsed.kind = QmpLine::Kind::answer;
    parsed.value = std::move(*answer);
    return parsed;
  }
  const auto* error = object->if_contains("error");
  if (error == nullptr || !error->is_object()) return fail(Code::InvalidArgument, "QMP: neither return nor error");
  parsed.kind = QmpLine::Kind::error;
  TRY_ASSIGN(const auto text, model::get_string(error->get_object(), "/error", "desc"));
  constexpr std::size_t kMaxText = 500;
  parsed.text = text.value_or("no reason given").substr(0, kMaxText);
  return parsed;
}

QmpClient::QmpClient(const loop::asio::any_io_executor& executor, loop::asio::local::stream_protocol::socket socket)
    : executor_(executor), socket_(std::move(socket)), tasks_(executor), greeted_(executor), to_send_(executor) {}

Task<std::unique_ptr<QmpClient>> QmpClient::connect(std::string path, std::chrono::milliseconds deadline) {
  auto fd = connect_unix(path, SOCK_STREAM);
  if (!fd) co_return fail(std::move(fd.error()).in("QMP"));
  const auto executor = co_await loop::asio::this_coro::executor;
  loop::asio::local::stream_protocol::socket socket(executor, loop::asio::local::stream_protocol(), fd->release());
  std::unique_ptr<QmpClient> client(new QmpClient(executor, std::move(socket)));
  client->tasks_.spawn("QMP reader", client->read_loop());
  client->tasks_.spawn("QMP writer", client->write_loop());
  auto greeted = co_await loop::with_deadline(client->greet(), deadline, "QMP greeting");
  if (!greeted) {
    (void)co_await client->stop();
    co_return fail(std::move(greeted.error()));
  }
  auto entered = co_await client->execute("qmp_capabilities", {}, deadline);
  if (!entered) {
    (void)co_await client->stop();
    co_return fail(std::move(entered.error()));
  }
  co_return client;
}

Task<void> QmpClient::greet() {
  while (!greeting_seen_) {
    if (failure_) co_return fail(*failure_);
    CO_TRY(co_await greeted_.wait());
  }
  co_return Status{};
}

Task<void> QmpClient::stop() {
  fail_all(Error{Code::Unavailable, "QMP: the connection was closed", {}});
  boost::system::error_code ignored;
  socket_.close(ignored);
  tasks_.cancel();
  to_send_.notify();
  co_return co_await tasks_.join();
}

namespace {

std::string request_line(std::uint64_t id, const std::string& command, json::object arguments) {
  json::object request{{"execute", command}, {"id", id}};
  if (!arguments.empty()) request["arguments"] = std::move(arguments);
  return json::serialize(request) + "\r\n";
}

// Takes an answer's slot away when the coroutine that owns it ends, whichever way.
template <class Map>
struct Forget {
  Map& map;
  std::uint64_t id;
  ~Forget() { map.erase(id); }
};

}  // namespace

Task<json::value> QmpClient::execute(std::string command, json::object arguments, std::chrono::milliseconds deadline) {
  if (failure_) co_return fail(*failure_);
  const auto id = next_id_++;
  PendingAnswer pending(executor_);
  pending_[id] = &pending;
  const Forget<decltype(pending_)> forget{pending_, id};
  unsent_ += request_line(id, command, std::move(arguments));
  to_send_.notify();
  co_return co_await await_answer(pending, std::move(command), deadline);
}

Task<json::value> QmpClient::execute_with(int fd, std::string command, json::object arguments,
                                          std::chrono::milliseconds deadline) {
  if (failure_) co_return fail(*failure_);
  // The descriptor travels with its line's bytes: it cannot go through the writer's buffer, and not into its middle.
  const auto until = std::chrono::steady_clock::now() + deadline;
  while (writing_ || !unsent_.empty()) {
    if (std::chrono::steady_clock::now() >= until) {
      co_return fail(Code::DeadlineExceeded, cat("QMP ", command, ": the monitor takes nothing"));
    }
    CO_TRY(co_await loop::sleep_for(kWriterPause));
    if (failure_) co_return fail(*failure_);
  }
  const auto id = next_id_++;
  PendingAnswer pending(executor_);
  pending_[id] = &pending;
  const Forget<decltype(pending_)> forget{pending_, id};
  CO_TRY(send_with_fds(socket_.native_handle(), request_line(id, command, std::move(arguments)), {fd}));
  co_return co_await await_answer(pending, std::move(command), deadline);
}

Task<void> QmpClient::give_descriptor(std::string name, int fd, std::chrono::milliseconds deadline) {
  json::object arguments{{"fdname", std::move(name)}};
  auto answer = co_await execute_with(fd, "getfd", std::move(arguments), deadline);
  if (!answer) co_return fail(std::move(answer.error()));
  co_return Status{};
}

// `pending` lives in the caller's frame, which waits for this.
Task<json::value> QmpClient::await_answer(PendingAnswer& pending, std::string command,
                                          std::chrono::milliseconds deadline) {
  while (!pending.answer) {
    auto waited = co_await loop::with_deadline(pending.arrived.wait(), deadline, cat("QMP ", command));
    if (!waited) co_return fail(std::move(waited.error()));
  }
  if (!*pending.answer) co_return fail(std::move(pending.answer->error()).in(cat("QMP ", command)));
  co_return std::move(**pending.answer);
}

Task<void> QmpClient::read_loop() {
  std::string buffered;
  std::string chunk(16U << 10, '\0');
  for (;;) {
    auto [ec, n] = co_await socket_.async_read_some(loop::asio::buffer(chunk), loop::as_result);
    if (ec) {
      fail_all(loop::asio_error("QMP", ec));
      co_return Status{};
    }
    buffered.append(chunk, 0, n);
    std::size_t start = 0;
    for (auto end = buffered.find('\n'); end != std::string::npos; end = buffered.find('\n', start)) {
      const auto line = trim(std::string_view(buffered).substr(start, end - start));
      start = end + 1;
      if (line.empty()) continue;
      auto parsed = parse_qmp_line(line);
      if (!parsed) {
        fail_all(parsed.error());
        co_return Status{};
      }
      take(std::move(*parsed));
    }
    buffered.erase(0, start);
    if (buffered.size() > kMaxLine) {
      fail_all(Error{Code::DataLoss, "QMP: a line is longer than 1 MiB", {}});
      co_return Status{};
    }
  }
}

Task<void> QmpClient::write_loop() {
  for (;;) {
    while (!unsent_.empty()) {
      const auto bytes = std::exchange(unsent_, {});
      writing_ = true;
      auto [ec, n] = co_await loop::asio::async_write(socket_, loop::asio::buffer(bytes), loop::as_result);
      writing_ = false;
      if (ec) {
        fail_all(loop::asio_error("QMP", ec));
        co_return Status{};
      }
    }
    if (failure_) co_return Status{};
    CO_TRY(co_await to_send_.wait());
  }
}

void QmpClient::take(QmpLine line) {
  switch (line.kind) {
    case QmpLine::Kind::greeting:
      greeting_seen_ = true;
      greeted_.notify();
      return;
    case QmpLine::Kind::event:
      return;
    case QmpLine::Kind::answer:
    case QmpLine::Kind::error: {
      const auto found = pending_.find(line.id);
      if (found == pending_.end()) return;
      if (line.kind == QmpLine::Kind::answer) {
        found->second->answer = std::move(line.value);
      } else {
        found->second->answer = fail(Code::Internal, line.text);
      }
      found->second->arrived.notify();
    }
  }
}

void QmpClient::fail_all(const Error& error) {
  if (failure_) return;
  failure_ = Error{Code::Unavailable, error.message, {}};
  for (auto& [id, pending] : pending_) {
    if (!pending->answer) pending->answer = fail(*failure_);
    pending->arrived.notify();
  }
  greeted_.notify();
}

}  // namespace cofferdam::vm
