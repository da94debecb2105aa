#include "identity/tokens.h"

#include <gmock/gmock.h>

#include <boost/asio/co_spawn.hpp>
#include <future>

#include "base/text.h"
#include "identity/test_support.h"

namespace cofferdam::identity {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class TokensTest : public IdentityTest {
 protected:
  void SetUp() override {
    IdentityTest::SetUp();
    open();
  }
  void TearDown() override {
    tokens_.reset();
    IdentityTest::TearDown();
  }
  // As the next start of the daemon does.
  void open() {
    tokens_.reset();
    open_database();
    auto opened = Tokens::open(*database_, SecureBytes::copy_of(key_), clock(), namespace_of(), revocations_, limits_);
    ASSERT_TRUE(opened) << opened.error().message;
    tokens_ = std::move(*opened);
  }
  TokenRequest request(TokenKind kind = TokenKind::control, VerbSet verbs = {Verb::read, Verb::tokens}) {
    TokenRequest request;
    request.kind = kind;
    request.scope = SomeWorkspaces{{ws_a_}};
    request.verbs = verbs;
    return request;
  }
  MintedToken mint(const TokenRequest& request, const Principal& by = administrator()) {
    auto minted = run(tokens_->mint(by, request));
    EXPECT_TRUE(minted) << minted.error().message;
    return minted.value();
  }
  Result<Principal> check(const std::string& secret, TokenKind kind = TokenKind::control,
                          const std::string& source = "192.0.2.1") {
    return tokens_->check(secret, kind, source.empty() ? std::nullopt : std::optional(Address::parse(source).value()));
  }
  std::optional<std::int64_t> stored_use(const std::string& id) {
    auto work = [id](store::Connection& c) { return c.query("SELECT last_used_at FROM tokens WHERE id = $1", {id}); };
    return database_->run_now(work)->front().find_integer(0);
  }
  std::vector<std::string> ids(const Principal& by, const TokenFilter& filter = {}) {
    std::vector<std::string> found;
    const auto listed = tokens_->list(by, filter).value();
    found.reserve(listed.size());
    for (const auto& token : listed) found.push_back(token.id);
    return found;
  }

  const std::string key_ = std::string(crypto::random_secret(32).view());
  TokenLimits limits_;
  Revocations revocations_;
  std::unique_ptr<Tokens> tokens_;
};

TEST_F(TokensTest, a_minted_token_says_who_it_is) {
  const auto minted = mint(request());
  const auto who = check(minted.secret).value();
  EXPECT_EQ(who.kind, Principal::Kind::token);
  EXPECT_EQ(who.id, minted.token.id);
  EXPECT_TRUE(is_id(who.id, "tok"));
  EXPECT_TRUE(who.allows(Verb::read, ws_a_, ""));
  EXPECT_EQ(who.allows(Verb::read, ws_b_, "").error().code, Code::NotFound);
  EXPECT_EQ(who.allows(Verb::exec, ws_a_, "").error().code, Code::PermissionDenied);
}

TEST_F(TokensTest, every_field_survives_a_restart) {
  auto wanted = request();
  wanted.scope = OneNamespace{ns_a_};
  wanted.ttl = 2h;
  wanted.sources = parse_sources("192.0.2.0/24,2001:db8::/32").value();
  wanted.label = "for the nightly build";
  const auto minted = mint(wanted);
  (void)check(minted.secret);
  ASSERT_TRUE(run(tokens_->close()));
  open();
  const auto token = tokens_->get(administrator(), minted.token.id).value();
  EXPECT_EQ(token.kind, TokenKind::control);
  EXPECT_EQ(token.grant.scope, wanted.scope);
  EXPECT_EQ(token.grant.verbs, wanted.verbs);
  EXPECT_EQ(token.grant.sources, wanted.sources);
  EXPECT_EQ(token.grant.expires_at, now_ + 2h);
  EXPECT_EQ(token.label, wanted.label);
  EXPECT_EQ(token.created_at, now_);
  EXPECT_EQ(token.created_by, "local:0");
  EXPECT_EQ(token.last_used_at, now_);
  EXPECT_EQ(check(minted.secret)->id, minted.token.id);
}

TEST_F(TokensTest, neither_secret_nor_plain_hash_is_on_the_disk) {
  const auto minted = mint(request());
  EXPECT_THAT(all_bytes(), HasSubstr(minted.token.id));
  EXPECT_THAT(all_bytes(), Not(HasSubstr(minted.secret)));
  EXPECT_THAT(all_bytes(), Not(HasSubstr(minted.secret.substr(8, 43))));
}

TEST_F(TokensTest, another_server_key_is_refused_by_name) {
  mint(request());
  tokens_.reset();
  const auto opened =
      Tokens::open(*database_, crypto::random_secret(32), clock(), namespace_of(), revocations_, limits_);
  EXPECT_EQ(opened.error().code, Code::FailedPrecondition);
  EXPECT_THAT(opened.error().message, HasSubstr("token key"));
}

TEST_F(TokensTest, an_unknown_token_is_unauthenticated) {
  EXPECT_EQ(check(new_token_text(TokenKind::control)).error().code, Code::Unauthenticated);
  EXPECT_EQ(check("").error().code, Code::Unauthenticated);
  EXPECT_EQ(check("eyJhbGciOiJIUzI1NiJ9").error().code, Code::Unauthenticated);
}

TEST_F(TokensTest, a_token_of_the_other_kind_is_refused_by_name) {
  const auto runtime = mint(request(TokenKind::runtime, {Verb::exec}));
  const auto error = check(runtime.secret, TokenKind::control).error();
  EXPECT_EQ(error.code, Code::Unauthenticated);
  EXPECT_THAT(error.message, HasSubstr("a runtime token, and a control token is needed"));
  EXPECT_TRUE(check(runtime.secret, TokenKind::runtime));
  EXPECT_FALSE(check(mint(request()).secret, TokenKind::runtime));
}

TEST_F(TokensTest, a_runtime_token_has_runtime_verbs_only) {
  for (const auto verb : {Verb::lifecycle, Verb::secrets, Verb::tokens, Verb::admin}) {
    const auto minted = run(tokens_->mint(administrator(), request(TokenKind::runtime, {Verb::read, verb})));
    EXPECT_EQ(minted.error().code, Code::InvalidArgument);
    EXPECT_THAT(minted.error().message, HasSubstr(std::string(verb_name(verb))));
  }
}

TEST_F(TokensTest, the_lifetime_is_thirty_days_unless_said) {
  EXPECT_EQ(mint(request()).token.grant.expires_at, now_ + 24h * 30);
  auto wanted = request();
  wanted.ttl = 24h * 365;
  EXPECT_EQ(mint(wanted).token.grant.expires_at, now_ + 24h * 365);
  for (const auto ttl :
       {std::chrono::seconds(24h * 365 + 1s), 0s, std::chrono::seconds(-1), std::chrono::seconds::max()}) {
    wanted.ttl = ttl;
    const auto refused = run(tokens_->mint(administrator(), wanted));
    EXPECT_EQ(refused.error().code, Code::InvalidArgument);
    EXPECT_THAT(refused.error().message, HasSubstr("ttl"));
  }
}

TEST_F(TokensTest, a_request_that_means_nothing_is_refused_by_its_field) {
  auto no_verbs = request();
  no_verbs.verbs = {};
  auto no_workspace = request();
  no_workspace.scope = SomeWorkspaces{};
  auto no_id = request();
  no_id.scope = SomeWorkspaces{{"../etc"}};
  auto long_label = request();
  long_label.label = std::string(256, 'x');
  auto forged_label = request();
  forged_label.label = "a\nb";
  const std::pair<TokenRequest, const char*> cases[] = {
      {no_verbs, "verbs"}, {no_workspace, "scope"}, {no_id, "scope"}, {long_label, "label"}, {forged_label, "label"}};
  for (const auto& [wanted, field] : cases) {
    const auto error = run(tokens_->mint(administrator(), wanted)).error();
    EXPECT_EQ(error.code, Code::InvalidArgument);
    EXPECT_THAT(error.message, HasSubstr(field));
  }
  EXPECT_THAT(ids(administrator()), IsEmpty());
}

TEST_F(TokensTest, an_expired_token_is_unauthenticated_at_once_and_told_of_at_the_next_round) {
  auto wanted = request();
  wanted.ttl = 60s;
  const auto minted = mint(wanted);
  std::vector<Ended> heard;
  const auto subscription = revocations_.on_revoked([&](const Ended& ended) { heard.push_back(ended); });
  now_ += 60s - 1ms;
  EXPECT_TRUE(check(minted.secret));
  now_ += 1ms;
  EXPECT_EQ(check(minted.secret).error().code, Code::Unauthenticated);
  EXPECT_EQ(tokens_->get(administrator(), minted.token.id).error().code, Code::NotFound);
  EXPECT_THAT(ids(administrator()), IsEmpty());
  ASSERT_TRUE(run(tokens_->maintain()));
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_EQ(heard[0].principal_id, minted.token.id);
  EXPECT_EQ(heard[0].reason, Ended::Reason::expired);
  open();
  EXPECT_EQ(check(minted.secret).error().code, Code::Unauthenticated);
}

TEST_F(TokensTest, source_addresses_are_held_in_both_families) {
  auto wanted = request();
  wanted.sources = parse_sources("192.0.2.0/24,2001:db8::/32").value();
  const auto secret = mint(wanted).secret;
  EXPECT_TRUE(check(secret, TokenKind::control, "192.0.2.200"));
  EXPECT_TRUE(check(secret, TokenKind::control, "::ffff:192.0.2.200"));
  EXPECT_TRUE(check(secret, TokenKind::control, "2001:db8:5::1"));
  for (const auto* source : {"192.0.3.1", "2001:db9::1", "127.0.0.1", ""}) {
    EXPECT_EQ(check(secret, TokenKind::control, source).error().code, Code::PermissionDenied) << source;
  }
  EXPECT_TRUE(check(mint(request()).secret, TokenKind::control, ""));
}

TEST_F(TokensTest, a_token_never_mints_wider_than_itself) {
  homes_[ws_a_] = ns_a_;
  homes_[ws_b_] = ns_b_;
  auto wanted = request(TokenKind::control, {Verb::read, Verb::tokens});
  wanted.scope = OneNamespace{ns_a_};
  wanted.ttl = 1h;
  wanted.sources = parse_sources("192.0.2.0/24").value();
  const auto parent = check(mint(wanted).secret).value();

  const auto refused = [&](auto change, const std::string& what) {
    auto child = request(TokenKind::control, {Verb::read});
    change(child);
    const auto error = run(tokens_->mint(parent, child)).error();
    EXPECT_EQ(error.code, Code::PermissionDenied) << what;
    EXPECT_THAT(error.message, HasSubstr(what));
  };
  refused([&](auto& child) { child.scope = WholeAccount{}; }, "the whole account");
  refused([&](auto& child) { child.scope = OneNamespace{ns_b_}; }, "namespace " + ns_b_);
  refused([&](auto& child) { child.scope = SomeWorkspaces{{ws_a_, ws_b_}}; }, "workspace " + ws_b_);
  refused([&](auto& child) { child.verbs = {Verb::read, Verb::admin}; }, "verbs admin");
  refused([&](auto& child) { child.ttl = 1h + 1s; }, "expiry");
  refused([&](auto& child) { child.sources = parse_sources("192.0.0.0/16").value(); }, "192.0.0.0/16");

  auto child = request(TokenKind::runtime, {Verb::read});
  child.sources = parse_sources("192.0.2.7").value();
  child.ttl = 1h;
  EXPECT_EQ(mint(child, parent).token.created_by, parent.id);
}

TEST_F(TokensTest, what_a_child_leaves_open_is_its_parents) {
  auto wanted = request();
  wanted.ttl = 1h;
  wanted.sources = parse_sources("192.0.2.0/24").value();
  const auto parent = check(mint(wanted).secret).value();
  now_ += 10min;
  const auto child = mint(request(), parent).token;
  EXPECT_EQ(child.grant.expires_at, now_ + 50min);
  EXPECT_EQ(child.grant.sources, wanted.sources);
}

TEST_F(TokensTest, only_the_verb_tokens_deals_with_tokens) {
  const auto other = mint(request());
  const auto who = check(mint(request(TokenKind::control, {Verb::read})).secret).value();
  EXPECT_EQ(run(tokens_->mint(who, request())).error().code, Code::PermissionDenied);
  EXPECT_EQ(tokens_->list(who, {}).error().code, Code::PermissionDenied);
  EXPECT_EQ(tokens_->get(who, other.token.id).error().code, Code::PermissionDenied);
  EXPECT_EQ(run(tokens_->rotate(who, other.token.id, 0s)).error().code, Code::PermissionDenied);
  EXPECT_EQ(run(tokens_->revoke(who, other.token.id, Descendants::keep)).error().code, Code::PermissionDenied);
  EXPECT_EQ(run(tokens_->mint(Principal(), request())).error().code, Code::Unauthenticated);
}

TEST_F(TokensTest, tokens_of_others_are_not_found) {
  auto other = request();
  other.scope = SomeWorkspaces{{ws_b_}};
  const auto foreign = mint(other);
  auto whole = request();
  whole.scope = WholeAccount{};
  const auto wider = mint(whole);
  const auto mine = mint(request());
  const auto who = check(mine.secret).value();
  EXPECT_THAT(ids(who), ElementsAre(mine.token.id));
  for (const auto& id : {foreign.token.id, wider.token.id, new_id("tok"), std::string("x")}) {
    EXPECT_EQ(tokens_->get(who, id).error().code, Code::NotFound);
    EXPECT_EQ(run(tokens_->rotate(who, id, 0s)).error().code, Code::NotFound);
    EXPECT_EQ(run(tokens_->revoke(who, id, Descendants::keep)).error().code, Code::NotFound);
  }
  EXPECT_TRUE(check(foreign.secret));
}

TEST_F(TokensTest, lists_are_filtered_by_workspace_and_namespace) {
  auto b = request();
  b.scope = SomeWorkspaces{{ws_a_, ws_b_}};
  auto space = request();
  space.scope = OneNamespace{ns_a_};
  const auto first = mint(request()).token.id;
  now_ += 1s;
  const auto second = mint(b).token.id;
  now_ += 1s;
  const auto third = mint(space).token.id;
  EXPECT_THAT(ids(administrator()), ElementsAre(first, second, third));
  EXPECT_THAT(ids(administrator(), {ws_a_, ""}), ElementsAre(first, second));
  EXPECT_THAT(ids(administrator(), {ws_b_, ""}), ElementsAre(second));
  EXPECT_THAT(ids(administrator(), {"", ns_a_}), ElementsAre(third));
  EXPECT_THAT(ids(administrator(), {"", ns_b_}), IsEmpty());
}

TEST_F(TokensTest, rotation_ends_the_old_secret_at_once) {
  const auto minted = mint(request());
  const auto opened_with_old = check(minted.secret).value();
  std::vector<Ended> heard;
  const auto subscription = revocations_.on_revoked([&](const Ended& ended) { heard.push_back(ended); });
  const auto rotated = run(tokens_->rotate(administrator(), minted.token.id, 0s)).value();
  EXPECT_EQ(rotated.token.id, minted.token.id);
  EXPECT_NE(rotated.secret, minted.secret);
  EXPECT_EQ(check(minted.secret).error().code, Code::Unauthenticated);
  const auto opened_with_new = check(rotated.secret).value();
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_TRUE(heard[0].ends(opened_with_old));
  EXPECT_FALSE(heard[0].ends(opened_with_new));
  open();
  EXPECT_FALSE(check(minted.secret));
  EXPECT_TRUE(check(rotated.secret));
}

TEST_F(TokensTest, rotation_with_grace_keeps_the_old_secret_so_long) {
  const auto minted = mint(request());
  const auto opened_with_old = check(minted.secret).value();
  std::vector<Ended> heard;
  const auto subscription = revocations_.on_revoked([&](const Ended& ended) { heard.push_back(ended); });
  const auto rotated = run(tokens_->rotate(administrator(), minted.token.id, 60s)).value();
  EXPECT_TRUE(check(minted.secret));
  EXPECT_TRUE(check(rotated.secret));
  open();
  now_ += 60s - 1ms;
  EXPECT_TRUE(check(minted.secret));
  EXPECT_THAT(heard, IsEmpty());
  now_ += 1ms;
  EXPECT_FALSE(check(minted.secret));
  const auto opened_with_new = check(rotated.secret).value();
  ASSERT_TRUE(run(tokens_->maintain()));
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_TRUE(heard[0].ends(opened_with_old));
  EXPECT_FALSE(heard[0].ends(opened_with_new));
  EXPECT_TRUE(check(rotated.secret));
}

TEST_F(TokensTest, a_second_rotation_ends_the_first_grace) {
  const auto first = mint(request());
  const auto second = run(tokens_->rotate(administrator(), first.token.id, 1h)).value();
  const auto third = run(tokens_->rotate(administrator(), first.token.id, 1h)).value();
  for (int restarts = 0; restarts < 2; ++restarts) {
    EXPECT_FALSE(check(first.secret));
    EXPECT_TRUE(check(second.secret));
    EXPECT_TRUE(check(third.secret));
    open();
  }
}

TEST_F(TokensTest, a_grace_out_of_bounds_is_refused) {
  const auto minted = mint(request());
  for (const auto grace : {std::chrono::seconds(-1), std::chrono::seconds(24h) + 1s}) {
    EXPECT_EQ(run(tokens_->rotate(administrator(), minted.token.id, grace)).error().code, Code::InvalidArgument);
  }
  EXPECT_TRUE(check(minted.secret));
}

TEST_F(TokensTest, rotating_a_wider_token_is_refused_since_its_secret_would_be_told) {
  const auto strong = mint(request(TokenKind::control, {Verb::read, Verb::exec, Verb::tokens}));
  const auto weak = check(mint(request()).secret).value();
  const auto error = run(tokens_->rotate(weak, strong.token.id, 0s)).error();
  EXPECT_EQ(error.code, Code::PermissionDenied);
  EXPECT_THAT(error.message, HasSubstr("verbs exec"));
  EXPECT_TRUE(check(strong.secret));
}

TEST_F(TokensTest, revocation_is_in_force_at_the_next_check_and_streams_hear_of_it) {
  const auto minted = mint(request());
  const auto who = check(minted.secret).value();
  std::vector<Ended> heard;
  const auto subscription = revocations_.on_revoked([&](const Ended& ended) {
    EXPECT_FALSE(check(minted.secret));
    heard.push_back(ended);
  });
  EXPECT_EQ(run(tokens_->revoke(administrator(), minted.token.id, Descendants::keep)).value(), 1U);
  EXPECT_EQ(check(minted.secret).error().code, Code::Unauthenticated);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_TRUE(heard[0].ends(who));
  EXPECT_EQ(heard[0].reason, Ended::Reason::revoked);
  EXPECT_EQ(run(tokens_->revoke(administrator(), minted.token.id, Descendants::keep)).error().code, Code::NotFound);
  open();
  EXPECT_EQ(check(minted.secret).error().code, Code::Unauthenticated);
}

TEST_F(TokensTest, revocation_holds_in_memory_when_the_database_does_not_take_it) {
  const auto minted = mint(request());
  ASSERT_TRUE(database_->run_now([](store::Connection& c) { return c.execute_script("DROP TABLE token_secrets"); }));
  EXPECT_FALSE(run(tokens_->revoke(administrator(), minted.token.id, Descendants::keep)));
  EXPECT_EQ(check(minted.secret).error().code, Code::Unauthenticated);
}

TEST_F(TokensTest, descendants_end_with_a_token_when_asked) {
  const auto parent = mint(request());
  const auto child = mint(request(), check(parent.secret).value());
  const auto grandchild = mint(request(), check(child.secret).value());
  const auto stranger = mint(request());
  EXPECT_EQ(run(tokens_->revoke(administrator(), parent.token.id, Descendants::revoke)).value(), 3U);
  EXPECT_FALSE(check(child.secret));
  EXPECT_FALSE(check(grandchild.secret));
  EXPECT_TRUE(check(stranger.secret));
}

TEST_F(TokensTest, a_token_revoked_while_it_mints_leaves_no_child) {
  const auto parent = mint(request());
  const auto who = check(parent.secret).value();
  // The database is held up until all of it is under way.
  std::promise<void> go_on;
  auto hold = [held = go_on.get_future().share()](store::Connection&) -> Status {
    held.wait();
    return {};
  };
  const auto ignore = [](const std::exception_ptr&, const auto&) {};
  std::optional<Result<MintedToken>> child;
  loop::asio::co_spawn(io_, database_->run(hold), ignore);
  loop::asio::co_spawn(io_, tokens_->mint(who, request()), [&](const std::exception_ptr&, Result<MintedToken> minted) {
    child.emplace(std::move(minted));
  });
  io_.restart();
  io_.poll();
  loop::asio::co_spawn(io_, tokens_->revoke(administrator(), parent.token.id, Descendants::revoke), ignore);
  io_.poll();
  go_on.set_value();
  io_.run();
  ASSERT_TRUE(child);
  EXPECT_EQ(child->error().code, Code::Unauthenticated);
  EXPECT_THAT(ids(administrator()), IsEmpty());
  open();
  EXPECT_THAT(ids(administrator()), IsEmpty());
}

TEST_F(TokensTest, a_workspace_that_is_gone_takes_the_tokens_that_are_its_alone) {
  auto both = request();
  both.scope = SomeWorkspaces{{ws_a_, ws_b_}};
  auto space = request();
  space.scope = OneNamespace{ns_a_};
  const auto own = mint(request());
  const auto shared = mint(both);
  const auto wide = mint(space);
  EXPECT_EQ(run(tokens_->forget_workspace(ws_a_)).value(), 1U);
  EXPECT_FALSE(check(own.secret));
  EXPECT_TRUE(check(shared.secret));
  EXPECT_EQ(run(tokens_->forget_namespace(ns_a_)).value(), 1U);
  EXPECT_FALSE(check(wide.secret));
}

TEST_F(TokensTest, last_use_is_written_at_most_once_a_minute_and_at_the_end) {
  const auto minted = mint(request());
  ASSERT_TRUE(run(tokens_->maintain()));
  EXPECT_EQ(stored_use(minted.token.id), std::nullopt);
  (void)check(minted.secret);
  EXPECT_EQ(tokens_->get(administrator(), minted.token.id)->last_used_at, now_);
  ASSERT_TRUE(run(tokens_->maintain()));
  const auto first = to_unix_ms(now_);
  EXPECT_EQ(stored_use(minted.token.id), first);
  now_ += 59s;
  (void)check(minted.secret);
  ASSERT_TRUE(run(tokens_->maintain()));
  EXPECT_EQ(stored_use(minted.token.id), first);
  now_ += 1s;
  ASSERT_TRUE(run(tokens_->maintain()));
  EXPECT_EQ(stored_use(minted.token.id), first + 59'000);
  now_ += 1s;
  (void)check(minted.secret);
  ASSERT_TRUE(run(tokens_->close()));
  EXPECT_EQ(stored_use(minted.token.id), first + 61'000);
}

TEST_F(TokensTest, a_refused_use_is_no_use) {
  auto wanted = request();
  wanted.sources = parse_sources("10.0.0.0/8").value();
  const auto minted = mint(wanted);
  EXPECT_FALSE(check(minted.secret));
  EXPECT_FALSE(check(minted.secret, TokenKind::runtime));
  EXPECT_EQ(tokens_->get(administrator(), minted.token.id)->last_used_at, std::nullopt);
}

TEST_F(TokensTest, ended_tokens_are_history_for_a_while) {
  auto brief = request();
  brief.ttl = 60s;
  const auto expired = mint(brief);
  const auto revoked = mint(request());
  ASSERT_TRUE(run(tokens_->revoke(administrator(), revoked.token.id, Descendants::keep)));
  now_ += 2min;
  ASSERT_TRUE(run(tokens_->maintain()));
  const auto history = run(tokens_->history(administrator(), 10)).value();
  ASSERT_EQ(history.size(), 2U);
  EXPECT_EQ(history[0].id, expired.token.id);
  EXPECT_EQ(history[1].id, revoked.token.id);
  EXPECT_TRUE(history[1].revoked_at);
  EXPECT_EQ(run(tokens_->history(token_principal({OneNamespace{ns_a_}, {Verb::tokens}, {}, {}}), 10)).error().code,
            Code::PermissionDenied);
  now_ += 24h * 31;
  ASSERT_TRUE(run(tokens_->maintain()));
  EXPECT_THAT(run(tokens_->history(administrator(), 10)).value(), IsEmpty());
}

TEST_F(TokensTest, live_tokens_are_bounded) {
  limits_.max_live = 2;
  open();
  mint(request());
  mint(request());
  EXPECT_EQ(run(tokens_->mint(administrator(), request())).error().code, Code::ResourceExhausted);
}

TEST(Revocations, a_subscription_ends_with_its_object_even_in_the_middle_of_the_news) {
  Revocations revocations;
  int first = 0;
  int second = 0;
  Revocations::Subscription other;
  auto one = revocations.on_revoked([&](const Ended&) {
    ++first;
    other = Revocations::Subscription();
  });
  other = revocations.on_revoked([&](const Ended&) { ++second; });
  revocations.announce({"tok_x"});
  EXPECT_EQ(first, 1);
  EXPECT_EQ(second, 0);
  one = Revocations::Subscription();
  revocations.announce({"tok_x"});
  EXPECT_EQ(first, 1);
}

}  // namespace
}  // namespace cofferdam::identity
