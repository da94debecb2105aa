// Requests to the kernel over netlink, one at a time, each with its verdict. A socket stays in the network namespace
// it was opened in.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam {

// One request: a header, a fixed struct, attributes.
class NetlinkMessage {
 public:
  template <class Body>
  NetlinkMessage(std::uint16_t type, std::uint16_t flags, const Body& body) : NetlinkMessage(type, flags) {
    append(&body, sizeof body);
  }
  NetlinkMessage& attribute(std::uint16_t type, const void* data, std::size_t size);
  NetlinkMessage& number(std::uint16_t type, std::uint32_t value) { return attribute(type, &value, sizeof value); }
  // Not to be answered by a verdict of its own.
  NetlinkMessage& unanswered();
  [[nodiscard]] std::string finish() const;

 private:
  NetlinkMessage(std::uint16_t type, std::uint16_t flags);
  void append(const void* data, std::size_t size);
  std::string bytes_;
};

class Netlink {
 public:
  // `protocol`: NETLINK_ROUTE or NETLINK_NETFILTER. Every wait is bounded to two seconds.
  static Result<Netlink> open(int protocol);
  // Sends the request and waits for the kernel's verdict; `what` names the step in errors.
  Status ask(std::string_view what, const NetlinkMessage& message);
  // Several requests to one subsystem of NETLINK_NETFILTER (NFNL_SUBSYS_…) as one transaction: all hold, or none. 0, or
  // the errno of the first that was refused.
  Result<int> commit(std::string_view what, std::uint16_t subsystem, const std::vector<NetlinkMessage>& messages);
  // A request with NLM_F_DUMP; each message of the answer, header included.
  Result<std::vector<std::string>> dump(std::string_view what, const NetlinkMessage& message);
  // The socket, for one who goes on with it alone.
  UniqueFd take() && { return std::move(fd_); }

 private:
  explicit Netlink(UniqueFd fd) : fd_(std::move(fd)) {}
  Result<std::string> receive(std::string_view what);
  Result<int> verdict(std::string_view what);  // an errno, or 0
  UniqueFd fd_;
};

}  // namespace cofferdam
