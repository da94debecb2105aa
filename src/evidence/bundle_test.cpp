#include "evidence/bundle.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/process.h"
#include "base/text.h"
#include "evidence/age.h"
#include "evidence/manifest.h"
#include "evidence/slice.h"
#include "evidence/test_support.h"

namespace cofferdam::evidence {
namespace {

// Writes down what it hears.
struct Heard final : MemberSink {
  std::vector<Member> members;
  bool whole = false;
  Status begin(const std::string& name, std::uint64_t size) override {
    members.emplace_back(name, "");
    whole = size == 0;
    return {};
  }
  Status bytes(std::string_view piece) override {
    members.back().second += piece;
    return {};
  }
  Status end() override {
    whole = true;
    return {};
  }
};

const std::vector<Member> kMembers{
    {"a", ""}, {"b/c.json", "x"}, {"d", std::string(512, 'd')}, {"e", std::string(1300, 'e')}};

TEST(Bundle, is_read_as_it_was_written_whatever_the_pieces) {
  const auto bytes = bundle_of(kMembers);
  for (const std::size_t piece : {1U, 7U, 511U, 512U, 513U, 100'000U}) {
    Heard heard;
    BundleReader reader(heard);
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
      ASSERT_TRUE(reader.feed(std::string_view(bytes).substr(at, piece))) << piece;
    }
    ASSERT_TRUE(reader.finish());
    EXPECT_EQ(heard.members, kMembers) << piece;
    EXPECT_TRUE(heard.whole);
  }
}

TEST(Bundle, any_tar_lists_it) {
  RunOptions tar;
  tar.argv = {"tar", "-tvf", "-"};
  tar.extra_env = {"TZ=UTC"};
  tar.input = bundle_of(kMembers);
  const auto listed = run_checked(tar);
  ASSERT_TRUE(listed) << listed.error().message;
  for (const auto& [name, content] : kMembers) {
    EXPECT_NE(listed->find(cat(content.size(), " 1970-01-01")), std::string::npos) << *listed;
    EXPECT_NE(listed->find(name), std::string::npos) << *listed;
  }
}

TEST(Bundle, a_size_beyond_the_octal_digits_has_its_own_form) {
  const std::uint64_t large = (1ULL << 33) + 5;
  Heard heard;
  BundleReader reader(heard);
  ASSERT_TRUE(reader.feed(member_head("large", large)));
  ASSERT_TRUE(reader.feed(std::string(4096, 'x')));
  const auto cut = reader.finish();
  ASSERT_FALSE(cut);
  EXPECT_NE(cut.error().message.find(cat("'large': ", large - 4096, " bytes")), std::string::npos)
      << cut.error().message;
}

TEST(Bundle, no_byte_of_it_can_be_anything_else) {
  const auto bytes = bundle_of(kMembers);
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    auto changed = bytes;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    Heard heard;
    BundleReader reader(heard);
    const bool fed = reader.feed(changed).has_value() && reader.finish().has_value();
    // What is content is not the reader's to judge.
    EXPECT_TRUE(!fed || heard.members != kMembers) << at;
  }
}

TEST(Bundle, every_cut_is_found) {
  const auto bytes = bundle_of(kMembers);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    Heard heard;
    BundleReader reader(heard);
    ASSERT_TRUE(reader.feed(std::string_view(bytes).substr(0, size)));
    EXPECT_FALSE(reader.finish()) << size;
  }
  Heard heard;
  BundleReader reader(heard);
  EXPECT_FALSE(reader.feed(bytes + '\0'));
}

TEST(Bundle, names_stay_below_the_folder_it_is_unpacked_in) {
  for (const auto* good : {"a", "a/b", "a-1_2.jsonl", "..."}) EXPECT_TRUE(is_member_name(good)) << good;
  for (const auto* bad : {"", "/a", "a/", "a//b", "..", "a/../b", "./a", "A", "a b", "a\\b"}) {
    EXPECT_FALSE(is_member_name(bad)) << bad;
  }
  EXPECT_TRUE(is_member_name(std::string(kMaxName, 'a')));
  EXPECT_FALSE(is_member_name(std::string(kMaxName + 1, 'a')));
}

TEST(Manifest, has_one_form_and_no_other) {
  const Manifest manifest{"ws_1", "none", "snap_1", "now", {{"a/b", std::string(64, '0'), 12}}};
  const auto text = format_manifest(manifest);
  const auto read = parse_manifest(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(format_manifest(*read), text);
  for (std::size_t at = 0; at < text.size(); ++at) {
    auto cut = text;
    cut.erase(at, 1);
    const auto other = parse_manifest(cut);
    EXPECT_TRUE(!other || format_manifest(*other) == cut) << at;
  }
  for (const auto& bad : {std::string(), text + "\n", text + "member x 1 a\n", cat("x", text), text + "more"}) {
    EXPECT_FALSE(parse_manifest(bad)) << bad;
  }
}

TEST(Slice, entries_and_growths_are_read_as_they_were_written) {
  const ledger::Hash hash = ledger::leaf_hash("x");
  const auto text = format_entry({7, "bytes", {hash, hash}}) + format_entry({9, "", {}});
  std::vector<std::uint64_t> numbers;
  ASSERT_TRUE(parse_entries(text, [&](const ProvenEntry& entry) -> Status {
    numbers.push_back(entry.number);
    return {};
  }));
  EXPECT_EQ(numbers, (std::vector<std::uint64_t>{7, 9}));
  const auto growths = parse_growths(format_growth({5, {hash}}) + format_growth({6, {}}));
  ASSERT_TRUE(growths);
  EXPECT_EQ(growths->at(1).from, 6U);
  for (const auto* bad :
       {"entry", "entry 1 eA==", "entry 01 eA==\n\n", "entry 1 eA==\nAA==\n\n", "from 1\n", "x\n\n"}) {
    EXPECT_FALSE(parse_entries(bad, [](const ProvenEntry&) -> Status { return {}; })) << bad;
  }
}

TEST(Age, a_recipient_is_a_public_key_and_nothing_else) {
  const std::string good = "age1e605htxnh274nan2skfpxeaz20a358s7xd0fwr8csah02d8549mql3eseq";
  EXPECT_TRUE(check_recipient(good));
  for (const auto& bad : {std::string(), std::string("age1"), good + "q", cat("--", good), good.substr(0, 61) + "b",
                          std::string("/etc/passwd"), cat(good.substr(0, 61), " ")}) {
    EXPECT_FALSE(check_recipient(bad)) << bad;
  }
}

}  // namespace
}  // namespace cofferdam::evidence
