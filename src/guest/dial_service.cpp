#include "guest/dial_service.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <optional>
#include <utility>

#include "base/text.h"
#include "guest/byte_flow.h"

namespace cofferdam::guest {
namespace {

constexpr auto kConnectPatience = std::chrono::seconds(5);
// What the host wrote before it closed goes on to a reader that is only slow.
constexpr auto kLinger = std::chrono::seconds(5);

enum class Family { v4, v6 };

// A socket that connects, or has connected; errno when that failed at once.
UniqueFd begin_connect(Family family, std::uint16_t port) {
  UniqueFd fd(::socket(family == Family::v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd) return {};
  sockaddr_in v4{};
  v4.sin_family = AF_INET;
  v4.sin_port = htons(port);
  v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr_in6 v6{};
  v6.sin6_family = AF_INET6;
  v6.sin6_port = htons(port);
  v6.sin6_addr = IN6ADDR_LOOPBACK_INIT;
  const auto* address =
      family == Family::v4 ? reinterpret_cast<const sockaddr*>(&v4) : reinterpret_cast<const sockaddr*>(&v6);
  const socklen_t size = family == Family::v4 ? sizeof v4 : sizeof v6;
  if (::connect(fd.get(), address, size) == 0 || errno == EINPROGRESS) return fd;
  const int error = errno;
  fd.reset();
  errno = error;
  return {};
}

// A port of the range that connections come from may be given to our own end: TCP then connects it to itself.
bool is_its_own_peer(int fd) {
  sockaddr_storage own{};
  sockaddr_storage peer{};
  socklen_t own_size = sizeof own;
  socklen_t peer_size = sizeof peer;
  return ::getsockname(fd, reinterpret_cast<sockaddr*>(&own), &own_size) == 0 &&
         ::getpeername(fd, reinterpret_cast<sockaddr*>(&peer), &peer_size) == 0 && own_size == peer_size &&
         std::memcmp(&own, &peer, own_size) == 0;
}

class DialStream final : public Stream {
 public:
  DialStream(Loop& loop, SerialLink& link, StreamTable& table, std::uint32_t stream, const wire::Dial& request)
      : loop_(loop),
        link_(link),
        table_(table),
        stream_(stream),
        port_(request.port),
        out_(loop, link, stream, request.credit),
        in_(loop, link, stream, [this] { on_written(); }) {}
  DialStream(const DialStream&) = delete;
  DialStream& operator=(const DialStream&) = delete;
  ~DialStream() override {
    if (timer_) loop_.cancel(*timer_);
    stop_watching();
    // A helper of the agent may still hold a copy of the descriptor: closing it alone would not be heard.
    if (socket_) ::shutdown(socket_.get(), SHUT_RDWR);
  }

  void begin() {
    timer_ = loop_.after(kConnectPatience, [this] {
      timer_.reset();
      refuse({Code::DeadlineExceeded, cat("no connection to port ", port_, " of the guest's loopback within 5 s"),
              "its server does not accept connections"});
    });
    connect();
  }

  void on_credit(std::uint32_t bytes) override { out_.add_credit(bytes); }
  void on_data(std::string_view bytes) override { in_.on_data(bytes); }
  void on_eof() override { in_.on_eof(); }
  void pump() override {
    if (open_) out_.pump();
  }
  bool close() override {
    if (!open_) return true;
    out_.close();
    in_.on_eof();
    if (in_.ended()) return true;
    closing_ = true;
    timer_ = loop_.after(kLinger, [this] {
      timer_.reset();
      table_.retire(stream_);
    });
    return false;
  }

 private:
  void connect() {
    socket_ = begin_connect(family_, port_);
    if (!socket_) return on_failure(errno);
    loop_.watch(socket_.get(), EPOLLOUT, [this](std::uint32_t) { on_connected(); });
  }

  void on_connected() {
    stop_watching();
    int error = 0;
    socklen_t size = sizeof error;
    if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
    if (error == 0 && is_its_own_peer(socket_.get())) error = ECONNREFUSED;
    if (error != 0) return on_failure(error);
    const int on = 1;
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    UniqueFd reader(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 3));
    UniqueFd writer(::fcntl(socket_.get(), F_DUPFD_CLOEXEC, 3));
    if (!reader || !writer) return on_failure(errno);
    if (timer_) loop_.cancel(*std::exchange(timer_, std::nullopt));
    open_ = true;
    link_.queue().push_response(stream_, {{}, wire::encode(wire::Dialed{Inflow::kCredit})});
    in_.open(std::move(writer));
    out_.open(std::move(reader));
  }

  void on_failure(int error) {
    socket_.reset();
    if (family_ == Family::v4 && error == ECONNREFUSED) {
      family_ = Family::v6;
      return connect();
    }
    // Without IPv6, or with nobody there either, what 127.0.0.1 said stands.
    if (family_ == Family::v6) {
      return refuse({Code::FailedPrecondition,
                     cat("connection refused: nobody listens on port ", port_, " of the guest's loopback"),
                     "start the server first, on 127.0.0.1 or 0.0.0.0"});
    }
    refuse(errno_error(cat("connect to port ", port_, " of the guest's loopback"), error));
  }

  void refuse(Error error) {
    link_.queue().push_response(stream_, wire::refusal(std::move(error)));
    link_.flush();
    table_.retire(stream_);
  }

  void on_written() {
    if (closing_) table_.retire(stream_);
  }

  void stop_watching() {
    if (socket_) loop_.forget(socket_.get());
  }

  Loop& loop_;
  SerialLink& link_;
  StreamTable& table_;
  const std::uint32_t stream_;
  const std::uint16_t port_;
  Family family_ = Family::v4;
  UniqueFd socket_;  // the two flows have copies of their own
  bool open_ = false;
  bool closing_ = false;
  std::optional<Loop::TimerId> timer_;  // of connecting, then of lingering
  Outflow out_;
  Inflow in_;
};

}  // namespace

Status open_dial(Loop& loop, SerialLink& link, StreamTable& table, std::uint32_t stream, const wire::Dial& request) {
  TRY(table.admit(stream, StreamKind::dial));
  auto dial = std::make_unique<DialStream>(loop, link, table, stream, request);
  DialStream& opened = *dial;
  table.add(stream, StreamKind::dial, std::move(dial));
  opened.begin();
  return {};
}

}  // namespace cofferdam::guest
