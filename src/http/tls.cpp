#include "http/tls.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <cstdlib>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::http {
namespace {

constexpr std::size_t kMaxCaFile = 4U << 20;
constexpr std::size_t kMaxChain = 16;
// ALPN: the only protocol spoken here.
constexpr std::array<unsigned char, 9> kHttp11{8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* what) const {
    Free(what);
  }
};
using Context = std::unique_ptr<SSL_CTX, Freer<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Freer<SSL_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;

// OpenSSL fails at these only without memory: nothing a caller could handle.
template <class T>
T must(T made) {
  if (!made) std::abort();
  return made;
}

std::string take_openssl_error() {
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code == 0 ? nullptr : ERR_reason_error_string(code);
  return reason != nullptr ? reason : "not known why";
}

Bio reader_of(std::string_view text) { return must(Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())))); }

// Never asks a terminal for the password of a key.
int no_password(char*, int, int, void*) { return -1; }

int choose_protocol(SSL*, const unsigned char** out, unsigned char* out_size, const unsigned char* offered,
                    unsigned offered_size, void*) {
  unsigned char* chosen = nullptr;
  if (SSL_select_next_proto(&chosen, out_size, kHttp11.data(), kHttp11.size(), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *out = chosen;
  return SSL_TLSEXT_ERR_OK;
}

Context make_context(const SSL_METHOD* method) {
  Context context = must(Context(SSL_CTX_new(method)));
  SSL_CTX* const raw = context.get();
  must(SSL_CTX_set_min_proto_version(raw, TLS1_3_VERSION) == 1);
  must(SSL_CTX_set_max_proto_version(raw, TLS1_3_VERSION) == 1);
  // Nothing is resumed: no key outlives its connection.
  SSL_CTX_set_session_cache_mode(raw, SSL_SESS_CACHE_OFF);
  (void)SSL_CTX_set_num_tickets(raw, 0);
  SSL_CTX_set_options(raw, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
  // A quiet connection keeps no buffers.
  SSL_CTX_set_mode(raw, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_AUTO_RETRY);
  return context;
}

// The SHA-256 that the server's certificate must have; `wanted` is the fingerprint.
int has_fingerprint(X509_STORE_CTX* store, void* wanted) {
  const X509* certificate = X509_STORE_CTX_get0_cert(store);
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (certificate == nullptr || X509_digest(certificate, EVP_sha256(), digest.data(), &length) != 1) return 0;
  if (to_hex({reinterpret_cast<const char*>(digest.data()), length}) == *static_cast<const std::string*>(wanted)) {
    return 1;
  }
  X509_STORE_CTX_set_error(store, X509_V_ERR_CERT_REJECTED);
  return 0;
}

}  // namespace

class TlsContext {
 public:
  TlsContext(Context made, std::string expected) : context(std::move(made)), fingerprint(std::move(expected)) {}
  Context context;
  std::string fingerprint;
};

Result<std::shared_ptr<TlsIdentity>> TlsIdentity::make(std::string_view certificate_pem, std::string_view key_pem) {
  auto identity = std::make_shared<TlsIdentity>();
  TRY(identity->replace(certificate_pem, key_pem));
  return identity;
}

Status TlsIdentity::replace(std::string_view certificate_pem, std::string_view key_pem) {
  Context context = make_context(TLS_server_method());
  SSL_CTX* const raw = context.get();
  SSL_CTX_set_alpn_select_cb(raw, choose_protocol, nullptr);
  const Bio certificates = reader_of(certificate_pem);
  const Certificate own(PEM_read_bio_X509(certificates.get(), nullptr, no_password, nullptr));
  if (!own || SSL_CTX_use_certificate(raw, own.get()) != 1) {
    return fail(Code::InvalidArgument, cat("the TLS certificate cannot be used: ", take_openssl_error()),
                "it must be in PEM form, with its chain behind it");
  }
  for (std::size_t i = 0; i < kMaxChain; ++i) {
    const Certificate next(PEM_read_bio_X509(certificates.get(), nullptr, no_password, nullptr));
    if (!next) break;
    must(SSL_CTX_add1_chain_cert(raw, next.get()) == 1);
  }
  ERR_clear_error();
  const Bio keys = reader_of(key_pem);
  const Key key(PEM_read_bio_PrivateKey(keys.get(), nullptr, no_password, nullptr));
  if (!key) {
    return fail(Code::InvalidArgument, cat("the TLS key cannot be used: ", take_openssl_error()),
                "it must be in PEM form and not encrypted");
  }
  if (SSL_CTX_use_PrivateKey(raw, key.get()) != 1 || SSL_CTX_check_private_key(raw) != 1) {
    return fail(Code::InvalidArgument, cat("the TLS key does not fit the certificate: ", take_openssl_error()));
  }
  context_ = std::make_shared<const TlsContext>(std::move(context), std::string());
  return {};
}

Result<std::shared_ptr<const TlsContext>> tls_client_context(const TlsTrust& trust) {
  auto made = std::make_shared<TlsContext>(make_context(TLS_client_method()), trust.fingerprint);
  SSL_CTX* const raw = made->context.get();
  must(SSL_CTX_set_alpn_protos(raw, kHttp11.data(), kHttp11.size()) == 0);
  SSL_CTX_set_verify(raw, SSL_VERIFY_PEER, nullptr);
  if (!trust.fingerprint.empty()) {
    SSL_CTX_set_cert_verify_callback(raw, has_fingerprint, &made->fingerprint);
    return made;
  }
  if (trust.ca_file.empty()) {
    if (SSL_CTX_set_default_verify_paths(raw) != 1) {
      return fail(Code::FailedPrecondition, cat("the certificate authorities of this host: ", take_openssl_error()));
    }
    return made;
  }
  TRY_ASSIGN(const std::string text, read_file(trust.ca_file, kMaxCaFile));
  const Bio in = reader_of(text);
  X509_STORE* const store = SSL_CTX_get_cert_store(raw);
  std::size_t count = 0;
  for (;; ++count) {
    const Certificate next(PEM_read_bio_X509(in.get(), nullptr, no_password, nullptr));
    if (!next) break;
    must(X509_STORE_add_cert(store, next.get()) == 1);
  }
  ERR_clear_error();
  if (count == 0) return fail(Code::InvalidArgument, cat("'", trust.ca_file, "' holds no certificate in PEM form"));
  // What the file names is believed itself, whoever signed it.
  must(X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) == 1);
  return made;
}

struct TlsSession::Impl {
  explicit Impl(std::shared_ptr<const TlsContext> of)
      : context(std::move(of)), ssl(must(Session(SSL_new(context->context.get())))) {
    in = must(BIO_new(BIO_s_mem()));
    out = must(BIO_new(BIO_s_mem()));
    // An empty input is not its end.
    BIO_set_mem_eof_return(in, -1);
    BIO_set_mem_eof_return(out, -1);
    SSL_set_bio(ssl.get(), in, out);
  }

  std::shared_ptr<const TlsContext> context;
  Session ssl;
  BIO* in = nullptr;  // both belong to `ssl`
  BIO* out = nullptr;
};

TlsSession::TlsSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TlsSession::~TlsSession() = default;

std::unique_ptr<TlsSession> TlsSession::server(std::shared_ptr<const TlsContext> context) {
  auto impl = std::make_unique<Impl>(std::move(context));
  SSL_set_accept_state(impl->ssl.get());
  return std::unique_ptr<TlsSession>(new TlsSession(std::move(impl)));
}

std::unique_ptr<TlsSession> TlsSession::client(std::shared_ptr<const TlsContext> context, const std::string& host) {
  auto impl = std::make_unique<Impl>(std::move(context));
  SSL* const ssl = impl->ssl.get();
  SSL_set_connect_state(ssl);
  std::array<unsigned char, 16> numeric{};
  if (::inet_pton(AF_INET, host.c_str(), numeric.data()) == 1 ||
      ::inet_pton(AF_INET6, host.c_str(), numeric.data()) == 1) {
    must(X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), host.c_str()) == 1);
  } else {
    must(SSL_set1_host(ssl, host.c_str()) == 1);
    must(SSL_set_tlsext_host_name(ssl, host.c_str()) == 1);
  }
  return std::unique_ptr<TlsSession>(new TlsSession(std::move(impl)));
}

void TlsSession::feed(std::string_view bytes) {
  must(bytes.empty() || BIO_write(impl_->in, bytes.data(), static_cast<int>(bytes.size())) > 0);
}

std::string TlsSession::take_output() {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(impl_->out, &bytes);
  std::string output(bytes, size > 0 ? static_cast<std::size_t>(size) : 0);
  must(BIO_reset(impl_->out) == 1);
  return output;
}

TlsSession::Step TlsSession::step_of(int returned) {
  if (!failure_.empty()) return Step::failed;
  switch (SSL_get_error(impl_->ssl.get(), returned)) {
    case SSL_ERROR_NONE:
      return Step::done;
    case SSL_ERROR_WANT_READ:
      return Step::needs_input;
    case SSL_ERROR_ZERO_RETURN:
      return Step::ended;
    default:
      break;
  }
  const long verified = SSL_get_verify_result(impl_->ssl.get());
  failure_ = take_openssl_error();
  if (verified != X509_V_OK) {
    const bool pinned = !impl_->context->fingerprint.empty();
    failure_ = pinned ? "the server's certificate has another fingerprint"
                      : cat("the server's certificate is not trusted: ", X509_verify_cert_error_string(verified));
  }
  return Step::failed;
}

TlsSession::Step TlsSession::handshake() {
  ERR_clear_error();
  return step_of(SSL_do_handshake(impl_->ssl.get()));
}

TlsSession::Step TlsSession::read(char* out, std::size_t size, std::size_t& count) {
  ERR_clear_error();
  count = 0;
  return step_of(SSL_read_ex(impl_->ssl.get(), out, size, &count));
}

TlsSession::Step TlsSession::look() {
  ERR_clear_error();
  char byte = 0;
  std::size_t count = 0;
  return step_of(SSL_peek_ex(impl_->ssl.get(), &byte, 1, &count));
}

TlsSession::Step TlsSession::write(std::string_view bytes) {
  ERR_clear_error();
  std::size_t count = 0;
  if (bytes.empty()) return Step::done;
  return step_of(SSL_write_ex(impl_->ssl.get(), bytes.data(), bytes.size(), &count));
}

void TlsSession::close() {
  ERR_clear_error();
  if (failure_.empty() && SSL_is_init_finished(impl_->ssl.get()) == 1) (void)SSL_shutdown(impl_->ssl.get());
  ERR_clear_error();
}

}  // namespace cofferdam::http
