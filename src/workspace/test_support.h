// What the tests of this room share: a loop, a fake driver, a scratch state folder, a manager.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>

#include "base/file.h"
#include "keys/key_store.h"
#include "keys/receipt_book.h"
#include "keys/schema.h"
#include "loop/run.h"
#include "store/database.h"
#include "workspace/fake_driver.h"
#include "workspace/manager.h"
#include "workspace/schema.h"

namespace cofferdam::workspace {

using namespace std::chrono_literals;

// Roots in memory.
class MemoryRoots : public keys::RootHolder {
 public:
  [[nodiscard]] std::string name() const override { return "memory"; }
  Result<std::vector<keys::Root>> load(const std::string& /*store*/) override {
    std::vector<keys::Root> all;
    all.reserve(roots_.size());
    for (const auto& [id, key] : roots_) all.push_back({id, key.clone()});
    return all;
  }
  Status add(const std::string& /*store*/, const keys::Root& root) override {
    if (before_change) TRY(before_change());
    roots_[root.id] = root.key.clone();
    return {};
  }
  Status remove(const std::string& /*store*/, const std::string& id) override {
    if (before_change) TRY(before_change());
    roots_.erase(id);
    return {};
  }
  void forget_all() { roots_.clear(); }
  // An error of it is the holder's.
  std::function<Status()> before_change;

 private:
  std::map<std::string, SecureBytes> roots_;
};

class WorkspaceTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "coffer-ws-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    state_ = pattern;
    add_image("small");
    options_.state_dir = state_;
    options_.pool_size = 0;
    options_.pool_standby = 0;
    options_.default_image = "";
    options_.pool.after_claim = 2ms;
    options_.pool.under_load = 2ms;
    options_.pool.first_backoff = 20ms;
    options_.pool.tick = 10ms;
    options_.memory.read_host = [this]() -> Result<HostMemory> { return host_memory_; };
  }
  void TearDown() override {
    if (manager_) close(Manager::Permanent::stop);
    (void)remove_tree(state_);
  }

  void open_database() {
    if (database_) return;
    auto opened = store::Database::open(state_ + "/cofferd.db", store::join({migrations(), keys::migrations()}));
    ASSERT_TRUE(opened) << opened.error().message;
    database_ = std::move(*opened);
  }
  void open_keys() {
    if (keys_) return;
    auto opened = keys::KeyStore::open(state_ + "/keys", roots_);
    ASSERT_TRUE(opened) << opened.error().message;
    keys_ = std::move(*opened);
    open_database();
    auto book = keys::ReceiptBook::open(*database_, *keys_, state_ + "/receipt.pub");
    ASSERT_TRUE(book) << book.error().message;
    receipts_ = std::move(*book);
  }
  void open() {
    open_database();
    open_keys();
    auto find = [this](const std::string& name) { return find_image(name); };
    auto opened = Manager::open(io_.get_executor(), workers_, *database_, find, driver_, *keys_, *receipts_, options_);
    ASSERT_TRUE(opened) << opened.error().message;
    manager_ = std::move(*opened);
  }
  void close(Manager::Permanent permanent) {
    ASSERT_TRUE(run(manager_->shut_down(permanent)));
    manager_.reset();
    while (io_.poll() > 0) {
    }
  }

  template <class T>
  loop::Answer<T> begin(loop::Task<T> task) {
    return loop::begin(io_, std::move(task));
  }
  template <class Condition>
  bool until(Condition condition, std::chrono::milliseconds limit = 10s) {
    const auto end = std::chrono::steady_clock::now() + limit;
    io_.restart();
    while (!condition()) {
      if (std::chrono::steady_clock::now() > end) return false;
      io_.run_one_for(10ms);
      if (io_.stopped()) io_.restart();
    }
    return true;
  }
  template <class T>
  Result<T> finish(loop::Answer<T> answer) {
    if (!until([&] { return answer->has_value(); })) return fail(Code::DeadlineExceeded, "the test waited too long");
    return std::move(**answer);
  }
  template <class T>
  Result<T> run(loop::Task<T> task) {
    return finish(begin(std::move(task)));
  }

  void add_image(const std::string& name, const std::string& digest = "d1") {
    const std::lock_guard lock(images_mutex_);
    image::Image image;
    image.name = name;
    image.digest = digest;
    image.kernel_digest = "k";
    image.initramfs_digest = "i";
    image.config.env = {"PATH=/bin", "LANG=C"};
    image.config.workdir = "/home";
    image.config.user = "user";
    images_[name] = image;
  }
  Result<image::Image> find_image(const std::string& name) {
    const std::lock_guard lock(images_mutex_);
    const auto found = images_.find(name);
    if (found == images_.end()) return fail(Code::NotFound, "no such image");
    return found->second;
  }

  static model::WorkspaceSpec spec(const std::string& name = "", model::Mode mode = model::Mode::temporary) {
    model::WorkspaceSpec spec;
    spec.name = name;
    spec.image = "small";
    spec.mode = mode;
    spec.memory_mib = 256;
    spec.disk_mib = 64;
    if (mode == model::Mode::temporary) spec.ttl = 1h;
    return spec;
  }
  // Workspaces of which something is left: a row, a folder, or both.
  std::vector<std::string> folders() {
    const auto names = list_directory(state_ + "/workspaces").value();
    std::set<std::string> left(names.begin(), names.end());
    auto read = [](store::Connection& connection) { return connection.query("SELECT id FROM workspaces"); };
    const auto rows = database_->run_now(read).value();
    for (const auto& row : rows) left.insert(row.text(0));
    return {left.begin(), left.end()};
  }
  [[nodiscard]] std::string disk_of(const Info& info) const {
    return state_ + "/workspaces/" + info.id + "/disk-" + info.disk_key_id + ".img";
  }
  std::shared_ptr<FakeMachine> fake(const std::string& vm_id) { return driver_.alive.at(vm_id); }

  std::string state_;
  HostMemory host_memory_{16'384, 16'000};
  std::mutex images_mutex_;
  std::map<std::string, image::Image> images_;
  loop::asio::io_context io_;
  loop::WorkerPool workers_{2};
  FakeDriver driver_{io_.get_executor()};
  ManagerOptions options_;
  MemoryRoots roots_;
  std::unique_ptr<keys::KeyStore> keys_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<keys::ReceiptBook> receipts_;
  std::unique_ptr<Manager> manager_;
};

}  // namespace cofferdam::workspace
