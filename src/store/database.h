// The database as rooms see it: every piece of work runs in a transaction of its own, one after the other, on one
// thread that nothing else uses.
#pragma once
#include <memory>
#include <utility>

#include "loop/worker_pool.h"
#include "store/connection.h"
#include "store/sqlite.h"
#include "store/transaction.h"

namespace cofferdam::store {

class Database {
 public:
  explicit Database(std::unique_ptr<Connection> connection) : connection_(std::move(connection)) {}

  // See open_sqlite(). Blocks.
  static Result<std::unique_ptr<Database>> open(const std::string& path, const Schema& schema) {
    TRY_ASSIGN(auto connection, open_sqlite(path, schema));
    return std::make_unique<Database>(std::move(connection));
  }

  // `work` takes a Connection& and answers a Result: a value keeps what it did, an error undoes it. It runs elsewhere,
  // so it owns what it touches. Once begun it runs to its end, whatever becomes of the caller.
  template <class Work>
  auto run(Work work, Durability durability = Durability::power_loss) {
    return worker_.run([this, durability, work = std::move(work)]() mutable {
      return in_transaction(*connection_, work, durability);
    });
  }
  // The same for start-up and tests: blocks.
  template <class Work>
  auto run_now(Work work) {
    return worker_.run_and_wait(
        [this, work = std::move(work)]() mutable { return in_transaction(*connection_, work); });
  }
  // See Connection::checkpoint().
  loop::Task<void> checkpoint() {
    return worker_.run([this]() -> Status { return connection_->checkpoint(); });
  }

 private:
  std::unique_ptr<Connection> connection_;  // outlives the thread that uses it
  loop::WorkerPool worker_{1};
};

}  // namespace cofferdam::store
