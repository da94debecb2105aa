// All of `work`, or nothing of it.
#pragma once
#include <type_traits>

#include "store/connection.h"

namespace cofferdam::store {

// Rolled back at the end of its life unless commit() was called.
class Transaction {
 public:
  static Result<Transaction> begin(Connection& connection, Durability durability = Durability::power_loss) {
    TRY(connection.begin(durability));
    return Transaction(connection);
  }
  Transaction(Transaction&& other) noexcept : connection_(std::exchange(other.connection_, nullptr)) {}
  Transaction(const Transaction&) = delete;
  Transaction& operator=(const Transaction&) = delete;
  ~Transaction() {
    if (connection_ != nullptr) connection_->roll_back();
  }
  Status commit() {
    auto done = connection_->commit();
    if (done) connection_ = nullptr;
    return done;
  }

 private:
  explicit Transaction(Connection& connection) : connection_(&connection) {}
  Connection* connection_;
};

// Runs `work` (takes a Connection&, answers a Result) in a transaction: kept when it answers a value, undone when it
// answers an error or throws.
template <class Work>
std::invoke_result_t<Work&, Connection&> in_transaction(Connection& connection, Work& work,
                                                        Durability durability = Durability::power_loss) {
  TRY_ASSIGN(auto transaction, Transaction::begin(connection, durability));
  auto answer = work(connection);
  if (answer) TRY(transaction.commit());
  return answer;
}

}  // namespace cofferdam::store
