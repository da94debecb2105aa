// What the tests of alerts and of the watch share: a database, a loop, clocks that are moved by hand.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <optional>

#include "base/file.h"
#include "identity/schema.h"
#include "loop/run.h"
#include "monitor/schema.h"
#include "monitor/webhooks.h"

namespace cofferdam::monitor {

using namespace std::chrono_literals;

class HandDriven : public testing::Test {
 protected:
  HandDriven() {
    std::string pattern = testing::TempDir() + "coffer-watch-XXXXXX";
    state_ = ::mkdtemp(pattern.data());
    database_ =
        store::Database::open(state_ + "/cofferd.db", store::join({identity::migrations(), monitor::migrations()}))
            .value();
    WebhookOptions hooks;
    hooks.state_dir = state_;
    hooks.reach = Reach::private_too;
    webhooks_ = Webhooks::open(io_.get_executor(), *database_, std::move(hooks)).value();
    clock_.wall = [this] { return wall_; };
    clock_.steady = [this] { return steady_; };
  }
  ~HandDriven() override {
    EXPECT_TRUE(run(webhooks_->close()));
    webhooks_.reset();
    database_.reset();
    (void)remove_tree(state_);
  }
  void pass(std::chrono::milliseconds time) {
    wall_ += time;
    steady_ += time;
  }

  template <class T>
  Result<T> run(loop::Task<T> task) {
    return loop::run_on(io_, std::move(task), 20s);
  }
  template <class Condition>
  bool becomes(Condition condition) {
    for (int i = 0; i < 1000 && !condition(); ++i) (void)run(loop::sleep_for(5ms));
    return condition();
  }

  std::string state_;
  loop::asio::io_context io_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Webhooks> webhooks_;
  identity::Clock clock_;
  identity::Time wall_ = identity::Time(1'800'000'000s);
  std::chrono::steady_clock::time_point steady_ = std::chrono::steady_clock::time_point(1h);
};

}  // namespace cofferdam::monitor
