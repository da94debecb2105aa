// The holders on real files, pipes and programs.
#include "keys/holders.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <pty.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "base/file.h"
#include "base/passphrase.h"
#include "base/text.h"
#include "crypto/random.h"
#include "keys/key_store.h"
#include "keys/power_cut.h"

namespace cofferdam::keys {
namespace {

using namespace std::chrono_literals;

constexpr crypto::DerivationCost kCheap{1, 64};
const std::string kStore = "keys_1";

Root make_root(const std::string& id) { return {id, crypto::random_secret(kRootKeyBytes)}; }

class HoldersTest : public testing::Test {
 protected:
  HoldersTest() {
    std::string pattern = testing::TempDir() + "coffer-holders-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
  }
  ~HoldersTest() override { (void)remove_tree(dir_); }

  std::shared_ptr<Files> files() { return HostFiles::open(dir_).value(); }
  std::string content() { return read_file(dir_ + "/root.key", 2U << 20).value(); }
  std::string program(const std::string& text) {
    const std::string path = dir_ + "/kms";
    EXPECT_TRUE(write_file_atomically(path, "#!/bin/sh\n" + text, 0700));
    return path;
  }
  // What every holder must do.
  void holds_roots(const std::function<std::unique_ptr<RootHolder>()>& make) {
    const Root one = make_root("root_1");
    const Root two = make_root("root_2");
    auto holder = make();
    ASSERT_TRUE(holder->load(kStore)) << holder->load(kStore).error().message;
    EXPECT_TRUE(holder->load(kStore)->empty());
    ASSERT_TRUE(holder->remove(kStore, "root_0"));
    ASSERT_TRUE(holder->add(kStore, one));
    ASSERT_TRUE(holder->add(kStore, two));
    holder = make();
    auto roots = holder->load(kStore).value();
    ASSERT_EQ(roots.size(), 2U);
    std::sort(roots.begin(), roots.end(), [](const Root& a, const Root& b) { return a.id < b.id; });
    EXPECT_EQ(roots[0].id, one.id);
    EXPECT_EQ(roots[0].key.view(), one.key.view());
    EXPECT_EQ(roots[1].key.view(), two.key.view());
    ASSERT_TRUE(holder->remove(kStore, one.id));
    ASSERT_TRUE(holder->remove(kStore, one.id));  // absent is fine
    holder = make();
    roots = holder->load(kStore).value();
    ASSERT_EQ(roots.size(), 1U);
    EXPECT_EQ(roots[0].key.view(), two.key.view());
    ASSERT_TRUE(holder->remove(kStore, two.id));
    EXPECT_TRUE(make()->load(kStore)->empty());
  }

  std::string dir_;
};

TEST_F(HoldersTest, a_file_holds_roots) {
  holds_roots([&] { return make_file_holder(files(), "root.key"); });
}

TEST_F(HoldersTest, a_removed_root_is_nowhere_in_the_file_and_its_block_is_a_hole) {
  const auto holder = make_file_holder(files(), "root.key");
  const Root root = make_root("root_1");
  const std::string key(root.key.view());
  ASSERT_TRUE(holder->add(kStore, root));
  ASSERT_NE(content().find(key), std::string::npos);
  struct stat before{};
  ASSERT_EQ(::stat((dir_ + "/root.key").c_str(), &before), 0);
  EXPECT_EQ(before.st_mode & 0777, 0600U);
  ASSERT_TRUE(holder->remove(kStore, root.id));
  EXPECT_EQ(content().find(key), std::string::npos);
  EXPECT_EQ(content().find("root_1"), std::string::npos);
  struct stat after{};
  ASSERT_EQ(::stat((dir_ + "/root.key").c_str(), &after), 0);
  EXPECT_EQ(after.st_size, before.st_size);
  EXPECT_LT(after.st_blocks, before.st_blocks);
}

TEST_F(HoldersTest, a_removed_root_is_overwritten_and_durably_so_before_its_block_goes_back) {
  PowerSwitch power;
  const auto disk = std::make_shared<PowerCutFiles>(power);
  const auto holder = make_file_holder(disk, "root.key");
  const Root root = make_root("root_1");
  ASSERT_TRUE(holder->add(kStore, root));
  ASSERT_TRUE(holder->remove(kStore, root.id));
  // The power goes at once, and nothing that was not synced is kept.
  std::mt19937 random(1);
  disk->come_back(Kept::nothing, random);
  EXPECT_EQ(disk->content("root.key").find(std::string(root.key.view())), std::string::npos);
}

TEST_F(HoldersTest, rotations_go_on_when_every_block_was_used) {
  PowerSwitch power;
  const auto disk = std::make_shared<PowerCutFiles>(power);
  const auto holder = make_file_holder(disk, "root.key");
  std::string last;
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(holder->add(kStore, make_root(cat("root_", i)))) << i;
    if (i > 0) ASSERT_TRUE(holder->remove(kStore, last)) << i;
    last = cat("root_", i);
  }
  const auto roots = make_file_holder(disk, "root.key")->load(kStore).value();
  ASSERT_EQ(roots.size(), 1U);
  EXPECT_EQ(roots.front().id, "root_299");
}

TEST_F(HoldersTest, a_passphrase_holds_roots) {
  holds_roots(
      [&] { return make_passphrase_holder(files(), "root.key", SecureBytes::copy_of("correct horse"), kCheap); });
}

TEST_F(HoldersTest, the_file_under_a_passphrase_does_not_hold_the_root) {
  const auto holder = make_passphrase_holder(files(), "root.key", SecureBytes::copy_of("correct horse"), kCheap);
  const Root root = make_root("root_1");
  ASSERT_TRUE(holder->add(kStore, root));
  EXPECT_EQ(content().find(std::string(root.key.view())), std::string::npos);
}

TEST_F(HoldersTest, a_wrong_passphrase_is_named) {
  ASSERT_TRUE(make_passphrase_holder(files(), "root.key", SecureBytes::copy_of("correct horse"), kCheap)
                  ->add(kStore, make_root("root_1")));
  const auto wrong =
      make_passphrase_holder(files(), "root.key", SecureBytes::copy_of("battery staple"), kCheap)->load(kStore);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().code, Code::FailedPrecondition);
  EXPECT_NE(wrong.error().message.find("wrong passphrase"), std::string::npos);
  EXPECT_EQ(wrong.error().message.find("staple"), std::string::npos);
  // The other kind of file is named as well, both ways.
  EXPECT_EQ(make_file_holder(files(), "root.key")->load(kStore).error().code, Code::FailedPrecondition);
}

TEST_F(HoldersTest, a_whole_store_lives_under_a_passphrase) {
  const auto start = [&](const char* passphrase) {
    auto holder = make_passphrase_holder(files(), "root.key", SecureBytes::copy_of(passphrase), kCheap);
    auto store = KeyStore::open(dir_, *holder);
    return std::pair(std::move(holder), std::move(store));
  };
  {
    auto [holder, store] = start("correct horse");
    ASSERT_TRUE(store) << store.error().message;
    ASSERT_TRUE((*store)->keep({"ws_1", "disk"}, make_key(64)));
    ASSERT_TRUE((*store)->keep({"ws_2", "disk"}, make_key(64)));
    ASSERT_TRUE((*store)->erase_owner("ws_1"));
  }
  EXPECT_FALSE(start("battery staple").second);
  auto [holder, store] = start("correct horse");
  EXPECT_EQ((*store)->list().value().size(), 1U);
}

Result<SecureBytes> read_passphrase(const std::string& path, std::chrono::milliseconds limit) {
  return cofferdam::read_passphrase(path, limit, "keys.passphrase_file", "Passphrase: ");
}

// ---- passphrases --------------------------------------------------------------------------------------------------

TEST_F(HoldersTest, a_passphrase_is_the_first_line_of_a_private_file) {
  const std::string path = dir_ + "/passphrase";
  ASSERT_TRUE(write_file_atomically(path, "correct horse\nmore\n", 0600));
  EXPECT_EQ(read_passphrase(path, 1s)->view(), "correct horse");
  ASSERT_TRUE(write_file_atomically(path, "correct horse", 0600));
  EXPECT_EQ(read_passphrase(path, 1s)->view(), "correct horse");
  ASSERT_TRUE(write_file_atomically(path, "short\n", 0600));
  EXPECT_EQ(read_passphrase(path, 1s).error().code, Code::InvalidArgument);
  ASSERT_TRUE(write_file_atomically(path, std::string(1025, 'x'), 0600));
  EXPECT_EQ(read_passphrase(path, 1s).error().code, Code::InvalidArgument);
  ASSERT_TRUE(write_file_atomically(path, "correct horse", 0640));
  EXPECT_EQ(read_passphrase(path, 1s).error().code, Code::FailedPrecondition);
  EXPECT_EQ(read_passphrase(dir_ + "/none", 1s).error().code, Code::NotFound);
}

TEST_F(HoldersTest, a_passphrase_comes_through_a_pipe_or_not_in_time) {
  const std::string path = dir_ + "/pipe";
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  EXPECT_EQ(read_passphrase(path, 50ms).error().code, Code::DeadlineExceeded);
  std::thread writer([&] {
    const UniqueFd out = open_file(path, O_WRONLY).value();
    EXPECT_TRUE(write_all(out.get(), "correct "));
    EXPECT_TRUE(write_all(out.get(), "horse\n"));
  });
  const auto read = read_passphrase(path, 30s);
  writer.join();
  EXPECT_EQ(read->view(), "correct horse");
}

TEST_F(HoldersTest, a_terminal_is_asked_and_shows_nothing) {
  int master = -1;
  int slave = -1;
  char name[256] = {};
  ASSERT_EQ(::openpty(&master, &slave, name, nullptr, nullptr), 0);
  const UniqueFd keyboard(master);
  const UniqueFd open_slave(slave);
  std::string shown;
  std::thread user([&] {
    char buffer[256];
    while (shown.find(": ") == std::string::npos) {
      const ssize_t n = ::read(keyboard.get(), buffer, sizeof buffer);
      if (n <= 0) return;
      shown.append(buffer, static_cast<std::size_t>(n));
    }
    EXPECT_TRUE(write_all(keyboard.get(), "correct horse\n"));
  });
  const auto read = read_passphrase(name, 30s);
  user.join();
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->view(), "correct horse");
  // All that is on the screen by now.
  ASSERT_EQ(::fcntl(keyboard.get(), F_SETFL, O_NONBLOCK), 0);
  char buffer[256];
  for (ssize_t n = 0; (n = ::read(keyboard.get(), buffer, sizeof buffer)) > 0;) {
    shown.append(buffer, static_cast<std::size_t>(n));
  }
  EXPECT_NE(shown.find("Passphrase"), std::string::npos);
  EXPECT_EQ(shown.find("horse"), std::string::npos);
}

// ---- commands -----------------------------------------------------------------------------------------------------

// Keeps roots as files, and says on demand that it cannot.
const std::string kKms = R"(
dir=$(dirname "$0")/secrets/$2
mkdir -p "$dir"
[ ! -e "$(dirname "$0")/down" ] || { echo "the vault is sealed" >&2; exit 3; }
case $1 in
  list) ls "$dir" ;;
  get) cat "$dir/$3" ;;
  put) cat >"$dir/$3.new" && mv "$dir/$3.new" "$dir/$3" ;;
  delete) rm -f "$dir/$3" ;;
esac
)";

TEST_F(HoldersTest, a_command_holds_roots) {
  const auto path = program(kKms);
  holds_roots([&] { return make_command_holder(path, 30s); });
}

TEST_F(HoldersTest, stores_that_share_a_command_do_not_see_each_other) {
  const auto holder = make_command_holder(program(kKms), 30s);
  ASSERT_TRUE(holder->add("keys_1", make_root("root_1")));
  EXPECT_TRUE(holder->load("keys_2")->empty());
  ASSERT_TRUE(holder->remove("keys_2", "root_1"));
  EXPECT_EQ(holder->load("keys_1")->size(), 1U);
}

TEST_F(HoldersTest, a_command_that_fails_is_named_with_its_last_words) {
  const auto holder = make_command_holder(program(kKms), 30s);
  ASSERT_TRUE(write_file_atomically(dir_ + "/down", ""));
  const auto failed = holder->add(kStore, make_root("root_1"));
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().code, Code::Unavailable);
  EXPECT_NE(failed.error().message.find("kms put' ended with 3: the vault is sealed"), std::string::npos)
      << failed.error().message;
}

TEST_F(HoldersTest, a_command_that_repeats_the_root_does_not_get_it_into_an_error) {
  const Root root = make_root("root_1");
  for (const char* text :
       {"cat >&2; exit 1", "read k; echo \"error: $k\" >&2; exit 1", "read k; echo \"$k\" | cut -c 5-40 >&2; exit 1"}) {
    const auto failed = make_command_holder(program(text), 30s)->add(kStore, root);
    ASSERT_FALSE(failed);
    for (std::size_t i = 0; i + 8 <= root.key.size(); ++i) {
      EXPECT_EQ(failed.error().message.find(to_hex(root.key.view().substr(i, 8))), std::string::npos) << text;
    }
  }
}

TEST_F(HoldersTest, the_root_is_in_no_argument_of_a_command) {
  const Root root = make_root("root_1");
  ASSERT_TRUE(make_command_holder(program("cat /proc/$$/cmdline /proc/$$/environ >\"$0.seen\"; cat >/dev/null"), 30s)
                  ->add(kStore, root));
  const auto seen = read_file(dir_ + "/kms.seen", 1 << 20).value();
  EXPECT_NE(seen.find("put"), std::string::npos);
  EXPECT_EQ(seen.find(to_hex(root.key.view())), std::string::npos);
}

TEST_F(HoldersTest, a_command_that_does_not_end_or_talks_nonsense_is_an_error) {
  EXPECT_EQ(make_command_holder(program("sleep 60"), 200ms)->load(kStore).error().code, Code::Unavailable);
  EXPECT_EQ(make_command_holder(program("yes"), 500ms)->load(kStore).error().code, Code::Unavailable);
  EXPECT_EQ(make_command_holder(program("echo ../../etc"), 30s)->load(kStore).error().code, Code::DataLoss);
  EXPECT_EQ(make_command_holder(program("[ $1 = list ] && echo root_1 || echo xyz"), 30s)->load(kStore).error().code,
            Code::DataLoss);
  EXPECT_EQ(make_command_holder(dir_ + "/none", 30s)->load(kStore).error().code, Code::NotFound);
}

TEST_F(HoldersTest, a_rotation_with_a_command_survives_a_cut_at_each_of_its_steps) {
  const auto path = program(kKms);
  for (std::size_t step = 1; step <= 40; ++step) {
    PowerSwitch power;
    PowerCutFiles disk(power);
    std::mt19937 random(static_cast<unsigned>(step));
    ASSERT_TRUE(remove_tree(dir_ + "/secrets"));
    const auto real = make_command_holder(path, 30s);
    PowerCutHolder holder(power, *real);
    auto store = KeyStore::open(disk, holder).value();
    ASSERT_TRUE(store->keep({"ws_1", "disk"}, make_key(64)));
    ASSERT_TRUE(store->keep({"ws_2", "disk"}, make_key(64)));
    power.cut_at(step);
    const bool erased = store->erase_owner("ws_1").has_value();
    const bool whole = !power.is_off();
    store.reset();
    disk.come_back(Kept::some, random);
    store = KeyStore::open(disk, holder).value();
    if (erased) {
      EXPECT_EQ(store->list()->size(), 1U);
    }
    EXPECT_TRUE(store->get({"ws_2", "disk"}));
    const auto stores = list_directory(dir_ + "/secrets").value();
    ASSERT_EQ(stores.size(), 1U);
    EXPECT_EQ(list_directory(dir_ + "/secrets/" + stores.front())->size(), 1U) << step;
    if (whole) break;
  }
}

// ---- settings -----------------------------------------------------------------------------------------------------

TEST_F(HoldersTest, settings_that_cannot_work_are_refused) {
  HolderSettings settings;
  settings.root_file = "root.key";
  EXPECT_EQ(make_holder(settings).error().code, Code::InvalidArgument);
  settings.root_file = dir_ + "/root.key";
  EXPECT_NE(make_holder(settings).value()->name().find(settings.root_file), std::string::npos);
  settings.kind = HolderKind::passphrase;
  EXPECT_EQ(make_holder(settings).error().code, Code::InvalidArgument);
  settings.kind = HolderKind::command;
  EXPECT_EQ(make_holder(settings).error().code, Code::InvalidArgument);
  settings.command = "kms";
  EXPECT_EQ(make_holder(settings).error().code, Code::InvalidArgument);
  settings.kind = HolderKind::tpm;
  settings.nv_index = 0x01c0'0000;
  EXPECT_EQ(make_holder(settings).error().code, Code::InvalidArgument);
}

}  // namespace
}  // namespace cofferdam::keys
