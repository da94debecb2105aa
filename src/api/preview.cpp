#include "api/preview.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "api/error_body.h"
#include "api/guest_http.h"
#include "base/text.h"
#include "crypto/constant_time.h"
#include "crypto/digest.h"
#include "http/url.h"

namespace cofferdam::api {
namespace {

constexpr std::string_view kPathPrefix = "preview";
constexpr std::string_view kTokenItem = "preview_token";
constexpr std::string_view kTokenHeader = "X-Preview-Token";
constexpr int kUnauthorized = 401;
constexpr std::size_t kMaxShown = 64;

std::string lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return out;
}

std::string host_of(const http::Request& request) {
  const auto* host = request.headers.find("Host");
  if (host == nullptr) return {};
  return lower(std::string_view(*host).substr(0, host->find(':')));
}

// The cookie's value among all that the browser sent.
std::string cookie_token(const http::Request& request) {
  for (const auto& [name, value] : request.headers.items()) {
    if (lower(name) != "cookie") continue;
    for (const auto& item : split(value, ';')) {
      const auto pair = trim(item);
      const auto equals = pair.find('=');
      if (equals != std::string_view::npos && pair.substr(0, equals) == kTokenItem) {
        return std::string(pair.substr(equals + 1));
      }
    }
  }
  return {};
}

// The other cookies: ours is not for the workspace.
std::string other_cookies(const http::Request& request) {
  std::string kept;
  for (const auto& [name, value] : request.headers.items()) {
    if (lower(name) != "cookie") continue;
    for (const auto& item : split(value, ';')) {
      const auto pair = trim(item);
      if (pair.empty() || pair.substr(0, pair.find('=')) == kTokenItem) continue;
      kept += cat(kept.empty() ? "" : "; ", pair);
    }
  }
  return kept;
}

// Path and query as they came, without our prefix and our token.
std::string target_for_guest(const http::Request& request, Preview::Form form) {
  const auto mark = request.target.find('?');
  std::string path = request.target.substr(0, mark);
  if (form == Preview::Form::path) {
    for (int i = 0; i < 2; ++i) {
      const auto slash = path.find('/', 1);
      path = slash == std::string::npos ? "/" : path.substr(slash);
    }
  }
  std::string query;
  if (mark != std::string::npos) {
    for (const auto& item : split(std::string_view(request.target).substr(mark + 1), '&')) {
      const auto name = http::percent_decode(item.substr(0, item.find('=')));
      if (name && *name == kTokenItem) continue;
      query += cat(query.empty() ? "?" : "&", item);
    }
  }
  return path + query;
}

net::Flow flow_of(const net::Exposure& exposure, const http::Request& request) {
  net::Flow flow;
  flow.workspace = exposure.workspace;
  flow.kind = "ingress";
  flow.name = exposure.slug;
  flow.port = exposure.port;
  flow.peer = request.peer.local() ? "local" : request.peer.address.substr(0, kMaxShown);
  flow.time_us = static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count());
  return flow;
}

// Of an answer in the path form: what would be kept by the browser for the whole origin, which is not the workspace's.
http::Headers without_origin_state(const http::Headers& headers) {
  constexpr std::array<std::string_view, 6> kForTheOrigin = {
      "set-cookie", "clear-site-data",    "strict-transport-security", "service-worker-allowed",
      "alt-svc",    "reporting-endpoints"};
  http::Headers kept;
  for (const auto& [name, value] : headers.items()) {
    if (std::find(kForTheOrigin.begin(), kForTheOrigin.end(), lower(name)) == kForTheOrigin.end())
      kept.add(name, value);
  }
  return kept;
}

http::Response refuse_visitor(const http::Request& request) {
  const Error error{Code::Unauthenticated, "this preview is for those who have its token",
                    cat("open it with ?", kTokenItem, "=TOKEN, or send the header ", kTokenHeader)};
  return error_response(request, kUnauthorized, error);
}

}  // namespace

std::optional<Preview> preview_slug(const http::Request& request, const std::string& domain) {
  if (!domain.empty()) {
    const auto host = host_of(request);
    const auto suffix = cat(".preview.", domain);
    if (host.size() > suffix.size() && host.ends_with(suffix)) {
      return Preview{host.substr(0, host.size() - suffix.size()), Preview::Form::host};
    }
  }
  if (request.segments.size() >= 2 && request.segments[0] == kPathPrefix) {
    return Preview{request.segments[1], Preview::Form::path};
  }
  return std::nullopt;
}

PreviewUrls preview_urls(const Services& services, const std::string& slug) {
  const auto& facts = services.facts;
  const auto& domain = services.networks.preview_domain();
  PreviewUrls urls;
  if (facts.address.empty()) return urls;  // no port that a browser could reach
  urls.by_path = cat(facts.address, "/", kPathPrefix, "/", slug, "/");
  const auto scheme_end = facts.address.find("://");
  const auto port = facts.address.rfind(':');
  if (domain.empty() || scheme_end == std::string::npos || port <= scheme_end) return urls;
  urls.by_host =
      cat(facts.address.substr(0, scheme_end + 3), slug, ".preview.", domain, facts.address.substr(port), "/");
  return urls;
}

net::Marked marked_as(const model::WorkspaceSpec& spec) {
  for (const char* key : {"type", "role"}) {
    const auto found = spec.metadata.find(key);
    if (found != spec.metadata.end() && lower(found->second) == "database") return net::Marked::as_database;
  }
  return net::Marked::no;
}

Task<http::Response> serve_preview(Services& services, Preview preview, http::Request& request) {
  const auto* found = services.networks.exposure_of(preview.slug);
  if (found == nullptr) {
    co_return fail(Code::NotFound, cat("nothing is exposed as '", preview.slug.substr(0, kMaxShown), "'"));
  }
  const net::Exposure exposure = *found;
  CO_TRY_ASSIGN(const auto info, services.manager.get(exposure.workspace));
  // It may have become a database since.
  if (marked_as(info.spec) == net::Marked::as_database) {
    CO_TRY(net::may_expose(exposure.port, net::Marked::as_database, std::nullopt));
  }
  const bool by_path = preview.form == Preview::Form::path;
  std::string new_cookie;
  if (!exposure.token_digest.empty()) {
    const auto* in_query = request.find_query(kTokenItem);
    const auto* in_header = request.headers.find(kTokenHeader);
    const std::string shown = in_query != nullptr    ? *in_query
                              : in_header != nullptr ? *in_header
                                                     : cookie_token(request);
    if (shown.empty() || !crypto::constant_time_equal(crypto::sha256_hex(shown), exposure.token_digest)) {
      auto flow = flow_of(exposure, request);
      flow.event = "refused";
      flow.reason = shown.empty() ? "no token" : "wrong token";
      services.networks.keep(std::move(flow));
      co_return refuse_visitor(request);
    }
    if (in_query != nullptr) {
      new_cookie =
          cat(kTokenItem, "=", http::percent_encode(shown),
              "; HttpOnly; SameSite=Lax; Path=", by_path ? cat("/", kPathPrefix, "/", exposure.slug, "/") : "/",
              services.facts.address.starts_with("https:") ? "; Secure" : "");
    }
  }
  const std::string host = request.headers.find("Host") == nullptr ? "localhost" : *request.headers.find("Host");
  GuestTarget server;
  CO_TRY_ASSIGN(server.machine, co_await services.manager.wake_machine(exposure.workspace));
  server.port = exposure.port;
  server.target = target_for_guest(request, preview.form);
  server.host = host;
  server.withheld = {"x-preview-token",    "cookie",           "forwarded",
                     "x-forwarded-for",    "x-forwarded-host", "x-forwarded-proto",
                     "x-forwarded-prefix", "x-real-ip"};
  if (auto cookies = other_cookies(request); !cookies.empty()) server.added.add("Cookie", std::move(cookies));
  server.added.add("X-Forwarded-For", request.peer.local() ? "127.0.0.1" : request.peer.address);
  server.added.add("X-Forwarded-Host", host);
  server.added.add("X-Forwarded-Proto", services.facts.address.starts_with("https:") ? "https" : "http");
  if (by_path) server.added.add("X-Forwarded-Prefix", cat("/", kPathPrefix, "/", exposure.slug));
  const auto began = std::chrono::steady_clock::now();
  server.on_end = [&services, flow = flow_of(exposure, request), began](std::uint64_t received,
                                                                        std::uint64_t sent) mutable {
    flow.event = "closed";
    flow.reason = "ended";
    flow.bytes_out = received;
    flow.bytes_in = sent;
    flow.duration_us = static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::steady_clock::now() - began).count());
    services.networks.keep(std::move(flow));
  };
  CO_TRY_ASSIGN(auto response, co_await ask_guest(request, std::move(server), services.sessions.background()));
  if (by_path) response.headers = without_origin_state(response.headers);
  if (!new_cookie.empty()) response.headers.add("Set-Cookie", std::move(new_cookie));
  // In the path form, what a workspace serves shares an origin with this API and with other workspaces: it gets one of
  // its own that is nobody's.
  if (by_path)
    response.headers.add("Content-Security-Policy", "sandbox allow-scripts allow-forms allow-popups allow-downloads");
  response.headers.add("X-Robots-Tag", "noindex");
  co_return response;
}

}  // namespace cofferdam::api
