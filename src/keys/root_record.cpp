#include "keys/root_record.h"

#include "base/bytes.h"
#include "crypto/digest.h"
#include "keys/secret_writer.h"

namespace cofferdam::keys {
namespace {

constexpr std::string_view kMagic = "COFROOT1";
constexpr std::size_t kMaxId = 64;
constexpr std::size_t kMaxPayload = 256;
constexpr std::size_t kDigestDigits = 64;

}  // namespace

SecureBytes encode_record(std::string_view store, std::string_view id, std::string_view payload) {
  SecretWriter out(kRecordBytes);
  out.raw(kMagic);
  out.text(store);
  out.text(id);
  out.text(payload);
  out.raw(crypto::sha256_hex(out.written()));
  return std::move(out).take();
}

std::optional<RootRecord> decode_record(std::string_view bytes) {
  ByteReader in(as_bytes(bytes));
  if (in.raw(kMagic.size()) != kMagic) return std::nullopt;
  RootRecord record;
  record.store = in.text(kMaxId);
  record.id = in.text(kMaxId);
  record.payload = SecureBytes::copy_of(in.text(kMaxPayload));
  const auto summed = bytes.substr(0, bytes.size() - in.left());
  const auto sum = in.raw(kDigestDigits);
  if (!in.ok() || sum != crypto::sha256_hex(summed)) return std::nullopt;
  return record;
}

}  // namespace cofferdam::keys
