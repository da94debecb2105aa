// What the tests of this room share: a scratch folder for a log, and entries to put into it.
#pragma once
#include <gtest/gtest.h>
#include <stdlib.h>

#include <string>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "ledger/appender.h"
#include "ledger/verify.h"

namespace cofferdam::ledger {

class LogTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "coffer-ledger-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    state_ = pattern;
    options_.folder = state_ + "/ledger";
    options_.key_path = state_ + "/keys/ledger.key";
  }
  void TearDown() override { (void)remove_tree(state_); }

  static model::Entry entry(const std::string& name) {
    model::ExecStarted started;
    started.exec = name;
    started.argv = {"echo", name};
    return {{"tok_1", "10.0.0.1", "req_1"}, {"ws_" + name, "ns_1"}, started};
  }
  static std::vector<Pending> batch(std::size_t count, std::uint64_t from = 0) {
    std::vector<Pending> entries;
    entries.reserve(count);
    for (std::size_t i = 0; i < count; ++i) entries.push_back(happened_now(entry(std::to_string(from + i))));
    return entries;
  }
  std::unique_ptr<Appender> open() {
    auto opened = Appender::open(options_);
    EXPECT_TRUE(opened) << opened.error().message;
    return opened ? std::move(*opened) : nullptr;
  }
  // `count` entries, a checkpoint behind every `every` of them.
  void write_log(std::size_t count, std::size_t every = 10) {
    auto log = open();
    for (std::size_t i = 0; i < count; i += every) ASSERT_TRUE(log->commit(batch(every, i), Sign::yes));
    ASSERT_TRUE(log->close());
  }
  VerifyReport check(std::vector<Note> checkpoints = {}) {
    VerifyOptions options;
    options.folder = options_.folder;
    options.checkpoints = std::move(checkpoints);
    options.unsigned_before_us = INT64_MAX;
    auto report = verify(options);
    EXPECT_TRUE(report) << report.error().message;
    return report ? std::move(*report) : VerifyReport{};
  }
  static std::string findings(const VerifyReport& report) {
    std::string all;
    for (const auto& finding : report.findings) all += finding.what + "\n";
    return all;
  }
  std::string bytes_of(std::uint64_t first) { return read_segment(options_.folder, first).value(); }
  void put_bytes(std::uint64_t first, const std::string& bytes) {
    ASSERT_TRUE(write_file_atomically(options_.folder + "/" + segment_name(first), bytes));
  }

  std::string state_;
  AppenderOptions options_;
};

}  // namespace cofferdam::ledger
