#include "crypto/certificate.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>

#include "base/text.h"

namespace cofferdam::crypto {
namespace {

using Clock = std::chrono::system_clock;

constexpr int kSerialBits = 127;  // positive, and within the 20 bytes that a serial may have
constexpr std::size_t kMaxName = 253;

template <auto Free>
struct Freer {
  template <class T>
  void operator()(T* what) const {
    Free(what);
  }
};
using Key = std::unique_ptr<EVP_PKEY, Freer<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Freer<X509_free>>;
using Bio = std::unique_ptr<BIO, Freer<BIO_free>>;
using BigNumber = std::unique_ptr<BIGNUM, Freer<BN_free>>;
using Extension = std::unique_ptr<X509_EXTENSION, Freer<X509_EXTENSION_free>>;
using Names = std::unique_ptr<GENERAL_NAMES, Freer<GENERAL_NAMES_free>>;

tl::unexpected<Error> openssl_failed(std::string_view what) {
  std::array<char, 256> text{};
  ERR_error_string_n(ERR_get_error(), text.data(), text.size());
  ERR_clear_error();
  return fail(Code::Internal, cat(what, ": ", text.data()));
}

bool is_address(const std::string& name) {
  std::array<unsigned char, 16> ignored{};
  return ::inet_pton(AF_INET, name.c_str(), ignored.data()) == 1 ||
         ::inet_pton(AF_INET6, name.c_str(), ignored.data()) == 1;
}

bool is_host_name(const std::string& name) {
  return !name.empty() && name.size() <= kMaxName && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '-' || c == '.' || c == '_';
  });
}

Status add_extension(X509* certificate, int nid, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, certificate, certificate, nullptr, nullptr, 0);
  const Extension extension(X509V3_EXT_conf_nid(nullptr, &context, nid, value.c_str()));
  if (!extension || X509_add_ext(certificate, extension.get(), -1) != 1) {
    return openssl_failed("make a certificate's extension");
  }
  return {};
}

std::string text_of(const Bio& bio) {
  char* bytes = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &bytes);
  return {bytes, static_cast<std::size_t>(size)};
}

Result<Clock::time_point> to_time(const ASN1_TIME* time) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(time, &parts) != 1) return openssl_failed("read a certificate's time");
  return Clock::from_time_t(::timegm(&parts));
}

std::vector<std::string> names_of(const X509* certificate) {
  std::vector<std::string> found;
  const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  const int count = names ? sk_GENERAL_NAME_num(names.get()) : 0;
  for (int i = 0; i < count; ++i) {
    const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
    if (name->type == GEN_DNS) {
      const auto* text = reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName));
      found.emplace_back(text, static_cast<std::size_t>(ASN1_STRING_length(name->d.dNSName)));
    } else if (name->type == GEN_IPADD) {
      std::array<char, INET6_ADDRSTRLEN> text{};
      const int family = ASN1_STRING_length(name->d.iPAddress) == 4 ? AF_INET : AF_INET6;
      if (family == AF_INET6 && ASN1_STRING_length(name->d.iPAddress) != 16) continue;
      if (::inet_ntop(family, ASN1_STRING_get0_data(name->d.iPAddress), text.data(), text.size()) != nullptr) {
        found.emplace_back(text.data());
      }
    }
  }
  return found;
}

}  // namespace

Result<CertifiedKey> make_self_signed(const std::vector<std::string>& names, Clock::time_point from,
                                      std::chrono::seconds lifetime) {
  std::string alternatives;
  for (const auto& name : names) {
    const bool address = is_address(name);
    if (!address && !is_host_name(name)) {
      return fail(Code::InvalidArgument, cat("'", name, "' is neither a host name nor an IP address"));
    }
    alternatives += cat(alternatives.empty() ? "" : ",", address ? "IP:" : "DNS:", name);
  }
  if (names.empty()) return fail(Code::InvalidArgument, "a certificate needs a name");

  const Key key(EVP_EC_gen("P-256"));
  const Certificate certificate(X509_new());
  const BigNumber serial(BN_new());
  if (!key || !certificate || !serial) return openssl_failed("make a key");
  X509* const made = certificate.get();
  X509_NAME* const subject = X509_get_subject_name(made);
  const auto not_before = Clock::to_time_t(from);
  const auto not_after = Clock::to_time_t(from + lifetime);
  const bool filled_in =
      BN_rand(serial.get(), kSerialBits, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) == 1 &&
      BN_to_ASN1_INTEGER(serial.get(), X509_get_serialNumber(made)) != nullptr &&
      X509_set_version(made, X509_VERSION_3) == 1 && ASN1_TIME_set(X509_getm_notBefore(made), not_before) != nullptr &&
      ASN1_TIME_set(X509_getm_notAfter(made), not_after) != nullptr && X509_set_pubkey(made, key.get()) == 1 &&
      X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>("Cofferdam"), -1,
                                 -1, 0) == 1 &&
      X509_set_issuer_name(made, subject) == 1;
  if (!filled_in) return openssl_failed("make a certificate");
  TRY(add_extension(made, NID_basic_constraints, "critical,CA:FALSE"));
  TRY(add_extension(made, NID_key_usage, "critical,digitalSignature"));
  TRY(add_extension(made, NID_ext_key_usage, "serverAuth"));
  TRY(add_extension(made, NID_subject_key_identifier, "hash"));
  TRY(add_extension(made, NID_authority_key_identifier, "keyid:always"));
  TRY(add_extension(made, NID_subject_alt_name, alternatives));
  if (X509_sign(made, key.get(), EVP_sha256()) == 0) return openssl_failed("sign a certificate");

  const Bio certificate_out(BIO_new(BIO_s_mem()));
  const Bio key_out(BIO_new(BIO_s_secmem()));
  if (!certificate_out || !key_out || PEM_write_bio_X509(certificate_out.get(), made) != 1 ||
      PEM_write_bio_PrivateKey(key_out.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr) != 1) {
    return openssl_failed("write a certificate");
  }
  return CertifiedKey{text_of(certificate_out), text_of(key_out)};
}

Result<CertificateFacts> look_at_certificate(std::string_view pem) {
  const Bio in(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  const Certificate certificate(in ? PEM_read_bio_X509(in.get(), nullptr, nullptr, nullptr) : nullptr);
  if (!certificate) {
    ERR_clear_error();
    return fail(Code::InvalidArgument, "there is no certificate in PEM form");
  }
  CertificateFacts facts;
  TRY_ASSIGN(facts.not_before, to_time(X509_get0_notBefore(certificate.get())));
  TRY_ASSIGN(facts.not_after, to_time(X509_get0_notAfter(certificate.get())));
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (X509_digest(certificate.get(), EVP_sha256(), digest.data(), &length) != 1) {
    return openssl_failed("digest a certificate");
  }
  facts.fingerprint = to_hex({reinterpret_cast<const char*>(digest.data()), length});
  facts.names = names_of(certificate.get());
  return facts;
}

Result<std::string> parse_fingerprint(std::string_view text) {
  constexpr std::size_t kDigits = 64;
  std::string digits;
  const bool colons = text.size() == kDigits / 2 * 3 - 1;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (colons && i % 3 == 2 && text[i] == ':') continue;
    const auto c = static_cast<unsigned char>(text[i]);
    if (std::isxdigit(c) == 0 || (colons && i % 3 == 2)) break;
    digits.push_back(static_cast<char>(std::tolower(c)));
  }
  if (digits.size() == kDigits && (colons || text.size() == kDigits)) return digits;
  return fail(Code::InvalidArgument, cat("'", text, "' is no SHA-256 fingerprint"),
              "it has 64 hexadecimal digits, with or without colons between the bytes");
}

}  // namespace cofferdam::crypto
