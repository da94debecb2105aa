// Bodies and answers that go on for long, and what each was opened with: when that ends, they are cut.
#pragma once
#include <functional>
#include <list>
#include <string>
#include <string_view>
#include <variant>

#include "http/message.h"
#include "identity/revocations.h"

namespace cofferdam::api {

// Used on the loop only. Outlives every answer that it guards.
class OpenStreams {
 public:
  // An exposed port that somebody visits.
  struct Visit {
    std::string slug;
  };
  // A client's credential; one that cannot end (the local administrator's, that of admin.json) is not watched.
  using Opener = std::variant<identity::Principal, Visit>;

  OpenStreams(loop::asio::any_io_executor executor, identity::Revocations& revocations);
  OpenStreams(const OpenStreams&) = delete;
  OpenStreams& operator=(const OpenStreams&) = delete;

  // The same answer. A stream, tunnel or WebSocket in it is cut when its opener ends.
  http::Response guard(http::Response response, const identity::Principal& who);
  http::Response guard(http::Response response, const Visit& visit);
  // From now on a body that is still to come ends with Unauthenticated when its opener does.
  void guard(http::Request& request, const identity::Principal& who);
  void guard(http::Request& request, const Visit& visit);
  // The port is not exposed any more, or not as it was.
  void end_visits(std::string_view slug);
  [[nodiscard]] std::size_t size() const { return open_.size(); }

  // One of them, from its beginning to its end.
  class Registration;

 private:
  struct Entry {
    Opener opener;
    std::function<void()> cut;
  };
  void guard_body(http::Request& request, const Opener& opener);
  http::Response guard_rest(http::Response response, const Opener& opener);
  void cut_if(const std::function<bool(const Opener&)>& over);

  loop::asio::any_io_executor executor_;
  std::list<Entry> open_;
  identity::Revocations::Subscription subscription_;
};

}  // namespace cofferdam::api
