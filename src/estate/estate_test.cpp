#include "estate/estate.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <random>

#include "base/text.h"
#include "estate/plan.h"

namespace cofferdam::estate {
namespace {

namespace json = boost::json;

// Random installations, each whole and valid.
class Maker {
 public:
  explicit Maker(std::uint64_t seed) : random_(seed) {}

  Estate make() {
    Estate estate;
    for (std::size_t i = 0; i < upto(4); ++i) estate.namespaces.push_back(make_namespace(i));
    for (std::size_t i = 0; i < upto(3); ++i)
      estate.images.push_back({cat("image-", i), cat("sha256:", upto(1U << 30))});
    const auto workspaces = upto(6);
    for (std::size_t i = 0; i < workspaces; ++i) estate.workspaces.push_back(make_workspace(i));
    for (std::size_t i = 1; i < workspaces; ++i) {
      if (chance()) {
        estate.links.push_back({estate.workspaces[i].spec.name,
                                estate.workspaces[i - 1].spec.name,
                                chance() ? "443" : "80,8000-8080",
                                text(),
                                {}});
      }
    }
    for (std::size_t i = 0; i < upto(4); ++i) estate.secrets.push_back({"default", cat("SECRET_", i)});
    for (std::size_t i = 0; i < upto(4); ++i) {
      estate.tokens.push_back({cat(text(), i),
                               chance() ? "control" : "runtime",
                               "namespace",
                               "default",
                               {},
                               {"read", "exec"},
                               {"10.0.0.0/8"}});
    }
    for (std::size_t i = 0; i < upto(3); ++i) estate.alert_rules.push_back(cat("cpu over=", upto(100), " for=60s"));
    sort(estate);
    return estate;
  }

 private:
  std::size_t upto(std::size_t most) { return std::uniform_int_distribution<std::size_t>(0, most)(random_); }
  bool chance() { return upto(1) == 1; }
  // What means something to YAML, to terminals, or to nobody.
  std::string text() {
    static const std::vector<std::string> kParts{"a",  "Ω",    "日本", " ",    "  x",    ": ",   "#",   "- ", "'",
                                                 "\"", "\\",   "\n",   "\t",   "~",      "null", "&a",  "*a", "{}",
                                                 "[",  "%TAG", "|",    ">",    "!x",     "---",  "0x",  "1e", "yes",
                                                 "=",  "`",    "\x7f", "\x1b", "\u2028", "é",    "...", "?",  ","};
    std::string made;
    for (std::size_t i = 0; i < upto(6); ++i) made += kParts[upto(kParts.size() - 1)];
    return made;
  }

  std::optional<std::uint64_t> limit() {
    if (chance()) return std::nullopt;
    return upto(1U << 30);
  }

  Namespace make_namespace(std::size_t i) {
    Namespace space;
    space.slug = cat("space-", i);
    space.name = cat("n", text());
    space.description = text();
    space.type = chance() ? "default" : "testing";
    space.max_workspaces = limit();
    space.max_vcpus = limit();
    space.max_ram_mb = limit();
    space.max_disk_gb = limit();
    return space;
  }

  Workspace make_workspace(std::size_t i) {
    Workspace workspace;
    auto& spec = workspace.spec;
    spec.name = cat("w", i, chance() ? " Ω: #'\"" : "");
    if (chance()) spec.slug = cat("slug-", i);
    spec.namespace_id = "default";
    spec.mode = chance() ? model::Mode::permanent : model::Mode::temporary;
    spec.cpu_millis = static_cast<std::uint32_t>(100 + upto(31'900));
    spec.memory_mib = static_cast<std::uint32_t>(128 + upto(4096));
    spec.disk_mib = static_cast<std::uint32_t>(64 + upto(4096));
    if (spec.mode == model::Mode::temporary || chance()) spec.ttl = std::chrono::milliseconds(1000 + upto(10'000'000));
    spec.ttl_action = spec.at_end_of_ttl();
    if (chance()) spec.on_exit = model::OnExit::remove;
    if (spec.mode == model::Mode::permanent && chance()) {
      spec.restart_policy = model::RestartPolicy::always;
      spec.max_restarts = static_cast<std::uint32_t>(upto(10));
    }
    if (chance()) {
      model::IdlePolicy idle;
      idle.suspend_after = std::chrono::milliseconds(1000 + upto(100'000));
      spec.idle = idle;
    }
    if (chance()) spec.secrets = {"SECRET_0"};
    for (std::size_t n = 0; n < upto(3); ++n) spec.metadata[cat("key", n)] = text();
    for (std::size_t n = 0; n < upto(3); ++n) {
      EnvItem item{cat("NAME_", n), std::nullopt};
      if (chance()) item.value = text();
      workspace.env.push_back(std::move(item));
    }
    if (chance()) workspace.internet = Workspace::Internet::open;
    if (chance()) workspace.egress = {"*.debian.org:80", "203.0.113.0/24:22"};
    if (chance()) workspace.egress_ports = "443,8000-8080";
    for (std::size_t n = 0; n < upto(2); ++n) {
      workspace.exposed.push_back({static_cast<std::uint16_t>(8000 + n), cat("exposed-", i, "-", n), text(),
                                   chance() ? Visitors::anybody : Visitors::token_holders});
    }
    return workspace;
  }

  std::mt19937_64 random_;
};

TEST(Estate, a_thousand_random_installations_are_read_as_they_were_written) {
  for (std::uint64_t seed = 0; seed < 1000; ++seed) {
    const auto estate = Maker(seed).make();
    const auto text = write(estate);
    const auto again = read(text, "f");
    ASSERT_TRUE(again) << "seed " << seed << ": " << again.error().message << "\n" << text;
    ASSERT_EQ(json::serialize(to_json(*again)), json::serialize(to_json(estate))) << "seed " << seed << "\n" << text;
    ASSERT_EQ(write(*again), text) << "seed " << seed;
  }
}

TEST(Estate, what_is_there_already_needs_nothing) {
  for (std::uint64_t seed = 0; seed < 200; ++seed) {
    const auto estate = Maker(seed).make();
    const auto plan = make_plan(estate, estate);
    ASSERT_TRUE(plan.actions.empty()) << "seed " << seed << ": " << plan.actions.front().what;
    ASSERT_TRUE(plan.by_hand.empty()) << "seed " << seed << ": " << plan.by_hand.front();
  }
}

std::string why(const std::string& text) {
  const auto estate = read(text, "f");
  return estate ? "it was read" : estate.error().message;
}

TEST(Estate, an_error_says_where_it_is) {
  EXPECT_EQ(why("version: 2"), "f:1:10: version 2 is of a newer program; this one knows 1");
  EXPECT_EQ(why("links: []"), "f:1:1: 'version' is missing");
  EXPECT_EQ(why("version: 1\nversion: 1\n"), "f:2:1: 'version' is given twice");
  EXPECT_EQ(why("version: 1\nbuckets: []\n").substr(0, 31), "f:2:1: unknown key 'buckets' in");
  EXPECT_EQ(why("version: 1\nworkspaces:\n  - name: a\n    cpu: 2\n").substr(0, 29), "f:4:5: unknown key 'cpu' in a");
  EXPECT_EQ(why("version: 1\nworkspaces:\n  - name: a\n  - name: a\n"), "f:4:5: the workspace 'a' is given twice");
  EXPECT_EQ(why("version: 1\nnamespaces:\n  - slug: a\n  - slug: a\n"), "f:4:5: the namespace 'a' is given twice");
  EXPECT_EQ(why("version: 1\nworkspaces:\n  - name: a\nlinks:\n  - {from: a, to: b, ports: '1'}\n"),
            "f:5:5: the workspace 'b' of this link is not in the file");
  EXPECT_EQ(why("version: 1\nworkspaces:\n  - name: a\nlinks:\n  - {from: a, to: a, ports: '1'}\n"),
            "f:5:5: a link from 'a' to itself");
  EXPECT_EQ(why("version: 1\nworkspaces:\n  - name: a\n    memory_mb: 1\n").substr(0, 7), "f:3:5: ");
  EXPECT_EQ(why("version: 1\nworkspaces: [\n").substr(0, 2), "f:");
}

TEST(Estate, a_file_that_holds_itself_is_refused) {
  EXPECT_EQ(why("version: 1\nworkspaces: &a\n  - *a\n").substr(0, 5), "f:2:1");
  EXPECT_EQ(why("version: 1\nx: *a\n").substr(0, 5), "f:2:4");
  EXPECT_NE(why("version: 1\n---\nversion: 1\n").find("second document"), std::string::npos);
  EXPECT_NE(why(cat("version: 1\nlinks: ", std::string(1000, '['))).find("f:"), std::string::npos);
}

TEST(Plan, from_nothing_everything_is_made_before_it_is_linked) {
  Estate want;
  want.namespaces.push_back({"acme", "Acme", "", "default", 3, {}, {}, {}});
  for (const auto* name : {"api", "db"}) {
    Workspace workspace;
    workspace.spec.name = name;
    workspace.spec.namespace_id = "acme";
    workspace.spec.ttl = model::kDefaultTemporaryTtl;
    want.workspaces.push_back(std::move(workspace));
  }
  want.workspaces[0].env.push_back({"KEY", std::nullopt});
  want.workspaces[1].exposed.push_back({8080, "shop", "", Visitors::anybody});
  want.links.push_back({"api", "db", "5432", "", {}});
  want.secrets.push_back({"acme", "TOKEN"});
  const auto plan = make_plan({}, want);
  std::vector<std::string> what;
  for (const auto& action : plan.actions) what.push_back(action.what);
  EXPECT_EQ(what, (std::vector<std::string>{"create the namespace 'acme'", "create the workspace 'api'",
                                            "create the workspace 'db'", "expose port 8080 of the workspace 'db'",
                                            "link 'api' to 'db' port 5432"}));
  EXPECT_EQ(plan.by_hand.size(), 2U);  // the secret, and the variable without a value
}

TEST(Estate, alert_rules_are_nobodys_to_apply_and_a_difference_is_told) {
  Estate have;
  have.alert_rules = {"cpu over=95 for=300s"};
  Estate want = have;
  EXPECT_TRUE(make_plan(have, want).by_hand.empty());
  want.alert_rules.emplace_back("denied off");
  const auto plan = make_plan(have, want);
  EXPECT_TRUE(plan.actions.empty());
  ASSERT_EQ(plan.by_hand.size(), 1U);
  EXPECT_NE(plan.by_hand.front().find("alerts.rules to: cpu over=95 for=300s, denied off"), std::string::npos);
  // A file that says nothing of them asks for nothing.
  EXPECT_TRUE(make_plan(have, {}).by_hand.empty());
}

TEST(Estate, an_alert_rule_is_one_line) {
  for (const auto* bad :
       {"alert_rules: [\"a,b\"]", "alert_rules: [\"\"]", "alert_rules: [\"a\\nb\"]", "alert_rules: x"}) {
    const auto read = estate::read(cat("version: 1\n", bad, "\n"), "f");
    ASSERT_FALSE(read) << bad;
    EXPECT_EQ(read.error().message.rfind("f:2:", 0), 0U) << read.error().message;
  }
}

TEST(Plan, only_what_differs_is_changed) {
  const auto have = Maker(7).make();
  ASSERT_FALSE(have.workspaces.empty());
  auto want = have;
  want.workspaces[0].spec.memory_mib += 1;
  want.workspaces[0].spec.metadata["new"] = "note";
  const auto plan = make_plan(have, want);
  ASSERT_EQ(plan.actions.size(), 2U);
  EXPECT_EQ(json::serialize(plan.actions[0].body),
            cat(R"({"config":{"memory_mb":)", want.workspaces[0].spec.memory_mib, "}}"));
  EXPECT_EQ(plan.actions[1].path.back(), "metadata");
}

TEST(Plan, links_that_the_file_does_not_have_are_removed_among_its_own) {
  auto have = Maker(7).make();
  have.links.clear();
  while (have.workspaces.size() < 2) {
    Workspace more;
    more.spec.name = cat("more-", have.workspaces.size());
    more.spec.ttl = model::kDefaultTemporaryTtl;
    have.workspaces.push_back(std::move(more));
  }
  const auto want = have;
  have.links.push_back({have.workspaces[0].spec.name, have.workspaces[1].spec.name, "22", "", "lnk_1"});
  have.links.push_back({have.workspaces[0].spec.name, "not in the file", "22", "", "lnk_2"});
  const auto plan = make_plan(have, want);
  ASSERT_EQ(plan.actions.size(), 1U);
  EXPECT_EQ(plan.actions[0].method, "DELETE");
  EXPECT_EQ(plan.actions[0].path, (std::vector<std::string>{"links", "lnk_1"}));
}

}  // namespace
}  // namespace cofferdam::estate
