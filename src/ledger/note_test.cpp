#include "ledger/note.h"

#include <gtest/gtest.h>

#include "base/text.h"
#include "crypto/signature.h"
#include "ledger/key_chain.h"

namespace cofferdam::ledger {
namespace {

constexpr const char* kNeumann = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";

Checkpoint checkpoint(std::uint64_t size) { return {"cofferdam/ldg_1", size, leaf_hash(cat(size))}; }

Note signed_note(const Checkpoint& of, const SecureBytes& key) {
  Note note{of.text(), {}};
  note.signatures.push_back(sign_text(note.text, of.origin, key));
  return note;
}

TEST(Note, a_note_of_another_implementation_is_read) {
  const std::string text =
      "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
      "\xe2\x80\x94 PeterNeumann "
      "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
  const auto key = VerifierKey::parse(kNeumann);
  ASSERT_TRUE(key) << key.error().message;
  EXPECT_EQ(key->text(), kNeumann);
  auto note = parse_note(text);
  ASSERT_TRUE(note) << note.error().message;
  EXPECT_TRUE(signed_by(*note, *key));
  EXPECT_EQ(format_note(*note), text);
  note->text[0] = 'i';
  EXPECT_FALSE(signed_by(*note, *key));
}

TEST(Note, what_is_none_is_refused) {
  const auto key = crypto::make_signing_key();
  const std::string good = format_note(signed_note(checkpoint(5), key));
  EXPECT_TRUE(parse_note(good));
  for (const std::string& bad :
       {std::string(), std::string("\n"), good.substr(0, good.size() - 1), good + "x\n", good + good,
        std::string("a\tb\n\n\xe2\x80\x94 n AAAAAAA=\n"), std::string("a\n\n\xe2\x80\x94 n AAAA\n"),
        std::string("a\n\n\xe2\x80\x94 n+m AAAAAAA=\n"), std::string("\xff\n\n\xe2\x80\x94 n AAAAAAA=\n")}) {
    EXPECT_FALSE(parse_note(bad)) << bad;
  }
}

TEST(Note, several_stand_in_one_file) {
  const auto key = crypto::make_signing_key();
  const std::string one = format_note(signed_note(checkpoint(5), key));
  const std::string two = format_note(signed_note(checkpoint(9), key));
  EXPECT_EQ(parse_notes(one + "\n" + two + "\n").value().size(), 2U);
  EXPECT_EQ(parse_notes(one + two).value().size(), 2U);
  EXPECT_EQ(parse_notes("").value().size(), 0U);
  EXPECT_FALSE(parse_notes(one + "\nhalf"));
}

TEST(Checkpoint, is_read_as_it_was_written) {
  const auto read = parse_checkpoint(checkpoint(17).text());
  ASSERT_TRUE(read);
  EXPECT_EQ(read->text(), checkpoint(17).text());
  for (const char* bad : {"", "o\n5\n", "o\n05\nAAAA\n", "o\n5\nAAAA\n", "o o\n5\nAAAA\n", "o\n-5\nAAAA\n"}) {
    EXPECT_FALSE(parse_checkpoint(bad)) << bad;
  }
}

class Chain : public testing::Test {
 protected:
  void SetUp() override {
    first_ = make_link("cofferdam/ldg_1", 0, 0, empty_root(), keys_[0], nullptr);
    second_ = make_link("cofferdam/ldg_1", 1, 10, leaf_hash("10"), keys_[1], &keys_[0]);
    third_ = make_link("cofferdam/ldg_1", 2, 20, leaf_hash("20"), keys_[2], &keys_[1]);
  }
  SecureBytes keys_[3] = {crypto::make_signing_key(), crypto::make_signing_key(), crypto::make_signing_key()};
  KeyLink first_, second_, third_;
};

TEST_F(Chain, each_key_signs_in_its_turn_only) {
  const auto chain = KeyChain::parse(first_.note + second_.note + third_.note);
  ASSERT_TRUE(chain) << chain.error().message;
  for (const auto& [size, key] :
       {std::pair(1, 0), std::pair(10, 0), std::pair(11, 1), std::pair(20, 1), std::pair(21, 2), std::pair(1000, 2)}) {
    for (int other = 0; other < 3; ++other) {
      const auto checked = chain->check(signed_note(checkpoint(static_cast<std::uint64_t>(size)), keys_[other]));
      EXPECT_EQ(checked.has_value(), other == key) << size << " by key " << other;
    }
  }
  EXPECT_EQ(chain->for_size(0), nullptr);
}

TEST_F(Chain, a_link_that_the_key_before_has_not_signed_is_refused) {
  // Who has only the newest key makes another past for it.
  const auto forged = make_link("cofferdam/ldg_1", 1, 10, leaf_hash("other"), keys_[2], &keys_[2]);
  EXPECT_EQ(KeyChain::parse(first_.note + forged.note).error().code, Code::DataLoss);
  EXPECT_FALSE(KeyChain::parse(second_.note));
  EXPECT_FALSE(KeyChain::parse(first_.note + third_.note));
  const auto foreign = make_link("cofferdam/ldg_2", 1, 10, leaf_hash("10"), keys_[1], &keys_[0]);
  EXPECT_FALSE(KeyChain::parse(first_.note + foreign.note));
  const auto early = make_link("cofferdam/ldg_1", 2, 10, leaf_hash("10"), keys_[2], &keys_[1]);
  EXPECT_FALSE(KeyChain::parse(first_.note + second_.note + early.note));
}

TEST_F(Chain, a_checkpoint_is_no_link_and_a_link_no_checkpoint) {
  EXPECT_FALSE(parse_link(signed_note(checkpoint(10), keys_[0])));
  EXPECT_FALSE(parse_checkpoint(parse_note(second_.note).value().text));
}

}  // namespace
}  // namespace cofferdam::ledger
