#include "vm/guest_connection.h"

#include "base/text.h"
#include "vm/guest_stream.h"

namespace cofferdam::vm {
namespace {

// The guest itself gives up after 5 s.
constexpr std::chrono::seconds kOpening{15};

class LinkConnection : public GuestConnection {
 public:
  LinkConnection(std::shared_ptr<GuestLink> link, std::shared_ptr<ProcessStream> stream, std::uint16_t port)
      : stream_(std::move(link), std::move(stream), cat("connection to port ", port, " of the guest")) {}

  Task<std::optional<std::string>> read() override { return stream_.read(); }
  Task<void> write(std::string bytes) override { return stream_.write(std::move(bytes)); }
  Task<void> shut_down_writing() override { return stream_.end_writing(); }

 private:
  GuestStream stream_;
};

}  // namespace

Task<std::unique_ptr<GuestConnection>> dial_guest(std::shared_ptr<GuestLink> link, std::uint16_t port) {
  if (port == 0) co_return fail(Code::InvalidArgument, "0 is no port");
  wire::Dial dial;
  dial.port = port;
  auto opened = co_await link->open_stream<wire::Dialed>(wire::Op::Dial, dial, kOpening);
  if (!opened) co_return fail(std::move(opened.error()));
  // Credit frames may have come before this coroutine ran again.
  opened->stream->stdin_credit += opened->answer.credit;
  std::unique_ptr<GuestConnection> connection = std::make_unique<LinkConnection>(link, std::move(opened->stream), port);
  co_return connection;
}

}  // namespace cofferdam::vm
