#include "estate/estate.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <random>
#include <utility>

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
    if (chance()) workspace.proxy = make_proxy();
    if (chance()) {
      workspace.ready_check = model::ReadyCheck{{"sh", "-c", text()}, std::chrono::seconds(1 + upto(239))};
    }
    return workspace;
  }

  Proxy make_proxy() {
    static const std::vector<std::string> kHosts{"proxy.example.org", "a-b.example", "45.1.0.80", "2606:4700::1"};
    Proxy proxy{kHosts[upto(kHosts.size() - 1)], static_cast<std::uint16_t>(1 + upto(65'534))};
    if (chance()) proxy.told = Proxy::Told::names;
    if (chance()) proxy.login = Proxy::Login::some;
    return proxy;
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

std::string with(const std::string& line) { return cat("version: 1\nworkspaces:\n  - name: a\n    ", line, "\n"); }

TEST(Estate, an_error_in_a_proxy_says_where_it_is_and_never_what_stands_there) {
  EXPECT_EQ(why(with("proxy: {host: Proxy.Example., port: 3128, resolves: true, login: true}")), "it was read");
  EXPECT_EQ(why(with("proxy: {port: 3128}")), "f:4:12: host is missing");
  EXPECT_EQ(why(with("proxy: {host: proxy.example}")), "f:4:12: port is missing");
  EXPECT_EQ(why(with("proxy: {host: proxy.example, port: 0}")), "f:4:12: port is missing");
  EXPECT_EQ(why(with("proxy: {host: proxy.example, port: 65536}")).substr(0, 8), "f:4:40: ");
  EXPECT_EQ(why(with("proxy: {host: proxy.example, port: 1, user: me}")).substr(0, 24), "f:4:43: unknown key 'use");
  EXPECT_EQ(why(with("proxy: proxy.example:3128")), "f:4:12: a proxy must be a mapping");
  EXPECT_EQ(why(with("proxy: {host: a.example, host: b.example, port: 1}")), "f:4:30: 'host' is given twice");
  for (const std::string& bad : {std::string("localhost"), std::string("'me:hidden@proxy.example'"),
                                 std::string("'http://hidden.example/'"), std::string("127.1")}) {
    const auto error = why(with(cat("proxy: {host: ", bad, ", port: 1}")));
    EXPECT_EQ(error, "f:4:19: host must be a public name or an address, and nothing else");
  }
  const auto login = why(with("proxy: {host: proxy.example, port: 1, login: 'me:hidden'}"));
  EXPECT_EQ(login.substr(0, 8), "f:4:50: ");
  EXPECT_EQ(login.find("hidden"), std::string::npos);
}

TEST(Estate, a_proxys_host_is_read_in_the_one_spelling_that_the_api_has) {
  const auto host = [](const std::string& text) {
    return read(with(cat("proxy: {host: '", text, "', port: 1}")), "f").value().workspaces.at(0).proxy->host;
  };
  EXPECT_EQ(host("Proxy.Example."), "proxy.example");
  EXPECT_EQ(host("[2606:4700:0::1]"), "2606:4700::1");
}

TEST(Estate, an_error_in_a_ready_check_says_where_it_is) {
  EXPECT_EQ(why(with("ready_check: {command: [\"true\"]}")), "it was read");
  EXPECT_EQ(why(with("ready_check: {}")), "f:4:18: a ready check: /command: is missing");
  EXPECT_EQ(why(with("ready_check: {command: []}")), "f:4:18: a ready check: /command: is missing");
  EXPECT_EQ(why(with("ready_check: {command: test}")), "f:4:28: command must be a list");
  EXPECT_EQ(why(with("ready_check: {command: [a], limit: 1s}")).substr(0, 26), "f:4:33: unknown key 'limit");
  for (const auto* bad : {"0s", "1500ms", "241s"}) {
    const auto error = why(with(cat("ready_check: {command: [a], timeout: ", bad, "}")));
    EXPECT_EQ(error.substr(0, 32), "f:4:18: a ready check: /timeout_") << bad;
  }
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

// What the API makes of a workspace by these actions, as far as its proxy and its ready check go.
Workspace carried_out(Workspace now, const Plan& plan) {
  for (const auto& action : plan.actions) {
    if (action.path.back() == "ready-check") {
      now.ready_check.reset();
      if (action.method == "DELETE") continue;
      now.ready_check = model::ReadyCheck{{}, std::chrono::seconds(action.body.at("timeout_seconds").to_number<int>())};
      for (const auto& word : action.body.at("command").as_array())
        now.ready_check->command.emplace_back(word.as_string());
    }
    if (action.path.back() != "network" || !action.body.contains("outbound_mode")) continue;
    const auto before = std::exchange(now.proxy, std::nullopt);
    if (action.body.at("outbound_mode").as_string() == "managed") continue;
    const auto& custom = action.body.at("custom_proxy").as_object();
    now.proxy = Proxy{std::string(custom.at("host").as_string()), custom.at("port").to_number<std::uint16_t>()};
    if (custom.at("resolves").as_bool()) now.proxy->told = Proxy::Told::names;
    if (!custom.contains("keep_credentials")) continue;
    EXPECT_TRUE(before && before->same_place(*now.proxy));
    now.proxy->login = before->login;
  }
  return now;
}

TEST(Plan, any_proxy_and_ready_check_become_those_of_the_file_in_one_run) {
  Estate have, want;
  for (std::uint64_t seed = 0; seed < 400; ++seed) {
    have = want = Estate();
    for (auto* estate : {&have, &want}) {
      auto made = Maker(seed * 2 + (estate == &want ? 1 : 0)).make();
      Workspace one;
      one.spec.name = "one";
      one.spec.ttl = model::kDefaultTemporaryTtl;
      if (!made.workspaces.empty()) {
        one.proxy = made.workspaces[0].proxy;
        one.ready_check = made.workspaces[0].ready_check;
        // Two of a few places, so that a change is not always one to another proxy.
        if (one.proxy) one.proxy->port = static_cast<std::uint16_t>(1 + one.proxy->port % 2);
        if (one.proxy) one.proxy->host = "proxy.example";
      }
      estate->workspaces = {one};
    }
    const auto plan = make_plan(have, want);
    have.workspaces[0] = carried_out(have.workspaces[0], plan);
    const auto again = make_plan(have, want);
    ASSERT_TRUE(again.actions.empty()) << "seed " << seed << ": " << again.actions.front().what;
    ASSERT_EQ(again.by_hand, plan.by_hand)
        << "seed " << seed;  // a login that was not kept is asked for until it is set
    auto known = want.workspaces[0];
    if (!again.by_hand.empty()) known.proxy->login = Proxy::Login::none;
    ASSERT_EQ(have.workspaces[0].proxy, known.proxy) << "seed " << seed;
    ASSERT_EQ(have.workspaces[0].ready_check, want.workspaces[0].ready_check) << "seed " << seed;
  }
}

Estate one_with(const std::optional<Proxy>& proxy) {
  Estate estate;
  Workspace one;
  one.spec.name = "one";
  one.spec.ttl = model::kDefaultTemporaryTtl;
  one.proxy = proxy;
  estate.workspaces = {one};
  return estate;
}

TEST(Plan, a_login_is_kept_at_its_own_proxy_and_asked_for_at_another) {
  const Proxy with_login{"proxy.example", 3128, Proxy::Told::addresses, Proxy::Login::some};
  auto resolving = with_login;
  resolving.told = Proxy::Told::names;
  const auto kept = make_plan(one_with(with_login), one_with(resolving));
  ASSERT_EQ(kept.actions.size(), 1U);
  EXPECT_TRUE(kept.actions[0].body.at("custom_proxy").at("keep_credentials").as_bool());
  EXPECT_TRUE(kept.by_hand.empty());

  auto elsewhere = resolving;
  elsewhere.port = 3129;
  const auto moved = make_plan(one_with(with_login), one_with(elsewhere));
  ASSERT_EQ(moved.actions.size(), 1U);
  EXPECT_EQ(moved.actions[0].what, "let the workspace 'one' go out by the proxy proxy.example:3129");
  EXPECT_FALSE(moved.actions[0].body.at("custom_proxy").as_object().contains("keep_credentials"));
  ASSERT_EQ(moved.by_hand.size(), 1U);
  EXPECT_NE(moved.by_hand[0].find("coffer network proxy one proxy.example:3129 --resolves --login FILE"),
            std::string::npos);

  auto open = with_login;
  open.login = Proxy::Login::none;
  const auto dropped = make_plan(one_with(with_login), one_with(open));
  ASSERT_EQ(dropped.actions.size(), 1U);
  EXPECT_NE(dropped.actions[0].what.find("without the login it had"), std::string::npos);

  const auto none = make_plan(one_with(with_login), one_with({}));
  ASSERT_EQ(none.actions.size(), 1U);
  EXPECT_EQ(json::serialize(none.actions[0].body), R"({"outbound_mode":"managed"})");
}

TEST(Plan, a_namespace_that_is_not_named_is_whichever_it_was_made_in) {
  auto have = one_with({});
  have.workspaces[0].spec.namespace_id = "default";
  EXPECT_TRUE(make_plan(have, one_with({})).by_hand.empty());
  auto want = one_with({});
  want.workspaces[0].spec.namespace_id = "acme";
  EXPECT_EQ(make_plan(have, want).by_hand.size(), 1U);
}

TEST(Plan, a_workspace_is_made_with_its_proxy_and_its_ready_check) {
  auto want = one_with(Proxy{"proxy.example", 3128, Proxy::Told::names, Proxy::Login::some});
  want.workspaces[0].ready_check = model::ReadyCheck{{"true"}, std::chrono::seconds(5)};
  const auto plan = make_plan({}, want);
  ASSERT_EQ(plan.actions.size(), 1U);
  const auto& config = plan.actions[0].body.at("config").as_object();
  EXPECT_EQ(json::serialize(config.at("network_config")),
            R"({"outbound_mode":"custom","custom_proxy":{"host":"proxy.example","port":3128,"resolves":true}})");
  EXPECT_EQ(json::serialize(config.at("ready_check")), R"({"command":["true"],"timeout_seconds":5})");
  EXPECT_EQ(plan.by_hand.size(), 1U);
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
