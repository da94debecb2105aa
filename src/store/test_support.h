// What the tests of this room share: a scratch folder, a small schema, a database in it.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <memory>
#include <string>

#include "base/file.h"
#include "store/database.h"

namespace cofferdam::store {

inline const Migration kBoxes{"boxes", 1,
                              "CREATE TABLE boxes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, content BLOB, "
                              "weight REAL CHECK (weight >= 0)) STRICT;"
                              "CREATE TABLE labels (box INTEGER NOT NULL REFERENCES boxes (id), text TEXT) STRICT"};

class StoreTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "coffer-store-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/cofferd.db";
  }
  void TearDown() override {
    database_.reset();
    (void)remove_tree(folder_);
  }

  void open(const Schema& schema = {kBoxes}) {
    database_.reset();
    auto opened = Database::open(path_, schema);
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
  }
  Result<std::vector<Row>> query(const std::string& sql, const Values& values = {}) {
    return database_->run_now([=](Connection& c) { return c.query(sql, values); });
  }
  Result<std::int64_t> execute(const std::string& sql, const Values& values = {}) {
    return database_->run_now([=](Connection& c) { return c.execute(sql, values); });
  }

  std::string folder_, path_;
  std::unique_ptr<Database> database_;
};

}  // namespace cofferdam::store
