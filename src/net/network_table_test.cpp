#include "net/network_table.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <optional>

#include "base/file.h"
#include "crypto/random.h"
#include "net/schema.h"
#include "store/database.h"

namespace cofferdam::net {
namespace {

// The tables that this room's refer to belong to a room above it.
constexpr std::array<store::Migration, 1> kWorkspaces{
    {{"workspace", 1,
      "CREATE TABLE workspaces (id TEXT PRIMARY KEY) STRICT; INSERT INTO workspaces VALUES ('ws_a'), ('ws_b');"}}};

class NetworkTableTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "coffer-net-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    const auto schema = store::join({std::span<const store::Migration>(kWorkspaces), migrations()});
    database_ = store::Database::open(folder_ + "/x.db", schema).value();
  }
  void TearDown() override {
    database_.reset();
    (void)remove_tree(folder_);
  }
  [[nodiscard]] NetworkTable table() const { return {*database_, key_.clone()}; }

  Status run(Task<void> task) {
    std::optional<Status> answer;
    loop::asio::co_spawn(io_, std::move(task), [&](const std::exception_ptr& thrown, Status result) {
      if (thrown) std::rethrow_exception(thrown);
      answer.emplace(std::move(result));
    });
    io_.restart();
    io_.run();
    return std::move(answer).value();
  }
  Status write(NetworkRow row) {
    const auto rows = table();
    return run(rows.write(std::move(row)));
  }
  Status execute(std::string sql) {
    return database_->run_now([sql = std::move(sql)](store::Connection& connection) -> Status {
      TRY(connection.execute(sql, {}));
      return {};
    });
  }

  static NetworkRow row_with_proxy() {
    NetworkRow row;
    row.workspace = "ws_a";
    row.egress.entries = {"pypi.org"};
    row.proxy =
        make_proxy({}, "proxy.example", 3128, gate::ProxyTarget::name, SecureBytes::copy_of("me:in-no-file")).value();
    return row;
  }

  std::string folder_;
  SecureBytes key_ = crypto::random_secret(32), other_key_ = crypto::random_secret(32);
  loop::asio::io_context io_;
  std::unique_ptr<store::Database> database_;
};

TEST_F(NetworkTableTest, a_proxy_is_read_as_it_was_written_and_goes_when_it_is_taken_away) {
  auto row = row_with_proxy();
  const auto proxy = row.proxy;
  ASSERT_TRUE(write(row));
  EXPECT_EQ(table().load()->networks.at(0).proxy, proxy);
  row.proxy->login.reset();
  ASSERT_TRUE(write(row));
  EXPECT_EQ(table().load()->networks.at(0).proxy, row.proxy);
  row.proxy.reset();
  ASSERT_TRUE(write(row));
  EXPECT_EQ(table().load()->networks.at(0).proxy, std::nullopt);
  EXPECT_EQ(table().load()->networks.at(0).egress, row.egress);
}

TEST_F(NetworkTableTest, the_login_is_in_no_file) {
  ASSERT_TRUE(write(row_with_proxy()));
  std::string all;
  const auto files = list_directory(folder_).value();
  for (const auto& name : files) all += read_file(folder_ + "/" + name, 1U << 26).value_or("");
  EXPECT_NE(all.find("proxy.example"), std::string::npos);
  EXPECT_EQ(all.find("in-no-file"), std::string::npos);
}

TEST_F(NetworkTableTest, a_login_that_was_moved_or_sealed_under_another_key_is_unreadable_and_kept) {
  ASSERT_TRUE(write(row_with_proxy()));
  ASSERT_TRUE(execute("UPDATE networks SET workspace_id = 'ws_b'"));
  EXPECT_EQ(table().load()->networks.at(0).proxy->state, Proxy::Login::unreadable);
  ASSERT_TRUE(execute("UPDATE networks SET workspace_id = 'ws_a', proxy_host = 'elsewhere.example'"));
  EXPECT_EQ(table().load()->networks.at(0).proxy->state, Proxy::Login::unreadable);
  ASSERT_TRUE(execute("UPDATE networks SET proxy_host = 'proxy.example'"));
  std::swap(key_, other_key_);
  auto row = std::move(table().load()->networks.at(0));
  EXPECT_EQ(row.proxy->state, Proxy::Login::unreadable);
  EXPECT_EQ(row.proxy->login, nullptr);
  row.egress.entries = {"npmjs.org"};
  ASSERT_TRUE(write(std::move(row)));
  std::swap(key_, other_key_);
  const auto again = table().load()->networks.at(0);
  EXPECT_EQ(again.proxy, row_with_proxy().proxy);
  EXPECT_EQ(again.egress.entries.at(0), "npmjs.org");
}

TEST_F(NetworkTableTest, without_a_key_no_login_is_taken) {
  key_ = SecureBytes();
  EXPECT_EQ(write(row_with_proxy()).error().code, Code::FailedPrecondition);
  auto open = row_with_proxy();
  open.proxy->login.reset();
  EXPECT_TRUE(write(std::move(open)));
}

}  // namespace
}  // namespace cofferdam::net
