// The file of a backup: what opens, and what each kind of damage is called.
#include "backup/bundle.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <cstring>

#include "backup/key_list.h"
#include "backup/members.h"
#include "base/bytes.h"
#include "base/file.h"
#include "base/id.h"
#include "base/text.h"

namespace cofferdam::backup {
namespace {

constexpr crypto::DerivationCost kCheap{1, 64};

SecureBytes words(std::string_view text) { return SecureBytes::copy_of(text); }

// -- the head --------------------------------------------------------------------------------------------------------

TEST(BundleHead, opens_under_its_passphrase_alone) {
  const auto head = make_head(words("correct horse"), kCheap).value();
  ASSERT_EQ(head.bytes.size(), kHeadBytes);
  EXPECT_EQ(open_head(head.bytes, words("correct horse"))->view(), head.key.view());
  const auto wrong = open_head(head.bytes, words("battery staple"));
  EXPECT_EQ(wrong.error().code, Code::FailedPrecondition);
  EXPECT_NE(wrong.error().message.find("wrong passphrase"), std::string::npos);
  EXPECT_EQ(wrong.error().message.find("battery"), std::string::npos);
  EXPECT_EQ(head.bytes.find("correct"), std::string::npos);
}

TEST(BundleHead, no_two_are_alike) {
  const auto one = make_head(words("correct horse"), kCheap).value();
  const auto two = make_head(words("correct horse"), kCheap).value();
  EXPECT_NE(one.key.view(), two.key.view());
  EXPECT_NE(one.bytes, two.bytes);
}

TEST(BundleHead, a_flipped_bit_anywhere_is_damage_or_another_version_and_no_wrong_passphrase) {
  const auto head = make_head(words("correct horse"), kCheap).value();
  for (std::size_t i = 0; i < head.bytes.size(); ++i) {
    std::string changed = head.bytes;
    changed[i] = static_cast<char>(changed[i] ^ 0x10);
    const auto opened = open_head(changed, words("correct horse"));
    ASSERT_FALSE(opened) << i;
    EXPECT_EQ(opened.error().message.find("passphrase"), std::string::npos) << i << ": " << opened.error().message;
  }
}

TEST(BundleHead, what_is_cut_off_or_something_else_is_named) {
  const auto head = make_head(words("correct horse"), kCheap).value();
  for (std::size_t size = 0; size < head.bytes.size(); ++size) {
    EXPECT_FALSE(open_head(std::string_view(head.bytes).substr(0, size), words("correct horse"))) << size;
  }
  EXPECT_EQ(open_head("PK\x03\x04 and so on", words("correct horse")).error().code, Code::InvalidArgument);
}

TEST(BundleHead, a_newer_version_is_named) {
  std::string newer = make_head(words("correct horse"), kCheap)->bytes;
  newer[8] = 2;
  const auto refused = open_head(newer, words("correct horse"));
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_NE(refused.error().message.find("version 2"), std::string::npos) << refused.error().message;
}

// -- the members -----------------------------------------------------------------------------------------------------

class Bytes final : public Source {
 public:
  explicit Bytes(std::string bytes) : bytes_(std::move(bytes)) {}
  Status read(char* to, std::size_t size) override {
    if (size > bytes_.size() - at_) return fail(Code::DataLoss, "cut off");
    std::memcpy(to, bytes_.data() + at_, size);
    at_ += size;
    return {};
  }
  Result<bool> at_end() override { return at_ == bytes_.size(); }

 private:
  std::string bytes_;
  std::size_t at_ = 0;
};

class MembersTest : public testing::Test {
 protected:
  MembersTest() {
    std::string pattern = testing::TempDir() + "coffer-backup-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  ~MembersTest() override { (void)remove_tree(folder_); }

  static Manifest manifest() {
    Manifest made;
    made.id = new_id("bak");
    made.made_us = 1'700'000'000'000'000;
    made.program = "1.2.3";
    made.ledger_origin = "cofferdam/ldg_1";
    made.ledger_size = 77;
    made.database_at = 70;
    made.keys = 3;
    return made;
  }
  // As members() writes them, without the seal.
  std::string written(const std::vector<std::pair<std::string, std::string>>& members) {
    const std::string path = folder_ + "/sealed";
    auto file = open_file(path, O_RDWR | O_CREAT | O_TRUNC).value();
    disk::SealedWriter blocks(file.get(), key_.clone(), "test");
    MemberWriter out(blocks);
    for (const auto& [name, bytes] : members) EXPECT_TRUE(out.add(name, bytes));
    EXPECT_TRUE(out.finish(manifest()));
    disk::SealedReader reader(file.get(), key_.clone(), "test");
    std::string all;
    for (auto block = reader.next().value(); block; block = reader.next().value()) all += *block;
    return all;
  }
  // "name=bytes …", or what is wrong.
  static std::string read_all(std::string bytes, Manifest* manifest = nullptr) {
    Bytes source(std::move(bytes));
    MemberReader reader(source);
    std::string all;
    for (;;) {
      const auto member = reader.next();
      if (!member) return member.error().message;
      if (!*member) break;
      const auto whole = reader.read_all(1U << 20);
      if (!whole) return whole.error().message;
      all += cat((*member)->name, "=", whole->view(), " ");
    }
    if (manifest != nullptr) *manifest = reader.manifest();
    return all;
  }

  std::string folder_;
  SecureBytes key_ = SecureBytes::copy_of(std::string(32, 'k'));
};

TEST_F(MembersTest, come_back_with_their_manifest) {
  const auto bytes = written({{"cofferd.db", "rows"}, {"=keys", ""}, {"ledger/00000000000000000000.seg", "entries"}});
  Manifest found;
  EXPECT_EQ(read_all(bytes, &found), "cofferd.db=rows =keys= ledger/00000000000000000000.seg=entries ");
  EXPECT_EQ(found.ledger_size, 77U);
  EXPECT_EQ(found.database_at, 70U);
  EXPECT_EQ(found.keys, 3U);
  EXPECT_EQ(found.program, "1.2.3");
  ASSERT_EQ(found.members.size(), 3U);
  EXPECT_EQ(found.members[0].sha256, crypto::sha256_hex("rows"));
}

TEST_F(MembersTest, a_flipped_bit_or_a_cut_anywhere_is_found) {
  const auto bytes = written({{"cofferd.db", "rows"}, {"keys/token.key", "0123456789abcdef"}});
  const auto good = read_all(bytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    std::string changed = bytes;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    Manifest found;
    // What the manifest says of itself is under the seal alone.
    if (read_all(changed, &found) == good) EXPECT_EQ(found.members.size(), 2U) << i;
    EXPECT_NE(read_all(bytes.substr(0, i)), good) << i;
  }
  EXPECT_NE(read_all(bytes + "x"), good);
}

TEST_F(MembersTest, a_name_that_leads_elsewhere_is_refused) {
  for (const char* name : {"../cofferd.db", "/etc/passwd", "keys/../../x", "keys/root.key", "keys/tree", "ledger/x",
                           "ledger/../keys", "tls/.hidden", "tls/a/b", "workspaces/ws_1", "", "ledger/0.seg"}) {
    EXPECT_FALSE(is_member(name)) << name;
    EXPECT_EQ(read_all(written({{name, "x"}})).find('='), std::string::npos) << name;
  }
  for (const char* name : {"cofferd.db", "admin.json", "keys/token.key", "keys/secrets.key", "keys/webhooks.key",
                           "keys/ledger.key", "tls/key.pem", "ledger/keys", "ledger/checkpoint"}) {
    EXPECT_TRUE(is_member(name)) << name;
  }
}

TEST_F(MembersTest, two_of_one_name_are_refused) {
  EXPECT_NE(read_all(written({{"cofferd.db", "a"}, {"cofferd.db", "b"}})).find("two members"), std::string::npos);
}

TEST_F(MembersTest, a_file_that_became_shorter_is_no_member) {
  ASSERT_TRUE(write_file_atomically(folder_ + "/short", "abc"));
  auto out_file = open_file(folder_ + "/out", O_RDWR | O_CREAT).value();
  disk::SealedWriter blocks(out_file.get(), key_.clone(), "test");
  MemberWriter out(blocks);
  const auto file = open_file(folder_ + "/short", O_RDONLY).value();
  EXPECT_EQ(out.add_file("cofferd.db", file.get(), 4).error().code, Code::DataLoss);
}

TEST_F(MembersTest, the_small_files_of_a_state_folder_are_those_that_are_there) {
  ASSERT_TRUE(make_directories(folder_ + "/keys"));
  ASSERT_TRUE(make_directories(folder_ + "/tls"));
  for (const char* name : {"admin.json", "keys/token.key", "keys/root.key", "keys/tree", "tls/key.pem", "lock"}) {
    ASSERT_TRUE(write_file_atomically(cat(folder_, "/", name), "x"));
  }
  EXPECT_EQ(small_files(folder_), (std::vector<std::string>{"admin.json", "keys/token.key", "tls/key.pem"}));
}

TEST(KeyList, comes_back_and_nothing_else_does) {
  std::vector<KeptKey> keys;
  keys.push_back({{"ws_1", "disk/key_1"}, {"key_1", words("secret one")}});
  keys.push_back({{"cofferdam", "receipt"}, {"key_2", words("secret two")}});
  const auto bytes = encode_keys(keys).value();
  const auto again = decode_keys(bytes).value();
  ASSERT_EQ(again.size(), 2U);
  EXPECT_EQ(again[0].name, keys[0].name);
  EXPECT_EQ(again[1].key.id, "key_2");
  EXPECT_EQ(again[1].key.bytes.view(), "secret two");
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_FALSE(decode_keys(SecureBytes::copy_of(bytes.view().substr(0, size)))) << size;
  }
  EXPECT_FALSE(decode_keys(SecureBytes::copy_of(cat(bytes.view(), "x"))));
}

}  // namespace
}  // namespace cofferdam::backup
