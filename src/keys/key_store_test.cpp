#include "keys/key_store.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <thread>

#include "base/file.h"
#include "base/text.h"
#include "keys/files.h"
#include "keys/holders.h"
#include "keys/power_cut.h"

namespace cofferdam::keys {
namespace {

class KeyStoreTest : public testing::Test {
 protected:
  KeyStoreTest() {
    std::string pattern = testing::TempDir() + "coffer-keys-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    start();
  }
  ~KeyStoreTest() override { (void)remove_tree(dir_); }

  void start() {
    store_.reset();
    holder_ = make_file_holder(HostFiles::open(dir_).value(), "root.key");
    auto opened = KeyStore::open(dir_, *holder_);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  std::string kept(const KeyName& name) {
    const Key key = make_key(kDiskKeyBytes);
    EXPECT_TRUE(store_->keep(name, key));
    return std::string(key.bytes.view());
  }
  std::string got(const KeyName& name) {
    const auto key = store_->get(name);
    return key ? std::string(key->bytes.view()) : key.error().message;
  }

  std::string dir_;
  std::unique_ptr<RootHolder> holder_;
  std::unique_ptr<KeyStore> store_;
};

TEST_F(KeyStoreTest, a_fresh_key_is_random_named_and_nowhere_but_here) {
  const Key one = make_key(64);
  const Key two = make_key(64);
  EXPECT_EQ(one.bytes.size(), 64U);
  EXPECT_NE(one.bytes.view(), two.bytes.view());
  EXPECT_NE(one.id, two.id);
  EXPECT_TRUE(store_->list().value().empty());
}

TEST_F(KeyStoreTest, what_was_kept_is_there_after_a_restart) {
  const Key key = make_key(kDiskKeyBytes);
  ASSERT_TRUE(store_->keep({"ws_1", "disk"}, key));
  const auto snapshot = kept({"ws_1", "snapshot/snap_1"});
  start();
  const auto again = store_->get({"ws_1", "disk"}).value();
  EXPECT_EQ(again.bytes.view(), key.bytes.view());
  EXPECT_EQ(again.id, key.id);
  EXPECT_EQ(got({"ws_1", "snapshot/snap_1"}), snapshot);
  EXPECT_EQ(store_->get({"ws_1", "archive/1"}).error().code, Code::NotFound);
  EXPECT_EQ(store_->get({"ws_2", "disk"}).error().code, Code::NotFound);
}

TEST_F(KeyStoreTest, a_name_that_has_a_key_keeps_it) {
  const auto first = kept({"ws_1", "disk"});
  EXPECT_EQ(store_->keep({"ws_1", "disk"}, make_key(64)).error().code, Code::AlreadyExists);
  EXPECT_EQ(got({"ws_1", "disk"}), first);
}

TEST_F(KeyStoreTest, names_and_sizes_out_of_bounds_are_refused) {
  for (const KeyName& bad :
       {KeyName{"", "disk"}, KeyName{"ws/1", "disk"}, KeyName{std::string(65, 'w'), "disk"}, KeyName{"ws_1", ""},
        KeyName{"ws_1", std::string(129, 'n')}, KeyName{"ws_1", "a b"}, KeyName{std::string("ws\0x", 4), "disk"}}) {
    EXPECT_EQ(store_->keep(bad, make_key(32)).error().code, Code::InvalidArgument) << bad.owner << " " << bad.name;
    EXPECT_EQ(store_->get(bad).error().code, Code::InvalidArgument);
  }
  EXPECT_EQ(store_->keep({"ws_1", "disk"}, make_key(kMaxKeyBytes + 1)).error().code, Code::InvalidArgument);
  EXPECT_EQ(store_->keep({"ws_1", "disk"}, Key{"key_1", {}}).error().code, Code::InvalidArgument);
  EXPECT_TRUE(store_->keep({"ws_1", "disk"}, make_key(kMaxKeyBytes)));
}

TEST_F(KeyStoreTest, an_erasure_takes_what_was_named_and_says_what_that_was) {
  const Key disk = make_key(64);
  ASSERT_TRUE(store_->keep({"ws_1", "disk"}, disk));
  const auto other = kept({"ws_2", "disk"});
  const auto before = store_->tree_root();
  const auto erasure = store_->erase(std::vector<KeyName>{{"ws_1", "disk"}, {"ws_3", "disk"}}).value();
  ASSERT_EQ(erasure.erased.size(), 1U);
  EXPECT_EQ(erasure.erased.front().id, disk.id);
  EXPECT_EQ(erasure.tree_root_before, before);
  EXPECT_EQ(erasure.tree_root_after, store_->tree_root());
  EXPECT_NE(erasure.tree_root_before, erasure.tree_root_after);
  EXPECT_EQ(erasure.tree_root_after.size(), 64U);
  EXPECT_EQ(store_->get({"ws_1", "disk"}).error().code, Code::NotFound);
  EXPECT_EQ(got({"ws_2", "disk"}), other);
  // Asked for again, it is done already.
  const auto again = store_->erase(std::vector<KeyName>{{"ws_1", "disk"}}).value();
  EXPECT_TRUE(again.erased.empty());
  EXPECT_EQ(again.tree_root_before, again.tree_root_after);
  start();
  EXPECT_EQ(store_->get({"ws_1", "disk"}).error().code, Code::NotFound);
  EXPECT_EQ(got({"ws_2", "disk"}), other);
}

TEST_F(KeyStoreTest, all_keys_of_an_owner_go_together_and_nobody_elses) {
  kept({"ws_1", "disk"});
  kept({"ws_1", "snapshot/a"});
  kept({"ws_1", "archive/b"});
  const auto other = kept({"ws_2", "disk"});
  EXPECT_EQ(store_->list("ws_1").value().size(), 3U);
  EXPECT_EQ(store_->list().value().size(), 4U);
  EXPECT_EQ(store_->erase_owner("ws_1").value().erased.size(), 3U);
  EXPECT_TRUE(store_->list("ws_1").value().empty());
  EXPECT_EQ(got({"ws_2", "disk"}), other);
  EXPECT_TRUE(store_->erase_owner("ws_1").value().erased.empty());
}

TEST_F(KeyStoreTest, files_are_for_their_owner_alone) {
  for (const char* name : {"/tree", "/root.key"}) {
    struct stat st{};
    ASSERT_EQ(::stat((dir_ + name).c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 0777, 0600U) << name;
  }
  store_.reset();
  ASSERT_EQ(::chmod((dir_ + "/root.key").c_str(), 0644), 0);
  holder_ = make_file_holder(HostFiles::open(dir_).value(), "root.key");
  const auto opened = KeyStore::open(dir_, *holder_);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::FailedPrecondition);
  EXPECT_NE(opened.error().message.find("can be read by others"), std::string::npos) << opened.error().message;
}

TEST_F(KeyStoreTest, a_tree_that_is_discarded_leaves_no_root_and_room_for_another) {
  kept({"ws_1", "disk"});
  store_.reset();
  const auto root = read_file(dir_ + "/root.key", 1U << 20).value();
  ASSERT_TRUE(KeyStore::discard(dir_, *holder_));
  EXPECT_FALSE(path_exists(dir_ + "/tree"));
  EXPECT_NE(read_file(dir_ + "/root.key", 1U << 20).value(), root);
  ASSERT_TRUE(KeyStore::discard(dir_, *holder_)) << "none there is no error";
  start();
  EXPECT_TRUE(store_->list().value().empty());
}

TEST_F(KeyStoreTest, erasures_that_meet_are_all_done) {
  constexpr int kThreads = 4;
  constexpr int kEach = 12;
  for (int i = 0; i < kThreads * kEach; ++i) kept({cat("ws_", i), "disk"});
  const auto stays = kept({"ws_stays", "disk"});
  std::vector<std::thread> threads;
  std::atomic<int> erased = 0;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < kEach; ++i) {
        const auto done = store_->erase_owner(cat("ws_", t * kEach + i));
        if (done && done->erased.size() == 1 && done->tree_root_before != done->tree_root_after) ++erased;
        EXPECT_EQ(got({"ws_stays", "disk"}), stays);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(erased, kThreads * kEach);
  EXPECT_EQ(store_->list().value().size(), 1U);
  start();
  EXPECT_EQ(store_->list().value().size(), 1U);
}

// ---- roots that are lost, wrong, or somebody else's ---------------------------------------------------------------

class WrongRootTest : public testing::Test {
 protected:
  std::unique_ptr<KeyStore> open(RootHolder& holder) {
    auto opened = KeyStore::open(files_, holder);
    if (opened) return std::move(*opened);
    error_ = opened.error();
    return nullptr;
  }
  PowerSwitch power_;
  PowerCutFiles files_{power_};
  MemoryHolder holder_;
  Error error_;
};

TEST_F(WrongRootTest, a_root_that_is_lost_is_named) {
  ASSERT_TRUE(open(holder_)->keep({"ws_1", "disk"}, make_key(64)));
  MemoryHolder empty;
  EXPECT_EQ(open(empty), nullptr);
  EXPECT_EQ(error_.code, Code::FailedPrecondition);
  EXPECT_NE(error_.message.find("lost root"), std::string::npos) << error_.message;
  EXPECT_FALSE(error_.hint.empty());
  // Nothing was touched.
  EXPECT_TRUE(open(holder_)->get({"ws_1", "disk"}));
}

TEST_F(WrongRootTest, an_old_tree_or_an_old_root_is_named) {
  auto store = open(holder_);
  ASSERT_TRUE(store->keep({"ws_1", "disk"}, make_key(64)));
  const auto old_tree = files_.content("tree");
  ASSERT_TRUE(store->erase_owner("ws_1"));
  store.reset();
  const auto new_tree = files_.content("tree");
  files_.set_content("tree", old_tree);
  EXPECT_EQ(open(holder_), nullptr);
  EXPECT_EQ(error_.code, Code::FailedPrecondition);
  EXPECT_NE(error_.message.find("wrong root"), std::string::npos) << error_.message;
  EXPECT_EQ(holder_.roots.size(), 1U);  // which must not be touched by a wrong tree
  files_.set_content("tree", new_tree);
  EXPECT_TRUE(open(holder_));
}

TEST_F(WrongRootTest, a_damaged_tree_is_named_and_the_rest_of_it_still_opens) {
  auto store = open(holder_);
  for (int i = 0; i < 64; ++i) ASSERT_TRUE(store->keep({cat("ws_", i), "disk"}, make_key(64)));
  store.reset();
  const auto whole = files_.content("tree");
  std::mt19937 random(5);
  for (int round = 0; round < 300; ++round) {
    auto damaged = whole;
    const auto at = random() % (64U << 10);
    damaged[at] = static_cast<char>(damaged[at] ^ (1 << (random() % 8)));
    files_.set_content("tree", damaged);
    const auto opened = open(holder_);
    if (!opened) {
      EXPECT_TRUE(error_.code == Code::DataLoss || error_.code == Code::FailedPrecondition) << error_.message;
      continue;
    }
    for (int i = 0; i < 64; ++i) {
      const auto key = opened->get({cat("ws_", i), "disk"});
      if (key || key.error().code == Code::DataLoss) continue;
      // A head that cannot be read counts as one that was never finished: then the last addition is not there.
      EXPECT_TRUE(at < 8192 && i == 63) << at << " " << i;
      EXPECT_EQ(key.error().code, Code::NotFound);
    }
  }
  for (const std::size_t size : {0U, 511U, 4096U, 8191U, 8192U, 10000U}) {
    files_.set_content("tree", whole.substr(0, size));
    EXPECT_EQ(open(holder_), nullptr) << size;
    EXPECT_EQ(error_.code, Code::DataLoss) << size << error_.message;
  }
}

// ---- a holder that does not answer --------------------------------------------------------------------------------

TEST_F(WrongRootTest, a_holder_that_takes_no_new_root_changes_nothing) {
  const auto store = open(holder_);
  ASSERT_TRUE(store->keep({"ws_1", "disk"}, make_key(64)));
  holder_.fails = true;
  EXPECT_EQ(store->erase_owner("ws_1").error().code, Code::Unavailable);
  EXPECT_TRUE(store->get({"ws_1", "disk"}));
  EXPECT_TRUE(store->keep({"ws_2", "disk"}, make_key(64)));  // needs no new root
  holder_.fails = false;
  EXPECT_EQ(store->erase_owner("ws_1").value().erased.size(), 1U);
  EXPECT_EQ(holder_.roots.size(), 1U);
}

TEST_F(WrongRootTest, an_old_root_that_cannot_be_destroyed_is_no_success_and_is_destroyed_later) {
  auto store = open(holder_);
  ASSERT_TRUE(store->keep({"ws_1", "disk"}, make_key(64)));
  ASSERT_TRUE(store->keep({"ws_2", "disk"}, make_key(64)));
  holder_.fails_to_remove = true;
  EXPECT_EQ(store->erase_owner("ws_1").error().code, Code::Unavailable);
  EXPECT_EQ(holder_.roots.size(), 2U);
  EXPECT_EQ(store->erase_owner("ws_1").error().code, Code::Unavailable);  // nor when asked again
  EXPECT_EQ(store->settle().error().code, Code::Unavailable);
  holder_.fails_to_remove = false;
  EXPECT_TRUE(store->settle());
  EXPECT_EQ(holder_.roots.size(), 1U);
  EXPECT_TRUE(store->erase_owner("ws_1").value().erased.empty());
  // Or by the next start.
  holder_.fails_to_remove = true;
  EXPECT_FALSE(store->erase_owner("ws_2"));
  holder_.fails_to_remove = false;
  store = open(holder_);
  EXPECT_EQ(holder_.roots.size(), 1U);
  EXPECT_TRUE(store->list().value().empty());
}

TEST_F(WrongRootTest, when_the_disk_fails_at_the_head_nothing_changes_until_the_next_start) {
  auto store = open(holder_);
  ASSERT_TRUE(store->keep({"ws_1", "disk"}, make_key(64)));
  // The last two operations of an addition are the head and its sync.
  power_.cut_at(0);
  ASSERT_TRUE(store->keep({"ws_2", "disk"}, make_key(64)));
  const auto steps = power_.steps();
  power_.cut_at(steps);
  EXPECT_FALSE(store->keep({"ws_3", "disk"}, make_key(64)));
  power_.cut_at(0);
  EXPECT_EQ(store->keep({"ws_4", "disk"}, make_key(64)).error().code, Code::Unavailable);
  EXPECT_EQ(store->erase_owner("ws_1").error().code, Code::Unavailable);
  // Nor is anything said to be erased, not even what is not there.
  EXPECT_EQ(store->erase_owner("ws_9").error().code, Code::Unavailable);
  EXPECT_EQ(store->settle().error().code, Code::Unavailable);
  EXPECT_TRUE(store->get({"ws_1", "disk"}));
  store = open(holder_);
  EXPECT_TRUE(store->keep({"ws_4", "disk"}, make_key(64)));
  EXPECT_TRUE(store->get({"ws_2", "disk"}));
}

TEST_F(WrongRootTest, the_tree_grows_and_its_room_is_used_again) {
  auto store = open(holder_);
  for (int i = 0; i < 4000; ++i)
    ASSERT_TRUE(store->keep({cat("ws_", i), cat("archive/", std::string(100, 'x'))}, make_key(64)));
  const auto full = files_.content("tree").size();
  EXPECT_GT(full, 1U << 20);
  std::vector<KeyName> names;
  for (int i = 0; i < 4000; ++i) names.push_back({cat("ws_", i), cat("archive/", std::string(100, 'x'))});
  EXPECT_EQ(store->erase(names)->erased.size(), 4000U);
  for (int i = 0; i < 4000; ++i) ASSERT_TRUE(store->keep({cat("ws_", i), "disk"}, make_key(64)));
  EXPECT_EQ(files_.content("tree").size(), full);
  store = open(holder_);
  EXPECT_EQ(store->list()->size(), 4000U);
}

TEST_F(WrongRootTest, another_trees_root_in_the_file_is_not_touched) {
  auto files = std::make_shared<PowerCutFiles>(power_);
  auto holder = make_file_holder(files, "root.key");
  ASSERT_TRUE(KeyStore::open(*files, *holder));
  const auto root_file = files->content("root.key");
  ASSERT_TRUE(files->remove("tree"));
  holder = make_file_holder(files, "root.key");
  const auto opened = KeyStore::open(*files, *holder);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, Code::FailedPrecondition);
  EXPECT_NE(opened.error().message.find("another key tree"), std::string::npos) << opened.error().message;
  EXPECT_EQ(files->content("root.key"), root_file);
}

}  // namespace
}  // namespace cofferdam::keys
