// SQLite: one file, a write-ahead log beside it, both readable by their owner alone.
#pragma once
#include <memory>
#include <string>

#include "store/connection.h"
#include "store/migration.h"

namespace cofferdam::store {

// Opens the file, or makes it (0600), and brings its tables to `schema` (see migrate(); the copy lies beside the file).
// Every commit is on the disk when it answers; what is deleted is overwritten with zeros.
// DataLoss: the file is damaged or no database. FailedPrecondition: of another program, or of a newer cofferdam; it is
// then left as it was.
Result<std::unique_ptr<Connection>> open_sqlite(const std::string& path, const Schema& schema);

// A copy of the database at `from` as it is at one moment, made by SQLite's backup API beside whoever writes to it: at
// `to`, a new file (0600), on stable storage. No table is looked at or changed.
Status copy_sqlite(const std::string& from, const std::string& to);

}  // namespace cofferdam::store
