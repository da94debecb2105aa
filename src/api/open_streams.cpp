#include "api/open_streams.h"

#include <algorithm>
#include <boost/asio/experimental/awaitable_operators.hpp>

#include "http/websocket.h"
#include "loop/deadline.h"
#include "loop/event.h"

namespace cofferdam::api {
namespace {

using loop::Task;
using Opener = OpenStreams::Opener;

// More do not end while one answer is made, or it is taken to have ended too.
constexpr std::size_t kKeptEndings = 1024;

tl::unexpected<Error> ended() {
  return fail(Code::Unauthenticated, "what opened this stream has ended: its credential, or the exposed port");
}

}  // namespace

class OpenStreams::Registration {
 public:
  Registration(OpenStreams& owner, Opener opener, std::function<void()> cut)
      : owner_(owner), at_(owner.open_.insert(owner.open_.end(), {std::move(opener), std::move(cut)})) {}
  Registration(const Registration&) = delete;
  Registration& operator=(const Registration&) = delete;
  ~Registration() { owner_.open_.erase(at_); }

 private:
  OpenStreams& owner_;
  std::list<Entry>::iterator at_;
};

namespace {

class GuardedSource final : public http::BodySource {
 public:
  GuardedSource(OpenStreams& owner, const loop::asio::any_io_executor& executor, const Opener& opener,
                std::unique_ptr<http::BodySource> inner)
      : inner_(std::move(inner)), cut_(executor), registration_(owner, opener, [this] {
          is_cut_ = true;
          cut_.notify();
        }) {}

  [[nodiscard]] bool may_wait() const override { return inner_->may_wait(); }
  Task<std::string> next() override {
    using loop::asio::experimental::awaitable_operators::operator||;
    if (is_cut_) co_return ended();
    auto first = co_await (inner_->next() || cut_.wait());
    if (is_cut_) co_return ended();
    if (first.index() == 0) co_return std::get<0>(std::move(first));
    co_return fail(std::move(std::get<1>(first).error()));
  }

 private:
  std::unique_ptr<http::BodySource> inner_;
  loop::Event cut_;
  bool is_cut_ = false;
  OpenStreams::Registration registration_;
};

// As long as the request lives.
class GuardedBody final : public http::RequestBody {
 public:
  GuardedBody(OpenStreams& owner, const loop::asio::any_io_executor& executor, const Opener& opener,
              http::RequestBody& inner)
      : inner_(inner), cut_(executor), registration_(owner, opener, [this] {
          is_cut_ = true;
          cut_.notify();
        }) {}

  [[nodiscard]] std::optional<std::uint64_t> length() const override { return inner_.length(); }
  Task<std::string> next() override { return until_cut(inner_.next()); }
  Task<std::string> next_from(http::ByteStream& client) override { return until_cut(inner_.next_from(client)); }

 private:
  Task<std::string> until_cut(Task<std::string> reading) {
    using loop::asio::experimental::awaitable_operators::operator||;
    constexpr int kUnauthorized = 401;
    if (!is_cut_) {
      auto first = co_await (std::move(reading) || cut_.wait());
      if (!is_cut_ && first.index() == 0) {
        failure_status_ = inner_.failure_status();
        co_return std::get<0>(std::move(first));
      }
      if (!is_cut_) co_return fail(std::move(std::get<1>(first).error()));
    }
    failure_status_ = kUnauthorized;
    co_return fail(Code::Unauthenticated, "what this body came through has ended: its credential, or the exposed port");
  }

  http::RequestBody& inner_;
  loop::Event cut_;
  bool is_cut_ = false;
  OpenStreams::Registration registration_;
};

class GuardedTunnel final : public http::Tunnel {
 public:
  GuardedTunnel(OpenStreams& owner, const loop::asio::any_io_executor& executor, const Opener& opener,
                std::unique_ptr<http::Tunnel> inner)
      : inner_(std::move(inner)), cut_(executor), registration_(owner, opener, [this] {
          is_cut_ = true;
          cut_.notify();
        }) {}

  Task<void> run(http::ByteStream& client) override {
    using loop::asio::experimental::awaitable_operators::operator||;
    if (is_cut_) co_return ended();
    auto first = co_await (loop::detail::settle(inner_->run(client)) || cut_.wait());
    if (is_cut_) co_return ended();
    if (first.index() == 1) co_return std::get<1>(std::move(first));
    auto& settled = std::get<0>(first);
    if (settled.thrown) std::rethrow_exception(settled.thrown);
    co_return std::move(*settled.answer);
  }

 private:
  std::unique_ptr<http::Tunnel> inner_;
  loop::Event cut_;
  bool is_cut_ = false;
  OpenStreams::Registration registration_;
};

class GuardedSession final : public http::WebSocketSession {
 public:
  GuardedSession(OpenStreams& owner, Opener opener, std::unique_ptr<http::WebSocketSession> inner)
      : owner_(owner),
        opener_(std::move(opener)),
        inner_(std::move(inner)),
        waiting_(owner, opener_, [this] { late_ = true; }) {}

  Task<void> run(http::WebSocket& socket) override {
    if (late_) co_return ended();
    const OpenStreams::Registration running(owner_, opener_, [&socket] { socket.cut(); });
    co_return co_await inner_->run(socket);
  }

 private:
  OpenStreams& owner_;
  Opener opener_;
  std::unique_ptr<http::WebSocketSession> inner_;
  bool late_ = false;  // ended between the answer and the upgrade
  OpenStreams::Registration waiting_;
};

}  // namespace

OpenStreams::OpenStreams(loop::asio::any_io_executor executor, identity::Revocations& revocations)
    : executor_(std::move(executor)),
      subscription_(revocations.on_revoked([this](const identity::Ended& ended) { end(ended); })) {}

void OpenStreams::end_visits(std::string_view slug) { end(Visit{std::string(slug)}); }

bool OpenStreams::ends(const Ending& ending, const Opener& opener) {
  if (const auto* ended = std::get_if<identity::Ended>(&ending)) {
    const auto* who = std::get_if<identity::Principal>(&opener);
    return who != nullptr && ended->ends(*who);
  }
  const auto* visit = std::get_if<Visit>(&opener);
  return visit != nullptr && visit->slug == std::get<Visit>(ending).slug;
}

void OpenStreams::end(Ending ending) {
  for (auto& entry : open_) {
    if (ends(ending, entry.opener)) entry.cut();
  }
  if (last_endings_.size() >= kKeptEndings) last_endings_.pop_front();
  last_endings_.push_back(std::move(ending));
  ++endings_;
}

bool OpenStreams::ended_since(const Opener& opener, std::uint64_t since) const {
  const auto more = endings_ - since;
  if (more > last_endings_.size()) return true;  // nobody knows any more
  return std::any_of(last_endings_.end() - static_cast<std::ptrdiff_t>(more), last_endings_.end(),
                     [&](const Ending& ending) { return ends(ending, opener); });
}

namespace {

bool can_end(const identity::Principal& who) {
  using Kind = identity::Principal::Kind;
  return who.kind == Kind::token || who.kind == Kind::api_key;
}

bool goes_on(const http::Request& request) {
  return request.body != nullptr && request.body->length() != std::uint64_t{0};
}
bool goes_on(const http::Response& response) { return response.source || response.tunnel || response.websocket; }

}  // namespace

// Most requests and answers are over at once: their principal is not copied.
void OpenStreams::guard(http::Request& request, const identity::Principal& who) {
  if (can_end(who) && goes_on(request)) guard_body(request, who);
}
void OpenStreams::guard(http::Request& request, const Visit& visit) {
  if (goes_on(request)) guard_body(request, visit);
}
Result<http::Response> OpenStreams::guard(http::Response response, const identity::Principal& who,
                                          std::uint64_t since) {
  if (!can_end(who) || !goes_on(response)) return response;
  if (ended_since(who, since)) return ended();
  return guard_rest(std::move(response), who);
}
Result<http::Response> OpenStreams::guard(http::Response response, const Visit& visit, std::uint64_t since) {
  if (!goes_on(response)) return response;
  if (ended_since(visit, since)) return ended();
  return guard_rest(std::move(response), visit);
}

void OpenStreams::guard_body(http::Request& request, const Opener& opener) {
  request.wrapped_body = std::make_shared<GuardedBody>(*this, executor_, opener, *request.body);
  request.body = request.wrapped_body.get();
}

http::Response OpenStreams::guard_rest(http::Response response, const Opener& opener) {
  if (response.source) {
    response.source = std::make_unique<GuardedSource>(*this, executor_, opener, std::move(response.source));
  }
  if (response.tunnel) {
    response.tunnel = std::make_unique<GuardedTunnel>(*this, executor_, opener, std::move(response.tunnel));
  }
  if (response.websocket) {
    response.websocket = std::make_unique<GuardedSession>(*this, opener, std::move(response.websocket));
  }
  return response;
}

}  // namespace cofferdam::api
