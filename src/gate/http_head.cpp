#include "gate/http_head.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "base/dns_name.h"
#include "base/text.h"

namespace cofferdam::gate {
namespace {

constexpr std::string_view kLineEnd = "\r\n";
constexpr std::string_view kHeadEnd = "\r\n\r\n";
constexpr std::string_view kHttpScheme = "http://";
constexpr std::size_t kMaxLengthDigits = 18;
constexpr std::size_t kMaxChunkDigits = 15;

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; }

std::string lowered(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

bool is_token(std::string_view text) {
  static constexpr std::string_view kOther = "!#$%&'*+-.^_`|~";
  return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || kOther.find(c) != std::string_view::npos;
  });
}

bool is_visible(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

bool is_value(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    const auto byte = static_cast<std::uint8_t>(c);
    return byte == '\t' || (byte >= ' ' && byte != 0x7f);
  });
}

std::string_view trim_blanks(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

template <class Number>
std::optional<Number> parse_number(std::string_view text, std::size_t max_digits, int base) {
  Number value = 0;
  if (text.empty() || text.size() > max_digits) return std::nullopt;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

tl::unexpected<Error> bad(std::string_view what) { return fail(Code::InvalidArgument, cat("HTTP request: ", what)); }

struct HostAndPort {
  std::string host;
  std::uint16_t port = 0;
};

std::optional<HostAndPort> parse_authority(std::string_view text) {
  HostAndPort parsed;
  const auto colon = text.find(':');
  if (colon != std::string_view::npos) {
    const auto port = parse_number<std::uint16_t>(text.substr(colon + 1), 5, 10);
    if (!port || *port == 0) return std::nullopt;
    parsed.port = *port;
  }
  parsed.host = lowered(text.substr(0, colon));
  if (!is_dns_name(parsed.host)) return std::nullopt;
  return parsed;
}

// The fields that decide where a request goes and where it ends; each may come once.
struct Fields {
  std::optional<std::string_view> host;
  std::optional<std::string_view> length;
  std::optional<std::string_view> coding;
  std::optional<std::string_view> upgrade;
};

Status take_once(std::optional<std::string_view>& field, std::string_view value) {
  if (field) return bad("a field that may come once came twice");
  field = value;
  return {};
}

Status read_field(std::string_view line, Fields& fields) {
  const auto colon = line.find(':');
  // A blank before the colon, or at the start of a folded line, is in no token.
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon))) return bad("a field without a proper name");
  const auto value = trim_blanks(line.substr(colon + 1));
  if (!is_value(value)) return bad("a field with a control character");
  // Gateways that make environment variables of fields take '_' for '-'.
  std::string name = lowered(line.substr(0, colon));
  const bool underscored = name.find('_') != std::string::npos;
  std::replace(name.begin(), name.end(), '_', '-');
  std::optional<std::string_view>* const known = name == "host"                ? &fields.host
                                                 : name == "content-length"    ? &fields.length
                                                 : name == "transfer-encoding" ? &fields.coding
                                                 : name == "upgrade"           ? &fields.upgrade
                                                                               : nullptr;
  if (known == nullptr) return {};
  if (underscored) return bad("a field that is a framing one to some");
  return take_once(*known, value);
}

Result<Fields> read_fields(std::string_view lines) {
  Fields fields;
  std::size_t count = 0;
  while (!lines.empty()) {
    const auto end = lines.find(kLineEnd);
    if (end == std::string_view::npos) return bad("a line end that is not CRLF");
    if (++count > kMaxHttpFields) return bad("too many fields");
    TRY(read_field(lines.substr(0, end), fields));
    lines.remove_prefix(end + kLineEnd.size());
  }
  return fields;
}

Status read_framing(const Fields& fields, std::string_view version, RequestHead& head) {
  if (fields.coding) {
    if (fields.length) return bad("Content-Length beside Transfer-Encoding");
    if (version != "HTTP/1.1" || lowered(*fields.coding) != "chunked") return bad("an unknown transfer coding");
    head.body = BodyKind::chunked;
  } else if (fields.length) {
    const auto length = parse_number<std::uint64_t>(*fields.length, kMaxLengthDigits, 10);
    if (!length) return bad("a Content-Length that is no number");
    head.body = *length == 0 ? BodyKind::none : BodyKind::length;
    head.length = *length;
  }
  return {};
}

// The target may name a host of its own; then it must be the same one.
Status check_target(std::string_view method, std::string_view target, const HostAndPort& host) {
  if (starts_with(target, "/")) return {};
  if (target == "*" && method == "OPTIONS") return {};
  if (!starts_with(lowered(target.substr(0, kHttpScheme.size())), kHttpScheme)) return bad("a target of no known form");
  const auto rest = target.substr(kHttpScheme.size());
  const auto authority = parse_authority(rest.substr(0, rest.find_first_of("/?#")));
  if (!authority || authority->host != host.host) return bad("a target on another host than Host");
  const auto port = [](std::uint16_t given) { return given == 0 ? 80 : given; };
  if (port(authority->port) != port(host.port)) return bad("a target on another port than Host");
  return {};
}

}  // namespace

Result<RequestHead> parse_request_head(std::string_view head) {
  if (head.size() > kMaxHttpHead || head.size() < kHeadEnd.size() ||
      head.substr(head.size() - kHeadEnd.size()) != kHeadEnd) {
    return bad("no whole head");
  }
  // Every CR and LF belongs to a CRLF.
  for (std::size_t i = 0; i < head.size(); ++i) {
    if (head[i] == '\r' && (i + 1 == head.size() || head[i + 1] != '\n')) return bad("a bare CR");
    if (head[i] == '\n' && (i == 0 || head[i - 1] != '\r')) return bad("a bare LF");
  }
  head.remove_suffix(kLineEnd.size());
  const auto first_end = head.find(kLineEnd);
  const auto line = head.substr(0, first_end);
  const auto space = line.find(' ');
  const auto last_space = line.rfind(' ');
  if (space == std::string_view::npos || space == last_space) return bad("no request line");
  const auto target = line.substr(space + 1, last_space - space - 1);
  const auto version = line.substr(last_space + 1);
  RequestHead parsed;
  parsed.method = line.substr(0, space);
  if (!is_token(parsed.method) || target.empty() || !is_visible(target)) return bad("no request line");
  if (version != "HTTP/1.1" && version != "HTTP/1.0") return bad("an unknown version");
  if (lowered(parsed.method) == "connect") return bad("CONNECT");
  TRY_ASSIGN(const Fields fields, read_fields(head.substr(first_end + kLineEnd.size())));
  if (!fields.host) return bad("no Host");
  const auto host = parse_authority(*fields.host);
  if (!host) return bad("a Host that is no name");
  TRY(check_target(parsed.method, target, *host));
  TRY(read_framing(fields, version, parsed));
  parsed.host = host->host;
  parsed.host_port = host->port;
  if (fields.upgrade) parsed.upgrading = RequestHead::Upgrading::yes;
  return parsed;
}

HttpRequests::Scan HttpRequests::scan(std::string_view bytes) {
  Scan total;
  while (total.pass < bytes.size()) {
    const Scan one = scan_one(bytes.substr(total.pass));
    total.pass += one.pass;
    total.refused = one.refused;
    if (one.pass == 0 || one.refused != FlowReason::none) break;
  }
  return total;
}

HttpRequests::Scan HttpRequests::scan_one(std::string_view bytes) {
  switch (state_) {
    case State::head:
      return scan_head(bytes);
    case State::body:
    case State::chunk_data: {
      const auto pass = static_cast<std::size_t>(std::min<std::uint64_t>(left_, bytes.size()));
      left_ -= pass;
      if (left_ == 0) state_ = state_ == State::body ? State::head : State::chunk_end;
      return {pass, FlowReason::none};
    }
    case State::chunk_size:
      return scan_chunk_size(bytes);
    case State::chunk_end:
      return expect_line_end(bytes, State::chunk_size);
    case State::last_chunk_end:  // no trailers
      return expect_line_end(bytes, State::head);
    case State::upgrading:
      break;
  }
  return {};
}

HttpRequests::Scan HttpRequests::scan_head(std::string_view bytes) {
  const auto end = bytes.substr(0, kMaxHttpHead).find(kHeadEnd);
  if (end == std::string_view::npos) {
    // A line that ends with LF alone would never end for us.
    const bool bare = bytes.find("\n\n") != std::string_view::npos;
    return {0, bytes.size() >= kMaxHttpHead || bare ? FlowReason::bad_http : FlowReason::none};
  }
  const auto head = parse_request_head(bytes.substr(0, end + kHeadEnd.size()));
  if (!head) return {0, FlowReason::bad_http};
  last_host_ = head->host;
  if (head->host != name_ || (head->host_port != 0 && head->host_port != port_)) return {0, FlowReason::host_mismatch};
  if (head->upgrading == RequestHead::Upgrading::yes) {
    // Only the first answer on a connection is certain to be the answer to this request.
    if (upgrade_ == Upgrade::refuse || !first_ || head->body != BodyKind::none) return {0, FlowReason::bad_http};
    state_ = State::upgrading;
  } else if (head->body == BodyKind::length) {
    left_ = head->length;
    state_ = State::body;
  } else if (head->body == BodyKind::chunked) {
    state_ = State::chunk_size;
  }
  first_ = false;
  return {end + kHeadEnd.size(), FlowReason::none};
}

HttpRequests::Scan HttpRequests::scan_chunk_size(std::string_view bytes) {
  const auto end = bytes.substr(0, kMaxChunkDigits + kLineEnd.size()).find(kLineEnd);
  if (end == std::string_view::npos) {
    return {0, bytes.size() >= kMaxChunkDigits + kLineEnd.size() ? FlowReason::bad_http : FlowReason::none};
  }
  // No extension: what one reader skips is a line to the next.
  const auto size = parse_number<std::uint64_t>(bytes.substr(0, end), kMaxChunkDigits, 16);
  if (!size) return {0, FlowReason::bad_http};
  left_ = *size;
  state_ = *size == 0 ? State::last_chunk_end : State::chunk_data;
  return {end + kLineEnd.size(), FlowReason::none};
}

HttpRequests::Scan HttpRequests::expect_line_end(std::string_view bytes, State next) {
  if (bytes.substr(0, kLineEnd.size()) != kLineEnd.substr(0, bytes.size())) return {0, FlowReason::bad_http};
  if (bytes.size() < kLineEnd.size()) return {};
  state_ = next;
  return {kLineEnd.size(), FlowReason::none};
}

}  // namespace cofferdam::gate
