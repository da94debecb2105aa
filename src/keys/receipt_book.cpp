#include "keys/receipt_book.h"

#include <algorithm>
#include <utility>

#include "base/file.h"
#include "base/id.h"
#include "base/text.h"
#include "crypto/signature.h"

namespace cofferdam::keys {
namespace {

using store::Connection;
using Clock = std::chrono::system_clock;

constexpr std::size_t kMaxList = 1000;
constexpr unsigned kPublic = 0644;

KeyName receipt_key() { return {"cofferdam", "receipt"}; }

std::int64_t to_unix_ms(Clock::time_point time) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(time.time_since_epoch()).count();
}

Receipt receipt_of(const store::Row& row) {
  return {row.text(0), row.text(1), row.text(2), Clock::time_point(std::chrono::milliseconds(row.integer(3))),
          row.text(4)};
}

Result<Key> load_or_make_key(KeyStore& keys) {
  auto kept = keys.get(receipt_key());
  if (kept || kept.error().code != Code::NotFound) return kept;
  Key fresh = make_key(crypto::kSigningKeyBytes);
  TRY(keys.keep(receipt_key(), fresh));
  return fresh;
}

}  // namespace

ReceiptBook::ReceiptBook(store::Database& database, SecureBytes key, std::string pem, std::string hex)
    : database_(database), key_(std::move(key)), public_key_pem_(std::move(pem)), public_key_hex_(std::move(hex)) {}

Result<std::unique_ptr<ReceiptBook>> ReceiptBook::open(store::Database& database, KeyStore& keys,
                                                       const std::string& public_key_file) {
  auto key = load_or_make_key(keys);
  if (key && key->bytes.size() != crypto::kSigningKeyBytes) key = fail(Code::DataLoss, "it has another size");
  if (!key) return fail(std::move(key.error()).in("the key that receipts are signed with"));
  const auto raw = crypto::public_key_of(key->bytes);
  auto pem = crypto::public_key_to_pem(raw);
  const auto there = read_file(public_key_file, pem.size());
  if (!there || *there != pem) TRY(write_file_atomically(public_key_file, pem, kPublic));
  return std::unique_ptr<ReceiptBook>(new ReceiptBook(database, std::move(key->bytes), std::move(pem), to_hex(raw)));
}

loop::Task<Receipt> ReceiptBook::issue(ErasureFacts facts) {
  Receipt receipt = make_receipt(facts, key_, Clock::now());
  auto work = [receipt](Connection& c) -> Status {
    TRY(c.execute(
        "INSERT INTO receipts (id, workspace_id, namespace_id, issued_at, body) VALUES ($1, $2, $3, $4, $5)",
        {receipt.id, receipt.workspace_id, receipt.namespace_id, to_unix_ms(receipt.issued_at), receipt.text}));
    return {};
  };
  CO_TRY(co_await database_.run(std::move(work)));
  co_return receipt;
}

loop::Task<Receipt> ReceiptBook::get(std::string id) {
  auto work = [id = std::move(id)](Connection& c) -> Result<Receipt> {
    if (!is_id(id, "rcp")) return fail(Code::NotFound, "there is no such receipt");
    TRY_ASSIGN(const auto rows,
               c.query("SELECT id, workspace_id, namespace_id, issued_at, body FROM receipts WHERE id = $1", {id}));
    if (rows.empty()) return fail(Code::NotFound, cat("there is no receipt ", id));
    return receipt_of(rows.front());
  };
  co_return co_await database_.run(std::move(work));
}

// Ids sort by their time.
loop::Task<std::vector<Receipt>> ReceiptBook::list(ReceiptFilter filter) {
  auto work = [filter = std::move(filter)](Connection& c) -> Result<std::vector<Receipt>> {
    const auto most = static_cast<std::int64_t>(std::clamp<std::size_t>(filter.limit, 1, kMaxList));
    TRY_ASSIGN(const auto rows, c.query("SELECT id, workspace_id, namespace_id, issued_at, body FROM receipts "
                                        "WHERE ($1 IS NULL OR workspace_id = $1) AND ($2 IS NULL OR namespace_id = $2) "
                                        "AND ($3 IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
                                        {store::nullable(filter.workspace_id), store::nullable(filter.namespace_id),
                                         store::nullable(filter.before), most}));
    std::vector<Receipt> found;
    for (const auto& row : rows) found.push_back(receipt_of(row));
    return found;
  };
  co_return co_await database_.run(std::move(work));
}

}  // namespace cofferdam::keys
