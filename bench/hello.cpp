// What HTTP costs at least: a bare server on Beast, one thread like cofferd, that answers every request with the same
// few bytes. The peer of the API's requests per second.
//
//   bench-hello [PORT]      prints the port it listens on, on 127.0.0.1, and serves until it is killed
//   bench-hello PATH        the same on a Unix socket, which it makes
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace {

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;

void prepare(tcp::socket& socket) { socket.set_option(tcp::no_delay(true)); }
void prepare(asio::local::stream_protocol::socket& /*socket*/) {}

template <class Socket>
asio::awaitable<void> serve(Socket socket) {
  prepare(socket);
  boost::beast::flat_buffer buffer;
  for (;;) {
    http::request<http::string_body> request;
    co_await http::async_read(socket, buffer, request, asio::use_awaitable);
    http::response<http::string_body> response(http::status::ok, request.version());
    response.set(http::field::content_type, "application/json");
    response.keep_alive(request.keep_alive());
    response.body() = R"({"success":true,"status":"ok"})";
    response.prepare_payload();
    co_await http::async_write(socket, response, asio::use_awaitable);
    if (!response.keep_alive()) co_return;
  }
}

template <class Acceptor>
asio::awaitable<void> accept_all(Acceptor& acceptor) {
  for (;;) {
    auto socket = co_await acceptor.async_accept(asio::use_awaitable);
    // A client that leaves ends its coroutine by an exception, and that is all there is to it.
    asio::co_spawn(acceptor.get_executor(), serve(std::move(socket)), [](const std::exception_ptr&) {});
  }
}

template <class Acceptor>
void run(asio::io_context& io, Acceptor& acceptor) {
  std::fflush(stdout);
  asio::co_spawn(io, accept_all(acceptor), [](const std::exception_ptr& thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  io.run();
}

}  // namespace

int main(int argc, char** argv) {
  try {
    asio::io_context io(1);
    if (argc > 1 && argv[1][0] == '/') {
      asio::local::stream_protocol::acceptor acceptor(io, asio::local::stream_protocol::endpoint(argv[1]));
      std::printf("%s\n", argv[1]);
      run(io, acceptor);
      return 0;
    }
    const auto port = static_cast<unsigned short>(argc > 1 ? std::strtoul(argv[1], nullptr, 10) : 0);
    tcp::acceptor acceptor(io, {asio::ip::address_v4::loopback(), port});
    std::printf("%u\n", static_cast<unsigned>(acceptor.local_endpoint().port()));
    run(io, acceptor);
    return 0;
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench-hello: %s\n", e.what());
    return 1;
  }
}
