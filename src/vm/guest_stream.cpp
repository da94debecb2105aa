#include "vm/guest_stream.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::vm {

Task<std::optional<std::string>> GuestStream::read() {
  while (stream_->output.empty()) {
    if (stream_->stdout_closed) co_return std::optional<std::string>();
    if (stream_->exit) co_return broken();
    if (stream_->failure) co_return fail(*stream_->failure);
    CO_TRY(co_await stream_->readable.wait());
  }
  std::optional<std::string> bytes(std::move(stream_->output.front().bytes));
  stream_->output.pop_front();
  stream_->consumed[0] += bytes->size();
  link_->give_credit(*stream_);
  co_return bytes;
}

Task<void> GuestStream::write(std::string bytes) {
  std::string_view left = bytes;
  while (!left.empty()) {
    if (stream_->failure) co_return fail(*stream_->failure);
    if (stream_->exit) co_return broken();
    if (stream_->stdin_closed) co_return fail(Code::Aborted, what_ + ": the other side reads no more");
    if (writing_ended_) co_return fail(Code::FailedPrecondition, what_ + ": its writing side is shut down");
    if (stream_->stdin_credit == 0) {
      CO_TRY(co_await stream_->stdin_room.wait());
      continue;
    }
    const auto n = std::min<std::uint64_t>({left.size(), stream_->stdin_credit, wire::kMaxDataBytes});
    link_->send_data(stream_->id, left.substr(0, n));
    stream_->stdin_credit -= n;
    left.remove_prefix(n);
  }
  co_return Status{};
}

Task<void> GuestStream::end_writing() {
  if (stream_->failure) co_return fail(*stream_->failure);
  if (!writing_ended_ && !stream_->exit && !stream_->stdin_closed) link_->send_eof(stream_->id);
  writing_ended_ = true;
  co_return Status{};
}

tl::unexpected<Error> GuestStream::broken() const {
  return fail(Code::Aborted, errno_error(what_, stream_->exit->value).message);
}

Status check_excludes(const std::vector<std::string>& excludes) {
  if (excludes.size() > wire::kMaxExcludes) {
    return fail(Code::InvalidArgument,
                cat(excludes.size(), " patterns to leave out, and at most ", wire::kMaxExcludes));
  }
  for (const auto& pattern : excludes) {
    if (pattern.size() <= wire::kMaxPattern) continue;
    return fail(Code::InvalidArgument, cat("a pattern to leave out is longer than ", wire::kMaxPattern, " bytes"));
  }
  return {};
}

bool is_plain_relative(std::string_view path) {
  if (path.find('\0') != std::string_view::npos) return false;
  const auto parts = split(path, '/');
  return std::none_of(parts.begin(), parts.end(),
                      [](const std::string& part) { return part.empty() || part == "." || part == ".."; });
}

}  // namespace cofferdam::vm
