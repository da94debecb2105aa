// The TPM holder against swtpm, a TPM 2.0 in software.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "crypto/random.h"
#include "keys/holders.h"
#include "keys/key_store.h"
#include "keys/power_cut.h"

namespace cofferdam::keys {
namespace {

using namespace std::chrono_literals;

constexpr std::uint32_t kIndex = 0x018c'0f00;
const std::string kStore = "keys_1";

Root make_root(const std::string& id) { return {id, crypto::random_secret(kRootKeyBytes)}; }

class TpmTest : public testing::Test {
 protected:
  TpmTest() {
    std::string pattern = "/tmp/coffer-tpm-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    std::filesystem::create_directory(dir_ + "/state");
    start();
  }
  ~TpmTest() override {
    tpm_.reset();
    (void)remove_tree(dir_);
  }

  void start() {
    SpawnOptions options;
    options.argv = {"swtpm",
                    "socket",
                    "--tpm2",
                    "--server",
                    cat("type=unixio,path=", dir_, "/tpm"),
                    "--ctrl",
                    cat("type=unixio,path=", dir_, "/tpm.ctrl"),
                    "--tpmstate",
                    cat("dir=", dir_, "/state"),
                    "--flags",
                    "not-need-init,startup-clear"};
    options.env = current_environment();
    const UniqueFd null = open_file("/dev/null", O_RDWR).value();
    options.fds = {{null.get(), 0}, {null.get(), 1}, {null.get(), 2}};
    auto spawned = Process::spawn(options);
    ASSERT_TRUE(spawned) << spawned.error().message;
    tpm_ = std::move(*spawned);
    for (int i = 0; i < 1000 && !path_exists(dir_ + "/tpm"); ++i) std::this_thread::sleep_for(10ms);
    ASSERT_TRUE(path_exists(dir_ + "/tpm"));
  }
  // As a host that loses its power does to its TPM.
  void restart() {
    tpm_->kill(SIGKILL);
    (void)tpm_->wait();
    tpm_.reset();
    (void)::unlink((dir_ + "/tpm").c_str());
    start();
  }
  [[nodiscard]] std::unique_ptr<RootHolder> holder(std::uint32_t index = kIndex) const {
    return make_tpm_holder(cat("swtpm:path=", dir_, "/tpm"), index);
  }

  std::string dir_;
  std::optional<Process> tpm_;
};

TEST_F(TpmTest, it_holds_roots_across_its_own_restart) {
  const Root one = make_root("root_1");
  const Root two = make_root("root_2");
  {
    const auto tpm = holder();
    auto roots = tpm->load(kStore);
    ASSERT_TRUE(roots) << roots.error().message;
    EXPECT_TRUE(roots->empty());
    ASSERT_TRUE(tpm->remove(kStore, "root_0"));
    const auto added = tpm->add(kStore, one);
    ASSERT_TRUE(added) << added.error().message;
    ASSERT_TRUE(tpm->add(kStore, two));
  }
  restart();
  const auto tpm = holder();
  auto roots = tpm->load(kStore).value();
  ASSERT_EQ(roots.size(), 2U);
  for (const auto& root : roots) EXPECT_EQ(root.key.view(), root.id == "root_1" ? one.key.view() : two.key.view());
  ASSERT_TRUE(tpm->remove(kStore, "root_1"));
  ASSERT_TRUE(tpm->remove(kStore, "root_1"));
  roots = tpm->load(kStore).value();
  ASSERT_EQ(roots.size(), 1U);
  EXPECT_EQ(roots.front().id, "root_2");
}

TEST_F(TpmTest, a_removed_root_is_not_in_what_the_tpm_keeps) {
  const Root root = make_root("root_1");
  const auto in_state = [&] {
    // swtpm keeps its memory in one file, unencrypted here.
    const auto state = read_file(dir_ + "/state/tpm2-00.permall", 4U << 20).value();
    return state.find(std::string(root.key.view())) != std::string::npos;
  };
  const auto tpm = holder();
  ASSERT_TRUE(tpm->add(kStore, root));
  EXPECT_TRUE(in_state());
  ASSERT_TRUE(tpm->remove(kStore, root.id));
  EXPECT_FALSE(in_state());
}

TEST_F(TpmTest, another_trees_root_and_others_data_are_left_alone) {
  ASSERT_TRUE(holder()->add("keys_2", make_root("root_1")));
  const auto other = holder()->load("keys_1");
  ASSERT_FALSE(other);
  EXPECT_EQ(other.error().code, Code::FailedPrecondition);
  EXPECT_NE(other.error().message.find("another key tree"), std::string::npos) << other.error().message;
  EXPECT_TRUE(holder(kIndex + kTpmIndices)->load("keys_1")->empty());
  EXPECT_EQ(holder()->load("keys_2")->size(), 1U);
}

TEST_F(TpmTest, when_all_its_indices_are_taken_that_is_an_error) {
  const auto tpm = holder();
  for (std::uint32_t i = 0; i < kTpmIndices; ++i) ASSERT_TRUE(tpm->add(kStore, make_root(cat("root_", i))));
  EXPECT_EQ(tpm->add(kStore, make_root("root_9")).error().code, Code::ResourceExhausted);
}

TEST_F(TpmTest, no_tpm_is_a_named_error_and_a_reset_one_is_found_again) {
  const auto none = make_tpm_holder(cat("swtpm:path=", dir_, "/none"), kIndex)->load(kStore);
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code, Code::Unavailable);
  EXPECT_NE(none.error().message.find("/none"), std::string::npos) << none.error().message;
  const auto tpm = holder();
  ASSERT_TRUE(tpm->add(kStore, make_root("root_1")));
  restart();
  EXPECT_FALSE(tpm->load(kStore));  // its session is gone
  EXPECT_EQ(tpm->load(kStore)->size(), 1U);
}

TEST_F(TpmTest, the_root_crosses_the_wire_encrypted) {
  // Between us and the TPM: what goes by is written down.
  const Root root = make_root("root_1");
  SpawnOptions options;
  const std::string script = R"(
import os, socket, sys, threading
listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1] + "/tap.new"); listener.listen(4)
os.rename(sys.argv[1] + "/tap.new", sys.argv[1] + "/tap")
log = open(sys.argv[1] + "/seen", "wb", buffering=0)
def pump(a, b):
    while data := a.recv(65536):
        log.write(data); b.sendall(data)
    b.shutdown(socket.SHUT_WR)
while True:
    ours, _ = listener.accept()
    theirs = socket.socket(socket.AF_UNIX); theirs.connect(sys.argv[1] + "/tpm")
    threading.Thread(target=pump, args=(ours, theirs), daemon=True).start()
    threading.Thread(target=pump, args=(theirs, ours), daemon=True).start()
)";
  options.argv = {"python3", "-c", script, dir_};
  options.env = current_environment();
  auto tap = Process::spawn(options).value();
  std::filesystem::create_symlink(dir_ + "/tpm.ctrl", dir_ + "/tap.ctrl");
  for (int i = 0; i < 1000 && !path_exists(dir_ + "/tap"); ++i) std::this_thread::sleep_for(10ms);
  {
    const auto tpm = make_tpm_holder(cat("swtpm:path=", dir_, "/tap"), kIndex);
    const auto added = tpm->add(kStore, root);
    ASSERT_TRUE(added) << added.error().message;
    EXPECT_EQ(tpm->load(kStore)->front().key.view(), root.key.view());
  }
  const auto seen = read_file(dir_ + "/seen", 4U << 20).value();
  EXPECT_GT(seen.size(), 1000U);
  EXPECT_EQ(seen.find(std::string(root.key.view())), std::string::npos);
  EXPECT_EQ(seen.find(std::string(root.key.view().substr(0, 8))), std::string::npos);
}

TEST_F(TpmTest, a_rotation_survives_a_cut_at_each_of_its_steps) {
  for (std::size_t step = 1; step <= 40; ++step) {
    PowerSwitch power;
    PowerCutFiles disk(power);
    std::mt19937 random(static_cast<unsigned>(step));
    const auto index = static_cast<std::uint32_t>(kIndex + step * kTpmIndices);
    const auto real = holder(index);
    PowerCutHolder cut(power, *real);
    auto opened = KeyStore::open(disk, cut);
    ASSERT_TRUE(opened) << opened.error().message;
    auto store = std::move(*opened);
    ASSERT_TRUE(store->keep({"ws_1", "disk"}, make_key(64)));
    ASSERT_TRUE(store->keep({"ws_2", "disk"}, make_key(64)));
    power.cut_at(step);
    const bool erased = store->erase_owner("ws_1").has_value();
    const bool whole = !power.is_off();
    store.reset();
    disk.come_back(Kept::some, random);
    store = KeyStore::open(disk, cut).value();
    EXPECT_TRUE(store->get({"ws_2", "disk"})) << step;
    if (erased) EXPECT_EQ(store->list()->size(), 1U) << step;
    // Whoever the roots belong to: one is left.
    std::size_t roots = 0;
    const auto tree = disk.content("tree");
    const auto at = tree.find("keys_");
    roots = holder(index)->load(tree.substr(at, 31))->size();
    EXPECT_EQ(roots, 1U) << step;
    ASSERT_TRUE(store->erase_owner("ws_2"));
    ASSERT_TRUE(real->remove(tree.substr(at, 31), real->load(tree.substr(at, 31))->front().id));
    if (whole) return;
  }
  FAIL() << "a rotation has more steps than that";
}

}  // namespace
}  // namespace cofferdam::keys
