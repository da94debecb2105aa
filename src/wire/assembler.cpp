#include "wire/assembler.h"

#include <utility>

#include "base/text.h"
#include "wire/message.h"

namespace cofferdam::wire {

Result<std::optional<std::string>> Assembler::add(const FrameView& frame) {
  const bool more = (frame.flags & kFlagMore) != 0;
  auto it = unfinished_.find(frame.stream);
  if (it == unfinished_.end()) {
    if (!more) return std::string(frame.payload);
    if (unfinished_.size() >= kMaxUnfinished) {
      return fail(Code::ResourceExhausted, cat("more than ", kMaxUnfinished, " unfinished messages on the guest link"));
    }
    it = unfinished_.emplace(frame.stream, std::string()).first;
  }
  std::string& message = it->second;
  if (message.size() + frame.payload.size() > kMaxMessage || total_ + frame.payload.size() > max_total_) {
    total_ -= message.size();
    unfinished_.erase(it);
    return fail(Code::ResourceExhausted, cat("a message on the guest link is longer than ", kMaxMessage, " bytes"));
  }
  message.append(frame.payload);
  total_ += frame.payload.size();
  if (more) return std::nullopt;
  std::string whole = std::move(message);
  total_ -= whole.size();
  unfinished_.erase(it);
  return whole;
}

void Assembler::clear() {
  unfinished_.clear();
  total_ = 0;
}

}  // namespace cofferdam::wire
