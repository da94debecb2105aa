#include "ledger/verify.h"

#include "base/base64.h"
#include "ledger/folder.h"
#include "ledger/proof.h"
#include "ledger/query.h"
#include "ledger/test_support.h"

namespace cofferdam::ledger {
namespace {

// A log of 101 entries: the key, and a hundred in tens with a checkpoint behind each ten.
class VerifyTest : public LogTest {
 protected:
  void SetUp() override {
    LogTest::SetUp();
    write_log(100);
    bytes_ = bytes_of(0);
    SegmentReader reader(bytes_);
    while (const auto frame = reader.next()) frames_.push_back(*frame);
    kept_ = parse_note(read_file(checkpoint_path(options_.folder), 1 << 16).value()).value();
  }
  std::size_t place_of_entry(std::uint64_t number) const {
    std::uint64_t at = 0;
    for (std::size_t i = 0; i < frames_.size(); ++i) {
      if (frames_[i].type == FrameType::entry && at++ == number) return i;
    }
    return frames_.size();
  }
  // The file anew from frames, each with a check that fits.
  void rewrite(const std::vector<std::pair<FrameType, std::string>>& frames) {
    std::string bytes(kSegmentMagic);
    for (const auto& [type, payload] : frames) append_frame(bytes, type, payload);
    put_bytes(0, bytes);
  }
  std::vector<std::pair<FrameType, std::string>> copy() const {
    std::vector<std::pair<FrameType, std::string>> frames;
    for (const auto& frame : frames_) frames.emplace_back(frame.type, std::string(frame.payload));
    return frames;
  }
  // Found, and the number is among those named.
  void expect_named(std::uint64_t number, std::string_view word, std::vector<Note> checkpoints = {}) {
    const auto report = check(std::move(checkpoints));
    EXPECT_FALSE(report.good());
    bool named = false;
    for (const auto& finding : report.findings) {
      named = named || (finding.from <= number && number <= finding.to && finding.what.find(word) != std::string::npos);
    }
    EXPECT_TRUE(named) << number << " '" << word << "' is not in:\n" << findings(report);
  }
  void forget_index() {
    ASSERT_TRUE(remove_tree(nodes_path(options_.folder)));
    ASSERT_TRUE(remove_tree(offsets_path(options_.folder)));
  }

  std::string bytes_;
  std::vector<Frame> frames_;
  Note kept_;
};

TEST_F(VerifyTest, a_log_that_nobody_touched_is_good) {
  const auto report = check({kept_});
  EXPECT_TRUE(report.good()) << findings(report);
  EXPECT_EQ(report.size, 101U);
  EXPECT_EQ(report.unsigned_entries, 0U);
  EXPECT_EQ(report.checkpoints, 11U);
}

TEST_F(VerifyTest, one_changed_byte_is_named) {
  const auto& frame = frames_[place_of_entry(42)];
  std::string bytes = bytes_;
  bytes[frame.offset + kFrameHeadBytes + frame.payload.size() - 1] ^= 1;
  put_bytes(0, bytes);
  expect_named(42, "was changed");
  // And nothing else is.
  EXPECT_EQ(check().finding_count, 1U) << findings(check());
}

TEST_F(VerifyTest, an_entry_that_was_changed_with_its_check_is_named) {
  auto frames = copy();
  auto& payload = frames[place_of_entry(42)].second;
  payload[payload.rfind("41")] = '9';
  rewrite(frames);
  expect_named(42, "is not the one that was signed");
  EXPECT_EQ(check().finding_count, 1U) << findings(check());
}

TEST_F(VerifyTest, who_changes_the_index_too_is_found_between_two_checkpoints) {
  auto frames = copy();
  auto& payload = frames[place_of_entry(42)].second;
  payload[payload.rfind("41")] = '9';
  rewrite(frames);
  forget_index();
  expect_named(42, "something was changed");
  const auto report = check();
  EXPECT_EQ(report.findings.front().from, 41U);
  EXPECT_EQ(report.findings.front().to, 50U);
}

TEST_F(VerifyTest, a_missing_entry_is_named) {
  auto frames = copy();
  frames.erase(frames.begin() + static_cast<std::ptrdiff_t>(place_of_entry(42)));
  rewrite(frames);
  expect_named(42, "is missing");
  EXPECT_EQ(check().finding_count, 1U) << findings(check());
  forget_index();
  expect_named(42, "missing");
}

TEST_F(VerifyTest, exchanged_entries_are_named) {
  auto frames = copy();
  std::swap(frames[place_of_entry(42)], frames[place_of_entry(43)]);
  rewrite(frames);
  expect_named(42, "is out of place");
}

TEST_F(VerifyTest, an_invented_entry_is_named) {
  auto frames = copy();
  const auto at = place_of_entry(42);
  frames.insert(frames.begin() + static_cast<std::ptrdiff_t>(at) + 1,
                {FrameType::entry, encode({42, 1, 1}, entry("forged"))});
  rewrite(frames);
  expect_named(42, "invented");
}

TEST_F(VerifyTest, an_invented_entry_at_the_end_is_named) {
  auto frames = copy();
  frames.emplace_back(FrameType::entry, encode({101, 1, 1}, entry("forged")));
  rewrite(frames);
  expect_named(101, "signed by nobody");
}

TEST_F(VerifyTest, a_cut_end_is_named) {
  auto frames = copy();
  frames.resize(place_of_entry(91));
  rewrite(frames);
  expect_named(95, "missing at the end");
  // Also by who removes the newest checkpoint, if one was kept elsewhere.
  ASSERT_TRUE(remove_tree(checkpoint_path(options_.folder)));
  EXPECT_TRUE(check().good());
  expect_named(95, "missing at the end", {kept_});
}

TEST_F(VerifyTest, a_log_that_was_made_anew_is_not_the_one_that_was_kept) {
  ASSERT_TRUE(remove_tree(state_ + "/ledger"));
  ASSERT_TRUE(remove_tree(state_ + "/keys"));
  write_log(100);
  EXPECT_TRUE(check().good());
  EXPECT_FALSE(check({kept_}).good());
}

TEST_F(VerifyTest, who_has_the_newest_key_makes_no_other_past) {
  {
    auto log = open();
    ASSERT_TRUE(log->advance_key());
    ASSERT_TRUE(log->close());
  }
  // The log of before, with one entry changed and all checkpoints signed anew by the key that is there now.
  const std::string now = bytes_of(0);
  SegmentReader reader(now);
  const auto text = read_file(options_.key_path, 64).value();
  const auto key = SecureBytes::copy_of(text);
  Frontier tree;
  std::string forged(kSegmentMagic);
  while (const auto frame = reader.next()) {
    std::string payload(frame->payload);
    if (frame->type == FrameType::entry) {
      if (tree.size() == 42) payload[payload.rfind("41")] = '9';
      tree.push(leaf_hash(payload));
    }
    if (frame->type == FrameType::checkpoint) {
      Checkpoint again = parse_checkpoint(parse_note(payload).value().text).value();
      again.root = tree.root();
      Note note{again.text(), {}};
      note.signatures.push_back(sign_text(note.text, again.origin, key));
      payload = format_note(note);
    }
    append_frame(forged, frame->type, payload);
  }
  put_bytes(0, forged);
  ASSERT_TRUE(remove_tree(checkpoint_path(options_.folder)));
  forget_index();
  const auto report = check();
  EXPECT_FALSE(report.good());
  EXPECT_NE(findings(report).find("the key of epoch 1 took over"), std::string::npos) << findings(report);
  EXPECT_NE(findings(report).find("whose turn it was"), std::string::npos) << findings(report);
}

TEST_F(VerifyTest, removed_checkpoints_are_found_by_the_newest) {
  std::vector<std::pair<FrameType, std::string>> frames;
  for (const auto& frame : copy()) {
    if (frame.first != FrameType::checkpoint) frames.push_back(frame);
  }
  rewrite(frames);
  EXPECT_FALSE(check().good());
}

TEST_F(VerifyTest, a_missing_file_is_named) {
  options_.segment_bytes = 4096;
  {
    auto log = open();
    for (std::size_t i = 0; i < 200; i += 10) ASSERT_TRUE(log->commit(batch(10, i), Sign::yes));
    ASSERT_TRUE(log->close());
  }
  const auto files = list_segments(options_.folder).value();
  ASSERT_GT(files.size(), 4U);
  ASSERT_TRUE(remove_tree(options_.folder + "/" + segment_name(files[2])));
  expect_named(files[2] + 1, "are missing");
  ASSERT_TRUE(remove_tree(options_.folder + "/" + segment_name(files[0])));
  expect_named(3, "are missing");
}

TEST_F(VerifyTest, another_first_key_than_the_one_that_was_kept_is_found) {
  VerifyOptions options;
  options.folder = options_.folder;
  options.first_key = check().first_key;
  EXPECT_TRUE(verify(options).value().good());
  options.first_key->public_key[0] ^= 1;
  EXPECT_FALSE(verify(options).value().good());
}

TEST_F(VerifyTest, an_entry_is_proven_without_the_log) {
  EntryProof proof;
  proof.number = 42;
  proof.checkpoint = kept_;
  const auto nodes = NodeFile::open(options_.folder).value();
  proof.hashes =
      inclusion_proof(42, 101, [&](unsigned level, std::uint64_t index) { return nodes.read(level, index); }).value();
  proof.entry = read_entry(options_.folder, 42).value();
  const auto keys = KeyChain::parse(read_file(keys_path(options_.folder), 1 << 20).value()).value();
  const auto again = parse_proof(format_proof(proof));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(check_proof(*again, keys).value().text(kWorkspace), "ws_41");
  proof.entry.back() ^= 1;
  EXPECT_EQ(check_proof(proof, keys).error().code, Code::DataLoss);
  EXPECT_FALSE(parse_proof("c2sp.org/tlog-proof@v1\nindex 1\n\n"));
}

TEST_F(VerifyTest, where_there_is_no_log_is_an_error) {
  VerifyOptions options;
  options.folder = state_ + "/keys";
  EXPECT_EQ(verify(options).error().code, Code::NotFound);
}

}  // namespace
}  // namespace cofferdam::ledger
