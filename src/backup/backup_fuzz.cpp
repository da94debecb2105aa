// What a backup says once it is opened: its members, their manifest, its keys. And its head, which nobody has vouched
// for.
#include <cstring>

#include "backup/key_list.h"
#include "backup/members.h"

using namespace cofferdam;

namespace {

class Bytes final : public backup::Source {
 public:
  explicit Bytes(std::string_view bytes) : bytes_(bytes) {}
  Status read(char* to, std::size_t size) override {
    if (size > bytes_.size()) return fail(Code::DataLoss, "cut off");
    std::memcpy(to, bytes_.data(), size);
    bytes_.remove_prefix(size);
    return {};
  }
  Result<bool> at_end() override { return bytes_.empty(); }

 private:
  std::string_view bytes_;
};

void read_members(std::string_view input) {
  Bytes source(input);
  backup::MemberReader reader(source);
  for (;;) {
    const auto member = reader.next();
    if (!member) return;
    if (!*member) break;
    if ((*member)->name == backup::kKeyList) {
      const auto bytes = reader.read_all(backup::kMaxKeyListBytes);
      if (!bytes) return;
      if (const auto keys = backup::decode_keys(*bytes)) {
        const auto again = backup::encode_keys(*keys);
        if (!again || again->view() != bytes->view()) __builtin_trap();
      }
      continue;
    }
    char room[64];
    for (;;) {
      const auto n = reader.read(room);
      if (!n) return;
      if (*n == 0) break;
    }
  }
  const auto bytes = backup::encode_manifest(reader.manifest());
  const auto again = backup::decode_manifest(bytes);
  if (!again || backup::encode_manifest(*again) != bytes) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  if (input.starts_with("COFBACKU")) {
    // A derivation takes its time: what a head costs is looked at before, and a good one is not what is looked for.
    if (input.size() != backup::kHeadBytes) (void)backup::open_head(input, SecureBytes::copy_of("a passphrase"));
    return 0;
  }
  read_members(input);
  return 0;
}
