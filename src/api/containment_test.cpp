#include "api/api_fixture.h"
#include "base/file.h"
#include "base/text.h"
#include "evidence/verify.h"

namespace cofferdam::api {
namespace {

class ContainmentTest : public ApiTest {
 protected:
  static std::string text(const json::value& value) { return std::string(value.as_string()); }
};

TEST_F(ContainmentTest, every_step_is_in_the_answer_and_a_second_call_answers_the_same) {
  make();
  const auto first = ask("POST", "/workspace/box/contain", R"({"why": "it mines"})");
  ASSERT_EQ(first.status, 200) << first.text;
  const auto incident = first.body().at("incident");
  EXPECT_EQ(text(incident.at("state")), "contained");
  EXPECT_EQ(text(incident.at("why")), "it mines");
  std::vector<std::string> steps;
  for (const auto& step : incident.at("steps").as_array()) {
    steps.push_back(text(step.at("step")));
    EXPECT_FALSE(step.as_object().contains("error")) << first.text;
  }
  EXPECT_EQ(steps, (std::vector<std::string>{"vcpus", "flows", "tokens", "snapshot", "hold", "report"}));
  const auto again = ask("POST", "/workspace/box/contain", R"({"why": "again"})").body().at("incident");
  EXPECT_EQ(again.at("id"), incident.at("id"));
  EXPECT_EQ(text(again.at("why")), "it mines");
  EXPECT_EQ(ask("GET", "/workspace/box/incident").body().at("incident").at("id"), incident.at("id"));
  EXPECT_EQ(ask("GET", "/incidents").body().at("incidents").as_array().size(), 1U);
}

TEST_F(ContainmentTest, changes_are_refused_by_name_until_it_is_released) {
  make();
  ask("POST", "/workspace/box/contain", R"({"why": "it mines"})");
  for (const auto& [method, path] :
       std::vector<std::pair<std::string, std::string>>{{"DELETE", "/workspace/box"},
                                                        {"POST", "/workspace/box/start"},
                                                        {"PATCH", "/workspace/box/network"},
                                                        {"PUT", "/workspace/box/files/raw?path=/x"},
                                                        {"POST", "/workspace/box/runtime-api-access/enable"}}) {
    const auto refused = ask(method, path, "{}");
    EXPECT_GE(refused.status, 400) << path;
    EXPECT_NE(refused.text.find("is contained"), std::string::npos) << path << ": " << refused.text;
  }
  EXPECT_EQ(ask("GET", "/workspace/box").status, 200);
  EXPECT_EQ(ask("POST", "/workspace/box/release", "{}").status, 422);
  const auto released = ask("POST", "/workspace/box/release", R"({"why": "a false alarm"})");
  ASSERT_EQ(released.status, 200) << released.text;
  EXPECT_EQ(text(released.body().at("incident").at("state")), "released");
  EXPECT_EQ(ask("POST", "/workspace/box/start").status, 200);
  EXPECT_GE(ask("POST", "/workspace/box/release", R"({"why": "twice"})").status, 400);
  const auto last = ask("GET", "/workspace/box/incident").body().at("incident");
  EXPECT_EQ(text(last.at("release_why")), "a false alarm");
}

TEST_F(ContainmentTest, its_tokens_and_those_they_have_minted_are_over) {
  make();
  const auto token =
      mint(R"({"scope": "workspace", "workspaceId": "box", "verbs": ["read", "tokens"], "label": "its"})");
  const auto elsewhere = mint(R"({"scope": "account", "verbs": ["read"]})");
  const auto child =
      far("POST", "/tokens", bearer(token),
          R"({"scope": "workspace", "workspaceId": "box", "verbs": ["read"], "label": "child", "ttl": "5m"})");
  ASSERT_EQ(child.status, 201) << child.text;
  const auto childs = text(child.body().at("token"));
  EXPECT_EQ(far("GET", "/workspace/box", bearer(token)).status, 200);
  const auto contained = ask("POST", "/workspace/box/contain");
  EXPECT_EQ(far("GET", "/workspace/box", bearer(token)).status, 401);
  EXPECT_EQ(far("GET", "/workspace/box", bearer(childs)).status, 401);
  EXPECT_EQ(far("GET", "/workspace/box", bearer(elsewhere)).status, 200);
  const auto incident = contained.body().at("incident");
  EXPECT_EQ(incident.at("tokens").as_array().size(), 2U);
  const auto minted = incident.at("report").at("traces").at("tokens_minted").as_array();
  ASSERT_EQ(minted.size(), 1U) << contained.text;
  EXPECT_EQ(minted[0].at("id"), child.body().at("id"));
  ask("POST", "/workspace/box/release", R"({"why": "done"})");
  EXPECT_EQ(far("GET", "/workspace/box", bearer(token)).status, 401);
}

TEST_F(ContainmentTest, who_may_not_contain_is_refused) {
  make();
  const auto reader = mint(R"({"scope": "workspace", "workspaceId": "box", "verbs": ["read"]})");
  EXPECT_EQ(far("POST", "/workspace/box/contain", bearer(reader)).status, 403);
  const auto keeper = mint(R"({"scope": "workspace", "workspaceId": "box", "verbs": ["lifecycle"]})");
  EXPECT_EQ(far("POST", "/workspace/box/release", bearer(keeper), R"({"why": "let me out"})").status, 403);
  EXPECT_EQ(ask("POST", "/workspace/none/contain").status, 404);
  EXPECT_EQ(ask("POST", "/workspace/box/contain", cat(R"({"why": ")", std::string(501, 'x'), "\"}")).status, 422);
  EXPECT_EQ(ask("POST", "/workspace/box/start").status, 200);
}

TEST_F(ContainmentTest, flows_answer_four_questions) {
  make();
  ask("PATCH", "/workspace/box/network", R"({"egress": ["pypi.org"]})");
  mint(R"({"scope": "account", "verbs": ["exec"], "label": "operator"})");
  const auto answer = ask("GET", "/flows?workspace=box");
  ASSERT_EQ(answer.status, 200) << answer.text;
  const auto one = answer.body().at("workspaces").at(0);
  EXPECT_EQ(text(one.at("reaches").at("egress").at(0)), "pypi.org");
  EXPECT_EQ(text(one.at("flows").at(0).at("to")), "pypi.org");
  EXPECT_EQ(text(one.at("seen_by").at("tokens").at(0).at("label")), "operator");
  EXPECT_FALSE(one.at("when_destroyed").at("gone").as_array().empty());
  EXPECT_EQ(ask("GET", "/flows").body().at("workspaces").as_array().size(), 1U);
  EXPECT_EQ(ask("GET", "/flows?workspace=none").status, 404);
}

TEST_F(ContainmentTest, evidence_is_a_bundle_that_verifies_and_its_seal_is_in_the_ledger) {
  make();
  const auto incident = ask("POST", "/workspace/box/contain", R"({"why": "it mines"})").body().at("incident");
  const auto handed = ask("POST", "/workspace/box/evidence", "{}");
  ASSERT_EQ(handed.status, 200);
  evidence::Verifier verifier({});
  ASSERT_TRUE(verifier.feed(handed.text));
  const auto report = verifier.finish();
  EXPECT_TRUE(report.good()) << evidence::report_text(report);
  EXPECT_EQ(report.workspace, text(incident.at("workspace")));
  EXPECT_EQ(report.incident, text(incident.at("id")));
  EXPECT_EQ(report.snapshot, text(incident.at("snapshot")));
  EXPECT_GT(report.entries, 2U);
  const auto sealed = ask("GET", "/events?kind=evidence.sealed").body().at("events").as_array();
  ASSERT_EQ(sealed.size(), 1U);
  EXPECT_EQ(text(sealed[0].at("snapshot")), report.snapshot);
  EXPECT_NE(ask("POST", "/workspace/box/evidence", R"({"recipients": ["age1x"]})").status, 200);
}

TEST_F(ContainmentTest, what_is_contained_can_be_looked_into_and_never_has_a_network) {
  make();
  ask("POST", "/workspace/box/contain", R"({"why": "it mines"})");
  const auto opened = ask("POST", "/workspace/box/evidence/open", R"({"name": "look", "ttl": "5m"})");
  ASSERT_EQ(opened.status, 201) << opened.text;
  EXPECT_TRUE(opened.body().at("workspace").at("isolated").as_bool());
  for (const auto* bad : {R"({"ttl": "0s"})", R"({"ttl": "30d"})", R"({"snapshot": "snap_none"})"}) {
    EXPECT_GE(ask("POST", "/workspace/box/evidence/open", bad).status, 400) << bad;
  }
  EXPECT_EQ(ask("GET", "/events?kind=evidence.opened").body().at("events").as_array().size(), 1U);
}

TEST_F(ContainmentTest, a_bundle_that_was_changed_becomes_no_workspace) {
  make();
  ask("POST", "/workspace/box/contain", R"({"why": "it mines"})");
  auto bundle = ask("POST", "/workspace/box/evidence", "{}").text;
  const auto at = bundle.find("it mines");
  ASSERT_NE(at, std::string::npos);
  bundle[at] = 'I';
  const auto before = ask("GET", "/workspace").body().at("workspaces").as_array().size();
  const auto refused = ask("POST", "/evidence/open", bundle);
  EXPECT_GE(refused.status, 400);
  EXPECT_NE(refused.text.find("not what was signed"), std::string::npos) << refused.text;
  EXPECT_NE(refused.text.find("incident.json"), std::string::npos) << refused.text;
  EXPECT_EQ(ask("GET", "/workspace").body().at("workspaces").as_array().size(), before);
  EXPECT_TRUE(!path_exists(dir_ + "/evidence") || list_directory(dir_ + "/evidence").value().empty());
}

TEST_F(ContainmentTest, a_drill_is_kept_told_and_written_down) {
  make();
  EXPECT_EQ(ask("POST", "/workspace/box/drill", "{}").status, 404);  // no snapshot
  ask("POST", "/workspace/box/snapshot", "{}");
  const auto passed = ask("POST", "/workspace/box/drill", R"({"check": ["echo"]})");
  ASSERT_EQ(passed.status, 200) << passed.text;
  EXPECT_TRUE(passed.body().at("drill").at("passed").as_bool()) << passed.text;
  const auto failed = ask("POST", "/workspace/box/drill", R"({"check": ["complain"], "timeout_seconds": 1})");
  ASSERT_EQ(failed.status, 200) << failed.text;
  EXPECT_FALSE(failed.body().at("drill").at("passed").as_bool());
  EXPECT_NE(text(failed.body().at("drill").at("error")).find("the ready check"), std::string::npos) << failed.text;
  const auto kept = ask("GET", "/drills").body().at("drills").as_array();
  ASSERT_EQ(kept.size(), 1U);
  EXPECT_EQ(kept[0].at("passed_at"), passed.body().at("drill").at("at"));
  EXPECT_EQ(ask("GET", "/events?kind=drill.ended").body().at("events").as_array().size(), 2U);
  // Nothing of it is left.
  EXPECT_EQ(ask("GET", "/workspace").body().at("workspaces").as_array().size(), 1U);
  const auto again = incident::Drills::open(io_.get_executor(), *database_, manager_, *ledger_).value();
  EXPECT_FALSE(again->all().at(0).error.empty());
}

}  // namespace
}  // namespace cofferdam::api
