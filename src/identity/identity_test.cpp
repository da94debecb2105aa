// The whole room together: what a request goes through.
#include "identity/identity.h"

#include <gmock/gmock.h>

#include "identity/test_support.h"
#include "model/json.h"

namespace cofferdam::identity {
namespace {

using testing::HasSubstr;

class WholeTest : public IdentityTest {
 protected:
  void SetUp() override {
    IdentityTest::SetUp();
    options_.throttle.requests_per_second = 0;
    open();
  }
  void TearDown() override {
    identity_.reset();
    IdentityTest::TearDown();
  }
  void open() {
    identity_.reset();
    open_database();
    options_.state_dir = state_;
    options_.clock = clock();
    options_.namespace_of = namespace_of();
    auto opened = Identity::open(*database_, options_);
    ASSERT_TRUE(opened) << opened.error().message;
    identity_ = std::move(*opened);
    const auto value = model::parse_json(read_file(state_ + "/admin.json", 1U << 16).value()).value();
    admin_id_ = value.at("client_id").as_string();
    admin_secret_ = value.at("client_secret").as_string();
  }
  Result<Principal> ask(const Credentials& credentials, TokenKind kind = TokenKind::control,
                        std::string_view source = "192.0.2.1") {
    return identity_->authenticate(credentials, kind, Address::parse(source).value());
  }

  IdentityOptions options_;
  std::unique_ptr<Identity> identity_;
  std::string admin_id_, admin_secret_;
};

TEST_F(WholeTest, the_administrator_mints_a_token_that_works_until_it_is_revoked) {
  const auto admin = ask({.client_id = admin_id_, .client_secret = admin_secret_}).value();
  TokenRequest request;
  request.scope = SomeWorkspaces{{ws_a_}};
  request.verbs = {Verb::exec};
  const auto minted = run(identity_->tokens().mint(admin, request)).value();
  open();
  const auto who = ask({.bearer = minted.secret}, TokenKind::runtime).value();
  EXPECT_TRUE(who.allows(Verb::exec, ws_a_, ""));
  EXPECT_EQ(who.allows(Verb::exec, ws_b_, "").error().code, Code::NotFound);
  EXPECT_EQ(ask({.bearer = minted.secret}).error().code, Code::Unauthenticated);
  ASSERT_TRUE(run(identity_->tokens().revoke(admin, minted.token.id, Descendants::revoke)));
  EXPECT_EQ(ask({.bearer = minted.secret}, TokenKind::runtime).error().code, Code::Unauthenticated);
}

TEST_F(WholeTest, api_keys_are_known_beside_the_administrator) {
  const auto made = run(identity_->api_keys().create(administrator(), {})).value();
  const auto who = ask({.client_id = made.key.client_id, .client_secret = made.client_secret}).value();
  EXPECT_EQ(who.kind, Principal::Kind::api_key);
}

TEST_F(WholeTest, a_bearer_token_wins_over_a_client_id) {
  const auto error = ask({.bearer = "x", .client_id = admin_id_, .client_secret = admin_secret_}).error();
  EXPECT_EQ(error.code, Code::Unauthenticated);
}

TEST_F(WholeTest, a_runtime_route_takes_no_client_id) {
  const auto error = ask({.client_id = admin_id_, .client_secret = admin_secret_}, TokenKind::runtime).error();
  EXPECT_EQ(error.code, Code::Unauthenticated);
  EXPECT_THAT(error.message, HasSubstr("runtime token"));
}

TEST_F(WholeTest, wrong_credentials_are_slowed_down_and_right_ones_from_elsewhere_are_not) {
  for (int i = 0; i < 11; ++i) {
    EXPECT_EQ(ask({.client_id = admin_id_, .client_secret = "wrong"}).error().code, Code::Unauthenticated);
  }
  EXPECT_EQ(ask({.client_id = admin_id_, .client_secret = admin_secret_}).error().code, Code::ResourceExhausted);
  EXPECT_EQ(identity_->throttle().retry_after(Address::parse("192.0.2.1").value()), 1s);
  EXPECT_TRUE(ask({.client_id = admin_id_, .client_secret = admin_secret_}, TokenKind::control, "192.0.2.2"));
  now_ += 1s;
  EXPECT_TRUE(ask({.client_id = admin_id_, .client_secret = admin_secret_}));
}

TEST_F(WholeTest, requests_without_credentials_are_refused_and_not_counted_as_guesses) {
  for (int i = 0; i < 50; ++i) EXPECT_EQ(ask({}).error().code, Code::Unauthenticated);
  EXPECT_TRUE(ask({.client_id = admin_id_, .client_secret = admin_secret_}));
}

TEST_F(WholeTest, a_good_token_from_a_wrong_place_is_no_guess) {
  TokenRequest request;
  request.scope = SomeWorkspaces{{ws_a_}};
  request.verbs = {Verb::exec};
  request.sources = parse_sources("10.0.0.0/8").value();
  const auto minted = run(identity_->tokens().mint(administrator(), request)).value();
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(ask({.bearer = minted.secret}, TokenKind::runtime).error().code, Code::PermissionDenied);
  }
}

TEST_F(WholeTest, a_removed_namespace_takes_its_tokens_with_it) {
  NamespaceDraft draft;
  draft.name = "Acme";
  const auto space = run(identity_->namespaces().create(draft, {})).value();
  TokenRequest request;
  request.kind = TokenKind::control;
  request.scope = OneNamespace{space.id};
  request.verbs = {Verb::read};
  const auto minted = run(identity_->tokens().mint(administrator(), request)).value();
  EXPECT_TRUE(ask({.bearer = minted.secret}));
  ASSERT_TRUE(run(identity_->remove_namespace("acme")));
  EXPECT_EQ(ask({.bearer = minted.secret}).error().code, Code::Unauthenticated);
}

TEST_F(WholeTest, a_lost_key_is_refused_at_the_start_and_not_replaced_in_silence) {
  for (const auto* name : {"token", "secrets"}) {
    identity_.reset();
    const auto path = state_ + "/keys/" + name + ".key";
    const auto kept = read_file(path, 64).value();
    ASSERT_TRUE(write_file_atomically(path, std::string(crypto::random_secret(32).view())));
    const auto error = Identity::open(*database_, options_).error();
    EXPECT_EQ(error.code, Code::FailedPrecondition);
    EXPECT_THAT(error.hint, HasSubstr(std::string("keys/") + name + ".key"));
    ASSERT_TRUE(write_file_atomically(path, kept));
    open();
  }
}

TEST_F(WholeTest, maintenance_and_the_end_write_what_is_owed) {
  const auto made = run(identity_->api_keys().create(administrator(), {})).value();
  (void)ask({.client_id = made.key.client_id, .client_secret = made.client_secret});
  ASSERT_TRUE(run(identity_->maintain()));
  ASSERT_TRUE(run(identity_->close()));
  open();
  EXPECT_EQ(identity_->api_keys().list(administrator())->front().last_used_at, now_);
}

}  // namespace
}  // namespace cofferdam::identity
