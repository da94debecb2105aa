#include "base/result.h"

#include <cerrno>
#include <cstring>

namespace cofferdam {

Error errno_error(std::string_view what, int err) {
  Code code = Code::Internal;
  switch (err) {
    case ENOENT:
    case ENOTDIR:
    case ESRCH:
      code = Code::NotFound;
      break;
    case EEXIST:
    case ENOTEMPTY:
      code = Code::AlreadyExists;
      break;
    case EACCES:
    case EPERM:
    case EROFS:
      code = Code::PermissionDenied;
      break;
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EAGAIN:
      code = Code::ResourceExhausted;
      break;
    case EINVAL:
    case EISDIR:
    case ENAMETOOLONG:
    case ELOOP:
      code = Code::InvalidArgument;
      break;
    case EPIPE:
    case ECONNREFUSED:
    case ECONNRESET:
      code = Code::Unavailable;
      break;
    case ETIMEDOUT:
      code = Code::DeadlineExceeded;
      break;
    default:
      break;
  }
  char buffer[256];
  // The GNU strerror_r returns the text, which may or may not lie in the buffer.
  const char* text = strerror_r(err, buffer, sizeof buffer);
  return Error{code, std::string(what) + ": " + text, {}};
}

tl::unexpected<Error> fail_errno(std::string_view what) { return tl::unexpected<Error>(errno_error(what, errno)); }

}  // namespace cofferdam
