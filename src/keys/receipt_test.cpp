#include "keys/receipt.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <boost/asio/io_context.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "crypto/signature.h"
#include "keys/canonical.h"
#include "keys/files.h"
#include "keys/holders.h"
#include "keys/receipt_book.h"
#include "keys/schema.h"
#include "loop/run.h"

namespace cofferdam::keys {
namespace {

namespace json = boost::json;

ErasureFacts some_facts() {
  ErasureFacts facts;
  facts.workspace_id = "ws_1";
  facts.namespace_id = "ns_1";
  facts.key_id = "key_1";
  facts.key_place = KeyPlace::tree;
  facts.keys = {{{"ws_1", "snapshot/1"}, "key_2"}};
  facts.header_sha256 = std::string(64, 'a');
  facts.tree_root_before = std::string(64, 'b');
  facts.tree_root_after = std::string(64, 'c');
  facts.bytes_discarded = 2147483648;
  facts.checked = {{"disk file", "gone"}, {"a \"place\"\n", "gone"}};
  facts.held = {"snap_2"};
  return facts;
}

TEST(Canonical, members_are_sorted_and_nothing_is_left_to_taste) {
  const auto value = json::parse(R"({ "b" : [1, -2, true, null, "x"], "a\u0001" : {"z":0,"":18446744073709551615},
    "ä" : "\u00e4\u2028\/\"\\\b\f\n\r\t\u001f" })");
  EXPECT_EQ(canonical_json(value).value(),
            "{\"a\\u0001\":{\"\":18446744073709551615,\"z\":0},\"b\":[1,-2,true,null,\"x\"],"
            "\"ä\":\"ä\u2028/\\\"\\\\\\b\\f\\n\\r\\t\\u001f\"}");
  EXPECT_EQ(canonical_json(json::parse("{\"a\":[[1.5]]}")).error().code, Code::InvalidArgument);
  EXPECT_EQ(canonical_json(json::parse("[]")).value(), "[]");
  EXPECT_EQ(canonical_json(json::parse("{}")).value(), "{}");
}

TEST(Canonical, is_its_own_canonical_form) {
  const auto receipt = make_receipt(some_facts(), crypto::make_signing_key(), {});
  EXPECT_EQ(canonical_json(json::parse(receipt.text)).value(), receipt.text);
}

TEST(Receipt, says_what_was_done_and_verifies_in_any_layout) {
  const auto key = crypto::make_signing_key();
  const auto public_key = crypto::public_key_of(key);
  const auto receipt = make_receipt(some_facts(), key, std::chrono::system_clock::now());
  const auto checked = verify_receipt(receipt.text, to_hex(public_key)).value();
  EXPECT_EQ(checked.id, receipt.id);
  EXPECT_EQ(checked.workspace_id, "ws_1");
  EXPECT_EQ(checked.key_id, "key_1");
  EXPECT_TRUE(verify_receipt(receipt.text, crypto::public_key_to_pem(public_key)));
  // As an API or an editor may lay it out.
  auto parsed = json::parse(receipt.text).as_object();
  json::object other{{"success", true}};
  other["signature"] = parsed["signature"];
  json::object reversed;
  const auto& body = parsed["receipt"].as_object();
  for (auto member = body.end(); member != body.begin();) {
    --member;
    reversed[member->key()] = member->value();
  }
  other["receipt"] = reversed;
  EXPECT_TRUE(verify_receipt(cat(" ", json::serialize(other), "\n"), to_hex(public_key)));
  EXPECT_EQ(body.at("bytes_discarded").as_int64(), 2147483648);
  EXPECT_EQ(body.at("checked").as_array().size(), 2U);
  EXPECT_EQ(body.at("held").at(0).as_string(), "snap_2");
  EXPECT_EQ(body.at("key_place").as_string(), "tree");
}

TEST(Receipt, any_change_and_any_other_key_is_refused) {
  const auto key = crypto::make_signing_key();
  const auto public_key = to_hex(crypto::public_key_of(key));
  const auto receipt = make_receipt(some_facts(), key, std::chrono::system_clock::now());
  EXPECT_EQ(verify_receipt(receipt.text, to_hex(crypto::public_key_of(crypto::make_signing_key()))).error().code,
            Code::DataLoss);
  const auto body = canonical_json(json::parse(receipt.text).at("receipt")).value();
  for (std::size_t i = 0; i < receipt.text.size(); ++i) {
    for (const int bit : {0, 5}) {
      auto changed = receipt.text;
      changed[i] = static_cast<char>(changed[i] ^ (1 << bit));
      const auto checked = verify_receipt(changed, public_key);
      // The hex digits of key and signature may be of either case: the same bytes.
      if (!checked) continue;
      EXPECT_EQ(canonical_json(json::parse(changed).at("receipt")).value(), body) << i;
    }
  }
  // Another's receipt under the same host's signature, in whole: the members belong together.
  auto other = some_facts();
  other.workspace_id = "ws_2";
  const auto second = make_receipt(other, key, std::chrono::system_clock::now());
  auto mixed = json::parse(receipt.text).as_object();
  mixed["receipt"] = json::parse(second.text).at("receipt");
  EXPECT_EQ(verify_receipt(json::serialize(mixed), public_key).error().code, Code::DataLoss);
}

TEST(Receipt, what_is_no_receipt_is_named) {
  const auto public_key = to_hex(crypto::public_key_of(crypto::make_signing_key()));
  for (const char* text : {"", "{", "[]", "{}", "{\"receipt\":{}}", "{\"receipt\":{},\"signature\":{}}",
                           "{\"receipt\":{},\"signature\":{\"algorithm\":\"none\",\"public_key\":\"\",\"value\":\"\"}}",
                           "{\"receipt\":1,\"signature\":2}"}) {
    const auto checked = verify_receipt(text, public_key);
    ASSERT_FALSE(checked) << text;
    EXPECT_EQ(checked.error().code, Code::InvalidArgument) << text;
  }
  EXPECT_EQ(verify_receipt("{}", "abc").error().code, Code::InvalidArgument);
  EXPECT_EQ(verify_receipt("{}", "").error().code, Code::InvalidArgument);
  EXPECT_EQ(verify_receipt(std::string(2U << 20, ' '), public_key).error().code, Code::InvalidArgument);
}

class ReceiptBookTest : public testing::Test {
 protected:
  ReceiptBookTest() {
    std::string pattern = testing::TempDir() + "coffer-receipts-XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    database_ = store::Database::open(dir_ + "/db", store::join({migrations()})).value();
    start();
  }
  ~ReceiptBookTest() override {
    book_.reset();
    keys_.reset();
    database_.reset();
    (void)remove_tree(dir_);
  }
  void start() {
    book_.reset();
    keys_.reset();
    holder_ = make_file_holder(HostFiles::open(dir_).value(), "root.key");
    keys_ = KeyStore::open(dir_, *holder_).value();
    book_ = ReceiptBook::open(*database_, *keys_, dir_ + "/receipt.pub").value();
  }
  template <class T>
  Result<T> run(loop::Task<T> task) {
    return loop::run_on(io_, std::move(task));
  }
  loop::asio::io_context io_;  // the database's thread may still be busy with it when it has answered
  std::string dir_;
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<RootHolder> holder_;
  std::unique_ptr<KeyStore> keys_;
  std::unique_ptr<ReceiptBook> book_;
};

TEST_F(ReceiptBookTest, receipts_are_kept_and_found_again_and_the_key_stays) {
  auto facts = some_facts();
  const auto first = run(book_->issue(facts)).value();
  facts.workspace_id = "ws_2";
  facts.namespace_id = "ns_2";
  const auto second = run(book_->issue(facts)).value();
  const auto hex = book_->public_key_hex();
  start();
  EXPECT_EQ(book_->public_key_hex(), hex);
  EXPECT_EQ(run(book_->get(first.id)).value().text, first.text);
  EXPECT_TRUE(verify_receipt(run(book_->get(second.id)).value().text, book_->public_key_pem()));
  EXPECT_EQ(run(book_->get("rcp_none")).error().code, Code::NotFound);
  EXPECT_EQ(run(book_->list({})).value().size(), 2U);
  EXPECT_EQ(run(book_->list({.workspace_id = "ws_2"})).value().front().id, second.id);
  EXPECT_EQ(run(book_->list({.namespace_id = "ns_1"})).value().front().id, first.id);
  EXPECT_EQ(run(book_->list({.before = second.id})).value().front().id, first.id);
  EXPECT_EQ(run(book_->list({.limit = 1})).value().size(), 1U);
}

TEST_F(ReceiptBookTest, the_public_key_is_written_where_openssl_reads_it) {
  const auto facts = some_facts();
  const auto receipt = run(book_->issue(facts)).value();
  ASSERT_TRUE(remove_tree(dir_ + "/receipt.pub"));
  start();
  // Checked with no code of ours: the signature over the context line and the canonical bytes.
  const auto parsed = json::parse(receipt.text);
  const std::string body = cat("cofferdam receipt v1\n", canonical_json(parsed.at("receipt")).value());
  ASSERT_TRUE(write_file_atomically(dir_ + "/body", body));
  ASSERT_TRUE(write_file_atomically(dir_ + "/signature",
                                    from_hex(std::string(parsed.at("signature").at("value").as_string())).value()));
  RunOptions openssl;
  openssl.argv = {"openssl",  "pkeyutl",           "-verify", "-rawin",      "-pubin", "-inkey", dir_ + "/receipt.pub",
                  "-sigfile", dir_ + "/signature", "-in",     dir_ + "/body"};
  const auto checked = cofferdam::run(openssl).value();
  EXPECT_EQ(checked.status, 0) << checked.out << checked.err;
}

}  // namespace
}  // namespace cofferdam::keys
