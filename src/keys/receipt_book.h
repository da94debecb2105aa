// The receipts this host has issued, in its database, and the key it signs them with.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "keys/key_store.h"
#include "keys/receipt.h"
#include "loop/task.h"
#include "store/database.h"

namespace cofferdam::keys {

struct ReceiptFilter {
  std::optional<std::string> workspace_id = std::nullopt, namespace_id = std::nullopt;
  std::optional<std::string> before = std::nullopt;  // older than this receipt's id
  std::size_t limit = 100;                           // 1 to 1000
};

// Tables: schema.h. Receipts are kept when the workspace is gone: that is what they are for.
class ReceiptBook {
 public:
  // The signing key is a key of the store ("cofferdam", "receipt"), made at the first start; its public half is written
  // to `public_key_file` (PEM, 0644). Blocks. `database` outlives this.
  static Result<std::unique_ptr<ReceiptBook>> open(store::Database& database, KeyStore& keys,
                                                   const std::string& public_key_file);

  // Signs and keeps; durable when it returns.
  loop::Task<Receipt> issue(ErasureFacts facts);
  loop::Task<Receipt> get(std::string id);                      // NotFound
  loop::Task<std::vector<Receipt>> list(ReceiptFilter filter);  // newest first

  [[nodiscard]] const std::string& public_key_pem() const { return public_key_pem_; }
  [[nodiscard]] const std::string& public_key_hex() const { return public_key_hex_; }

 private:
  ReceiptBook(store::Database& database, SecureBytes key, std::string pem, std::string hex);
  store::Database& database_;
  SecureBytes key_;
  std::string public_key_pem_, public_key_hex_;
};

}  // namespace cofferdam::keys
