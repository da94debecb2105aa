#include "ledger/syslog.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <boost/json/serialize.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/log.h"
#include "base/text.h"
#include "base/time.h"
#include "http/tcp.h"
#include "ledger/json.h"
#include "ledger/tail.h"

namespace cofferdam::ledger {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kUdp = "udp:";
constexpr int kAuditInfo = 13 * 8 + 6;     // facility, severity
constexpr std::size_t kMaxMessage = 8192;  // what servers take as a rule
constexpr auto kPause = 50ms;
constexpr int kTries = 20;

struct Address {
  sockaddr_storage storage{};
  socklen_t size = 0;
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Result<Address> address_of(std::string_view target) {
  Address address;
  if (target.starts_with('/')) {
    auto& path = reinterpret_cast<sockaddr_un&>(address.storage);
    if (target.size() >= sizeof path.sun_path) return fail(Code::InvalidArgument, "that path is too long for a socket");
    path.sun_family = AF_UNIX;
    target.copy(path.sun_path, target.size());
    address.size = sizeof path;
    return address;
  }
  if (!target.starts_with(kUdp)) {
    return fail(Code::InvalidArgument, cat("'", target, "' is no syslog server"), "use /dev/log or udp:ADDRESS:PORT");
  }
  TRY_ASSIGN(const auto parsed, http::parse_tcp_address(target.substr(kUdp.size())));
  auto& v4 = reinterpret_cast<sockaddr_in&>(address.storage);
  auto& v6 = reinterpret_cast<sockaddr_in6&>(address.storage);
  if (::inet_pton(AF_INET, parsed.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(parsed.port);
    address.size = sizeof v4;
  } else if (::inet_pton(AF_INET6, parsed.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(parsed.port);
    address.size = sizeof v6;
  } else {
    return fail(Code::InvalidArgument, cat("'", parsed.host, "' is no numeric address"));
  }
  return address;
}

class Server {
 public:
  explicit Server(Address address) : address_(address) {}
  // False: it takes nothing now.
  bool send(const std::string& message) {
    if (socket_.get() < 0)
      socket_ = UniqueFd(::socket(address_.storage.ss_family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const ssize_t sent =
        ::sendto(socket_.get(), message.data(), message.size(), MSG_NOSIGNAL, address_.get(), address_.size);
    return sent == static_cast<ssize_t>(message.size());
  }

 private:
  Address address_;
  UniqueFd socket_;
};

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 && name[0] != '\0' ? name.data() : "-";
}

}  // namespace

Status check_syslog_target(std::string_view target) {
  TRY(address_of(target));
  return {};
}

std::string syslog_message(const Decoded& entry, std::string_view host, int pid) {
  const std::chrono::system_clock::time_point time{std::chrono::microseconds(entry.stamp.time_us)};
  std::string message = cat("<", kAuditInfo, ">1 ", format_rfc3339(time), " ", host, " cofferd ", pid, " ",
                            model::kind_name(entry.kind).empty() ? "-" : model::kind_name(entry.kind), " - ",
                            boost::json::serialize(to_json(entry)));
  if (message.size() > kMaxMessage) message.resize(kMaxMessage);
  return message;
}

Task<void> send_to_syslog(Ledger& ledger, std::string target) {
  CO_TRY_ASSIGN(const Address address, address_of(target));
  Server server(address);
  Tail tail(ledger, ledger.size());
  const std::string host = host_name();
  std::uint64_t lost = 0;
  for (;;) {
    CO_TRY_ASSIGN(const auto entry, co_await tail.next());
    if (!entry) co_return Status{};
    const std::string message = syslog_message(*entry, host, ::getpid());
    bool sent = server.send(message);
    // After a loss there is no waiting for each one more.
    for (int i = 1; !sent && lost == 0 && i < kTries; ++i) {
      CO_TRY(co_await loop::sleep_for(kPause));
      sent = server.send(message);
    }
    if (sent && lost > 0) {
      log_warn("syslog takes entries of the ledger again", {{"target", target}, {"lost", cat(lost)}});
      (void)server.send(cat("<", kAuditInfo - 2, ">1 - ", host, " cofferd ", ::getpid(), " - - ", lost,
                            " entries of the ledger before number ", entry->stamp.number, " were not sent"));
      lost = 0;
    } else if (!sent && lost++ == 0) {
      log_warn("syslog takes no entries of the ledger", {{"target", target}, {"error", std::strerror(errno)}});
    }
  }
}

}  // namespace cofferdam::ledger
