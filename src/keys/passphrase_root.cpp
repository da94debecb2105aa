#include <optional>

#include "base/bytes.h"
#include "base/random.h"
#include "base/text.h"
#include "crypto/aead.h"
#include "crypto/password.h"
#include "keys/holders.h"
#include "keys/root_file.h"

namespace cofferdam::keys {
namespace {

constexpr std::size_t kMaxSealed = 128;

// What the passphrase became, and how.
struct Derived {
  std::string salt;
  crypto::DerivationCost cost;
  SecureBytes key;
};

class PassphraseHolder : public RootHolder {
 public:
  PassphraseHolder(std::shared_ptr<Files> files, const std::string& name, SecureBytes passphrase,
                   crypto::DerivationCost cost)
      : file_(std::move(files), name), passphrase_(std::move(passphrase)), cost_(cost) {}

  [[nodiscard]] std::string name() const override { return cat("the file '", file_.path(), "' under the passphrase"); }
  Result<std::vector<Root>> load(const std::string& store) override;
  Status add(const std::string& store, const Root& root) override;
  Status remove(const std::string& store, const std::string& id) override { return file_.remove(store, id); }

 private:
  Result<Root> open(const std::string& store, const RootRecord& record);
  Result<const SecureBytes*> key_for(std::string_view salt, crypto::DerivationCost cost);

  RootFile file_;
  SecureBytes passphrase_;
  crypto::DerivationCost cost_;
  std::optional<Derived> derived_;
};

std::string place_of(const std::string& store, const std::string& id) {
  return cat("cofferdam root", '\0', store, '\0', id);
}

// Derived once: all records of a file have one salt, until its passphrase changes.
Result<const SecureBytes*> PassphraseHolder::key_for(std::string_view salt, crypto::DerivationCost cost) {
  if (!derived_ || derived_->salt != salt || derived_->cost != cost) {
    TRY_ASSIGN(auto key, crypto::derive_key(passphrase_, salt, cost));
    derived_ = Derived{std::string(salt), cost, std::move(key)};
  }
  return &derived_->key;
}

Result<Root> PassphraseHolder::open(const std::string& store, const RootRecord& record) {
  if (record.payload.size() == kRootKeyBytes) {
    return fail(Code::FailedPrecondition, cat("'", file_.path(), "' holds a root without a passphrase"),
                "set keys.root to file");
  }
  ByteReader in(as_bytes(record.payload.view()));
  const auto salt = in.raw(crypto::kSaltBytes);
  crypto::DerivationCost cost;
  cost.passes = in.u32();
  cost.kib = in.u32();
  const auto sealed = in.text(kMaxSealed);
  if (!in.at_end()) return fail(Code::DataLoss, cat("'", file_.path(), "' holds a root that cannot be read"));
  TRY_ASSIGN(const auto* key, key_for(salt, cost));
  auto opened = crypto::unseal(*key, sealed, place_of(store, record.id));
  if (!opened) {
    return fail(Code::FailedPrecondition,
                cat("wrong passphrase: it does not open the root ", record.id, " in '", file_.path(), "'"),
                "give the passphrase that was in use when cofferd ran last (keys.passphrase_file)");
  }
  return Root{record.id, std::move(*opened)};
}

Result<std::vector<Root>> PassphraseHolder::load(const std::string& store) {
  TRY_ASSIGN(const auto records, file_.load(store));
  std::vector<Root> roots;
  for (const auto& record : records) {
    TRY_ASSIGN(Root root, open(store, record));
    roots.push_back(std::move(root));
  }
  return roots;
}

Status PassphraseHolder::add(const std::string& store, const Root& root) {
  if (!derived_) TRY(key_for(random_bytes(crypto::kSaltBytes), cost_));
  std::string payload;
  ByteWriter out(payload);
  out.raw(derived_->salt);
  out.u32(derived_->cost.passes);
  out.u32(derived_->cost.kib);
  out.text(crypto::seal(derived_->key, root.key.view(), place_of(store, root.id)));
  return file_.add(store, root.id, payload);
}

}  // namespace

std::unique_ptr<RootHolder> make_passphrase_holder(std::shared_ptr<Files> files, const std::string& name,
                                                   SecureBytes passphrase, crypto::DerivationCost cost) {
  return std::make_unique<PassphraseHolder>(std::move(files), name, std::move(passphrase), cost);
}

}  // namespace cofferdam::keys
