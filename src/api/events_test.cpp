// The ledger as the API keeps and tells it.
#include <signal.h>
#include <sys/resource.h>

#include "api/api_fixture.h"
#include "ledger/proof.h"

namespace cofferdam::api {
namespace {

class EventsTest : public ApiTest {
 protected:
  json::array events(const std::string& query = "") {
    const auto answer = ask("GET", "/events?limit=1000" + query);
    EXPECT_EQ(answer.status, 200) << answer.text;
    return answer.body().at("events").as_array();
  }
};

TEST_F(EventsTest, a_change_is_durable_with_who_and_what_when_it_is_answered) {
  const std::string id = make();
  const auto changes = events("&kind=api.changed");
  ASSERT_EQ(changes.size(), 1U);
  const auto& change = changes[0].as_object();
  EXPECT_EQ(change.at("method").as_string(), "POST");
  EXPECT_EQ(change.at("route").as_string(), "/workspace");
  EXPECT_EQ(change.at("status").as_int64(), 201);
  EXPECT_EQ(change.at("workspace").as_string(), id);
  EXPECT_TRUE(change.at("request").as_string().starts_with("req_"));
  EXPECT_TRUE(change.at("actor").as_string().starts_with("local:"));
}

TEST_F(EventsTest, what_only_reads_is_no_change_and_what_failed_is_one) {
  ask("GET", "/workspace");
  EXPECT_TRUE(events("&kind=api").empty());
  ask("POST", "/workspace", R"({"image": 5})");
  const auto changes = events("&kind=api.changed");
  ASSERT_EQ(changes.size(), 1U);
  EXPECT_EQ(changes[0].at("status").as_int64(), 422);
  EXPECT_FALSE(changes[0].at("code").as_string().empty());
}

TEST_F(EventsTest, a_token_is_told_of_what_it_is_for_alone) {
  const std::string id = make();
  ask("POST", "/workspace", R"({"name": "other"})");
  ask("POST", "/workspace/" + id + "/ping", "{}");
  const std::string token = mint(R"({"scope": "workspace", "workspaceId": ")" + id + R"(", "verbs": ["read"]})");
  const auto seen = far("GET", "/events?limit=1000", bearer(token));
  EXPECT_EQ(seen.status, 200);
  const auto body = seen.body();
  const auto& told = body.at("events").as_array();
  ASSERT_FALSE(told.empty());
  for (const auto& event : told) EXPECT_EQ(event.at("workspace").as_string(), id);
  for (const char* whole : {"/ledger", "/ledger/checkpoint", "/ledger/keys", "/ledger/entries/0/proof"}) {
    EXPECT_EQ(far("GET", whole, bearer(token)).status, 403) << whole;
  }
  ASSERT_TRUE(run(ledger_->settled()));  // a refusal does not wait for its entry
  EXPECT_EQ(events("&kind=api.refused").size(), 4U);
}

TEST_F(EventsTest, refused_credentials_are_entries_without_the_credential) {
  const std::string token = mint(R"({"scope": "account"})");
  const std::string wrong = token.substr(0, token.size() - 1) + (token.back() == 'x' ? "y" : "x");
  for (int i = 0; i < 5; ++i) EXPECT_EQ(far("GET", "/workspace", bearer(wrong)).status, 401);
  EXPECT_TRUE(run(identity_->maintain()));
  ASSERT_TRUE(run(ledger_->settled()));
  const auto refused = events("&kind=token.refused");
  ASSERT_EQ(refused.size(), 2U);
  EXPECT_EQ(refused[0].at("address").as_string(), "127.0.0.1");
  EXPECT_EQ(refused[1].at("times").as_int64(), 4);
  EXPECT_EQ(ask("GET", "/events?limit=1000").text.find(wrong.substr(0, 30)), std::string::npos);
}

TEST_F(EventsTest, without_room_changes_are_refused_and_questions_answered) {
  const std::string id = make();
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
  const rlimit none{1, before.rlim_max};
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &none), 0);
  // The first may find out; from then on nothing is begun.
  ask("POST", "/workspace/" + id + "/ping", "{}");
  const auto refused = ask("POST", "/workspace/" + id + "/stop");
  const auto read = ask("GET", "/workspace/" + id);
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
  EXPECT_GE(refused.status, 400);
  EXPECT_NE(refused.text.find("nothing is changed now"), std::string::npos) << refused.text;
  EXPECT_EQ(read.status, 200);
  while (!ledger_->ready()) ASSERT_TRUE(run(loop::sleep_for(20ms)));
  EXPECT_EQ(ask("POST", "/workspace/" + id + "/ping", "{}").status, 200);
}

TEST_F(EventsTest, a_proof_is_good_under_the_keys_that_are_told) {
  make();
  const auto proof = ledger::parse_proof(ask("GET", "/ledger/entries/1/proof").text);
  ASSERT_TRUE(proof) << proof.error().message;
  const auto keys = ledger::KeyChain::parse(ask("GET", "/ledger/keys").text);
  ASSERT_TRUE(keys) << keys.error().message;
  EXPECT_TRUE(ledger::check_proof(*proof, *keys));
  EXPECT_EQ(ask("GET", "/ledger/entries/99999/proof").status, 404);
  EXPECT_EQ(ask("GET", "/ledger/consistency?from=1").status, 200);
  EXPECT_EQ(ask("GET", "/events?kind=exec.dreamt").status, 422);
  EXPECT_EQ(ask("GET", "/events?since=yesterday").status, 422);
  EXPECT_EQ(ask("GET", "/events?since=2026-01-31T23:59:59Z").status, 200);
}

TEST_F(EventsTest, an_export_is_a_line_for_each_entry) {
  make();
  const auto lines = split(ask("GET", "/events/export").text, '\n');
  EXPECT_EQ(lines.size(), ledger_->size() + 1);
  const auto ocsf = split(ask("GET", "/events/export?format=ocsf&kind=api.changed").text, '\n');
  ASSERT_EQ(ocsf.size(), 2U);
  EXPECT_EQ(json::parse(ocsf[0]).at("class_uid").as_int64(), 6003);
  EXPECT_EQ(ask("GET", "/events/export?format=xml").status, 422);
}

}  // namespace
}  // namespace cofferdam::api
