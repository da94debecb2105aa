#include "api/authentication.h"

#include <algorithm>
#include <cctype>

#include "api/error_body.h"
#include "base/text.h"
#include "http/url.h"

namespace cofferdam::api {
namespace {

constexpr std::string_view kQueryToken = "token";
constexpr int kTooMany = 429;

bool equal_without_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) == std::tolower(static_cast<unsigned char>(y));
  });
}

// The target as it came, without the query items of this name; escapes in the name itself count.
std::string without_item(const std::string& target, std::string_view name) {
  const auto mark = target.find('?');
  if (mark == std::string::npos) return target;
  std::string kept = target.substr(0, mark);
  char separator = '?';
  for (const auto& item : split(std::string_view(target).substr(mark + 1), '&')) {
    const auto items = http::parse_query(item);
    if (!items || (items->size() == 1 && items->front().first == name)) continue;
    kept += separator;
    kept += item;
    separator = '&';
  }
  return kept;
}

Result<std::string> header_bearer(const http::Request& request) {
  if (request.headers.count("Authorization") > 1) {
    return fail(Code::Unauthenticated, "the request has several Authorization headers", "send one");
  }
  const auto* header = request.headers.find("Authorization");
  if (header == nullptr) return std::string();
  const auto blank = header->find(' ');
  const auto scheme = std::string_view(*header).substr(0, blank);
  if (blank == std::string::npos || !equal_without_case(scheme, "Bearer")) {
    return fail(Code::Unauthenticated, "the Authorization header is not of the scheme Bearer",
                "send \"Authorization: Bearer TOKEN\", or X-Client-ID and X-Client-Secret");
  }
  return std::string(trim(std::string_view(*header).substr(blank + 1)));
}

std::string_view header_or_empty(const http::Request& request, std::string_view name) {
  const auto* found = request.headers.find(name);
  return found == nullptr ? std::string_view() : std::string_view(*found);
}

}  // namespace

bool wants_websocket(const http::Request& request) {
  return request.method == "GET" && request.headers.has_token("Upgrade", "websocket");
}

bool has_credentials(const http::Request& request) {
  return request.headers.find("Authorization") != nullptr || request.headers.find("X-Client-ID") != nullptr ||
         request.headers.find("X-Client-Secret") != nullptr ||
         (wants_websocket(request) && request.find_query(kQueryToken) != nullptr);
}

Result<std::string> take_bearer(http::Request& request) {
  TRY_ASSIGN(std::string bearer, header_bearer(request));
  const auto* token = request.find_query(kQueryToken);
  if (token == nullptr) return bearer;
  std::string from_query = *token;
  const bool counts = bearer.empty() && wants_websocket(request);
  // Any other is a server's own behind the proxy.
  if (counts || identity::looks_like_control_token(from_query)) {
    std::erase_if(request.query, [](const auto& item) { return item.first == kQueryToken; });
    request.target = without_item(request.target, kQueryToken);
  }
  return counts ? from_query : bearer;
}

Result<Caller> authenticate(identity::Identity& identity, http::Request& request) {
  Caller caller;
  TRY_ASSIGN(const std::string bearer, take_bearer(request));
  if (!request.peer.local()) {
    TRY_ASSIGN(caller.source, Address::parse(request.peer.address));
  }
  caller.user_agent = header_or_empty(request, "User-Agent");
  const identity::Credentials credentials{bearer, header_or_empty(request, "X-Client-ID"),
                                          header_or_empty(request, "X-Client-Secret")};
  if (request.peer.local() && credentials.bearer.empty() && credentials.client_id.empty() &&
      credentials.client_secret.empty()) {
    caller.who = identity::local_administrator(request.peer.uid);
    caller.who.request_id = request.id;
    return caller;
  }
  // A text that is no token of ours is refused by the check, whichever kind it is checked as.
  if (const auto kind = identity::parse_token_text(bearer)) caller.kind = *kind;
  TRY_ASSIGN(caller.who, identity.authenticate(credentials, caller.kind, caller.source));
  caller.who.address = caller.source ? caller.source->text() : "";
  caller.who.request_id = request.id;
  return caller;
}

http::Response refuse_caller(const identity::Identity& identity, const http::Request& request, const Error& error) {
  auto response = error_response(request, code_info(error.code).http_status, error);
  if (error.code == Code::Unauthenticated) response.headers.add("WWW-Authenticate", "Bearer realm=\"cofferdam\"");
  if (error.code == Code::ResourceExhausted) {
    response = error_response(request, kTooMany, error, "rate_limited");
    const auto source = Address::parse(request.peer.address);
    const auto wait = source ? identity.throttle().retry_after(*source) : std::chrono::milliseconds(1000);
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    response.headers.add("Retry-After", std::to_string(std::max<std::int64_t>(seconds, 1)));
  }
  return response;
}

void add_security_headers(http::Headers& headers) {
  const auto add = [&](const char* name, const char* value) {
    if (headers.find(name) == nullptr) headers.add(name, value);
  };
  add("Cache-Control", "no-store");
  add("X-Content-Type-Options", "nosniff");
  add("Referrer-Policy", "no-referrer");
  add("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox");
}

}  // namespace cofferdam::api
