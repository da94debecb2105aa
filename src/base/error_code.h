// The sixteen canonical error codes, and the one table that says what each means to HTTP, the shell and the wire.
#pragma once
#include <string_view>

namespace cofferdam {

enum class Code {
  Cancelled,
  Unknown,
  InvalidArgument,
  DeadlineExceeded,
  NotFound,
  AlreadyExists,
  PermissionDenied,
  ResourceExhausted,
  FailedPrecondition,
  Aborted,
  OutOfRange,
  Unimplemented,
  Internal,
  Unavailable,
  DataLoss,
  Unauthenticated,
};

struct CodeInfo {
  Code code;
  int http_status;
  std::string_view wire_name;  // the `code` field of an error's JSON
};

// Never fails: every Code has a row.
const CodeInfo& code_info(Code code);

// The code whose wire name this is; Unknown when there is none.
Code code_from_wire_name(std::string_view name);

}  // namespace cofferdam
