// Bodies and answers that go on for long, and the credential each was opened with: when that ends, they are cut.
#pragma once
#include <functional>
#include <list>

#include "http/message.h"
#include "identity/revocations.h"

namespace cofferdam::api {

// Used on the loop only. Outlives every answer that it guards.
class OpenStreams {
 public:
  OpenStreams(loop::asio::any_io_executor executor, identity::Revocations& revocations);
  OpenStreams(const OpenStreams&) = delete;
  OpenStreams& operator=(const OpenStreams&) = delete;

  // The same answer. A stream, tunnel or WebSocket in it is cut when `who`'s credential ends; who has none that can end
  // (the local administrator, the one of admin.json) is not watched.
  http::Response guard(http::Response response, const identity::Principal& who);
  // From now on a body that is still to come ends with Unauthenticated when the credential does.
  void guard(http::Request& request, const identity::Principal& who);
  [[nodiscard]] std::size_t size() const { return open_.size(); }

  // One of them, from its beginning to its end.
  class Registration;

 private:
  struct Entry {
    identity::Principal who;
    std::function<void()> cut;
  };
  loop::asio::any_io_executor executor_;
  std::list<Entry> open_;
  identity::Revocations::Subscription subscription_;
};

}  // namespace cofferdam::api
