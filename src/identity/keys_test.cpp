// The administrator, API keys, and the key files under all of it.
#include <gmock/gmock.h>
#include <sys/stat.h>

#include "base/text.h"
#include "identity/admin.h"
#include "identity/api_keys.h"
#include "identity/key_file.h"
#include "identity/test_support.h"
#include "model/json.h"

namespace cofferdam::identity {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

unsigned mode_of(const std::string& path) {
  struct stat st{};
  return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

using KeyFileTest = IdentityTest;

TEST_F(KeyFileTest, is_made_once_private_and_kept) {
  const auto path = state_ + "/keys/token.key";
  const auto key = load_or_make_key(path).value();
  EXPECT_EQ(key.size(), 32U);
  EXPECT_EQ(mode_of(path), 0600U);
  EXPECT_EQ(mode_of(state_ + "/keys"), 0700U);
  EXPECT_EQ(load_or_make_key(path)->view(), key.view());
  EXPECT_NE(load_or_make_key(state_ + "/keys/other.key")->view(), key.view());
}

TEST_F(KeyFileTest, of_another_size_is_data_loss) {
  for (const auto size : {0, 31, 33, 4096}) {
    const auto path = cat(state_, "/", size, ".key");
    ASSERT_TRUE(write_file_atomically(path, std::string(static_cast<std::size_t>(size), 'k'), 0600));
    EXPECT_EQ(load_or_make_key(path).error().code, Code::DataLoss);
  }
}

TEST_F(KeyFileTest, that_others_can_read_is_refused) {
  const auto path = state_ + "/token.key";
  ASSERT_TRUE(write_file_atomically(path, std::string(32, 'k'), 0640));
  ASSERT_EQ(::chmod(path.c_str(), 0640), 0);
  const auto error = load_or_make_key(path).error();
  EXPECT_EQ(error.code, Code::FailedPrecondition);
  EXPECT_THAT(error.hint, HasSubstr("chmod 600"));
}

TEST_F(KeyFileTest, a_key_is_recognised_and_another_is_refused) {
  const auto key = crypto::random_secret(32);
  EXPECT_TRUE(check_same_key(*database_, "token", key));
  EXPECT_TRUE(check_same_key(*database_, "token", key));
  EXPECT_TRUE(check_same_key(*database_, "secrets", crypto::random_secret(32)));
  EXPECT_EQ(check_same_key(*database_, "token", crypto::random_secret(32)).error().code, Code::FailedPrecondition);
}

class AdministratorTest : public IdentityTest {
 protected:
  std::string path() { return state_ + "/admin.json"; }
  Result<Administrator> open() { return Administrator::open(path(), SecureBytes::copy_of(std::string(32, 'k'))); }
  std::pair<std::string, std::string> in_file() {
    const auto value = model::parse_json(read_file(path(), 1U << 16).value()).value();
    return {std::string(value.at("client_id").as_string()), std::string(value.at("client_secret").as_string())};
  }
};

TEST_F(AdministratorTest, the_file_is_made_at_the_first_start_and_kept_at_the_next) {
  ASSERT_TRUE(open());
  EXPECT_EQ(mode_of(path()), 0600U);
  const auto [id, secret] = in_file();
  const auto again = open().value();
  EXPECT_EQ(in_file().second, secret);
  EXPECT_EQ(again.client_id(), id);
  const auto who = again.check(id, secret).value();
  EXPECT_EQ(who.kind, Principal::Kind::administrator);
  EXPECT_EQ(who.id, id);
  EXPECT_TRUE(who.allows_on_account(Verb::admin));
}

TEST_F(AdministratorTest, a_wrong_id_and_a_wrong_secret_get_the_same_answer) {
  const auto admin = open().value();
  const auto [id, secret] = in_file();
  const std::pair<std::string, std::string> wrong[] = {{id, secret + "x"}, {id, ""}, {"x", secret},
                                                       {"", secret},       {"", ""}, {secret, id}};
  for (const auto& [wrong_id, wrong_secret] : wrong) {
    const auto error = admin.check(wrong_id, wrong_secret).error();
    EXPECT_EQ(error.code, Code::Unauthenticated);
    EXPECT_EQ(error.message, wrong_client_credentials().message);
    EXPECT_THAT(error.message + error.hint, Not(HasSubstr(secret)));
  }
}

TEST_F(AdministratorTest, a_file_written_by_hand_is_taken) {
  ASSERT_TRUE(write_file_atomically(path(), R"({"client_id":"me","client_secret":"0123456789abcdef"})", 0600));
  EXPECT_TRUE(open()->check("me", "0123456789abcdef"));
}

TEST_F(AdministratorTest, a_broken_file_is_named_and_not_replaced) {
  for (const auto* text :
       {"", "{", "[]", R"({"client_id":"me"})", R"({"client_id":"","client_secret":"0123456789abcdef"})",
        R"({"client_id":"me","client_secret":"hunter2"})", R"({"client_id":1,"client_secret":2})"}) {
    ASSERT_TRUE(write_file_atomically(path(), text, 0600));
    const auto error = open().error();
    EXPECT_EQ(error.code, Code::DataLoss) << text;
    EXPECT_THAT(error.message, HasSubstr(path()));
    EXPECT_THAT(error.message, Not(HasSubstr("hunter2")));
    EXPECT_EQ(read_file(path(), 1U << 16).value(), text);
  }
}

TEST_F(AdministratorTest, a_file_that_others_can_read_is_refused) {
  ASSERT_TRUE(open());
  ASSERT_EQ(::chmod(path().c_str(), 0644), 0);
  EXPECT_EQ(open().error().code, Code::FailedPrecondition);
}

class ApiKeysTest : public IdentityTest {
 protected:
  void SetUp() override {
    IdentityTest::SetUp();
    open();
  }
  void TearDown() override {
    keys_.reset();
    IdentityTest::TearDown();
  }
  void open() {
    keys_.reset();
    open_database();
    auto opened = ApiKeys::open(*database_, SecureBytes::copy_of(std::string(32, 'k')), clock(), revocations_);
    ASSERT_TRUE(opened) << opened.error().message;
    keys_ = std::move(*opened);
  }
  MintedApiKey create(const ApiKeyRequest& request = {}) {
    return run(keys_->create(administrator(), request)).value();
  }

  Revocations revocations_;
  std::unique_ptr<ApiKeys> keys_;
};

TEST_F(ApiKeysTest, the_secret_is_told_once_and_works_after_a_restart) {
  ApiKeyRequest request;
  request.scope = OneNamespace{ns_a_};
  request.verbs = {Verb::read, Verb::lifecycle};
  request.label = "ci";
  const auto made = create(request);
  EXPECT_THAT(all_bytes(), Not(HasSubstr(made.client_secret)));
  (void)keys_->check(made.key.client_id, made.client_secret);
  ASSERT_TRUE(run(keys_->close()));
  open();
  const auto who = keys_->check(made.key.client_id, made.client_secret).value();
  EXPECT_EQ(who.kind, Principal::Kind::api_key);
  EXPECT_TRUE(who.allows(Verb::lifecycle, ws_a_, ns_a_));
  EXPECT_EQ(who.allows(Verb::read, ws_a_, ns_b_).error().code, Code::NotFound);
  EXPECT_EQ(who.allows(Verb::exec, ws_a_, ns_a_).error().code, Code::PermissionDenied);
  const auto listed = keys_->list(administrator()).value();
  ASSERT_EQ(listed.size(), 1U);
  EXPECT_EQ(listed[0].label, "ci");
  EXPECT_EQ(listed[0].created_at, now_);
  EXPECT_EQ(listed[0].last_used_at, now_);
}

TEST_F(ApiKeysTest, by_default_a_key_may_everything_but_administer) {
  const auto made = create();
  const auto who = keys_->check(made.key.client_id, made.client_secret).value();
  EXPECT_TRUE(who.allows(Verb::exec, ws_a_, ns_a_));
  EXPECT_TRUE(who.allows_on_account(Verb::tokens));
  EXPECT_EQ(who.allows_on_account(Verb::admin).error().code, Code::PermissionDenied);
  EXPECT_EQ(run(keys_->create(who, {})).error().code, Code::PermissionDenied);
  EXPECT_EQ(keys_->list(who).error().code, Code::PermissionDenied);
  EXPECT_EQ(run(keys_->revoke(who, made.key.client_id)).error().code, Code::PermissionDenied);
}

TEST_F(ApiKeysTest, a_wrong_id_and_a_wrong_secret_get_the_same_answer) {
  const auto made = create();
  const auto other = create();
  for (const auto& [id, secret] :
       {std::pair{made.key.client_id, other.client_secret}, std::pair{std::string("key_none"), made.client_secret},
        std::pair{made.key.client_id, std::string()}}) {
    EXPECT_EQ(keys_->check(id, secret).error().message, wrong_client_credentials().message);
  }
}

TEST_F(ApiKeysTest, a_revoked_key_is_over_at_once_and_streams_hear_of_it) {
  const auto made = create();
  const auto who = keys_->check(made.key.client_id, made.client_secret).value();
  std::vector<Ended> heard;
  const auto subscription = revocations_.on_revoked([&](const Ended& ended) { heard.push_back(ended); });
  ASSERT_TRUE(run(keys_->revoke(administrator(), made.key.client_id)));
  EXPECT_EQ(keys_->check(made.key.client_id, made.client_secret).error().code, Code::Unauthenticated);
  ASSERT_EQ(heard.size(), 1U);
  EXPECT_TRUE(heard[0].ends(who));
  EXPECT_EQ(run(keys_->revoke(administrator(), made.key.client_id)).error().code, Code::NotFound);
  open();
  EXPECT_THAT(keys_->list(administrator()).value(), IsEmpty());
}

TEST_F(ApiKeysTest, never_wider_than_who_makes_it) {
  const auto maker = token_principal({WholeAccount{}, {Verb::read, Verb::admin}, {}, std::nullopt});
  ApiKeyRequest request;
  request.verbs = {Verb::read, Verb::exec};
  EXPECT_THAT(run(keys_->create(maker, request)).error().message, HasSubstr("verbs exec"));
  request.verbs = {Verb::read};
  EXPECT_TRUE(run(keys_->create(maker, request)));
  const auto brief = token_principal({WholeAccount{}, VerbSet::all(), {}, now_ + 1h});
  EXPECT_THAT(run(keys_->create(brief, request)).error().message, HasSubstr("no expiry"));
  const auto bound = token_principal({WholeAccount{}, VerbSet::all(), parse_sources("10.0.0.0/8").value(), {}});
  EXPECT_EQ(run(keys_->create(bound, request)).error().code, Code::PermissionDenied);
  request.scope = SomeWorkspaces{{ws_a_}};
  EXPECT_EQ(run(keys_->create(administrator(), request)).error().code, Code::InvalidArgument);
}

}  // namespace
}  // namespace cofferdam::identity
