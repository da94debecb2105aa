// One end of a stream of the guest link that is no process: bytes in order both ways, within credit.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "vm/guest_link.h"

namespace cofferdam::vm {

// `link` is shared with the machine: a stream may outlive the machine's end, and then answers Unavailable. When the
// object goes, the guest's end is closed behind all that was written.
class GuestStream {
 public:
  // `what` names it in errors.
  GuestStream(std::shared_ptr<GuestLink> link, std::shared_ptr<ProcessStream> stream, std::string what)
      : link_(std::move(link)), stream_(std::move(stream)), what_(std::move(what)) {}
  ~GuestStream() { link_->close_stream(*stream_); }
  GuestStream(const GuestStream&) = delete;
  GuestStream& operator=(const GuestStream&) = delete;

  // One Data frame's bytes; nullopt at the end. Aborted when the guest's side broke.
  Task<std::optional<std::string>> read();
  Task<void> write(std::string bytes);
  Task<void> end_writing();

 private:
  [[nodiscard]] tl::unexpected<Error> broken() const;

  std::shared_ptr<GuestLink> link_;
  std::shared_ptr<ProcessStream> stream_;
  std::string what_;
  bool writing_ended_ = false;
};

// InvalidArgument when the guest would not take them.
Status check_excludes(const std::vector<std::string>& excludes);

// Whether a name from the guest stays below its root: relative, no "." or "..", no zero byte.
bool is_plain_relative(std::string_view path);

}  // namespace cofferdam::vm
