// Errors as values: Result<T> is a T or an Error that says what was tried, on what, why it failed and what to do.
#pragma once
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>

#include "base/error_code.h"

namespace cofferdam {

struct Error {
  Code code = Code::Unknown;
  std::string message;  // what was tried, on what, why it failed; never a secret
  std::string hint;     // what the reader can do about it; may be empty

  Error with_hint(std::string text) && {
    hint = std::move(text);
    return std::move(*this);
  }
  // The same error seen from one level up: "context: message".
  Error in(std::string_view context) && {
    message = std::string(context) + ": " + message;
    return std::move(*this);
  }
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = Result<void>;

// An error ready to be returned from any function that answers a Result.
inline tl::unexpected<Error> fail(Code code, std::string message, std::string hint = {}) {
  return tl::unexpected<Error>(Error{code, std::move(message), std::move(hint)});
}
inline tl::unexpected<Error> fail(Error error) { return tl::unexpected<Error>(std::move(error)); }

// "what: strerror(err)"; the code follows from errno (ENOENT: NotFound, EEXIST: AlreadyExists, EACCES and EPERM:
// PermissionDenied, ENOSPC, EDQUOT, EMFILE, ENFILE, ENOMEM: ResourceExhausted, else Internal).
Error errno_error(std::string_view what, int err);
tl::unexpected<Error> fail_errno(std::string_view what);  // takes errno as it is now

// Statements; each on a line of its own. Never inside an expression.
#define COFFER_CONCAT_(a, b) a##b
#define COFFER_CONCAT(a, b) COFFER_CONCAT_(a, b)
#define TRY(expr)                                                                 \
  do {                                                                            \
    auto&& try_result_ = (expr);                                                  \
    if (!try_result_) return tl::make_unexpected(std::move(try_result_.error())); \
  } while (false)
#define TRY_ASSIGN(decl, expr) TRY_ASSIGN_(decl, expr, COFFER_CONCAT(try_result_, __LINE__))
#define TRY_ASSIGN_(decl, expr, tmp)                                \
  auto tmp = (expr);                                                \
  if (!(tmp)) return tl::make_unexpected(std::move((tmp).error())); \
  decl = std::move(*(tmp))
// The same inside a coroutine that answers a Result.
#define CO_TRY(expr)                                                                 \
  do {                                                                               \
    auto&& try_result_ = (expr);                                                     \
    if (!try_result_) co_return tl::make_unexpected(std::move(try_result_.error())); \
  } while (false)
#define CO_TRY_ASSIGN(decl, expr) CO_TRY_ASSIGN_(decl, expr, COFFER_CONCAT(try_result_, __LINE__))
#define CO_TRY_ASSIGN_(decl, expr, tmp)                                \
  auto tmp = (expr);                                                   \
  if (!(tmp)) co_return tl::make_unexpected(std::move((tmp).error())); \
  decl = std::move(*(tmp))

}  // namespace cofferdam
