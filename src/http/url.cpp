#include "http/url.h"

#include "base/text.h"

namespace cofferdam::http {
namespace {

constexpr std::size_t kMaxSegments = 64;

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

bool is_unreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

Result<std::string> decode_query_text(std::string_view text) {
  std::string spaced(text);
  for (char& c : spaced) {
    if (c == '+') c = ' ';
  }
  return percent_decode(spaced);
}

Status parse_path(std::string_view path, std::vector<std::string>& segments) {
  std::string_view rest = path.substr(1);
  while (!rest.empty()) {
    const auto slash = rest.find('/');
    const std::string_view raw = rest.substr(0, slash);
    rest = slash == std::string_view::npos ? std::string_view{} : rest.substr(slash + 1);
    if (raw.empty()) return fail(Code::InvalidArgument, "the path has an empty segment");
    TRY_ASSIGN(std::string segment, percent_decode(raw));
    if (segment == "." || segment == "..") return fail(Code::InvalidArgument, "the path has a segment '.' or '..'");
    if (segments.size() == kMaxSegments) {
      return fail(Code::InvalidArgument, cat("the path has more than ", kMaxSegments, " segments"));
    }
    segments.push_back(std::move(segment));
  }
  return {};
}

}  // namespace

Result<Target> parse_target(std::string_view target) {
  if (target.empty() || target[0] != '/') {
    return fail(Code::InvalidArgument, "the request target does not start with '/'");
  }
  if (target.size() > kMaxTarget) {
    return fail(Code::InvalidArgument, cat("the request target is longer than ", kMaxTarget, " bytes"));
  }
  for (const char c : target) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= 0x20 || byte >= 0x7f || c == '#') {
      return fail(Code::InvalidArgument, "the request target has a character that must be escaped");
    }
  }
  const auto question = target.find('?');
  Target parsed;
  TRY(parse_path(target.substr(0, question), parsed.segments));
  if (question != std::string_view::npos) {
    TRY_ASSIGN(parsed.query, parse_query(target.substr(question + 1)));
  }
  return parsed;
}

Result<QueryItems> parse_query(std::string_view query) {
  QueryItems items;
  while (!query.empty()) {
    const auto end = query.find('&');
    const std::string_view item = query.substr(0, end);
    query = end == std::string_view::npos ? std::string_view{} : query.substr(end + 1);
    if (item.empty()) continue;
    const auto equals = item.find('=');
    TRY_ASSIGN(std::string name, decode_query_text(item.substr(0, equals)));
    std::string value;
    if (equals != std::string_view::npos) {
      TRY_ASSIGN(value, decode_query_text(item.substr(equals + 1)));
    }
    if (items.size() == kMaxQueryItems) {
      return fail(Code::InvalidArgument, cat("the query has more than ", kMaxQueryItems, " parameters"));
    }
    items.emplace_back(std::move(name), std::move(value));
  }
  return items;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out.push_back(text[i]);
      continue;
    }
    const bool whole = text.size() - i > 2;
    const int high = whole ? hex_value(text[i + 1]) : -1;
    const int low = whole ? hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0) return fail(Code::InvalidArgument, "the request target has an invalid %-escape");
    out.push_back(static_cast<char>(high * 16 + low));
    i += 2;
  }
  if (out.find('\0') != std::string::npos) return fail(Code::InvalidArgument, "the request target has a NUL");
  return out;
}

std::string percent_encode(std::string_view text) {
  static constexpr char kDigits[] = "0123456789ABCDEF";
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    if (is_unreserved(c)) {
      out.push_back(c);
      continue;
    }
    const auto byte = static_cast<unsigned char>(c);
    out.push_back('%');
    out.push_back(kDigits[byte >> 4]);
    out.push_back(kDigits[byte & 15]);
  }
  return out;
}

}  // namespace cofferdam::http
