// What the tests of this room share: a bundle as the host makes one, over a log of its own.
#pragma once
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "base/text.h"
#include "crypto/digest.h"
#include "evidence/manifest.h"
#include "evidence/slice.h"
#include "evidence/verify.h"
#include "ledger/folder.h"
#include "ledger/proof.h"
#include "ledger/query.h"
#include "ledger/test_support.h"

namespace cofferdam::evidence {

using Member = std::pair<std::string, std::string>;  // name, content

inline std::string bundle_of(const std::vector<Member>& members) {
  std::string bundle;
  for (const auto& [name, content] : members) {
    bundle += cat(member_head(name, content.size()), content, member_tail(content.size()));
  }
  return bundle + bundle_end();
}

inline Report verify_bytes(std::string_view bytes, VerifyOptions options = {}, std::size_t piece = 4096) {
  Verifier verifier(std::move(options));
  for (std::size_t at = 0; at < bytes.size(); at += piece) {
    if (!verifier.feed(bytes.substr(at, piece))) break;
  }
  return verifier.finish();
}

inline std::string told(const Report& report) {
  std::string all;
  for (const auto& finding : report.findings) all += cat(finding.member, ": ", finding.what, "\n");
  return all;
}

class EvidenceTest : public ledger::LogTest {
 protected:
  void SetUp() override {
    LogTest::SetUp();
    write_log(20);
    {
      auto log = open();  // a second key takes over
      ASSERT_TRUE(log->advance_key());
      ASSERT_TRUE(log->close());
    }
    write_log(20);
    members_ = make();
  }

  // Every kind of member there is, sealed.
  std::vector<Member> make() {
    auto log = open();
    EXPECT_TRUE(log->commit(batch(5), ledger::Sign::yes));
    const std::string checkpoint = log->checkpoint();
    const auto tree = ledger::parse_checkpoint(ledger::parse_note(checkpoint).value().text).value();
    std::vector<Member> members{{"workspace.json", "{}\n"}, {std::string(kCheckpoint), checkpoint}};
    std::string proofs;
    for (const std::uint64_t number : {3U, 30U}) {
      proofs +=
          format_entry({number, ledger::read_entry(options_.folder, number).value(), inclusion(number, tree.size)});
    }
    members.emplace_back(cat(kProofs, "000001"), proofs);
    members.emplace_back("ledger/events-000001.jsonl", "{\"number\":3}\n");
    const auto keys = read_file(ledger::keys_path(options_.folder), 1U << 20).value();
    const auto chain = ledger::KeyChain::parse(keys).value();
    EXPECT_GE(chain.links().size(), 2U);
    std::string growths;
    for (const auto& link : chain.links()) {
      if (link.size == 0 || link.size > tree.size) continue;
      growths += format_growth({link.size, ledger::consistency_proof(link.size, tree.size, nodes()).value()});
    }
    EXPECT_FALSE(growths.empty());
    members.emplace_back(kConsistency, growths);
    members.emplace_back("snapshot/memory", std::string(70'000, 'm'));
    members.emplace_back("snapshot/empty", "");
    const auto manifest = format_manifest(manifest_of(members));
    model::EvidenceSealed entry;
    entry.manifest = crypto::sha256_hex(manifest);
    EXPECT_TRUE(log->commit({ledger::happened_now({{"local:0", {}, {}}, {"ws_1", "ns_1"}, entry})}, ledger::Sign::yes));
    ledger::EntryProof proof;
    proof.number = log->size() - 1;
    proof.entry = ledger::read_entry(options_.folder, proof.number).value();
    proof.checkpoint = ledger::parse_note(log->checkpoint()).value();
    proof.hashes = inclusion(proof.number, log->size());
    members.emplace_back(kManifest, manifest);
    members.emplace_back(kSeal, ledger::format_proof(proof));
    members.emplace_back(kKeys, keys);
    EXPECT_TRUE(log->close());
    return members;
  }

  static Manifest manifest_of(const std::vector<Member>& members) {
    Manifest manifest{"ws_1", "inc_1", "snap_1", "2026-01-31T23:59:59.123Z", {}};
    for (const auto& [name, content] : members) {
      if (name == kManifest || name == kSeal || name == kKeys) continue;
      manifest.items.push_back({name, crypto::sha256_hex(content), content.size()});
    }
    return manifest;
  }
  std::string& member(std::string_view name) {
    for (auto& [known, content] : members_) {
      if (known == name) return content;
    }
    ADD_FAILURE() << "there is no " << name;
    return members_.front().second;
  }
  // Not good, and the member is among those that are named.
  void expect_named(std::string_view name, std::string_view why = {}) {
    const auto report = verify_bytes(bundle_of(members_));
    EXPECT_FALSE(report.good()) << name;
    bool named = false;
    for (const auto& finding : report.findings) {
      named = named || (finding.member == name && finding.what.find(why) != std::string::npos);
    }
    EXPECT_TRUE(named) << name << " '" << why << "' is not in:\n" << told(report);
  }

  std::vector<Member> members_;

 private:
  ledger::ReadNode nodes() {
    return [this](unsigned level, std::uint64_t index) -> Result<ledger::Hash> {
      TRY_ASSIGN(const auto file, ledger::NodeFile::open(options_.folder));
      return file.read(level, index);
    };
  }
  std::vector<ledger::Hash> inclusion(std::uint64_t number, std::uint64_t size) {
    return ledger::inclusion_proof(number, size, nodes()).value();
  }
};

}  // namespace cofferdam::evidence
