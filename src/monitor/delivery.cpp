#include "monitor/delivery.h"

#include "base/text.h"
#include "crypto/hmac.h"
#include "http/client.h"
#include "loop/deadline.h"

namespace cofferdam::monitor {
namespace {

// The connection is kept by nobody, so that the rest of a longer answer is of no interest.
constexpr std::size_t kMaxAnswer = 64U << 10;

loop::Task<int> post(Letter letter, SecureBytes secret, Reach reach, std::chrono::milliseconds limit) {
  CO_TRY_ASSIGN(Target target, parse_target(letter.url));
  target.endpoint.allow = [reach](const std::string& address) { return check_address(address, reach); };
  http::ClientRequest request;
  request.method = "POST";
  request.target = target.path;
  request.answer_timeout = limit;
  request.headers.add("Content-Type", "application/json");
  request.headers.add("User-Agent", "cofferdam-webhooks");
  request.headers.add("X-Webhook-Id", letter.id);
  request.headers.add("X-Webhook-Event", letter.event);
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(letter.timestamp.time_since_epoch()).count();
  request.headers.add("X-Webhook-Timestamp", std::to_string(seconds));
  if (!secret.empty()) {
    request.headers.add("X-Webhook-Signature", to_hex(crypto::hmac_sha256(secret.view(), letter.body)));
  }
  request.body = std::move(letter.body);
  http::Client client(co_await loop::asio::this_coro::executor, std::move(target.endpoint));
  CO_TRY_ASSIGN(const auto response, co_await client.request(std::move(request)));
  (void)co_await response->read_all(kMaxAnswer);
  co_return response->status;
}

}  // namespace

loop::Task<int> deliver(Letter letter, SecureBytes secret, Reach reach, std::chrono::milliseconds limit) {
  auto work = post(std::move(letter), std::move(secret), reach, limit);
  co_return co_await loop::with_deadline(std::move(work), limit, "deliver a webhook");
}

}  // namespace cofferdam::monitor
