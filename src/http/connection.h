// One client's connection: requests one after the other, each answered before the next is read.
#pragma once
#include <optional>

#include "http/message.h"
#include "http/server.h"
#include "http/stream.h"

namespace cofferdam::http {

// What all connections of a server share; outlives them.
struct ConnectionContext {
  ServerOptions options;
  Handler handler;
  ErrorFormat error_format;
};

class Connection {
 public:
  // With `refusal`, every request is answered with that error as 403, and the connection closed.
  Connection(Transport transport, const ConnectionContext& context, Peer peer, std::optional<Error> refusal);
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection();

  // Until the client or a limit ends it.
  Task<void> serve();
  // No request after the running one; an idle connection ends at once.
  void drain();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace cofferdam::http
