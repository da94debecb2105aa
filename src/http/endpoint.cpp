#include "http/endpoint.h"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "base/text.h"
#include "loop/deadline.h"

namespace cofferdam::http {
namespace {

using Clock = std::chrono::steady_clock;
using loop::asio::ip::tcp;
using loop::asio::local::stream_protocol;

constexpr std::chrono::seconds kConnectTimeout{5};
constexpr std::chrono::seconds kTcpConnectTimeout{15};
constexpr std::chrono::milliseconds kConnectPause{5};
constexpr std::chrono::minutes kSilence{2};
constexpr std::uint16_t kHttpPort = 80;
constexpr std::uint16_t kHttpsPort = 443;

// A Unix socket connects at once, or the listener's queue is full: then only asking again helps.
Task<StreamSocket> connect_unix(std::string path) {
  const std::string what = cat("connect to '", path, "'");
  const auto executor = co_await loop::asio::this_coro::executor;
  if (path.size() > 107) co_return fail(Code::InvalidArgument, what + ": the path is longer than 107 bytes");
  const auto deadline = Clock::now() + kConnectTimeout;
  for (;;) {
    stream_protocol::socket socket(executor);
    boost::system::error_code ec;
    (void)socket.open(stream_protocol(), ec);
    if (!ec) (void)socket.non_blocking(true, ec);
    if (!ec) (void)socket.connect(stream_protocol::endpoint(path), ec);
    if (!ec) co_return StreamSocket(std::move(socket));
    if (ec == loop::asio::error::try_again && Clock::now() < deadline) {
      CO_TRY(co_await loop::sleep_for(kConnectPause));
      continue;
    }
    Error error = loop::asio_error(what, ec);
    // Nobody there is one answer, whether the socket's file is left over or gone.
    if (error.code == Code::NotFound || error.code == Code::ResourceExhausted) error.code = Code::Unavailable;
    co_return fail(std::move(error));
  }
}

Task<StreamSocket> connect_tcp(TcpAddress address, std::function<Status(const std::string& address)> allow,
                               std::string what) {
  const auto executor = co_await loop::asio::this_coro::executor;
  tcp::resolver resolver(executor);
  auto [failed, found] = co_await resolver.async_resolve(address.host, std::to_string(address.port), loop::as_result);
  const auto unavailable = [&what](const boost::system::error_code& ec) {
    Error error = loop::asio_error(what, ec);
    if (error.code != Code::Cancelled) error.code = Code::Unavailable;
    return fail(std::move(error));
  };
  if (failed) co_return unavailable(failed);
  boost::system::error_code last = loop::asio::error::host_not_found;
  Status refused;
  for (const auto& entry : found) {
    if (allow) {
      if (auto allowed = allow(entry.endpoint().address().to_string()); !allowed) {
        refused = std::move(allowed);
        continue;
      }
    }
    tcp::socket socket(executor);
    auto [ec] = co_await socket.async_connect(entry.endpoint(), loop::as_result);
    last = ec;
    if (ec == loop::asio::error::operation_aborted) break;
    if (ec) continue;
    set_up_tcp(socket.native_handle(), kSilence);
    co_return StreamSocket(std::move(socket));
  }
  if (!refused && last == loop::asio::error::host_not_found) co_return fail(std::move(refused.error()).in(what));
  co_return unavailable(last);
}

}  // namespace

std::string Endpoint::host() const { return socket_path.empty() ? address.text() : "localhost"; }

std::string Endpoint::text() const {
  return socket_path.empty() ? cat(tls ? "https://" : "http://", address.text()) : socket_path;
}

Endpoint unix_endpoint(std::string socket_path) {
  Endpoint endpoint;
  endpoint.socket_path = std::move(socket_path);
  return endpoint;
}

Result<Endpoint> parse_endpoint(std::string_view url, TlsTrust trust) {
  const auto refused = [url](std::string_view why) {
    return fail(Code::InvalidArgument, cat("'", url, "' is no address of a daemon: ", why),
                "write it like unix:/run/cofferdam/cofferd.sock or http://127.0.0.1:7070");
  };
  constexpr std::string_view kUnix = "unix:";
  constexpr std::string_view kHttp = "http://";
  constexpr std::string_view kHttps = "https://";
  if (url.starts_with(kUnix)) {
    std::string_view path = url.substr(kUnix.size());
    while (path.starts_with("//")) path.remove_prefix(1);
    if (!path.starts_with('/')) return refused("the path of a socket starts with a '/'");
    return unix_endpoint(std::string(path));
  }
  const bool secure = url.starts_with(kHttps);
  if (!secure && !url.starts_with(kHttp)) return refused("it must start with unix:, http:// or https://");
  std::string_view rest = url.substr(secure ? kHttps.size() : kHttp.size());
  if (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.find_first_of("/?#@") != std::string_view::npos) return refused("only a host and a port may follow");
  Endpoint endpoint;
  TRY_ASSIGN(endpoint.address, parse_host_and_port(rest, secure ? kHttpsPort : kHttpPort));
  if (endpoint.address.port == 0) return refused("port 0 is none");
  if (secure) endpoint.tls = std::move(trust);
  return endpoint;
}

Task<std::unique_ptr<Stream>> connect_to(Endpoint endpoint) {
  if (!endpoint.socket_path.empty()) {
    CO_TRY_ASSIGN(StreamSocket socket, co_await connect_unix(std::move(endpoint.socket_path)));
    co_return std::make_unique<Stream>(std::move(socket));
  }
  const std::string what = cat("connect to ", endpoint.text());
  std::unique_ptr<TlsSession> session;
  if (endpoint.tls) {
    CO_TRY_ASSIGN(auto context, tls_client_context(*endpoint.tls));
    session = TlsSession::client(std::move(context), endpoint.address.host);
  }
  CO_TRY_ASSIGN(StreamSocket socket, co_await loop::with_deadline(connect_tcp(endpoint.address, endpoint.allow, what),
                                                                  kTcpConnectTimeout, what));
  if (!session) co_return std::make_unique<Stream>(std::move(socket));
  auto stream = std::make_unique<Stream>(Transport(std::move(socket), std::move(session)));
  CO_TRY(co_await stream->handshake(Clock::now() + kTcpConnectTimeout, what));
  co_return stream;
}

}  // namespace cofferdam::http
