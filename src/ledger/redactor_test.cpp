#include "ledger/redactor.h"

#include <gtest/gtest.h>

#include "base/base64.h"
#include "base/text.h"
#include "base/utf8.h"

namespace cofferdam::ledger {
namespace {

const std::string kToken = "cof_ctl_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklm";

model::Texts cleaned(const Redactor& redactor, model::Texts argv, const std::string& space = "ns_1") {
  model::ExecStarted event;
  event.argv = std::move(argv);
  model::Entry entry{{}, {"ws_1", space}, event};
  redactor.clean(entry);
  return entry.event.as<model::ExecStarted>()->argv;
}

TEST(Redactor, our_own_tokens_are_taken_out_of_every_text) {
  model::Entry entry{
      {"who", "", ""}, {}, model::ApiChanged{"POST", "/x", "/x/" + kToken, 200, "", "see " + kToken + "!"}};
  Redactor().clean(entry);
  const auto& event = *entry.event.as<model::ApiChanged>();
  EXPECT_EQ(event.path, "/x/cof_ctl_[secret]");
  EXPECT_EQ(event.detail, "see cof_ctl_[secret]!");
}

TEST(Redactor, a_delivered_value_is_taken_out_of_its_namespace) {
  Redactor redactor;
  redactor.conceal("ns_1", "hunter2-and-more");
  EXPECT_EQ(cleaned(redactor, {"curl", "-H", "X: hunter2-and-more", "hunter2-and-more,hunter2-and-more"}),
            (model::Texts{"curl", "-H", "X: [secret]", "[secret],[secret]"}));
  EXPECT_EQ(cleaned(redactor, {"echo", "hunter2-and-more"}, "ns_2")[1], "hunter2-and-more");
  const auto hidden = cleaned(redactor, {"printf", to_base64("hunter2-and-more")})[1];
  EXPECT_TRUE(hidden.starts_with("[secret]")) << hidden;
}

TEST(Redactor, a_short_value_is_taken_out_where_it_is_a_word) {
  Redactor redactor;
  redactor.conceal("ns_1", "abc");
  EXPECT_EQ(cleaned(redactor, {"abc", "KEY=abc", "abcdef"}), (model::Texts{"[secret]", "KEY=[secret]", "abcdef"}));
}

TEST(Redactor, what_names_call_a_secret_is_taken_out_of_a_command) {
  const std::pair<model::Texts, model::Texts> cases[] = {
      {{"tool", "--password", "x1y2"}, {"tool", "--password", "[secret]"}},
      {{"tool", "--api-key=x1y2", "-v"}, {"tool", "--api-key=[secret]", "-v"}},
      {{"sh", "-c", "PASSWORD='x1 y2' run"}, {"sh", "-c", "PASSWORD='[secret] y2' run"}},
      {{"curl", "-H", "Authorization: Bearer x1y2.z3"}, {"curl", "-H", "Authorization: Bearer [secret]"}},
      {{"git", "clone", "https://me:x1y2@host/r"}, {"git", "clone", "https://me:[secret]@host/r"}},
      {{"echo", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----"},
       {"echo", "-----BEGIN PRIVATE KEY-----[secret]-----END PRIVATE KEY-----"}},
      {{"python3", "-c", "print(1)"}, {"python3", "-c", "print(1)"}},
      {{"make", "--token", "--verbose"}, {"make", "--token", "--verbose"}},
      {{"psql", "postgres://host:5432/db"}, {"psql", "postgres://host:5432/db"}},
  };
  for (const auto& [given, kept] : cases) EXPECT_EQ(cleaned(Redactor(), given), kept);
}

TEST(Redactor, texts_become_utf8_and_are_cut) {
  const auto words = cleaned(Redactor(), {"a\xff"
                                          "b",
                                          std::string(100'000, 'x'), std::string(4095, 'y') + "\xc3\xbc"});
  EXPECT_EQ(words[0],
            "a\xef\xbf\xbd"
            "b");
  EXPECT_LE(words[1].size(), Redactor::kMaxText + 32);
  EXPECT_TRUE(words[1].ends_with(" more bytes]")) << words[1].substr(words[1].size() - 20);
  EXPECT_TRUE(is_utf8(words[2]));
  const auto many = cleaned(Redactor(), model::Texts(5000, "word"));
  EXPECT_EQ(many.back(), "…[4744 more]");
  EXPECT_EQ(many.size(), 257U);
}

TEST(Redactor, a_secret_does_not_come_through_at_the_cut) {
  Redactor redactor;
  const std::string secret = "the-value-that-must-not-be-seen";
  redactor.conceal("ns_1", secret);
  for (std::size_t before = Redactor::kMaxText - secret.size(); before <= Redactor::kMaxText; ++before) {
    const auto word = cleaned(redactor, {std::string(before, 'x') + secret + std::string(100, 'y')})[0];
    EXPECT_EQ(word.find("the-v"), std::string::npos) << before;
  }
}

TEST(Redactor, as_many_values_as_it_may_are_known) {
  Redactor redactor;
  for (std::size_t i = 0; i <= Redactor::kMaxKnown; ++i) redactor.conceal("ns_1", cat("secret-number-", i, "-"));
  EXPECT_EQ(cleaned(redactor, {"secret-number-0-"})[0], "secret-number-0-");
  EXPECT_EQ(cleaned(redactor, {cat("secret-number-", Redactor::kMaxKnown, "-")})[0], "[secret]");
}

}  // namespace
}  // namespace cofferdam::ledger
