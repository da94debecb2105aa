#include "evidence/verify.h"

#include "evidence/test_support.h"

namespace cofferdam::evidence {
namespace {

TEST_F(EvidenceTest, what_was_sealed_is_good) {
  const auto report = verify_bytes(bundle_of(members_));
  EXPECT_TRUE(report.good()) << told(report);
  EXPECT_EQ(report.workspace, "ws_1");
  EXPECT_EQ(report.entries, 2U);
  EXPECT_GE(report.trees, 1U);
  EXPECT_EQ(report.members, members_.size());
  ASSERT_TRUE(report.first_key);
  EXPECT_TRUE(verify_bytes(bundle_of(members_), {report.first_key}).good());
  auto other = *report.first_key;
  other.public_key[0] = static_cast<char>(other.public_key[0] ^ 1);
  const auto strange = verify_bytes(bundle_of(members_), {other});
  ASSERT_FALSE(strange.good());
  EXPECT_EQ(strange.findings.front().member, kKeys);
}

TEST_F(EvidenceTest, a_flipped_byte_in_any_member_is_found_and_the_member_named) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const auto whole = members_[i].second;
    for (const std::size_t at : {std::size_t{0}, whole.size() / 2, whole.size() - 1}) {
      if (whole.empty()) continue;
      members_[i].second[at] = static_cast<char>(whole[at] ^ 1);
      expect_named(members_[i].first);
      members_[i].second = whole;
    }
  }
}

TEST_F(EvidenceTest, every_byte_of_what_signs_it_counts) {
  for (const auto name : {kManifest, kSeal, kKeys, kCheckpoint}) {
    auto& content = member(name);
    const auto whole = content;
    for (std::size_t at = 0; at < whole.size(); ++at) {
      content[at] = static_cast<char>(whole[at] ^ 1);
      EXPECT_FALSE(verify_bytes(bundle_of(members_), {}, 1U << 20).good()) << name << " at " << at;
    }
    content = whole;
  }
}

TEST_F(EvidenceTest, a_member_that_is_missing_is_named) {
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const auto whole = members_;
    const auto gone = members_[i].first;
    members_.erase(members_.begin() + static_cast<std::ptrdiff_t>(i));
    expect_named(gone, "missing");
    members_ = whole;
  }
}

TEST_F(EvidenceTest, a_member_that_was_invented_or_doubled_is_named) {
  members_.insert(members_.begin(), {"invented.json", "{}"});
  expect_named("invented.json", "does not know it");
  members_.front() = members_[1];
  expect_named("workspace.json", "twice");
}

TEST_F(EvidenceTest, a_cut_is_found_and_says_where) {
  const auto bytes = bundle_of(members_);
  for (const std::size_t size :
       {bytes.size() - 1, bytes.size() - 1024, bytes.size() / 2, std::size_t{600}, std::size_t{0}}) {
    const auto report = verify_bytes(std::string_view(bytes).substr(0, size));
    EXPECT_FALSE(report.good()) << size;
    EXPECT_NE(told(report).find("cut off"), std::string::npos) << size << ":\n" << told(report);
  }
}

TEST_F(EvidenceTest, a_manifest_that_was_made_to_fit_was_not_sealed) {
  member("workspace.json") = "{\"invented\": true}\n";
  member(kManifest) = format_manifest(manifest_of(members_));
  expect_named(kManifest, "not the one that");
}

TEST_F(EvidenceTest, an_entry_that_was_invented_is_not_in_the_ledger_even_if_the_manifest_says_so) {
  auto& proofs = member(cat(kProofs, "000001"));
  std::string changed;
  ASSERT_TRUE(parse_entries(proofs, [&](const ProvenEntry& entry) -> Status {
    auto other = entry;
    if (entry.number == 30) other.bytes.back() = static_cast<char>(other.bytes.back() ^ 1);
    changed += format_entry(other);
    return {};
  }));
  proofs = changed;
  member(kManifest) = format_manifest(manifest_of(members_));
  expect_named(cat(kProofs, "000001"), "entry 30 is not in the ledger");
}

TEST_F(EvidenceTest, the_seal_of_another_entry_seals_nothing) {
  const auto other = make();  // sealed by another entry of the same ledger
  for (const auto& [name, content] : other) {
    if (name == kSeal || name == kKeys) member(name) = content;
  }
  expect_named(kManifest, "not the one that");
}

TEST_F(EvidenceTest, the_report_of_a_hostile_bundle_is_one_line_of_json_and_printable) {
  members_ = {{"manifest", "cofferdam evidence 1\nworkspace \x1b[31m\n"}};
  const auto report = verify_bytes(bundle_of(members_));
  const auto text = report_json(report);
  EXPECT_EQ(text.find('\n'), text.size() - 1);
  EXPECT_EQ(report_text(report).find('\x1b'), std::string::npos);
  EXPECT_NE(text.find("\"success\": false"), std::string::npos);
}

}  // namespace
}  // namespace cofferdam::evidence
