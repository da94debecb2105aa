#include "ledger/canonical.h"

#include <gtest/gtest.h>

#include "ledger/test_support.h"

namespace cofferdam::ledger {
namespace {

const Stamp kStamp{7, 1'700'000'000'000'000, 42};

model::Entry ended() {
  model::ExecEnded event;
  event.exec = "cmd_1";
  event.exit = -1;
  event.how = "exited";
  return {{"tok_1", "", "req_1"}, {"ws_1", ""}, event};
}

TEST(Canonical, the_bytes_of_an_entry_never_change) {
  // A change of these is another version of the form: old logs could not be verified any more.
  EXPECT_EQ(to_hex(encode(kStamp, ended())),
            "01070000000000000000401e18240a06002a000000000000003d00010205000000746f6b5f310302050000007265715f31"
            "04020400000077735f31100205000000636d645f311101ffffffffffffffff160206000000657869746564");
}

TEST(Canonical, what_is_encoded_decodes_and_encodes_the_same) {
  const std::string bytes = encode(kStamp, ended());
  const auto entry = decode(bytes);
  ASSERT_TRUE(entry) << entry.error().message;
  EXPECT_EQ(entry->stamp.number, 7U);
  EXPECT_EQ(entry->text(kActor), "tok_1");
  EXPECT_EQ(entry->text(kAddress), "");
  EXPECT_EQ(entry->number(17), -1);
  EXPECT_EQ(entry->kind_text(), "exec.ended");
  EXPECT_EQ(encode(*entry), bytes);
  EXPECT_EQ(describe(*entry), "entry 7 (exec.ended of ws_1, 2023-11-14T22:13:20.000Z)");
}

TEST(Canonical, every_cut_is_refused) {
  const std::string bytes = encode(kStamp, ended());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const auto cut = decode(std::string_view(bytes).substr(0, size));
    // A cut between two fields is another entry, which has another hash.
    if (cut) EXPECT_EQ(encode(*cut), bytes.substr(0, size));
  }
  EXPECT_FALSE(decode(bytes + "x"));
}

TEST(Canonical, what_is_not_canonical_is_refused) {
  std::string head = encode(kStamp, {{}, {}, model::ApiChanged{}});
  EXPECT_TRUE(decode(head));
  const std::string number("\x20\x01\x01\0\0\0\0\0\0\0", 10);
  const std::string zero("\x20\x01\0\0\0\0\0\0\0\0", 10);
  const std::string text("\x21\x02\x01\0\0\0x", 7);
  const std::string empty("\x21\x02\0\0\0\0", 6);
  const std::string latin("\x21\x02\x01\0\0\0\xe9", 7);
  const std::string list("\x22\x03\0\0\0\0", 6);
  const std::string type("\x22\x04\0\0\0\0", 6);
  EXPECT_TRUE(decode(head + number + text));
  EXPECT_FALSE(decode(head + text + number));
  EXPECT_FALSE(decode(head + text + text));
  for (const auto& bad : {zero, empty, latin, list, type}) EXPECT_FALSE(decode(head + bad)) << to_hex(bad);
  head[0] = 2;
  EXPECT_FALSE(decode(head));
  for (const std::int64_t time : {INT64_MIN, INT64_MAX, INT64_MAX / 1000 + 1}) {
    EXPECT_FALSE(decode(encode({1, time, 1}, {{}, {}, model::ApiChanged{}}))) << time;
  }
}

TEST(Canonical, an_entry_of_a_newer_program_is_kept_whole) {
  std::string bytes = encode(kStamp, {{}, {}, model::DaemonStopped{"x"}});
  bytes[25] = '\x77';
  bytes[26] = '\x27';
  const auto entry = decode(bytes);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->kind_text(), "kind 10103");
  EXPECT_EQ(encode(*entry), bytes);
}

}  // namespace
}  // namespace cofferdam::ledger
