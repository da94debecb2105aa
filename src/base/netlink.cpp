#include "base/netlink.h"

#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace cofferdam {
namespace {

constexpr std::size_t kMaxAnswer = 32U << 10;
constexpr timeval kPatience{2, 0};

nlmsghdr header_at(std::string_view bytes) {
  nlmsghdr header{};
  std::memcpy(&header, bytes.data(), sizeof header);
  return header;
}

}  // namespace

NetlinkMessage::NetlinkMessage(std::uint16_t type, std::uint16_t flags) {
  nlmsghdr header{};
  header.nlmsg_type = type;
  header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | NLM_F_ACK | flags);
  append(&header, sizeof header);
}

NetlinkMessage& NetlinkMessage::attribute(std::uint16_t type, const void* data, std::size_t size) {
  const rtattr header{static_cast<std::uint16_t>(RTA_LENGTH(size)), type};
  append(&header, sizeof header);
  append(data, size);
  return *this;
}

NetlinkMessage& NetlinkMessage::unanswered() {
  constexpr std::uint16_t kFlags = NLM_F_REQUEST;
  std::memcpy(bytes_.data() + offsetof(nlmsghdr, nlmsg_flags), &kFlags, sizeof kFlags);
  return *this;
}

std::string NetlinkMessage::finish() const {
  std::string bytes = bytes_;
  const auto length = static_cast<std::uint32_t>(bytes.size());
  std::memcpy(bytes.data() + offsetof(nlmsghdr, nlmsg_len), &length, sizeof length);
  return bytes;
}

void NetlinkMessage::append(const void* data, std::size_t size) {
  bytes_.append(static_cast<const char*>(data), size);
  bytes_.resize(NLMSG_ALIGN(bytes_.size()), '\0');
}

Result<Netlink> Netlink::open(int protocol) {
  UniqueFd fd(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol));
  if (!fd) return fail_errno("open a netlink socket");
  if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience) != 0) return fail_errno("netlink");
  return Netlink(std::move(fd));
}

Status Netlink::ask(std::string_view what, const NetlinkMessage& message) {
  const std::string request = message.finish();
  if (::send(fd_.get(), request.data(), request.size(), 0) < 0) return fail_errno(what);
  TRY_ASSIGN(const int error, verdict(what));
  if (error != 0) return fail(errno_error(what, error));
  return {};
}

Result<int> Netlink::commit(std::string_view what, std::uint16_t subsystem,
                            const std::vector<NetlinkMessage>& messages) {
  nfgenmsg body{};
  body.version = NFNETLINK_V0;
  body.res_id = htons(subsystem);
  std::string request = NetlinkMessage(NFNL_MSG_BATCH_BEGIN, 0, body).unanswered().finish();
  for (const auto& message : messages) request += message.finish();
  request += NetlinkMessage(NFNL_MSG_BATCH_END, 0, body).unanswered().finish();
  if (::send(fd_.get(), request.data(), request.size(), 0) < 0) return fail_errno(what);
  for (std::size_t i = 0; i < messages.size(); ++i) {
    TRY_ASSIGN(const int error, verdict(what));
    if (error != 0) return error;
  }
  return 0;
}

Result<int> Netlink::verdict(std::string_view what) {
  TRY_ASSIGN(const std::string answer, receive(what));
  nlmsgerr said{};
  if (answer.size() < sizeof(nlmsghdr) + sizeof said) return fail(Code::Internal, cat(what, ": short answer"));
  if (header_at(answer).nlmsg_type != NLMSG_ERROR) return fail(Code::Internal, cat(what, ": unexpected answer"));
  std::memcpy(&said, answer.data() + sizeof(nlmsghdr), sizeof said);
  return -said.error;
}

Result<std::vector<std::string>> Netlink::dump(std::string_view what, const NetlinkMessage& message) {
  const std::string request = message.finish();
  if (::send(fd_.get(), request.data(), request.size(), 0) < 0) return fail_errno(what);
  std::vector<std::string> messages;
  for (;;) {
    TRY_ASSIGN(const std::string answer, receive(what));
    for (std::size_t at = 0; at + sizeof(nlmsghdr) <= answer.size();) {
      const nlmsghdr header = header_at(std::string_view(answer).substr(at));
      if (header.nlmsg_len < sizeof header || header.nlmsg_len > answer.size() - at) break;
      if (header.nlmsg_type == NLMSG_DONE) return messages;
      if (header.nlmsg_type == NLMSG_ERROR) return fail(Code::Internal, cat(what, ": refused"));
      messages.push_back(answer.substr(at, header.nlmsg_len));
      at += NLMSG_ALIGN(header.nlmsg_len);
    }
  }
}

Result<std::string> Netlink::receive(std::string_view what) {
  std::string answer(kMaxAnswer, '\0');
  ssize_t n = -1;
  do {
    n = ::recv(fd_.get(), answer.data(), answer.size(), 0);
  } while (n < 0 && errno == EINTR);
  if (n < 0) return fail_errno(what);
  answer.resize(static_cast<std::size_t>(n));
  return answer;
}

}  // namespace cofferdam
