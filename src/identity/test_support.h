// What the tests of this room share: a scratch state folder with a database, a clock that is moved by hand, a loop.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "base/file.h"
#include "base/id.h"
#include "crypto/random.h"
#include "identity/clock.h"
#include "identity/principal.h"
#include "identity/schema.h"
#include "loop/run.h"
#include "loop/task.h"
#include "store/database.h"

namespace cofferdam::identity {

using namespace std::chrono_literals;

class IdentityTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "coffer-id-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    state_ = pattern;
    open_database();
  }
  void TearDown() override {
    database_.reset();
    (void)remove_tree(state_);
  }

  void open_database() {
    database_.reset();
    auto opened = store::Database::open(state_ + "/cofferd.db", store::join({migrations()}));
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
  }

  template <class T>
  Result<T> run(loop::Task<T> task) {
    return loop::run_on(io_, std::move(task));
  }
  // Everything that a stranger with the disk would see.
  std::string all_bytes() {
    std::string all;
    const auto names = list_directory(state_).value();
    for (const auto& name : names) {
      if (const auto bytes = read_file(state_ + "/" + name, 1U << 26)) all += *bytes;
    }
    return all;
  }

  Clock clock() {
    return {[this] { return now_; }, [this] { return std::chrono::steady_clock::time_point(now_.time_since_epoch()); }};
  }
  NamespaceOf namespace_of() {
    return [this](std::string_view workspace) -> std::optional<std::string> {
      const auto found = homes_.find(workspace);
      return found == homes_.end() ? std::nullopt : std::optional(found->second);
    };
  }
  static Principal administrator() { return local_administrator(0); }
  static Principal token_principal(Grant grant, const std::string& id = "tok_x") {
    return {Principal::Kind::token, id, 1, std::move(grant)};
  }

  std::string state_;
  std::unique_ptr<store::Database> database_;
  loop::asio::io_context io_;
  Time now_ = Time(std::chrono::milliseconds(1'800'000'000'123));
  std::map<std::string, std::string, std::less<>> homes_;  // workspace to namespace
  const std::string ws_a_ = new_id("ws"), ws_b_ = new_id("ws"), ns_a_ = new_id("ns"), ns_b_ = new_id("ns");
};

}  // namespace cofferdam::identity
