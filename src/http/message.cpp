#include "http/message.h"

#include <algorithm>

#include "base/text.h"
#include "http/text_rules.h"

namespace cofferdam::http {

void Headers::set(std::string_view name, std::string value) {
  std::erase_if(items_, [&](const Item& item) { return same_without_case(item.first, name); });
  items_.emplace_back(std::string(name), std::move(value));
}

const std::string* Headers::find(std::string_view name) const {
  for (const auto& [key, value] : items_) {
    if (same_without_case(key, name)) return &value;
  }
  return nullptr;
}

std::size_t Headers::count(std::string_view name) const {
  return static_cast<std::size_t>(std::count_if(items_.begin(), items_.end(),
                                                [&](const Item& item) { return same_without_case(item.first, name); }));
}

bool Headers::has_token(std::string_view name, std::string_view token) const {
  for (const auto& [key, value] : items_) {
    if (!same_without_case(key, name)) continue;
    for (const auto& part : split(value, ',')) {
      if (same_without_case(trim(part), token)) return true;
    }
  }
  return false;
}

Task<std::string> RequestBody::read_all(std::size_t max_bytes) {
  const auto too_long = [&] {
    failure_status_ = 413;
    return fail(Code::OutOfRange, cat("the body is longer than ", max_bytes, " bytes"));
  };
  if (length().value_or(0) > max_bytes) co_return too_long();
  std::string all;
  for (;;) {
    CO_TRY_ASSIGN(std::string piece, co_await next());
    if (piece.empty()) co_return all;
    if (all.size() + piece.size() > max_bytes) co_return too_long();
    if (all.empty()) {
      all = std::move(piece);
    } else {
      all += piece;
    }
  }
}

const std::string* Request::find_query(std::string_view name) const {
  for (const auto& [key, value] : query) {
    if (key == name) return &value;
  }
  return nullptr;
}

std::vector<std::string_view> Request::query_values(std::string_view name) const {
  std::vector<std::string_view> values;
  for (const auto& [key, value] : query) {
    if (key == name) values.emplace_back(value);
  }
  return values;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 100:
      return "Continue";
    case 101:
      return "Switching Protocols";
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 416:
      return "Range Not Satisfiable";
    case 422:
      return "Unprocessable Content";
    case 426:
      return "Upgrade Required";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 499:
      return "Client Closed Request";
    case 500:
      return "Internal Server Error";
    case 501:
      return "Not Implemented";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    case 505:
      return "HTTP Version Not Supported";
    default:
      return "Other";
  }
}

}  // namespace cofferdam::http
