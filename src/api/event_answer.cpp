#include "api/event_answer.h"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/json/serialize.hpp>

#include "api/error_body.h"

namespace cofferdam::api {
namespace {

Task<void> run_producer(std::shared_ptr<http::EventPipe> pipe, Producer produce) {
  using loop::asio::experimental::awaitable_operators::operator||;
  auto first = co_await (produce(pipe) || pipe->wait_until_reader_gone());
  if (first.index() == 1 || pipe->reader_gone()) co_return Status{};
  if (const auto& ended = std::get<0>(first); !ended && ended.error().code != Code::Cancelled) {
    boost::json::object event{{"event", "error"}, {"success", false}};
    for (auto& [key, value] : error_to_json(ended.error())) event[key] = std::move(value);
    CO_TRY(co_await send_event(*pipe, std::move(event)));
  }
  pipe->finish();
  co_return Status{};
}

}  // namespace

http::Response stream_events(Services& services, std::string name, Producer produce) {
  auto pipe = std::make_shared<http::EventPipe>(services.streams.executor(), http::sse_options());
  services.streams.spawn(std::move(name), run_producer(pipe, std::move(produce)));
  return http::sse_response(std::move(pipe));
}

Task<void> send_event(http::EventPipe& pipe, boost::json::object event) {
  CO_TRY_ASSIGN(auto text, http::sse_event("", boost::json::serialize(event)));
  co_return co_await pipe.send(std::move(text));
}

}  // namespace cofferdam::api
