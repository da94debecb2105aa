#include "http/transport.h"

#include <sys/socket.h>

#include <cerrno>

namespace cofferdam::http {

Transport::Seen Transport::look() {
  const int fd = socket_.native_handle();
  if (!tls_) {
    char byte = 0;
    const auto count = ::recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (count > 0) return Seen::bytes;
    return count < 0 && (errno == EAGAIN || errno == EINTR) ? Seen::nothing : Seen::end;
  }
  // What lies in the socket may be no word for us: records are taken off it until one says something.
  for (;;) {
    switch (tls_->session->look()) {
      case TlsSession::Step::done:
        return Seen::bytes;
      case TlsSession::Step::ended:
      case TlsSession::Step::failed:
        return Seen::end;
      case TlsSession::Step::needs_input:
        break;
    }
    const auto count = ::recv(fd, tls_->incoming.data(), tls_->incoming.size(), MSG_DONTWAIT);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return Seen::nothing;
    if (count <= 0) return Seen::end;
    tls_->session->feed({tls_->incoming.data(), static_cast<std::size_t>(count)});
  }
}

void Transport::flush(Farewell farewell) {
  if (!tls_ || !socket_.is_open()) return;
  if (farewell == Farewell::close) tls_->session->close();
  const std::string output = tls_->session->take_output();
  if (output.empty()) return;
  (void)::send(socket_.native_handle(), output.data(), output.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
}

}  // namespace cofferdam::http
