// Bodies and answers that go on for long, and what each was opened with: when that ends, they are cut.
#pragma once
#include <cstdint>
#include <deque>
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

  // A moment: taken when a request is let in, for the guard of its answer.
  [[nodiscard]] std::uint64_t now() const { return endings_; }
  // The same answer. A stream, tunnel or WebSocket in it is cut when its opener ends. Unauthenticated when that has
  // ended since then, while the answer was made.
  Result<http::Response> guard(http::Response response, const identity::Principal& who, std::uint64_t since);
  Result<http::Response> guard(http::Response response, const Visit& visit, std::uint64_t since);
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
  // What ended: the credential that is told of, or the visits of a port.
  using Ending = std::variant<identity::Ended, Visit>;
  static bool ends(const Ending& ending, const Opener& opener);
  void end(Ending ending);
  [[nodiscard]] bool ended_since(const Opener& opener, std::uint64_t since) const;

  loop::asio::any_io_executor executor_;
  std::list<Entry> open_;
  std::deque<Ending> last_endings_;  // at most kKeptEndings; the newest is the last of `endings_`
  std::uint64_t endings_ = 0;
  identity::Revocations::Subscription subscription_;
};

}  // namespace cofferdam::api
