#include "store/migration.h"

#include "store/test_support.h"

namespace cofferdam::store {
namespace {

const Migration kLids{"boxes", 2, "ALTER TABLE boxes ADD COLUMN lid TEXT"};
const Migration kShelves{"shelves", 1, "CREATE TABLE shelves (id INTEGER PRIMARY KEY) STRICT"};

using MigrationTest = StoreTest;

TEST_F(MigrationTest, a_new_database_gets_every_step_and_needs_no_copy) {
  open({kBoxes, kLids, kShelves});
  EXPECT_TRUE(query("SELECT lid FROM boxes"));
  EXPECT_TRUE(query("SELECT id FROM shelves"));
  EXPECT_FALSE(path_exists(path_ + ".before-3"));
}

TEST_F(MigrationTest, the_same_schema_again_changes_nothing) {
  open();
  ASSERT_TRUE(execute("INSERT INTO boxes (name) VALUES ('a')"));
  open();
  EXPECT_EQ(query("SELECT count(*) FROM boxes")->front().integer(0), 1);
  EXPECT_FALSE(path_exists(path_ + ".before-1"));
}

TEST_F(MigrationTest, missing_steps_run_once_and_the_old_database_is_kept) {
  open();
  ASSERT_TRUE(execute("INSERT INTO boxes (name) VALUES ('a')"));
  open({kBoxes, kLids, kShelves});
  EXPECT_EQ(query("SELECT name FROM boxes WHERE lid IS NULL")->size(), 1U);
  const auto backup = path_ + ".before-3";
  ASSERT_TRUE(path_exists(backup));
  open({kBoxes, kLids, kShelves});

  // The copy is a database of the old program, whole.
  path_ = backup;
  open({kBoxes});
  EXPECT_EQ(query("SELECT name FROM boxes")->front().text(0), "a");
  EXPECT_FALSE(query("SELECT lid FROM boxes"));
  const auto names = list_directory(folder_).value();
  for (const auto& name : names) EXPECT_EQ(name.find(".tmp-"), std::string::npos) << name;
}

TEST_F(MigrationTest, an_older_copy_of_the_same_version_is_replaced) {
  open();
  ASSERT_TRUE(execute("INSERT INTO boxes (name) VALUES ('a')"));
  ASSERT_TRUE(write_file_atomically(path_ + ".before-2", "left by an attempt that failed"));
  open({kBoxes, kLids});
  path_ += ".before-2";
  open({kBoxes});
  EXPECT_EQ(query("SELECT name FROM boxes")->front().text(0), "a");
}

TEST_F(MigrationTest, a_step_that_fails_leaves_the_old_version_and_is_named) {
  open();
  ASSERT_TRUE(execute("INSERT INTO boxes (name) VALUES ('a')"));
  database_.reset();
  const Migration broken{"boxes", 3, "CREATE TABLE more (a INTEGER) STRICT; SELECT * FROM nowhere"};
  const auto error = Database::open(path_, {kBoxes, kLids, broken}).error();
  EXPECT_NE(error.message.find("step 3 of the tables of boxes"), std::string::npos) << error.message;
  open({kBoxes});
  EXPECT_EQ(query("SELECT name FROM boxes")->front().text(0), "a");
  EXPECT_FALSE(query("SELECT lid FROM boxes"));
}

TEST_F(MigrationTest, a_newer_database_is_refused_by_name_and_unharmed) {
  open({kBoxes, kLids, kShelves});
  database_.reset();
  const auto before = read_file(path_, 1 << 24).value();
  const auto names = list_directory(folder_).value();

  const auto version = Database::open(path_, {kBoxes, kShelves}).error();
  EXPECT_EQ(version.code, Code::FailedPrecondition);
  EXPECT_NE(version.message.find("tables of boxes are at version 2, this program knows 1"), std::string::npos)
      << version.message;
  const auto room = Database::open(path_, {kBoxes, kLids}).error();
  EXPECT_EQ(room.code, Code::FailedPrecondition);
  EXPECT_NE(room.message.find("shelves"), std::string::npos);

  EXPECT_EQ(read_file(path_, 1 << 24).value(), before);
  EXPECT_EQ(list_directory(folder_).value(), names);
}

TEST_F(MigrationTest, a_gap_between_versions_is_a_named_mistake) {
  const auto error = Database::open(path_, {kBoxes, Migration{"boxes", 3, "SELECT 1"}}).error();
  EXPECT_EQ(error.code, Code::Internal);
  EXPECT_NE(error.message.find("no step 2"), std::string::npos);
}

TEST_F(MigrationTest, the_steps_of_rooms_are_joined_in_order) {
  const Migration one[] = {kBoxes, kLids};
  const Migration two[] = {kShelves};
  const auto schema = join({one, two});
  ASSERT_EQ(schema.size(), 3U);
  EXPECT_EQ(schema[2].room, "shelves");
}

}  // namespace
}  // namespace cofferdam::store
