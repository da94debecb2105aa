#include "http/server.h"

#include <netinet/in.h>

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <list>
#include <map>

#include "base/log.h"
#include "base/text.h"
#include "http/connection.h"
#include "loop/deadline.h"
#include "loop/task_group.h"

namespace cofferdam::http {
namespace {

using Protocol = loop::asio::generic::stream_protocol;
using Acceptor = loop::asio::basic_socket_acceptor<Protocol>;

// Out of descriptors: others must close some first.
constexpr std::chrono::milliseconds kAcceptPause{100};

// What a client gets that comes when all places are taken.
std::string busy_answer(const ConnectionContext& context) {
  const Error error{Code::Unavailable, "the daemon has too many open connections", "close some, or try again later"};
  const int status = code_info(error.code).http_status;
  const std::string body = context.error_format ? context.error_format({}, status, error).body : error.message;
  return cat("HTTP/1.1 ", status, " ", reason_phrase(status), "\r\nConnection: close\r\nContent-Length: ", body.size(),
             "\r\n\r\n", body);
}

}  // namespace

struct Server::State {
  State(loop::asio::any_io_executor executor, ConnectionContext shared)
      : context(std::move(shared)), tasks(std::move(executor)) {}

  ConnectionContext context;
  std::list<Acceptor> acceptors;
  std::list<Connection*> open;
  std::size_t local = 0, remote = 0;           // of `open`
  std::map<std::string, std::size_t> sources;  // of the remote ones
  bool stopping = false;
  loop::TaskGroup tasks;
  const std::string too_many = busy_answer(context);

  // A connection's share of the limits.
  class Place {
   public:
    Place(State& state, const Peer& peer) : state_(state) {
      if (!peer.local()) source_ = source_network(peer.address);
      ++count();
      if (!source_.empty()) ++state_.sources[source_];
    }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() {
      --count();
      if (source_.empty()) return;
      const auto found = state_.sources.find(source_);
      if (--found->second == 0) state_.sources.erase(found);
    }

   private:
    std::size_t& count() { return source_.empty() ? state_.local : state_.remote; }

    State& state_;
    std::string source_;
  };

  [[nodiscard]] bool has_place_for(const Peer& peer) const {
    if (peer.local()) return local < context.options.max_connections;
    if (remote >= context.options.max_connections) return false;
    const auto found = sources.find(source_network(peer.address));
    return found == sources.end() || found->second < context.options.max_connections_per_source;
  }

  // Says why, without waiting for anybody.
  void turn_away(StreamSocket socket, const TlsIdentity* tls) const {
    if (tls != nullptr) return;  // who has not shaken hands understands no answer
    boost::system::error_code ignored;
    (void)socket.non_blocking(true, ignored);
    (void)socket.write_some(loop::asio::buffer(too_many), ignored);
    (void)socket.shutdown(StreamSocket::shutdown_send, ignored);
    // What lies unread would make the kernel throw the answer away.
    char unread[4096];
    (void)socket.read_some(loop::asio::buffer(unread), ignored);
  }

  static Result<Peer> look_at(int socket, int family) {
    if (family == AF_UNIX) return peer_of(socket);
    Peer peer;
    TRY_ASSIGN(peer.address, source_address_of(socket));
    return peer;
  }

  Task<void> accept_from(Acceptor& acceptor, int family, AllowPeer allow, std::shared_ptr<const TlsIdentity> tls) {
    for (;;) {
      auto [ec, socket] = co_await acceptor.async_accept(loop::as_result);
      if (stopping) co_return Status{};
      if (ec) {
        log_warn("cannot accept a connection", {{"why", ec.message()}});
        CO_TRY(co_await loop::sleep_for(kAcceptPause));
        continue;
      }
      const int fd = socket.native_handle();
      auto found = look_at(fd, family);
      // A TCP peer that is gone already has no address any more.
      if (!found && family != AF_UNIX) continue;
      Peer peer;
      std::optional<Error> refusal;
      if (found) {
        peer = std::move(*found);
        if (allow) {
          if (auto allowed = allow(peer); !allowed) refusal = std::move(allowed.error());
        }
      } else {
        refusal = std::move(found.error());
      }
      if (!has_place_for(peer)) {
        turn_away(std::move(socket), tls.get());
        continue;
      }
      if (!peer.local()) set_up_tcp(fd, context.options.write_timeout);
      auto place = std::make_unique<Place>(*this, peer);
      auto transport = tls ? Transport(std::move(socket), TlsSession::server(tls->context()))
                           : Transport(StreamSocket(std::move(socket)));
      tasks.spawn("connection", serve(std::move(transport), std::move(peer), std::move(refusal), std::move(place)));
    }
  }

  // `place` is given back when the connection has ended.
  Task<void> serve(Transport transport, Peer peer, std::optional<Error> refusal, std::unique_ptr<Place> place) {
    Connection connection(std::move(transport), context, std::move(peer), std::move(refusal));
    struct Entry {
      std::list<Connection*>& list;
      std::list<Connection*>::iterator at;
      ~Entry() { list.erase(at); }
    };
    const Entry entry{open, open.insert(open.end(), &connection)};
    co_return co_await connection.serve();
  }

  Status start_accepting(UniqueFd listening, int family, int protocol, AllowPeer allow,
                         std::shared_ptr<const TlsIdentity> tls) {
    Acceptor acceptor(tasks.executor());
    boost::system::error_code ec;
    (void)acceptor.assign(Protocol(family, protocol), listening.get(), ec);
    if (ec) return fail(loop::asio_error("listen on the given socket", ec));
    (void)listening.release();
    auto& kept = acceptors.emplace_back(std::move(acceptor));
    tasks.spawn("accept", accept_from(kept, family, std::move(allow), std::move(tls)));
    return {};
  }
};

Server::Server(loop::asio::any_io_executor executor, ServerOptions options, Handler handler, ErrorFormat error_format)
    : state_(std::make_unique<State>(std::move(executor),
                                     ConnectionContext{options, std::move(handler), std::move(error_format)})) {}

Server::~Server() = default;

Status Server::listen_unix(UniqueFd listening, AllowPeer allow) {
  return state_->start_accepting(std::move(listening), AF_UNIX, 0, std::move(allow), {});
}

Result<TcpAddress> Server::listen_tcp(const TcpAddress& address, AllowPeer allow,
                                      std::shared_ptr<const TlsIdentity> tls) {
  TRY_ASSIGN(TcpListening made, listen_on_tcp(address));
  const int family = made.address.host.find(':') == std::string::npos ? AF_INET : AF_INET6;
  TRY(state_->start_accepting(std::move(made.socket), family, IPPROTO_TCP, std::move(allow), std::move(tls)));
  return std::move(made.address);
}

std::size_t Server::connections() const { return state_->open.size(); }

Task<void> Server::stop(std::chrono::milliseconds grace) {
  state_->stopping = true;
  for (auto& acceptor : state_->acceptors) {
    boost::system::error_code ignored;
    (void)acceptor.close(ignored);
  }
  for (auto* connection : state_->open) connection->drain();
  const Status joined = co_await loop::with_deadline(state_->tasks.join(), grace, "wait for running requests");
  if (!joined && !state_->open.empty()) {
    log_info("cutting the requests that still run", {{"connections", std::to_string(state_->open.size())}});
  }
  state_->tasks.cancel();
  co_return co_await state_->tasks.join();
}

}  // namespace cofferdam::http
