#include "base/error_code.h"

#include <array>

namespace cofferdam {
namespace {

constexpr std::array<CodeInfo, 16> kTable{{
    {Code::Cancelled, 499, "cancelled"},
    {Code::Unknown, 500, "server_error"},
    {Code::InvalidArgument, 422, "validation_error"},
    {Code::DeadlineExceeded, 504, "timeout"},
    {Code::NotFound, 404, "not_found"},
    {Code::AlreadyExists, 409, "conflict"},
    {Code::PermissionDenied, 403, "forbidden"},
    {Code::ResourceExhausted, 429, "limit_reached"},
    {Code::FailedPrecondition, 409, "failed_precondition"},
    {Code::Aborted, 409, "aborted"},
    {Code::OutOfRange, 416, "out_of_range"},
    {Code::Unimplemented, 501, "not_implemented"},
    {Code::Internal, 500, "internal"},
    {Code::Unavailable, 503, "unavailable"},
    {Code::DataLoss, 500, "data_loss"},
    {Code::Unauthenticated, 401, "unauthorized"},
}};

}  // namespace

const CodeInfo& code_info(Code code) { return kTable.at(static_cast<std::size_t>(code)); }

Code code_from_wire_name(std::string_view name) {
  for (const auto& row : kTable) {
    if (row.wire_name == name) return row.code;
  }
  return Code::Unknown;
}

}  // namespace cofferdam
