// TLS 1.3 as a machine of bytes: what came from the peer goes in, what is for the peer comes out. It knows no socket.
// The only user of OpenSSL's TLS.
#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace cofferdam::http {

class TlsContext;

// What a server shows to its clients. Connections that exist keep what they began with.
class TlsIdentity {
 public:
  // A certificate with its chain behind it, and its key, unencrypted, both in PEM. InvalidArgument says which of them
  // is wrong, or that they do not belong together.
  static Result<std::shared_ptr<TlsIdentity>> make(std::string_view certificate_pem, std::string_view key_pem);
  Status replace(std::string_view certificate_pem, std::string_view key_pem);
  [[nodiscard]] const std::shared_ptr<const TlsContext>& context() const { return context_; }

 private:
  std::shared_ptr<const TlsContext> context_;
};

// Whom a client believes; all empty: the certificate authorities of this host.
struct TlsTrust {
  std::string ca_file;  // PEM: these authorities (or self-signed certificates) instead
  std::string
      fingerprint;  // 64 lower-case hex digits: the server's certificate itself, by its SHA-256, and nothing else
};

// InvalidArgument or NotFound: the file is not one of certificates.
Result<std::shared_ptr<const TlsContext>> tls_client_context(const TlsTrust& trust);

class TlsSession {
 public:
  static std::unique_ptr<TlsSession> server(std::shared_ptr<const TlsContext> context);
  // `host`: the name or address that the certificate must have, unless a fingerprint decides.
  static std::unique_ptr<TlsSession> client(std::shared_ptr<const TlsContext> context, const std::string& host);
  TlsSession(const TlsSession&) = delete;
  TlsSession& operator=(const TlsSession&) = delete;
  ~TlsSession();

  enum class Step { done, needs_input, ended, failed };

  // What came from the peer, in any pieces; kept until it is used.
  void feed(std::string_view bytes);
  // What is to go to the peer: after any of the calls below there may be some, also after a failed one.
  std::string take_output();

  Step handshake();
  // At most `size` bytes of what the peer has said into `out`; `count` of them when done. ended: the peer has closed in
  // order.
  Step read(char* out, std::size_t size, std::size_t& count);
  // What the next read() would say, without taking anything.
  Step look();
  // Only after the handshake.
  Step write(std::string_view bytes);
  // Tells the peer that nothing more will come.
  void close();
  // Why something failed; empty: nothing did.
  [[nodiscard]] const std::string& failure() const { return failure_; }

 private:
  struct Impl;
  explicit TlsSession(std::unique_ptr<Impl> impl);
  Step step_of(int returned);

  std::unique_ptr<Impl> impl_;
  std::string failure_;
};

}  // namespace cofferdam::http
