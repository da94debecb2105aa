// Scopes, verbs, the rule of passing on, and what a principal may.
#include "identity/grant.h"

#include <gmock/gmock.h>

#include "identity/principal.h"
#include "identity/test_support.h"

namespace cofferdam::identity {
namespace {

using testing::HasSubstr;

TEST(VerbSet, text_round_trips_in_one_order) {
  const auto verbs = VerbSet::parse("files,read,exec,read").value();
  EXPECT_EQ(verbs.text(), "read,exec,files");
  EXPECT_EQ(VerbSet::parse(verbs.text()).value(), verbs);
  EXPECT_EQ(VerbSet::parse(VerbSet::all().text()).value(), VerbSet::all());
  EXPECT_TRUE(VerbSet::parse("")->empty());
}

TEST(VerbSet, an_unknown_verb_is_named_and_the_known_ones_are_told) {
  const auto error = VerbSet::parse("read,fly").error();
  EXPECT_THAT(error.message, HasSubstr("'fly'"));
  EXPECT_THAT(error.hint, HasSubstr("lifecycle"));
  EXPECT_FALSE(VerbSet::parse("read,"));
}

using GrantTest = IdentityTest;

TEST_F(GrantTest, scope_text_round_trips) {
  for (const Scope& scope :
       {Scope(WholeAccount{}), Scope(OneNamespace{ns_a_}), Scope(SomeWorkspaces{{ws_a_, ws_b_}})}) {
    EXPECT_EQ(parse_scope(scope_text(scope)).value(), scope);
  }
  for (const auto* text : {"", "everything", "namespace:", "namespace:x", "workspaces:", "workspaces:x,y"}) {
    EXPECT_EQ(parse_scope(text).error().code, Code::InvalidArgument) << text;
  }
}

TEST_F(GrantTest, the_default_scope_covers_nothing) {
  EXPECT_FALSE(covers(Scope(), ws_a_, ns_a_));
  EXPECT_FALSE(covers(Scope(), "", ""));
  EXPECT_FALSE(covers(OneNamespace{}, ws_a_, ""));
}

TEST_F(GrantTest, a_scope_inside_another_is_not_beyond_it) {
  homes_[ws_a_] = ns_a_;
  homes_[ws_b_] = ns_b_;
  const Scope account = WholeAccount{};
  const Scope space = OneNamespace{ns_a_};
  const Scope both = SomeWorkspaces{{ws_a_, ws_b_}};
  const Scope one = SomeWorkspaces{{ws_a_}};
  EXPECT_FALSE(beyond(account, account, namespace_of()));
  EXPECT_FALSE(beyond(space, account, namespace_of()));
  EXPECT_FALSE(beyond(space, space, namespace_of()));
  EXPECT_FALSE(beyond(one, space, namespace_of()));
  EXPECT_FALSE(beyond(one, both, namespace_of()));
  EXPECT_EQ(beyond(account, space, namespace_of()), "the whole account");
  EXPECT_EQ(beyond(Scope(OneNamespace{ns_b_}), space, namespace_of()), "namespace " + ns_b_);
  EXPECT_EQ(beyond(space, one, namespace_of()), "namespace " + ns_a_);
  EXPECT_EQ(beyond(both, space, namespace_of()), "workspace " + ws_b_);
  EXPECT_EQ(beyond(both, one, namespace_of()), "workspace " + ws_b_);
  // A workspace nobody knows is in no namespace.
  EXPECT_TRUE(beyond(Scope(SomeWorkspaces{{new_id("ws")}}), space, namespace_of()));
  EXPECT_TRUE(beyond(one, space, nullptr));
}

TEST_F(GrantTest, everything_that_is_too_wide_is_named_at_once) {
  Grant own{SomeWorkspaces{{ws_a_}}, {Verb::read, Verb::tokens}, parse_sources("10.0.0.0/8").value(), now_ + 1h};
  Grant wish{SomeWorkspaces{{ws_b_}}, {Verb::read, Verb::exec}, parse_sources("10.1.0.0/16,::1").value(), now_ + 2h};
  const auto error = refuse_wider(wish, own, namespace_of()).error();
  EXPECT_EQ(error.code, Code::PermissionDenied);
  EXPECT_THAT(error.message, HasSubstr("workspace " + ws_b_));
  EXPECT_THAT(error.message, HasSubstr("verbs exec"));
  EXPECT_THAT(error.message, HasSubstr("source addresses ::1/128"));
  EXPECT_THAT(error.message, testing::Not(HasSubstr("10.1.0.0")));
  EXPECT_THAT(error.message, HasSubstr("expiry 2027-01-15T10:00:00.123Z"));

  wish.expires_at = std::nullopt;
  wish.sources.clear();
  const auto unbounded = refuse_wider(wish, own, namespace_of()).error();
  EXPECT_THAT(unbounded.message, HasSubstr("no expiry"));
  EXPECT_THAT(unbounded.message, HasSubstr("any source address"));
}

TEST_F(GrantTest, the_same_and_the_narrower_are_granted) {
  const Grant own{WholeAccount{}, {Verb::read, Verb::exec}, parse_sources("10.0.0.0/8").value(), now_ + 1h};
  EXPECT_TRUE(refuse_wider(own, own, nullptr));
  const Grant narrow{SomeWorkspaces{{ws_a_}}, {Verb::read}, parse_sources("10.2.0.0/16").value(), now_ + 1min};
  EXPECT_TRUE(refuse_wider(narrow, own, nullptr));
  EXPECT_TRUE(refuse_wider(own, administrator().grant, nullptr));
}

using PrincipalTest = IdentityTest;

TEST_F(PrincipalTest, nobody_is_unauthenticated) {
  const Principal nobody;
  EXPECT_EQ(nobody.allows(Verb::read, ws_a_, ns_a_).error().code, Code::Unauthenticated);
  EXPECT_EQ(nobody.allows_in_namespace(Verb::read, ns_a_).error().code, Code::Unauthenticated);
  EXPECT_EQ(nobody.allows_on_account(Verb::read).error().code, Code::Unauthenticated);
  EXPECT_FALSE(nobody.sees(ws_a_, ns_a_));
}

TEST_F(PrincipalTest, a_foreign_workspace_is_not_found_in_the_words_of_one_that_does_not_exist) {
  const auto who = token_principal({SomeWorkspaces{{ws_a_}}, {Verb::read}, {}, {}});
  const auto foreign = who.allows(Verb::read, ws_b_, ns_a_).error();
  EXPECT_EQ(foreign.code, Code::NotFound);
  EXPECT_EQ(foreign.message, no_such_workspace(ws_b_).message);
  EXPECT_EQ(foreign.hint, no_such_workspace(ws_b_).hint);
  // Also for a verb it lacks anyway.
  EXPECT_EQ(who.allows(Verb::exec, ws_b_, ns_a_).error().code, Code::NotFound);
  EXPECT_FALSE(who.sees(ws_b_, ns_a_));
}

TEST_F(PrincipalTest, a_foreign_workspace_asked_for_by_name_keeps_its_id) {
  const auto who = token_principal({SomeWorkspaces{{ws_a_}}, {Verb::read}, {}, {}});
  const auto error = who.allows(Verb::read, ws_b_, ns_a_, "their-box").error();
  EXPECT_EQ(error.message, no_such_workspace("their-box").message);
}

TEST_F(PrincipalTest, a_verb_that_is_not_granted_is_denied_by_name) {
  const auto who = token_principal({SomeWorkspaces{{ws_a_}}, {Verb::read}, {}, {}});
  EXPECT_TRUE(who.allows(Verb::read, ws_a_, ns_a_));
  const auto denied = who.allows(Verb::exec, ws_a_, ns_a_).error();
  EXPECT_EQ(denied.code, Code::PermissionDenied);
  EXPECT_THAT(denied.message, HasSubstr("'exec'"));
}

TEST_F(PrincipalTest, a_namespace_is_reached_whole_and_alone) {
  const auto who = token_principal({OneNamespace{ns_a_}, {Verb::read, Verb::secrets}, {}, {}});
  EXPECT_TRUE(who.allows(Verb::read, ws_a_, ns_a_));
  EXPECT_EQ(who.allows(Verb::read, ws_a_, ns_b_).error().code, Code::NotFound);
  EXPECT_TRUE(who.allows_in_namespace(Verb::secrets, ns_a_));
  EXPECT_EQ(who.allows_in_namespace(Verb::secrets, ns_b_).error().code, Code::NotFound);
  EXPECT_EQ(who.allows_in_namespace(Verb::lifecycle, ns_a_).error().code, Code::PermissionDenied);
  EXPECT_EQ(who.allows_on_account(Verb::read).error().code, Code::PermissionDenied);
}

TEST_F(PrincipalTest, a_workspace_reaches_nothing_of_its_namespace) {
  const auto who = token_principal({SomeWorkspaces{{ws_a_}}, VerbSet::all(), {}, {}});
  EXPECT_EQ(who.allows_in_namespace(Verb::secrets, ns_a_).error().code, Code::NotFound);
  EXPECT_EQ(who.allows_on_account(Verb::admin).error().code, Code::PermissionDenied);
}

TEST_F(PrincipalTest, the_local_administrator_may_everything) {
  const auto who = local_administrator(1000);
  EXPECT_EQ(who.id, "local:1000");
  for (const auto verb : {Verb::read, Verb::exec, Verb::lifecycle, Verb::tokens, Verb::admin}) {
    EXPECT_TRUE(who.allows(verb, ws_a_, ns_a_));
    EXPECT_TRUE(who.allows_in_namespace(verb, ns_b_));
    EXPECT_TRUE(who.allows_on_account(verb));
  }
}

}  // namespace
}  // namespace cofferdam::identity
