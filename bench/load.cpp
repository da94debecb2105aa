// Keeps N keep-alive connections busy for S seconds, each with one request after the other, and prints what came of it
// as one line of JSON: requests per second, and the median and 99th percentile of their times; of all requests, and of
// each kind.
//
//   bench-load ADDRESS CONNECTIONS SECONDS REQUEST… [, REQUEST…]…
//
// ADDRESS: 127.0.0.1:7070, or the path of a Unix socket. REQUEST: "GET /path", or "POST /path BODY" with a JSON body;
// every connection goes through all of them in turn, each from another one on. Commas part them into groups: a
// connection then stays with those of one group. BENCH_TOKEN, when it is set, is sent as a bearer token.
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

// One kind of request, and what came of it.
struct Kind {
  std::string bytes;
  std::vector<std::uint32_t> times;  // of each that was answered, in microseconds
  std::size_t refused = 0;           // answers that are no 2xx
};

struct Load {
  std::string address;
  std::vector<Kind> kinds;
  std::vector<std::size_t> groups;  // where each begins in `kinds`, and the end of the last
  Clock::time_point begin, end;
  std::size_t failed = 0;  // connections that broke
  std::string refusal;     // the first answer that was no 2xx
};

asio::generic::stream_protocol::endpoint endpoint_of(const std::string& address) {
  if (address.starts_with('/')) return asio::local::stream_protocol::endpoint(address);
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) throw std::runtime_error("ADDRESS is neither HOST:PORT nor the path of a socket");
  const auto port = cofferdam::parse_int("the port", address.substr(colon + 1), 1, 65'535);
  if (!port) throw std::runtime_error(port.error().message);
  return asio::ip::tcp::endpoint(asio::ip::make_address(address.substr(0, colon)), static_cast<unsigned short>(*port));
}

// Where the chunked body that begins at `at` ends; 0: its end is not there yet.
std::size_t end_of_chunks(std::string_view bytes, std::size_t at) {
  for (;;) {
    const auto line = bytes.find("\r\n", at);
    if (line == std::string_view::npos) return 0;
    const auto size = std::strtoull(std::string(bytes.substr(at, line - at)).c_str(), nullptr, 16);
    at = line + 2 + size + 2;
    if (at > bytes.size()) return 0;
    if (size == 0) return at;
  }
}

// The length of the whole answer that `bytes` begins with; 0: not enough of it is there yet.
std::size_t length_of(std::string_view bytes) {
  const auto end = bytes.find("\r\n\r\n");
  if (end == std::string_view::npos) return 0;
  std::string head(bytes.substr(0, end));
  std::transform(head.begin(), head.end(), head.begin(), [](unsigned char c) { return std::tolower(c); });
  if (head.find("\r\ntransfer-encoding: chunked") != std::string::npos) return end_of_chunks(bytes, end + 4);
  const auto field = head.find("\r\ncontent-length:");
  if (field == std::string::npos) throw std::runtime_error("an answer without a length: " + head);
  return end + 4 + std::strtoull(head.c_str() + field + sizeof("\r\ncontent-length:") - 1, nullptr, 10);
}

asio::awaitable<void> keep_busy(Load& load, std::size_t client) {
  const std::size_t groups = load.groups.size() - 1, first = load.groups[client % groups];
  const std::size_t kinds = load.groups[client % groups + 1] - first;
  Socket socket(co_await asio::this_coro::executor);
  co_await socket.async_connect(endpoint_of(load.address), asio::use_awaitable);
  if (!load.address.starts_with('/')) socket.set_option(asio::ip::tcp::no_delay(true));
  std::string buffer;
  std::vector<char> piece(64U << 10);
  std::size_t next = client / groups;
  for (auto sent = Clock::now(); sent < load.end; sent = Clock::now(), ++next) {
    Kind& kind = load.kinds[first + next % kinds];
    co_await asio::async_write(socket, asio::buffer(kind.bytes), asio::use_awaitable);
    std::size_t wanted = 0;
    while (wanted == 0 || buffer.size() < wanted) {
      const std::size_t count = co_await socket.async_read_some(asio::buffer(piece), asio::use_awaitable);
      buffer.append(piece.data(), count);
      if (wanted == 0) wanted = length_of(buffer);
      if (buffer.size() > kMaxAnswer) throw std::runtime_error("an answer that is too long");
    }
    if (!buffer.starts_with("HTTP/1.1 2")) {
      ++kind.refused;
      if (load.refusal.empty()) load.refusal = buffer.substr(0, wanted);
    }
    buffer.erase(0, wanted);
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(Clock::now() - sent);
    kind.times.push_back(static_cast<std::uint32_t>(took.count()));
  }
}

std::uint32_t percentile(const std::vector<std::uint32_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  return sorted[std::min(sorted.size() - 1, static_cast<std::size_t>(static_cast<double>(sorted.size()) * share))];
}

// "GET /path" or "POST /path BODY" as it goes over the wire.
std::string on_the_wire(const std::string& request) {
  const auto path = request.find(' ');
  if (path == std::string::npos) throw std::runtime_error("REQUEST is not \"METHOD /path\": " + request);
  const auto space = request.find(' ', path + 1);
  const std::string body = space == std::string::npos ? "" : request.substr(space + 1);
  std::string bytes = request.substr(0, space) + " HTTP/1.1\r\nHost: localhost\r\n";
  if (const char* token = std::getenv("BENCH_TOKEN"); token != nullptr && *token != '\0') {
    bytes += std::string("Authorization: Bearer ") + token + "\r\n";
  }
  if (!body.empty()) {
    bytes += "Content-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n";
  }
  return bytes + "\r\n" + body;
}

// The figures of `kind` as JSON, without the braces.
std::string figures(Kind& kind) {
  std::sort(kind.times.begin(), kind.times.end());
  char text[128];
  std::snprintf(text, sizeof text, R"("requests": %zu, "p50_ms": %.3f, "p99_ms": %.3f, "not_2xx": %zu)",
                kind.times.size(), percentile(kind.times, 0.5) * 1000 / kMicro,
                percentile(kind.times, 0.99) * 1000 / kMicro, kind.refused);
  return text;
}

int run(const std::vector<std::string>& arguments) {
  if (arguments.size() < 4) {
    std::fputs("usage: bench-load ADDRESS CONNECTIONS SECONDS REQUEST… [, REQUEST…]…\n", stderr);
    return kUsage;
  }
  const auto connections = cofferdam::parse_int("CONNECTIONS", arguments[1], 1, 100'000);
  const auto seconds = cofferdam::parse_int("SECONDS", arguments[2], 1, 3600);
  if (!connections || !seconds) {
    std::fprintf(stderr, "bench-load: %s\n", (connections ? seconds : connections).error().message.c_str());
    return kUsage;
  }
  Load load;
  load.address = arguments[0];
  load.groups.push_back(0);
  for (std::size_t i = 3; i < arguments.size(); ++i) {
    if (arguments[i] != ",") load.kinds.push_back({on_the_wire(arguments[i]), {}, 0});
    const bool ends = arguments[i] == "," || i + 1 == arguments.size();
    if (ends && load.groups.back() != load.kinds.size()) load.groups.push_back(load.kinds.size());
  }
  load.begin = Clock::now();
  load.end = load.begin + std::chrono::seconds(*seconds);
  asio::io_context io(1);
  std::string first_failure;
  for (std::int64_t i = 0; i < *connections; ++i) {
    asio::co_spawn(io, keep_busy(load, static_cast<std::size_t>(i)), [&](const std::exception_ptr& thrown) {
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
  Kind all;
  std::string each;
  for (auto& kind : load.kinds) {
    all.times.insert(all.times.end(), kind.times.begin(), kind.times.end());
    all.refused += kind.refused;
    each += (each.empty() ? "{" : ", {") + figures(kind) + "}";
  }
  const std::string whole = figures(all);
  std::printf(
      "{%s, \"seconds\": %.3f, \"requests_per_second\": %.0f, \"connections\": %lld, \"broken_connections\": %zu, "
      "\"kinds\": [%s]}\n",
      whole.c_str(), took, static_cast<double>(all.times.size()) / took, static_cast<long long>(*connections),
      load.failed, each.c_str());
  if (!first_failure.empty()) std::fprintf(stderr, "bench-load: a connection broke: %s\n", first_failure.c_str());
  if (!load.refusal.empty())
    std::fprintf(stderr, "bench-load: the first answer that is no 2xx: %s\n", load.refusal.c_str());
  return load.failed == 0 && all.refused == 0 ? 0 : 1;
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
