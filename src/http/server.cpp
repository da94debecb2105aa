#include "http/server.h"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <list>

#include "base/log.h"
#include "base/text.h"
#include "http/connection.h"
#include "loop/deadline.h"
#include "loop/task_group.h"

namespace cofferdam::http {
namespace {

using Acceptor = loop::asio::local::stream_protocol::acceptor;

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
  bool stopping = false;
  loop::TaskGroup tasks;
  const std::string too_many = busy_answer(context);

  Task<void> accept_from(Acceptor& acceptor, AllowPeer allow) {
    for (;;) {
      auto [ec, socket] = co_await acceptor.async_accept(loop::as_result);
      if (stopping) co_return Status{};
      if (ec) {
        log_warn("cannot accept a connection", {{"why", ec.message()}});
        CO_TRY(co_await loop::sleep_for(kAcceptPause));
        continue;
      }
      if (open.size() >= context.options.max_connections) {
        boost::system::error_code ignored;
        (void)socket.non_blocking(true, ignored);
        (void)socket.write_some(loop::asio::buffer(too_many), ignored);
        continue;
      }
      Peer peer;
      std::optional<Error> refusal;
      if (auto found = peer_of(socket.native_handle()); found) {
        peer = std::move(*found);
        if (allow) {
          if (auto allowed = allow(peer); !allowed) refusal = std::move(allowed.error());
        }
      } else {
        refusal = std::move(found.error());
      }
      tasks.spawn("connection", serve(StreamSocket(std::move(socket)), std::move(peer), std::move(refusal)));
    }
  }

  Task<void> serve(StreamSocket socket, Peer peer, std::optional<Error> refusal) {
    Connection connection(std::move(socket), context, std::move(peer), std::move(refusal));
    struct Entry {
      std::list<Connection*>& list;
      std::list<Connection*>::iterator place;
      ~Entry() { list.erase(place); }
    };
    const Entry entry{open, open.insert(open.end(), &connection)};
    co_return co_await connection.serve();
  }
};

Server::Server(loop::asio::any_io_executor executor, ServerOptions options, Handler handler, ErrorFormat error_format)
    : state_(std::make_unique<State>(std::move(executor),
                                     ConnectionContext{options, std::move(handler), std::move(error_format)})) {}

Server::~Server() = default;

Status Server::listen_unix(UniqueFd listening, AllowPeer allow) {
  Acceptor acceptor(state_->tasks.executor());
  boost::system::error_code ec;
  (void)acceptor.assign(loop::asio::local::stream_protocol(), listening.get(), ec);
  if (ec) return fail(loop::asio_error("listen on the given socket", ec));
  (void)listening.release();
  auto& kept = state_->acceptors.emplace_back(std::move(acceptor));
  state_->tasks.spawn("accept", state_->accept_from(kept, std::move(allow)));
  return {};
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
