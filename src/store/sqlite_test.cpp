#include "store/sqlite.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <thread>

#include "base/text.h"
#include "store/test_support.h"

namespace cofferdam::store {
namespace {

unsigned mode_of(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

// Both outlive the task. Tells which threads the work ran on.
loop::Task<void> add_three_boxes(Database& database, std::vector<std::thread::id>& threads) {
  const auto here = std::this_thread::get_id();
  for (int i = 0; i < 3; ++i) {
    auto work = [i](Connection& c) -> Result<std::thread::id> {
      TRY(c.execute("INSERT INTO boxes (name) VALUES ($1)", {cat("box ", i)}));
      return std::this_thread::get_id();
    };
    CO_TRY_ASSIGN(const auto there, co_await database.run(std::move(work)));
    threads.push_back(there);
  }
  EXPECT_EQ(std::this_thread::get_id(), here);
  co_return co_await database.checkpoint();
}

using SqliteTest = StoreTest;

TEST_F(SqliteTest, values_of_every_type_come_back) {
  open();
  const std::string bytes("\0\xff\x01", 3);
  ASSERT_TRUE(execute("INSERT INTO boxes (name, content, weight) VALUES ($1, $2, $3)", {"a'; --", Blob{bytes}, 1.5}));
  ASSERT_TRUE(execute("INSERT INTO boxes (name, content) VALUES ($1, $2)", {"", Blob{}}));
  const auto rows = query("SELECT id, name, content, weight FROM boxes ORDER BY id").value();
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].integer(0), 1);
  EXPECT_EQ(rows[0].text(1), "a'; --");
  EXPECT_EQ(rows[0].blob(2), bytes);
  EXPECT_EQ(rows[0].real(3), 1.5);
  EXPECT_EQ(rows[1].find_text(1), "");
  EXPECT_EQ(rows[1].blob(2), "");
  EXPECT_TRUE(rows[1].is_null(3));
  EXPECT_EQ(rows[1].find_integer(3), std::nullopt);
}

TEST_F(SqliteTest, values_are_bound_by_their_name_not_by_their_place) {
  open();
  const auto rows = query("SELECT $2, $1, $2", {"one", "two"}).value();
  EXPECT_EQ(rows[0].text(0), "two");
  EXPECT_EQ(rows[0].text(1), "one");
  EXPECT_EQ(rows[0].text(2), "two");
}

TEST_F(SqliteTest, missing_and_surplus_values_are_refused) {
  open();
  EXPECT_EQ(query("SELECT $1", {}).error().code, Code::Internal);
  EXPECT_EQ(query("SELECT $1", {"a", "b"}).error().code, Code::Internal);
  EXPECT_EQ(query("SELECT $2", {"a"}).error().code, Code::Internal);
  EXPECT_EQ(query("SELECT 1; SELECT 2").error().code, Code::Internal);
}

TEST_F(SqliteTest, broken_rules_have_their_code_and_repeat_no_value) {
  open();
  ASSERT_TRUE(execute("INSERT INTO boxes (name) VALUES ($1)", {"hunter2"}));
  const auto twice = execute("INSERT INTO boxes (name) VALUES ($1)", {"hunter2"}).error();
  EXPECT_EQ(twice.code, Code::AlreadyExists);
  EXPECT_NE(twice.message.find("boxes.name"), std::string::npos);
  EXPECT_EQ(twice.message.find("hunter2"), std::string::npos);
  EXPECT_EQ(execute("INSERT INTO labels VALUES (99, 'x')").error().code, Code::FailedPrecondition);
  EXPECT_EQ(execute("INSERT INTO boxes (name, weight) VALUES ('b', -1.0)").error().code, Code::InvalidArgument);
  EXPECT_EQ(execute("INSERT INTO boxes (id, name) VALUES ('no number', 'b')").error().code, Code::InvalidArgument);
}

TEST_F(SqliteTest, a_copy_is_of_one_moment_and_beside_whoever_writes) {
  open();
  ASSERT_TRUE(execute("INSERT INTO boxes (id, name) VALUES (1, 'one')"));
  const std::string copy = folder_ + "/copy.db";
  const auto in_the_midst = database_->run_now([&](Connection& c) -> Status {
    TRY(c.execute("INSERT INTO boxes (id, name) VALUES (2, 'two')"));
    return copy_sqlite(path_, copy);  // what is not committed is not in it, and nobody waits
  });
  ASSERT_TRUE(in_the_midst) << in_the_midst.error().message;
  ASSERT_TRUE(execute("INSERT INTO boxes (id, name) VALUES (3, 'three')"));
  EXPECT_EQ(mode_of(copy), 0600U);
  const auto original = path_;
  path_ = copy;
  open();
  EXPECT_EQ(query("SELECT count(*) FROM boxes")->front().integer(0), 1);
  // Nothing is written over, and what is no database is named.
  EXPECT_EQ(copy_sqlite(original, copy).error().code, Code::AlreadyExists);
  ASSERT_TRUE(write_file_atomically(folder_ + "/text", std::string(8192, 'x')));
  EXPECT_EQ(copy_sqlite(folder_ + "/text", folder_ + "/third.db").error().code, Code::DataLoss);
}

TEST_F(SqliteTest, an_error_undoes_the_whole_transaction) {
  open();
  auto work = [](Connection& c) -> Status {
    TRY(c.execute("INSERT INTO boxes (name) VALUES ('a')"));
    return fail(Code::Aborted, "changed my mind");
  };
  EXPECT_EQ(database_->run_now(work).error().code, Code::Aborted);
  EXPECT_EQ(query("SELECT count(*) FROM boxes")->front().integer(0), 0);
}

TEST_F(SqliteTest, an_exception_undoes_the_whole_transaction_and_the_next_one_works) {
  open();
  auto work = [](Connection& c) -> Status {
    TRY(c.execute("INSERT INTO boxes (name) VALUES ('a')"));
    throw std::runtime_error("a bug");
  };
  EXPECT_THROW((void)database_->run_now(work), std::runtime_error);
  EXPECT_EQ(query("SELECT count(*) FROM boxes")->front().integer(0), 0);
}

TEST_F(SqliteTest, work_runs_on_one_thread_of_its_own_and_answers_on_the_loop) {
  open();
  loop::asio::io_context io;
  std::vector<std::thread::id> threads;
  std::optional<Status> ended;
  loop::asio::co_spawn(io, add_three_boxes(*database_, threads),
                       [&](const std::exception_ptr&, Status status) { ended = std::move(status); });
  io.run();
  ASSERT_TRUE(ended && *ended);
  ASSERT_EQ(threads.size(), 3U);
  EXPECT_NE(threads[0], std::this_thread::get_id());
  EXPECT_EQ(threads[0], threads[2]);
}

TEST_F(SqliteTest, settings_are_the_durable_and_strict_ones) {
  open();
  const auto setting = [&](const std::string& name) {
    const auto rows = query("PRAGMA " + name).value();
    return rows.front().integer(0);
  };
  EXPECT_EQ(query("PRAGMA journal_mode")->front().text(0), "wal");
  EXPECT_EQ(setting("synchronous"), 2);
  EXPECT_EQ(setting("secure_delete"), 1);
  EXPECT_EQ(setting("foreign_keys"), 1);
  EXPECT_EQ(setting("busy_timeout"), 5000);
}

TEST_F(SqliteTest, a_commit_that_need_not_wait_for_the_disk_is_the_exception) {
  open();
  std::int64_t seen = 0;
  auto look = [&seen](Connection& connection) -> Status {
    TRY(connection.execute("INSERT INTO boxes (name) VALUES ($1)", {cat("box ", seen)}));
    TRY_ASSIGN(const auto rows, connection.query("PRAGMA synchronous"));
    seen = rows.front().integer(0);
    return {};
  };
  ASSERT_TRUE(database_->run_now(look));
  EXPECT_EQ(seen, 2);
  loop::asio::io_context io;
  std::optional<Status> ended;
  loop::asio::co_spawn(io, database_->run(look, Durability::process_death),
                       [&](const std::exception_ptr&, Status status) { ended = std::move(status); });
  io.run();
  ASSERT_TRUE(ended && *ended);
  EXPECT_EQ(seen, 1);
  ASSERT_TRUE(database_->run_now([&](Connection& connection) -> Status {
    TRY_ASSIGN(const auto rows, connection.query("PRAGMA synchronous"));
    seen = rows.front().integer(0);
    return {};
  }));
  EXPECT_EQ(seen, 2);
}

TEST_F(SqliteTest, files_are_readable_by_their_owner_alone) {
  ASSERT_TRUE(write_file_atomically(path_, "", 0644));
  open();
  ASSERT_TRUE(execute("INSERT INTO boxes (name) VALUES ('a')"));
  EXPECT_EQ(mode_of(path_), 0600U);
  EXPECT_EQ(mode_of(path_ + "-wal"), 0600U);
  EXPECT_EQ(mode_of(path_ + "-shm"), 0600U);
}

TEST_F(SqliteTest, what_was_deleted_is_in_no_file_after_a_checkpoint) {
  open();
  const std::string secret(2000, 'S');
  ASSERT_TRUE(execute("INSERT INTO boxes (name) VALUES ($1)", {secret}));
  const auto found = [&] {
    std::string all;
    const auto names = list_directory(folder_).value();
    for (const auto& name : names) all += read_file(folder_ + "/" + name, 1 << 24).value();
    return all.find(std::string(50, 'S')) != std::string::npos;
  };
  EXPECT_TRUE(found());
  ASSERT_TRUE(execute("DELETE FROM boxes"));
  loop::asio::io_context io;
  std::optional<Status> ended;
  loop::asio::co_spawn(io, database_->checkpoint(),
                       [&](const std::exception_ptr&, Status status) { ended = std::move(status); });
  io.run();
  ASSERT_TRUE(ended && *ended);
  EXPECT_FALSE(found());
}

TEST_F(SqliteTest, a_file_of_something_else_is_data_loss_by_name_and_unharmed) {
  const std::string content(8192, 'x');
  ASSERT_TRUE(write_file_atomically(path_, content));
  const auto error = Database::open(path_, {kBoxes}).error();
  EXPECT_EQ(error.code, Code::DataLoss);
  EXPECT_NE(error.message.find(path_), std::string::npos);
  EXPECT_FALSE(error.hint.empty());
  EXPECT_EQ(read_file(path_, 1 << 20).value(), content);
}

TEST_F(SqliteTest, a_damaged_page_is_data_loss_by_name) {
  open();
  for (int i = 0; i < 200; ++i)
    ASSERT_TRUE(execute("INSERT INTO boxes (name) VALUES ($1)", {cat(i, std::string(200, '.'))}));
  database_.reset();
  {
    const auto file = open_file(path_, O_RDWR).value();
    const std::string garbage(3000, '\x5a');
    for (const off_t page : {2, 3, 4, 5})
      ASSERT_EQ(::pwrite(file.get(), garbage.data(), garbage.size(), page * 4096), 3000);
  }
  const auto error = Database::open(path_, {kBoxes}).error();
  EXPECT_EQ(error.code, Code::DataLoss);
  EXPECT_NE(error.message.find(path_), std::string::npos);
}

TEST_F(SqliteTest, another_programs_database_is_refused) {
  open({Migration{"boxes", 1, "CREATE TABLE theirs (a) "}});
  ASSERT_TRUE(execute("PRAGMA application_id = 7"));
  database_.reset();
  const auto error = Database::open(path_, {kBoxes}).error();
  EXPECT_EQ(error.code, Code::FailedPrecondition);
  EXPECT_NE(error.message.find("another program"), std::string::npos);
}

TEST_F(SqliteTest, a_folder_that_is_not_there_is_not_found) {
  EXPECT_EQ(Database::open(folder_ + "/none/cofferd.db", {kBoxes}).error().code, Code::NotFound);
}

}  // namespace
}  // namespace cofferdam::store
