#include "identity/secrets.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "identity/namespaces.h"
#include "identity/test_support.h"
#include "identity/token_text.h"

namespace cofferdam::identity {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

class SecretsTest : public IdentityTest {
 protected:
  void SetUp() override {
    IdentityTest::SetUp();
    open();
    space_ = run(spaces_->get_default())->id;
  }
  void TearDown() override {
    secrets_.reset();
    spaces_.reset();
    IdentityTest::TearDown();
  }
  void open() {
    secrets_.reset();
    spaces_.reset();
    open_database();
    spaces_ = Namespaces::open(*database_, clock()).value();
    auto opened = Secrets::open(*database_, SecureBytes::copy_of(key_), clock());
    ASSERT_TRUE(opened) << opened.error().message;
    secrets_ = std::move(*opened);
  }
  Result<SecretInfo> set(const std::string& name, std::string_view value) {
    return run(secrets_->set(space_, name, SecureBytes::copy_of(value)));
  }
  std::string reveal(const std::string& name) {
    const auto delivery = run(secrets_->reveal_for_delivery(space_, std::vector<std::string>{name}));
    return delivery ? std::string(delivery->front().second.view()) : delivery.error().message;
  }

  const std::string key_ = std::string(crypto::random_secret(32).view());
  std::unique_ptr<Namespaces> spaces_;
  std::unique_ptr<Secrets> secrets_;
  std::string space_;
};

TEST_F(SecretsTest, a_secret_is_delivered_as_it_was_set_after_a_restart_too) {
  ASSERT_TRUE(set("DB_PASSWORD", "p4ss=w0rd \xff\n"));
  EXPECT_EQ(reveal("DB_PASSWORD"), "p4ss=w0rd \xff\n");
  open();
  EXPECT_EQ(reveal("DB_PASSWORD"), "p4ss=w0rd \xff\n");
}

TEST_F(SecretsTest, the_value_is_in_no_file) {
  ASSERT_TRUE(set("DB_PASSWORD", "the quick brown fox"));
  EXPECT_THAT(all_bytes(), HasSubstr("DB_PASSWORD"));
  EXPECT_THAT(all_bytes(), Not(HasSubstr("quick brown")));
}

TEST_F(SecretsTest, get_and_list_tell_name_and_times_alone) {
  ASSERT_TRUE(set("B", "1"));
  const auto made = now_;
  now_ += 1h;
  ASSERT_TRUE(set("A", "2"));
  ASSERT_TRUE(set("B", "3"));
  const auto listed = run(secrets_->list(space_)).value();
  ASSERT_EQ(listed.size(), 2U);
  EXPECT_EQ(listed[0].name, "A");
  EXPECT_EQ(listed[1].name, "B");
  EXPECT_EQ(listed[1].created_at, made);
  EXPECT_EQ(listed[1].updated_at, now_);
  EXPECT_EQ(run(secrets_->get(space_, "A"))->name, "A");
  EXPECT_EQ(run(secrets_->get(space_, "C")).error().code, Code::NotFound);
  EXPECT_EQ(reveal("B"), "3");
}

TEST_F(SecretsTest, removed_and_replaced_cipher_text_is_in_no_file) {
  ASSERT_TRUE(set("A", "first"));
  auto sealed_now = [&] {
    auto work = [](store::Connection& c) { return c.query("SELECT sealed FROM secrets"); };
    return database_->run_now(work)->front().blob(0);
  };
  const auto first = sealed_now();
  ASSERT_TRUE(set("A", "other"));
  const auto second = sealed_now();
  EXPECT_NE(first, second);
  ASSERT_TRUE(run(secrets_->remove(space_, "A")));
  EXPECT_THAT(all_bytes(), Not(HasSubstr(first.substr(1))));
  EXPECT_THAT(all_bytes(), Not(HasSubstr(second.substr(1))));
  EXPECT_EQ(run(secrets_->remove(space_, "A")).error().code, Code::NotFound);
  EXPECT_EQ(run(secrets_->reveal_for_delivery(space_, std::vector<std::string>{"A"})).error().code, Code::NotFound);
}

TEST_F(SecretsTest, a_missing_name_is_named_and_nothing_is_revealed) {
  ASSERT_TRUE(set("A", "1"));
  const auto delivery = run(secrets_->reveal_for_delivery(space_, std::vector<std::string>{"A", "NOT_THERE"}));
  EXPECT_EQ(delivery.error().code, Code::NotFound);
  EXPECT_THAT(delivery.error().message, HasSubstr("NOT_THERE"));
}

TEST_F(SecretsTest, several_are_delivered_in_the_order_asked_for) {
  ASSERT_TRUE(set("A", "1"));
  ASSERT_TRUE(set("B", "2"));
  const auto delivery = run(secrets_->reveal_for_delivery(space_, std::vector<std::string>{"B", "A"})).value();
  ASSERT_EQ(delivery.size(), 2U);
  EXPECT_EQ(delivery[0].first, "B");
  EXPECT_EQ(delivery[0].second.view(), "2");
  EXPECT_EQ(delivery[1].second.view(), "1");
}

TEST_F(SecretsTest, namespaces_are_apart_and_take_their_secrets_with_them) {
  NamespaceDraft draft;
  draft.name = "Acme";
  const auto other = run(spaces_->create(draft, {})).value();
  ASSERT_TRUE(set("A", "mine"));
  ASSERT_TRUE(run(secrets_->set(other.id, "A", SecureBytes::copy_of("theirs"))));
  EXPECT_EQ(reveal("A"), "mine");
  ASSERT_TRUE(run(spaces_->remove(other.id)));
  EXPECT_THAT(run(secrets_->list(other.id)).value(), IsEmpty());
  EXPECT_EQ(run(secrets_->list(space_))->size(), 1U);
  EXPECT_EQ(run(secrets_->set(new_id("ns"), "A", SecureBytes::copy_of("x"))).error().code, Code::NotFound);
}

TEST_F(SecretsTest, a_row_moved_to_another_name_does_not_open) {
  ASSERT_TRUE(set("HARMLESS", "1"));
  ASSERT_TRUE(set("PASSWORD", "2"));
  auto swap = [](store::Connection& c) {
    return c.execute(
        "UPDATE secrets SET sealed = (SELECT sealed FROM secrets WHERE name = 'PASSWORD') "
        "WHERE name = 'HARMLESS'");
  };
  ASSERT_TRUE(database_->run_now(swap));
  const auto delivery = run(secrets_->reveal_for_delivery(space_, std::vector<std::string>{"HARMLESS"}));
  EXPECT_EQ(delivery.error().code, Code::DataLoss);
  EXPECT_THAT(delivery.error().message, HasSubstr("HARMLESS"));
}

TEST_F(SecretsTest, another_key_is_refused_by_name) {
  ASSERT_TRUE(set("A", "1"));
  EXPECT_EQ(Secrets::open(*database_, crypto::random_secret(32), clock()).error().code, Code::FailedPrecondition);
  EXPECT_EQ(Secrets::open(*database_, SecureBytes::copy_of("short"), clock()).error().code, Code::InvalidArgument);
}

TEST_F(SecretsTest, names_are_posix_environment_names) {
  for (const auto* good : {"A", "_", "a_1", "PATH"}) EXPECT_TRUE(is_secret_name(good)) << good;
  for (const auto* bad : {"", "1A", "A-B", "A=B", "A B", "Ä", "A\n"}) {
    EXPECT_FALSE(is_secret_name(bad)) << bad;
    EXPECT_EQ(set(bad, "x").error().code, Code::InvalidArgument) << bad;
  }
  EXPECT_TRUE(is_secret_name(std::string(128, 'A')));
  EXPECT_FALSE(is_secret_name(std::string(129, 'A')));
}

TEST_F(SecretsTest, values_out_of_bounds_and_control_credentials_are_refused_and_not_repeated) {
  EXPECT_TRUE(set("A", std::string(65536, 'x')));
  EXPECT_TRUE(set("A", new_token_text(TokenKind::runtime)));
  for (const auto& value : {std::string(), std::string(65537, 'x'), std::string("a\0b", 3),
                            new_token_text(TokenKind::control), "token=" + new_client_secret()}) {
    const auto error = set("A", value).error();
    EXPECT_EQ(error.code, Code::InvalidArgument);
    if (!value.empty()) EXPECT_THAT(error.message + error.hint, Not(HasSubstr(value)));
  }
}

TEST_F(SecretsTest, a_namespace_has_at_most_256) {
  ASSERT_TRUE(set("S7", "x"));
  auto fill = [this](store::Connection& c) -> Status {
    for (int i = 0; i < 255; ++i) {
      TRY(c.execute("INSERT INTO secrets VALUES ($1, $2, $3, 0, 0)", {space_, cat("T", i), store::Blob{"x"}}));
    }
    return {};
  };
  ASSERT_TRUE(database_->run_now(fill));
  EXPECT_EQ(set("ONE_MORE", "x").error().code, Code::ResourceExhausted);
  EXPECT_TRUE(set("S7", "replaced"));
}

}  // namespace
}  // namespace cofferdam::identity
