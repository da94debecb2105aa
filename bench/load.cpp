// Keeps N keep-alive connections busy for S seconds, each with one request after the other, and prints what came of it
// as one line of JSON: requests per second, and the median and 99th percentile of their times.
//
//   bench-load ADDRESS PATH CONNECTIONS SECONDS     ADDRESS: 127.0.0.1:7070, or the path of a Unix socket
//
// BENCH_TOKEN, when it is set, is sent as a bearer token.
#include <algorithm>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <cctype>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace {

namespace asio = boost::asio;
using Clock = std::chrono::steady_clock;
using Socket = asio::generic::stream_protocol::socket;

constexpr std::size_t kMaxAnswer = 16U << 20;
constexpr int kUsage = 2;
constexpr double kMicro = 1e6;

struct Load {
  std::string address, request;
  Clock::time_point begin, end;
  std::vector<std::uint32_t> times;  // of each answered request, in microseconds
  std::size_t refused = 0;           // answers that are no 2xx
  std::size_t failed = 0;            // connections that broke
};

asio::generic::stream_protocol::endpoint endpoint_of(const std::string& address) {
  if (address.starts_with('/')) return asio::local::stream_protocol::endpoint(address);
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) throw std::runtime_error("ADDRESS is neither HOST:PORT nor the path of a socket");
  const auto port = cofferdam::parse_int("the port", address.substr(colon + 1), 1, 65'535);
  if (!port) throw std::runtime_error(port.error().message);
  return asio::ip::tcp::endpoint(asio::ip::make_address(address.substr(0, colon)), static_cast<unsigned short>(*port));
}

// The length of the whole answer that `bytes` begins with; 0: its head is not there yet.
std::size_t length_of(std::string_view bytes) {
  const auto end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return 0;
  std::string head(bytes.substr(0, end));
  std::transform(head.begin(), head.end(), head.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto field = head.find("\r\ncontent-length:");
  if (field == std::string::npos) throw std::runtime_error("an answer without Content-Length");
  return end + 4 + std::strtoull(head.c_str() + field + sizeof("\r\ncontent-length:") - 1, nullptr, 10);
}

asio::awaitable<void> keep_busy(Load& load) {
  Socket socket(co_await asio::this_coro::executor);
  co_await socket.async_connect(endpoint_of(load.address), asio::use_awaitable);
  if (!load.address.starts_with('/')) socket.set_option(asio::ip::tcp::no_delay(true));
  std::string buffer;
  std::vector<char> piece(64U << 10);
  for (auto sent = Clock::now(); sent < load.end; sent = Clock::now()) {
    co_await asio::async_write(socket, asio::buffer(load.request), asio::use_awaitable);
    std::size_t wanted = 0;
    while (wanted == 0 || buffer.size() < wanted) {
      const std::size_t count = co_await socket.async_read_some(asio::buffer(piece), asio::use_awaitable);
      buffer.append(piece.data(), count);
      if (wanted == 0) wanted = length_of(buffer);
      if (buffer.size() > kMaxAnswer) throw std::runtime_error("an answer that is too long");
    }
    if (!std::string_view(buffer).substr(0, 10).starts_with("HTTP/1.1 2")) ++load.refused;
    buffer.erase(0, wanted);
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - sent);
    load.times.push_back(static_cast<std::uint32_t>(took.count()));
  }
}

std::uint32_t percentile(const std::vector<std::uint32_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(static_cast<double>(sorted.size()) * share))];
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() != 4) {
    std::fputs("usage: bench-load ADDRESS PATH CONNECTIONS SECONDS\n", stderr);
    return kUsage;
  }
  const auto connections = cofferdam::parse_int("CONNECTIONS", arguments[2], 1, 100'000);
  const auto seconds = cofferdam::parse_int("SECONDS", arguments[3], 1, 3600);
  if (!connections || !seconds) {
    std::fprintf(stderr, "bench-load: %s\n", (connections ? seconds : connections).error().message.c_str());
    return kUsage;
  }
  Load load;
  load.address = arguments[0];
  load.request = "GET " + arguments[1] + " HTTP/1.1\r\nHost: localhost\r\n";
  if (const char* token = std::getenv("BENCH_TOKEN"); token != nullptr && *token != '\0') {
    load.request += std::string("Authorization: Bearer ") + token + "\r\n";
  }
  load.request += "\r\n";
  load.begin = Clock::now();
  load.end = load.begin + std::chrono::seconds(*seconds);
  asio::io_context io(1);
  std::string first_failure;
  for (std::int64_t i = 0; i < *connections; ++i) {
    asio::co_spawn(io, keep_busy(load), [&](const std::exception_ptr& thrown) {
      if (!thrown) return;
      ++load.failed;
      try {
        std::rethrow_exception(thrown);
      } catch (const std::exception& e) {
        if (first_failure.empty()) first_failure = e.what();
      }
    });
  }
  io.run();
  const double took = std::chrono::duration<double>(Clock::now() - load.begin).count();
  std::sort(load.times.begin(), load.times.end());
  std::printf(
      "{\"requests\": %zu, \"seconds\": %.3f, \"requests_per_second\": %.0f, \"p50_ms\": %.3f, \"p99_ms\": %.3f, "
      "\"not_2xx\": %zu, \"connections\": %lld, \"broken_connections\": %zu}\n",
      load.times.size(), took, static_cast<double>(load.times.size()) / took,
      percentile(load.times, 0.5) * 1000 / kMicro, percentile(load.times, 0.99) * 1000 / kMicro, load.refused,
      static_cast<long long>(*connections), load.failed);
  if (!first_failure.empty()) std::fprintf(stderr, "bench-load: a connection broke: %s\n", first_failure.c_str());
  return load.failed == 0 && load.refused == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run({argv + (argc > 0 ? 1 : 0), argv + argc});
  } catch (const std::exception& e) {
    std::fprintf(stderr, "bench-load: %s\n", e.what());
    return 1;
  }
}
