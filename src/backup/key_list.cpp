#include "backup/key_list.h"

#include "backup/members.h"
#include "base/bytes.h"
#include "base/text.h"
#include "keys/secret_writer.h"

namespace cofferdam::backup {
namespace {

constexpr std::size_t kMaxText = 128;

}  // namespace

Result<std::vector<KeptKey>> keys_of(keys::KeyStore& store) {
  TRY_ASSIGN(const auto infos, store.list());
  std::vector<KeptKey> kept;
  kept.reserve(infos.size());
  for (const auto& info : infos) {
    auto key = store.get(info.name);
    // Destroyed since it was listed.
    if (!key && key.error().code == Code::NotFound) continue;
    if (!key) return fail(std::move(key.error()));
    kept.push_back({info.name, std::move(*key)});
  }
  return kept;
}

Result<SecureBytes> encode_keys(const std::vector<KeptKey>& keys) {
  using keys::SecretWriter;
  std::size_t size = sizeof(std::uint32_t);
  for (const auto& kept : keys) {
    size += SecretWriter::size_of_text(kept.name.owner) + SecretWriter::size_of_text(kept.name.name) +
            SecretWriter::size_of_text(kept.key.id) + SecretWriter::size_of_text(kept.key.bytes.view());
  }
  if (size > kMaxKeyListBytes) {
    return fail(Code::ResourceExhausted, cat("the key tree has ", keys.size(), " keys, more than a backup holds"));
  }
  SecretWriter out(size);
  out.u32(static_cast<std::uint32_t>(keys.size()));
  for (const auto& kept : keys) {
    out.text(kept.name.owner);
    out.text(kept.name.name);
    out.text(kept.key.id);
    out.text(kept.key.bytes.view());
  }
  return std::move(out).take();
}

Result<std::vector<KeptKey>> decode_keys(const SecureBytes& bytes) {
  ByteReader in(as_bytes(bytes.view()));
  const auto count = in.u32();
  std::vector<KeptKey> kept;
  for (std::uint32_t i = 0; i < count && in.ok(); ++i) {
    KeptKey one;
    one.name.owner = in.text(kMaxText);
    one.name.name = in.text(kMaxText);
    one.key.id = in.text(kMaxText);
    one.key.bytes = SecureBytes::copy_of(in.text(keys::kMaxKeyBytes));
    kept.push_back(std::move(one));
  }
  if (!in.at_end() || kept.size() != count) return fail(Code::DataLoss, "the keys of the backup cannot be read");
  return kept;
}

}  // namespace cofferdam::backup
