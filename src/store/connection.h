// One connection to a database, whichever it is. Statements are prepared once and kept by their text, so the text is a
// constant of the program and every value is bound: `$1` is the first of `values`, `$2` the second.
//
// Errors of every call: AlreadyExists (a UNIQUE rule), FailedPrecondition (a FOREIGN KEY), InvalidArgument (any other
// rule of a table), DataLoss (the file is damaged), ResourceExhausted (the disk is full), Unavailable (another program
// holds the lock), Internal. No message repeats a value.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/value.h"

namespace cofferdam::store {

// What a commit survives.
enum class Durability {
  power_loss,     // the host's power: it waits for the disk
  process_death,  // the program's end. A later commit that waits for the disk takes it along
};

class Connection {
 public:
  Connection() = default;
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  virtual ~Connection() = default;

  // All rows of the answer: the statement bounds them with LIMIT where the table is not small.
  virtual Result<std::vector<Row>> query(std::string_view sql, const Values& values = {}) = 0;
  // How many rows were added, changed or removed.
  virtual Result<std::int64_t> execute(std::string_view sql, const Values& values = {}) = 0;
  // Several statements without values, for migrations.
  virtual Status execute_script(std::string_view sql) = 0;

  // begin() takes the write lock at once, so that a transaction never fails half-way for want of it.
  virtual Status begin(Durability durability) = 0;
  virtual Status commit() = 0;
  // After a failed commit too; nothing to roll back is fine.
  virtual void roll_back() = 0;

  virtual Result<bool> has_table(std::string_view name) = 0;
  // A whole copy of the database at `path`, which appears complete or not at all and replaces what was there.
  virtual Status back_up(const std::string& path) = 0;
  // Everything committed is in its final place afterwards, and what was deleted in none.
  virtual Status checkpoint() = 0;
  // For messages.
  [[nodiscard]] virtual const std::string& name() const = 0;
};

}  // namespace cofferdam::store
