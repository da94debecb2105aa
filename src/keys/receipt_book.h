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

// Tables: schema.h. Receipts are kept when the workspace is gone: that is what they are for.
class ReceiptBook {
 public:
  // The signing key is a key of the store ("cofferdam", "receipt"), made at the first start; its public half is written
  // to `public_key_file` (PEM, 0644). Blocks. `database` outlives this.
  static Result<std::unique_ptr<ReceiptBook>> open(store::Database& database, KeyStore& keys,
                                                   const std::string& public_key_file);

  // Signs and keeps; durable when it returns.
  loop::Task<Receipt> issue(ErasureFacts facts);
  loop::Task<Receipt> get(std::string id);  // NotFound
  // Newest first, at most `limit` (1 to 1000) of those older than the id `before`; of one workspace, or of all.
  loop::Task<std::vector<Receipt>> list(std::optional<std::string> workspace_id, std::size_t limit,
                                        std::optional<std::string> before);

  [[nodiscard]] const std::string& public_key_pem() const { return public_key_pem_; }
  [[nodiscard]] const std::string& public_key_hex() const { return public_key_hex_; }

 private:
  ReceiptBook(store::Database& database, SecureBytes key, std::string pem, std::string hex);
  store::Database& database_;
  SecureBytes key_;
  std::string public_key_pem_, public_key_hex_;
};

}  // namespace cofferdam::keys
