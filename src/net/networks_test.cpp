// Wires, rules and guests of workspaces whose machines end at any moment. Real namespaces, no gate; needs root.
#include "net/networks.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <array>
#include <boost/asio/io_context.hpp>
#include <future>
#include <stdexcept>
#include <thread>

#include "base/file.h"
#include "base/text.h"
#include "crypto/random.h"
#include "loop/run.h"
#include "net/namespace.h"
#include "net/schema.h"
#include "store/database.h"

namespace cofferdam::net {
namespace {

using namespace std::chrono_literals;

constexpr std::array<store::Migration, 1> kWorkspaces{{{"workspace", 1,
                                                        "CREATE TABLE workspaces (id TEXT PRIMARY KEY) STRICT; INSERT "
                                                        "INTO workspaces VALUES ('ws_a'), ('ws_b'), ('ws_c');"}}};

// A wire and a guest at its end that says what it was told. It does nothing else.
class Wired final : public vm::Machine {
 public:
  explicit Wired(const loop::asio::any_io_executor& executor) : executor_(executor), wire_(make_wire().value()) {}
  Task<void> configure_network(vm::GuestNetwork network) override {
    CO_TRY(co_await loop::sleep_for(1ms));  // it takes a while to answer
    told.push_back(std::move(network));
    co_return Status{};
  }
  [[nodiscard]] Result<UniqueFd> network_namespace() const override {
    return UniqueFd(::fcntl(wire_.name_space.get(), F_DUPFD_CLOEXEC, 0));
  }
  [[nodiscard]] const std::string& id() const override { return id_; }
  [[nodiscard]] bool alive() const override { return true; }

  Task<void> wake(std::string /*hostname*/) override { co_return none(); }
  Task<void> claim(vm::Claim /*claim*/) override { co_return none(); }
  Task<void> set_ttl(std::optional<std::chrono::milliseconds> /*from_now*/) override { co_return none(); }
  Task<void> pause() override { co_return none(); }
  Task<void> resume() override { co_return none(); }
  Task<std::unique_ptr<vm::GuestProcess>> start(model::ExecSpec /*spec*/) override { co_return none(); }
  vm::GuestFiles& files() override { throw std::logic_error("there are none"); }
  Task<std::unique_ptr<vm::GuestWatch>> watch(vm::WatchSpec /*spec*/) override { co_return none(); }
  Task<std::unique_ptr<vm::GuestConnection>> dial(std::uint16_t /*port*/) override { co_return none(); }
  Task<vm::GuestMetrics> guest_metrics() override { co_return none(); }
  Task<std::vector<vm::GuestProcessInfo>> processes() override { co_return none(); }
  Task<vm::HostMetrics> host_metrics() override { co_return none(); }
  Task<vm::Figures> figures() override { co_return none(); }
  Task<std::string> kernel_log() override { co_return none(); }
  Task<std::string> console() override { co_return none(); }
  Task<void> shut_down(std::chrono::milliseconds /*grace*/) override { co_return none(); }
  Task<vm::SavedMachine> save(vm::SaveWish /*wish*/) override { co_return none(); }
  [[nodiscard]] Result<SecureBytes> disk_passphrase() const override { return none(); }
  Task<void> kill() override { co_return none(); }
  Task<void> destroy() override { co_return none(); }
  Task<vm::MachineExit> wait_for_exit() override { co_return none(); }

  std::vector<vm::GuestNetwork> told;

 private:
  static tl::unexpected<Error> none() {
    return fail(Code::FailedPrecondition, "a wire of a test answers nothing else");
  }

  loop::asio::any_io_executor executor_;
  Wire wire_;
  std::string id_ = "vm";
};

class NetworksTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "coffer-networks-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    const auto schema = store::join({std::span<const store::Migration>(kWorkspaces), migrations()});
    database_ = store::Database::open(folder_ + "/x.db", schema).value();
    NetworksOptions options;
    options.key = crypto::random_secret(32);
    networks_ = Networks::open(io_.get_executor(), workers_, *database_, std::move(options)).value();
  }
  void TearDown() override {
    EXPECT_TRUE(run(networks_->stop()));
    networks_.reset();
    database_.reset();
    (void)remove_tree(folder_);
  }
  Status run(Task<void> task) { return loop::run_on(io_, std::move(task)); }
  [[nodiscard]] std::shared_ptr<Wired> machine() { return std::make_shared<Wired>(io_.get_executor()); }
  Task<void> allow(std::string entry, std::string workspace = "ws_a") {
    Egress egress;
    egress.entries = {std::move(entry)};
    return networks_->set_egress(std::move(workspace), std::move(egress), {});
  }
  void execute(std::string sql) {
    EXPECT_TRUE(database_->run_now(
        [sql = std::move(sql)](store::Connection& connection) -> Status { return connection.execute_script(sql); }));
  }
  Task<void> link_to(std::string target, std::string source) {
    LinkWish wish;
    wish.source = std::move(source);
    wish.target = std::move(target);
    wish.ports = {{22, 22}};
    CO_TRY(co_await networks_->add_link(std::move(wish)));
    co_return Status{};
  }
  // Does what the loop has to do, `most` times or until the task has answered. Whether it has.
  bool step(const loop::Answer<void>& task, int most) {
    io_.restart();
    const auto alive = loop::asio::make_work_guard(io_);
    for (int done = 0; done < most && !task->has_value(); ++done) io_.run_one();
    return task->has_value();
  }
  Status rest_of(const loop::Answer<void>& task) {
    loop::run_until(io_, [&] { return task->has_value(); });
    return **task;
  }
  static bool over_or_done(const Status& answer) { return answer || answer.error().code == Code::Aborted; }

  std::string folder_;
  loop::asio::io_context io_;
  loop::WorkerPool workers_{2};
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<Networks> networks_;
};

TEST_F(NetworksTest, a_machine_may_end_at_any_moment_of_its_networks_making) {
  bool done = false;
  for (int steps = 0; !done; ++steps) {
    SCOPED_TRACE(steps);
    ASSERT_LT(steps, 1000);
    ASSERT_TRUE(run(allow("198.51.100.0/24")));
    const auto attached = loop::begin(io_, networks_->attach("ws_a", machine()));
    done = step(attached, steps);
    networks_->detach("ws_a");
    const auto answer = rest_of(attached);
    EXPECT_TRUE(over_or_done(answer)) << answer.error().message;
    networks_->forget("ws_a");  // so that it needs addresses again
    execute("DELETE FROM networks");
  }
}

TEST_F(NetworksTest, a_machine_may_end_at_any_moment_of_a_change) {
  bool done = false;
  for (int steps = 0; !done; ++steps) {
    SCOPED_TRACE(steps);
    ASSERT_LT(steps, 1000);
    const auto first = machine();
    ASSERT_TRUE(run(allow("198.51.100.0/24:22")));
    ASSERT_TRUE(run(networks_->attach("ws_a", first)));
    EXPECT_EQ(first->told.size(), 1U);
    const auto changed = loop::begin(io_, allow("203.0.113.0/24:443"));
    done = step(changed, steps);
    networks_->detach("ws_a");
    const auto answer = rest_of(changed);
    EXPECT_TRUE(over_or_done(answer)) << answer.error().message;
    EXPECT_EQ(first->told.size(), 1U);
  }
}

TEST_F(NetworksTest, the_next_machine_gets_a_network_whatever_became_of_the_last_ones) {
  ASSERT_TRUE(run(allow("198.51.100.0/24")));
  bool done = false;
  for (int steps = 0; !done; ++steps) {
    SCOPED_TRACE(steps);
    ASSERT_LT(steps, 1000);
    const auto first = loop::begin(io_, networks_->attach("ws_a", machine()));
    done = step(first, steps);
    networks_->detach("ws_a");
    const auto next = machine();
    const auto second = loop::begin(io_, networks_->attach("ws_a", next));
    EXPECT_TRUE(over_or_done(rest_of(first)));
    EXPECT_TRUE(rest_of(second));
    EXPECT_EQ(next->told.size(), 1U);
    networks_->detach("ws_a");
  }
}

TEST_F(NetworksTest, no_two_have_one_pair_of_addresses_though_a_third_was_forgotten_while_it_was_given_one) {
  ASSERT_TRUE(run(allow("198.51.100.0/24", "ws_b")));
  ASSERT_TRUE(run(allow("198.51.100.0/24", "ws_c")));
  execute("DELETE FROM workspaces WHERE id = 'ws_a'");  // so that what is written about it fails
  std::promise<void> held, go_on;
  std::thread busy([&] {
    (void)database_->run_now([&](store::Connection& /*connection*/) -> Status {
      held.set_value();
      go_on.get_future().wait();
      return {};
    });
  });
  held.get_future().wait();
  const auto linked = loop::begin(io_, link_to("ws_a", "ws_b"));
  io_.restart();
  io_.poll();
  EXPECT_TRUE(networks_->pair("ws_a"));  // and is being written down
  networks_->forget("ws_a");
  const auto attached = loop::begin(io_, networks_->attach("ws_b", machine()));
  io_.restart();
  io_.poll();
  EXPECT_TRUE(networks_->pair("ws_b"));
  go_on.set_value();
  busy.join();
  EXPECT_FALSE(rest_of(linked));
  EXPECT_TRUE(rest_of(attached));
  EXPECT_TRUE(run(networks_->attach("ws_c", machine())));
  ASSERT_TRUE(networks_->pair("ws_c"));
  EXPECT_NE(networks_->pair("ws_b")->guest.text(), networks_->pair("ws_c")->guest.text());
}

}  // namespace
}  // namespace cofferdam::net
