#include "store/sqlite.h"

#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <unordered_map>

#include "base/file.h"
#include "base/random.h"
#include "base/text.h"

namespace cofferdam::store {
namespace {

constexpr int kBusyMilliseconds = 5000;
constexpr std::size_t kMaxStatements = 256;
// "Coff": marks the file as ours for those who look, file(1) among them.
constexpr std::int64_t kApplicationId = 0x436f6666;
// A whole check reads every page: worth it while that takes no time.
constexpr std::uintmax_t kCheckedBytes = 64U << 20;

struct CloseDatabase {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
};
struct FinalizeStatement {
  void operator()(sqlite3_stmt* statement) const { sqlite3_finalize(statement); }
};
using Handle = std::unique_ptr<sqlite3, CloseDatabase>;
using Statement = std::unique_ptr<sqlite3_stmt, FinalizeStatement>;

Code code_of(int extended) {
  switch (extended) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
      return Code::AlreadyExists;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
      return Code::FailedPrecondition;
    default:
      break;
  }
  switch (extended & 0xff) {
    case SQLITE_CONSTRAINT:
    case SQLITE_MISMATCH:
    case SQLITE_TOOBIG:
      return Code::InvalidArgument;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return Code::DataLoss;
    case SQLITE_FULL:
    case SQLITE_NOMEM:
      return Code::ResourceExhausted;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
      return Code::Unavailable;
    case SQLITE_PERM:
    case SQLITE_READONLY:
    case SQLITE_AUTH:
      return Code::PermissionDenied;
    default:
      return Code::Internal;
  }
}

std::string hint_of(Code code) {
  switch (code) {
    case Code::DataLoss:
      return "stop the daemon, keep the file for inspection, and put back a copy of it";
    case Code::ResourceExhausted:
      return "make room on the disk that holds it";
    case Code::Unavailable:
      return "find who holds it open, another daemon or the sqlite3 shell";
    default:
      return {};
  }
}

// Resets a statement after its use, so that it holds neither a lock nor the values that were bound.
class Use {
 public:
  explicit Use(sqlite3_stmt* statement) : statement_(statement) {}
  Use(const Use&) = delete;
  Use& operator=(const Use&) = delete;
  ~Use() {
    sqlite3_reset(statement_);
    sqlite3_clear_bindings(statement_);
  }

 private:
  sqlite3_stmt* statement_;
};

int bind(sqlite3_stmt* statement, int index, const Value& value) {
  if (const auto* integer = std::get_if<std::int64_t>(&value)) return sqlite3_bind_int64(statement, index, *integer);
  if (const auto* real = std::get_if<double>(&value)) return sqlite3_bind_double(statement, index, *real);
  // The values outlive the use of the statement: no copy.
  if (const auto* text = std::get_if<std::string>(&value)) {
    return sqlite3_bind_text64(statement, index, text->data(), text->size(), SQLITE_STATIC, SQLITE_UTF8);
  }
  if (const auto* blob = std::get_if<Blob>(&value)) {
    // A null pointer would bind NULL: an empty one has a place too.
    const void* bytes = blob->bytes.empty() ? "" : blob->bytes.data();
    return sqlite3_bind_blob64(statement, index, bytes, blob->bytes.size(), SQLITE_STATIC);
  }
  return sqlite3_bind_null(statement, index);
}

Value column(sqlite3_stmt* statement, int index) {
  const auto size = [&] { return static_cast<std::size_t>(sqlite3_column_bytes(statement, index)); };
  switch (sqlite3_column_type(statement, index)) {
    case SQLITE_INTEGER:
      return std::int64_t{sqlite3_column_int64(statement, index)};
    case SQLITE_FLOAT:
      return sqlite3_column_double(statement, index);
    case SQLITE_TEXT: {
      const auto* text = reinterpret_cast<const char*>(sqlite3_column_text(statement, index));
      return std::string(text, size());
    }
    case SQLITE_BLOB: {
      const auto* bytes = static_cast<const char*>(sqlite3_column_blob(statement, index));
      return Blob{bytes == nullptr ? std::string() : std::string(bytes, size())};
    }
    default:
      return std::monostate();
  }
}

class SqliteConnection final : public Connection {
 public:
  SqliteConnection(std::string path, Handle db) : path_(std::move(path)), db_(std::move(db)) {}

  Result<std::vector<Row>> query(std::string_view sql, const Values& values) override {
    TRY_ASSIGN(sqlite3_stmt * statement, prepare(sql, values));
    const Use use(statement);
    std::vector<Row> rows;
    for (;;) {
      const int step = sqlite3_step(statement);
      if (step == SQLITE_DONE) return rows;
      if (step != SQLITE_ROW) return failed();
      Values row;
      const int columns = sqlite3_column_count(statement);
      row.reserve(static_cast<std::size_t>(columns));
      for (int i = 0; i < columns; ++i) row.push_back(column(statement, i));
      rows.emplace_back(std::move(row));
    }
  }

  Result<std::int64_t> execute(std::string_view sql, const Values& values) override {
    TRY_ASSIGN(sqlite3_stmt * statement, prepare(sql, values));
    const Use use(statement);
    int step = sqlite3_step(statement);
    while (step == SQLITE_ROW) step = sqlite3_step(statement);
    if (step != SQLITE_DONE) return failed();
    return std::int64_t{sqlite3_changes64(db_.get())};
  }

  Status execute_script(std::string_view sql) override {
    statements_.clear();  // they were prepared for the tables as they were
    if (sqlite3_exec(db_.get(), std::string(sql).c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) return failed();
    return {};
  }

  Status begin(Durability durability) override {
    if (durability != durability_) {
      TRY(simple(durability == Durability::power_loss ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL"));
      durability_ = durability;
    }
    return simple("BEGIN IMMEDIATE");
  }
  Status commit() override { return simple("COMMIT"); }
  void roll_back() override {
    // SQLite has already rolled back by itself after some errors.
    if (sqlite3_get_autocommit(db_.get()) == 0) (void)simple("ROLLBACK");
  }

  Result<bool> has_table(std::string_view name) override {
    TRY_ASSIGN(const auto rows,
               query("SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = $1", {std::string(name)}));
    return rows.front().integer(0) > 0;
  }

  Status back_up(const std::string& path) override {
    const auto temporary = cat(path, ".tmp-", to_hex(random_bytes(6)));
    auto copied = copy_to(temporary, path);
    if (!copied) ::unlink(temporary.c_str());
    return copied;
  }

  Status checkpoint() override {
    int in_log = 0;
    int moved = 0;
    if (sqlite3_wal_checkpoint_v2(db_.get(), nullptr, SQLITE_CHECKPOINT_TRUNCATE, &in_log, &moved) != SQLITE_OK) {
      return failed();
    }
    return {};
  }

  [[nodiscard]] const std::string& name() const override { return path_; }

  Status simple(std::string_view sql) {
    TRY(execute(sql, {}));
    return {};
  }

 private:
  [[nodiscard]] tl::unexpected<Error> failed() const {
    const Code code = code_of(sqlite3_extended_errcode(db_.get()));
    return fail(code, cat("database '", path_, "': ", sqlite3_errmsg(db_.get())), hint_of(code));
  }

  Result<sqlite3_stmt*> prepare(std::string_view sql, const Values& values) {
    auto found = statements_.find(std::string(sql));
    if (found == statements_.end()) {
      sqlite3_stmt* made = nullptr;
      const char* tail = nullptr;
      const int done = sqlite3_prepare_v3(db_.get(), sql.data(), static_cast<int>(sql.size()),
                                          SQLITE_PREPARE_PERSISTENT, &made, &tail);
      Statement statement(made);
      if (done != SQLITE_OK) return failed();
      if (!statement || !trim({tail, sql.size() - static_cast<std::size_t>(tail - sql.data())}).empty()) {
        return fail(Code::Internal, "a query is one statement");
      }
      if (statements_.size() >= kMaxStatements) statements_.clear();
      found = statements_.emplace(std::string(sql), std::move(statement)).first;
    }
    sqlite3_stmt* statement = found->second.get();
    if (static_cast<std::size_t>(sqlite3_bind_parameter_count(statement)) != values.size()) {
      return fail(Code::Internal, cat("the statement \"", sql, "\" does not take ", values.size(), " values"));
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      const auto name = cat("$", i + 1);
      // SQLite numbers named parameters in the order it meets them: only the name says which is meant.
      const int index = sqlite3_bind_parameter_index(statement, name.c_str());
      if (index == 0) return fail(Code::Internal, cat("the statement \"", sql, "\" has no ", name));
      if (bind(statement, index, values[i]) != SQLITE_OK) return failed();
    }
    return statement;
  }

  Status copy_to(const std::string& temporary, const std::string& path) {
    {
      // Made here, empty, so that it is never readable by others.
      TRY(open_file(temporary, O_WRONLY | O_CREAT | O_EXCL, 0600));
      TRY(execute("VACUUM INTO $1", {temporary}));
      TRY_ASSIGN(const UniqueFd file, open_file(temporary, O_RDONLY));
      if (::fsync(file.get()) != 0) return fail_errno(cat("sync '", temporary, "'"));
    }
    if (std::rename(temporary.c_str(), path.c_str()) != 0) return fail_errno(cat("rename to '", path, "'"));
    const auto parent = std::filesystem::path(path).parent_path();
    TRY_ASSIGN(const UniqueFd folder, open_file(parent.empty() ? "." : parent.string(), O_RDONLY | O_DIRECTORY));
    if (::fsync(folder.get()) != 0) return fail_errno(cat("sync the folder of '", path, "'"));
    return {};
  }

  std::string path_;
  Handle db_;
  Durability durability_ = Durability::power_loss;         // as configure() leaves it
  std::unordered_map<std::string, Statement> statements_;  // gone before the handle
};

// Nothing here writes: a file that is refused is left as it was.
Status check_ours(SqliteConnection& connection, const Schema& schema) {
  TRY_ASSIGN(const auto id, connection.query("PRAGMA application_id", {}));
  TRY_ASSIGN(const auto tables, connection.query("SELECT count(*) FROM sqlite_schema", {}));
  if (id.front().integer(0) != kApplicationId && tables.front().integer(0) != 0) {
    return fail(Code::FailedPrecondition, cat("'", connection.name(), "' is the database of another program"),
                "move it away, or point --state somewhere else");
  }
  TRY(check_not_newer(connection, schema));
  std::error_code ec;
  if (std::filesystem::file_size(connection.name(), ec) > kCheckedBytes || ec) return {};
  TRY_ASSIGN(const auto found, connection.query("PRAGMA quick_check(1)", {}));
  if (found.empty() || found.front().text(0) == "ok") return {};
  return fail(Code::DataLoss, cat("database '", connection.name(), "' is damaged: ", found.front().text(0)),
              hint_of(Code::DataLoss));
}

Status configure(SqliteConnection& connection) {
  TRY_ASSIGN(const auto mode, connection.query("PRAGMA journal_mode = WAL", {}));
  if (mode.front().text(0) != "wal") {
    return fail(Code::FailedPrecondition, cat("the file system of '", connection.name(), "' takes no write-ahead log"),
                "keep the state on a local disk");
  }
  TRY(connection.simple(cat("PRAGMA application_id = ", kApplicationId)));
  return connection.execute_script(
      "PRAGMA synchronous = FULL; PRAGMA secure_delete = ON; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF; "
      "PRAGMA cell_size_check = ON; PRAGMA temp_store = MEMORY");
}

Result<Handle> open_plain(const std::string& path, int flags) {
  sqlite3* opened = nullptr;
  const int done = sqlite3_open_v2(path.c_str(), &opened, flags | SQLITE_OPEN_NOMUTEX, nullptr);
  Handle db(opened);
  if (done != SQLITE_OK) {
    return fail(code_of(done), cat("open database '", path, "': ", db ? sqlite3_errmsg(db.get()) : "out of memory"));
  }
  sqlite3_extended_result_codes(db.get(), 1);
  sqlite3_busy_timeout(db.get(), kBusyMilliseconds);
  return db;
}

}  // namespace

Status copy_sqlite(const std::string& from, const std::string& to) {
  TRY_ASSIGN(const UniqueFd file, open_file(to, O_WRONLY | O_CREAT | O_EXCL, 0600));
  {
    TRY_ASSIGN(const Handle source, open_plain(from, SQLITE_OPEN_READWRITE));
    TRY_ASSIGN(const Handle copy, open_plain(to, SQLITE_OPEN_READWRITE));
    sqlite3_backup* const backup = sqlite3_backup_init(copy.get(), "main", source.get(), "main");
    // In one step: all of it is of one moment, and in a write-ahead log nobody waits for who reads.
    if (backup != nullptr) sqlite3_backup_step(backup, -1);
    const int done = backup != nullptr ? sqlite3_backup_finish(backup) : sqlite3_extended_errcode(copy.get());
    if (done != SQLITE_OK) {
      const Code code = code_of(done);
      return fail(code, cat("copy the database '", from, "': ", sqlite3_errstr(done)), hint_of(code));
    }
  }
  if (::fsync(file.get()) != 0) return fail_errno(cat("sync '", to, "'"));
  return {};
}

Result<std::unique_ptr<Connection>> open_sqlite(const std::string& path, const Schema& schema) {
  {
    // SQLite gives its other files the mode of the first.
    TRY_ASSIGN(const UniqueFd file, open_file(path, O_RDWR | O_CREAT, 0600));
    if (::fchmod(file.get(), 0600) != 0) return fail_errno(cat("set the mode of '", path, "'"));
  }
  TRY_ASSIGN(Handle db, open_plain(path, SQLITE_OPEN_READWRITE));
  sqlite3_db_config(db.get(), SQLITE_DBCONFIG_DEFENSIVE, 1, nullptr);
  auto connection = std::make_unique<SqliteConnection>(path, std::move(db));
  TRY(check_ours(*connection, schema));
  TRY(configure(*connection));
  TRY(migrate(*connection, schema, cat(path, ".before-")));
  return connection;
}

}  // namespace cofferdam::store
