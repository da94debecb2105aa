#include "identity/namespaces.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "identity/test_support.h"

namespace cofferdam::identity {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class NamespacesTest : public IdentityTest {
 protected:
  void SetUp() override {
    IdentityTest::SetUp();
    open();
  }
  void TearDown() override {
    spaces_.reset();
    IdentityTest::TearDown();
  }
  void open() {
    spaces_.reset();
    open_database();
    auto opened = Namespaces::open(*database_, clock());
    ASSERT_TRUE(opened) << opened.error().message;
    spaces_ = std::move(*opened);
  }
  static NamespaceDraft draft(const std::string& name, const std::string& slug = "") {
    NamespaceDraft draft;
    draft.name = name;
    draft.slug = slug;
    return draft;
  }
  // Each a second after the one before.
  Namespace create(const NamespaceDraft& draft) {
    now_ += 1s;
    auto made = run(spaces_->create(draft, actor_));
    EXPECT_TRUE(made) << made.error().message;
    return made.value();
  }
  std::vector<std::string> slugs(const NamespaceQuery& query) {
    std::vector<std::string> found;
    const auto page = run(spaces_->list(query)).value();
    found.reserve(page.items.size());
    for (const auto& space : page.items) found.push_back(space.slug);
    return found;
  }

  const Actor actor_{"admin_1", "192.0.2.1", "curl/8"};
  std::unique_ptr<Namespaces> spaces_;
};

TEST(Slug, rules) {
  for (const auto* good : {"a", "a1", "acme-eu", "0"}) EXPECT_TRUE(is_slug(good)) << good;
  for (const auto* bad : {"", "-a", "a-", "A", "a_b", "a b", "ns_x", "ä"}) EXPECT_FALSE(is_slug(bad)) << bad;
  EXPECT_TRUE(is_slug(std::string(63, 'a')));
  EXPECT_FALSE(is_slug(std::string(64, 'a')));
}

TEST(Slug, of_a_name) {
  EXPECT_EQ(slug_from_name("Acme Inc. (EU)"), "acme-inc-eu");
  EXPECT_EQ(slug_from_name("  --x"), "x");
  EXPECT_EQ(slug_from_name("日本"), "namespace");
  EXPECT_TRUE(is_slug(slug_from_name(std::string(62, 'a') + " bc")));
}

TEST_F(NamespacesTest, there_is_always_one_default_namespace) {
  const auto first = run(spaces_->get_default()).value();
  EXPECT_TRUE(is_id(first.id, "ns"));
  EXPECT_EQ(first.slug, "default");
  EXPECT_EQ(first.status, NamespaceStatus::active);
  open();
  EXPECT_EQ(run(spaces_->get_default())->id, first.id);
  EXPECT_EQ(run(spaces_->list({}))->total, 1U);
}

TEST_F(NamespacesTest, the_default_namespace_is_neither_removed_nor_suspended) {
  EXPECT_EQ(run(spaces_->remove("default")).error().code, Code::FailedPrecondition);
  EXPECT_EQ(run(spaces_->suspend("default", actor_)).error().code, Code::FailedPrecondition);
  NamespaceChange change;
  change.status = NamespaceStatus::inactive;
  EXPECT_EQ(run(spaces_->update("default", change, actor_)).error().code, Code::FailedPrecondition);
}

TEST_F(NamespacesTest, another_default_takes_the_place_of_the_old_one) {
  auto wanted = draft("Main");
  wanted.make_default = MakeDefault::yes;
  const auto made = create(wanted);
  EXPECT_TRUE(made.is_default);
  EXPECT_EQ(run(spaces_->get_default())->id, made.id);
  EXPECT_FALSE(run(spaces_->get("default"))->is_default);
  EXPECT_TRUE(run(spaces_->remove("default")));
}

TEST_F(NamespacesTest, every_field_is_found_by_id_and_by_slug_after_a_restart) {
  auto wanted = draft("Acme Inc.", "acme");
  wanted.description = "a customer";
  wanted.type = NamespaceType::production;
  wanted.metadata = {{"plan", "gold"}, {"seats", 5}};
  wanted.tags = {"eu", "paid"};
  wanted.limits = {10, {}, 4096, 0};
  const auto made = create(wanted);
  open();
  for (const auto& key : {made.id, made.slug}) {
    const auto found = run(spaces_->get(key)).value();
    EXPECT_EQ(found.id, made.id);
    EXPECT_EQ(found.slug, "acme");
    EXPECT_EQ(found.name, "Acme Inc.");
    EXPECT_EQ(found.description, "a customer");
    EXPECT_EQ(found.type, NamespaceType::production);
    EXPECT_EQ(found.metadata, wanted.metadata);
    EXPECT_EQ(found.tags, wanted.tags);
    EXPECT_EQ(found.limits, wanted.limits);
    EXPECT_EQ(found.created_at, now_);
    EXPECT_EQ(found.last_active_at, std::nullopt);
  }
  EXPECT_EQ(run(spaces_->get("nobody")).error().code, Code::NotFound);
}

TEST_F(NamespacesTest, a_chosen_slug_is_unique_and_a_made_one_gives_way) {
  create(draft("Acme", "acme"));
  EXPECT_EQ(run(spaces_->create(draft("Other", "acme"), actor_)).error().code, Code::AlreadyExists);
  EXPECT_EQ(create(draft("Acme")).slug, "acme-2");
  EXPECT_EQ(create(draft("ACME!")).slug, "acme-3");
  for (int i = 0; i < 30; ++i) EXPECT_TRUE(is_slug(create(draft("acme")).slug));
}

TEST_F(NamespacesTest, bad_fields_are_refused_by_name_and_nothing_is_made) {
  auto no_name = draft("");
  auto bad_slug = draft("a", "A B");
  auto bad_tag = draft("a");
  bad_tag.tags = {""};
  auto many_tags = draft("a");
  many_tags.tags.assign(33, "t");
  auto metadata = draft("a");
  metadata.metadata = {{"x", std::string(20000, 'x')}};
  auto limits = draft("a");
  limits.limits.max_ram_mb = 1ULL << 41;
  const std::pair<NamespaceDraft, const char*> cases[] = {{no_name, "name"},      {bad_slug, "slug"},
                                                          {bad_tag, "tags"},      {many_tags, "tags"},
                                                          {metadata, "metadata"}, {limits, "resource_limits"}};
  for (const auto& [wanted, field] : cases) {
    const auto error = run(spaces_->create(wanted, actor_)).error();
    EXPECT_EQ(error.code, Code::InvalidArgument);
    EXPECT_THAT(error.message, HasSubstr(field));
  }
  EXPECT_EQ(run(spaces_->list({}))->total, 1U);
}

TEST_F(NamespacesTest, ensure_makes_once_and_finds_afterwards) {
  const auto first = run(spaces_->ensure(draft("Acme"), actor_)).value();
  EXPECT_TRUE(first.created);
  const auto again = run(spaces_->ensure(draft("Acme"), actor_)).value();
  EXPECT_FALSE(again.created);
  EXPECT_EQ(again.space.id, first.space.id);
  const auto by_slug = run(spaces_->ensure(draft("", "acme"), actor_)).value();
  EXPECT_EQ(by_slug.space.id, first.space.id);
  const auto named_by_slug = run(spaces_->ensure(draft("", "other"), actor_)).value();
  EXPECT_TRUE(named_by_slug.created);
  EXPECT_EQ(named_by_slug.space.name, "other");
  const auto none = run(spaces_->ensure({}, actor_)).value();
  EXPECT_FALSE(none.created);
  EXPECT_TRUE(none.space.is_default);
}

TEST_F(NamespacesTest, a_change_sets_what_it_names_and_nothing_else) {
  auto wanted = draft("Acme");
  wanted.limits = {1, 2, 3, 4};
  wanted.tags = {"eu"};
  const auto made = create(wanted);
  now_ += 1h;
  NamespaceChange change;
  change.name = "Acme GmbH";
  change.max_vcpus = std::optional<std::uint64_t>();
  change.max_ram_mb = 512;
  const auto changed = run(spaces_->update("acme", change, actor_)).value();
  EXPECT_EQ(changed.name, "Acme GmbH");
  EXPECT_EQ(changed.slug, "acme");
  EXPECT_EQ(changed.limits, (ResourceLimits{1, {}, 512, 4}));
  EXPECT_EQ(changed.tags, wanted.tags);
  EXPECT_EQ(changed.created_at, made.created_at);
  EXPECT_EQ(changed.updated_at, now_);
  const auto log = run(spaces_->activity(made.id, 10, 0)).value();
  ASSERT_EQ(log.items.size(), 2U);
  EXPECT_EQ(log.items[0].action, "namespace.updated");
  EXPECT_EQ(log.items[0].changes,
            (boost::json::object{{"name", "Acme GmbH"}, {"max_vcpus", nullptr}, {"max_ram_mb", 512}}));
}

TEST_F(NamespacesTest, a_change_to_the_same_is_none) {
  const auto made = create(draft("Acme"));
  now_ += 1h;
  NamespaceChange change;
  change.name = "Acme";
  EXPECT_EQ(run(spaces_->update(made.id, change, actor_))->updated_at, made.updated_at);
  EXPECT_EQ(run(spaces_->activity(made.id, 10, 0))->total, 1U);
}

TEST_F(NamespacesTest, suspended_and_activated_again) {
  create(draft("Acme"));
  EXPECT_EQ(run(spaces_->suspend("acme", actor_))->status, NamespaceStatus::suspended);
  open();
  EXPECT_EQ(run(spaces_->get("acme"))->status, NamespaceStatus::suspended);
  EXPECT_EQ(run(spaces_->activate("acme", actor_))->status, NamespaceStatus::active);
  const auto log = run(spaces_->activity("acme", 10, 0)).value();
  EXPECT_EQ(log.items[0].action, "namespace.activated");
  EXPECT_EQ(log.items[1].action, "namespace.suspended");
}

TEST_F(NamespacesTest, removed_is_gone_with_its_activity) {
  const auto made = create(draft("Acme"));
  EXPECT_EQ(run(spaces_->remove("acme"))->id, made.id);
  EXPECT_EQ(run(spaces_->get(made.id)).error().code, Code::NotFound);
  EXPECT_EQ(run(spaces_->activity(made.id, 10, 0)).error().code, Code::NotFound);
  EXPECT_EQ(run(spaces_->remove("acme")).error().code, Code::NotFound);
  auto count = [](store::Connection& c) {
    return c.query("SELECT count(*) FROM namespace_activity WHERE action <> $1", {"x"});
  };
  EXPECT_EQ(database_->run_now(count)->front().integer(0), 1);  // the default one's
}

TEST_F(NamespacesTest, lists_are_searched_sorted_and_paged) {
  using Query = NamespaceQuery;
  auto b = draft("beta", "one");
  b.type = NamespaceType::staging;
  create(b);
  auto a = draft("Alpha", "two");
  a.description = "100% of it";
  create(a);
  create(draft("gamma_x", "three"));
  ASSERT_TRUE(run(spaces_->suspend("three", actor_)));

  EXPECT_THAT(slugs({}), ElementsAre("three", "two", "one", "default"));
  EXPECT_THAT(slugs({.order = Query::Order::ascending}), ElementsAre("default", "one", "two", "three"));
  EXPECT_THAT(slugs({.sort_by = Query::SortBy::name, .order = Query::Order::ascending}),
              ElementsAre("two", "one", "default", "three"));
  EXPECT_THAT(slugs({.search = "ALPHA"}), ElementsAre("two"));
  EXPECT_THAT(slugs({.search = "hre"}), ElementsAre("three"));
  EXPECT_THAT(slugs({.search = "100%"}), ElementsAre("two"));
  EXPECT_THAT(slugs({.search = "_"}), ElementsAre("three"));
  EXPECT_THAT(slugs({.search = "' OR 1=1 --"}), IsEmpty());
  EXPECT_THAT(slugs({.status = NamespaceStatus::suspended}), ElementsAre("three"));
  EXPECT_THAT(slugs({.type = NamespaceType::staging}), ElementsAre("one"));
  EXPECT_THAT(slugs({.only_id = run(spaces_->get("two"))->id}), ElementsAre("two"));

  const auto page = run(spaces_->list({.limit = 2, .offset = 1})).value();
  EXPECT_EQ(page.total, 4U);
  EXPECT_THAT(slugs({.limit = 2, .offset = 1}), ElementsAre("two", "one"));
  EXPECT_THAT(slugs({.offset = ~0ULL}), IsEmpty());
  EXPECT_EQ(run(spaces_->list({.limit = 0})).error().code, Code::InvalidArgument);
  EXPECT_EQ(run(spaces_->list({.limit = 1001})).error().code, Code::InvalidArgument);

  now_ += 1h;
  NamespaceChange change;
  change.description = "changed";
  ASSERT_TRUE(run(spaces_->update("one", change, actor_)));
  EXPECT_EQ(slugs({.sort_by = Query::SortBy::updated_at}).front(), "one");
}

TEST_F(NamespacesTest, activity_says_who_did_what_from_where) {
  const auto made = create(draft("Acme"));
  const auto log = run(spaces_->activity("acme", 10, 0)).value();
  ASSERT_EQ(log.items.size(), 1U);
  EXPECT_EQ(log.items[0].action, "namespace.created");
  EXPECT_EQ(log.items[0].namespace_id, made.id);
  EXPECT_EQ(log.items[0].actor.user_id, "admin_1");
  EXPECT_EQ(log.items[0].actor.ip_address, "192.0.2.1");
  EXPECT_EQ(log.items[0].actor.user_agent, "curl/8");
  EXPECT_EQ(log.items[0].created_at, now_);
}

TEST_F(NamespacesTest, what_happens_in_a_namespace_is_recorded_and_makes_it_active) {
  const auto made = create(draft("Acme"));
  now_ += 1h;
  Activity entry;
  entry.namespace_id = made.id;
  entry.action = "workspace.created";
  entry.changes = {{"workspace_id", ws_a_}};
  entry.actor.user_agent = std::string(10000, 'x');
  ASSERT_TRUE(run(spaces_->record(entry)));
  EXPECT_EQ(run(spaces_->get("acme"))->last_active_at, now_);
  const auto log = run(spaces_->activity("acme", 1, 0)).value();
  EXPECT_EQ(log.total, 2U);
  EXPECT_EQ(log.items[0].action, "workspace.created");
  EXPECT_EQ(log.items[0].changes, entry.changes);
  EXPECT_EQ(log.items[0].actor.user_agent.size(), 512U);
  entry.namespace_id = new_id("ns");
  EXPECT_EQ(run(spaces_->record(entry)).error().code, Code::NotFound);
}

TEST_F(NamespacesTest, activity_keeps_the_newest_ten_thousand) {
  const auto made = create(draft("Acme"));
  auto fill = [&](store::Connection& c) -> Status {
    Activity entry;
    entry.namespace_id = made.id;
    for (int i = 0; i < 10'050; ++i) {
      entry.action = cat("step ", i);
      TRY(append_activity(c, entry));
    }
    return {};
  };
  ASSERT_TRUE(database_->run_now(fill));
  const auto newest = run(spaces_->activity("acme", 1, 0)).value();
  EXPECT_EQ(newest.total, 10'000U);
  EXPECT_EQ(newest.items[0].action, "step 10049");
  EXPECT_EQ(run(spaces_->activity("acme", 1, 9'999))->items[0].action, "step 50");
  EXPECT_EQ(run(spaces_->activity("default", 10, 0))->total, 1U);
}

}  // namespace
}  // namespace cofferdam::identity
