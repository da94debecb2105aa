#include "ledger/syslog_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>

#include "base/text.h"
#include "base/time.h"
#include "http/tcp.h"

namespace cofferdam::ledger {
namespace {

constexpr std::string_view kUdp = "udp:";
constexpr std::size_t kMaxMessage = 8192;  // what servers take as a rule

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0' ? name.data() : "-";
}

}  // namespace

Result<SyslogServer> SyslogServer::at(std::string_view target) {
  SyslogServer server;
  if (target.starts_with('/')) {
    auto& path = reinterpret_cast<sockaddr_un&>(server.address_);
    if (target.size() >= sizeof path.sun_path) return fail(Code::InvalidArgument, "that path is too long for a socket");
    path.sun_family = AF_UNIX;
    target.copy(path.sun_path, target.size());
    server.size_ = sizeof path;
    return server;
  }
  if (!target.starts_with(kUdp)) {
    return fail(Code::InvalidArgument, cat("'", target, "' is no syslog server"), "use /dev/log or udp:ADDRESS:PORT");
  }
  TRY_ASSIGN(const auto parsed, http::parse_tcp_address(target.substr(kUdp.size())));
  auto& v4 = reinterpret_cast<sockaddr_in&>(server.address_);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(server.address_);
  if (::inet_pton(AF_INET, parsed.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(parsed.port);
    server.size_ = sizeof v4;
  } else if (::inet_pton(AF_INET6, parsed.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(parsed.port);
    server.size_ = sizeof v6;
  } else {
    return fail(Code::InvalidArgument, cat("'", parsed.host, "' is no numeric address"));
  }
  return server;
}

bool SyslogServer::send(const SyslogMessage& message) {
  static const std::string kHost = host_name();
  const std::string bytes = format_syslog(message, kHost, ::getpid());
  if (socket_.get() < 0) socket_ = UniqueFd(::socket(address_.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const ssize_t sent = ::sendto(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&address_), size_);
  return sent == static_cast<ssize_t>(bytes.size());
}

std::string format_syslog(const SyslogMessage& message, std::string_view host, int pid) {
  std::string bytes = cat("<", message.priority, ">1 ", format_rfc3339(message.time), " ", host, " cofferd ", pid, " ",
                          message.kind.empty() ? "-" : message.kind, " - ", message.text);
  if (bytes.size() > kMaxMessage) bytes.resize(kMaxMessage);
  return bytes;
}

}  // namespace cofferdam::ledger
