// A state folder that is backed up and put back, without a daemon: real database, key tree and ledger.
#include "backup/restore.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <map>

#include "backup/place.h"
#include "backup/restored_json.h"
#include "backup/seal.h"
#include "base/file.h"
#include "base/id.h"
#include "base/text.h"
#include "identity/schema.h"
#include "incident/incident_book.h"
#include "incident/schema.h"
#include "keys/holders.h"
#include "ledger/appender.h"
#include "ledger/verify.h"
#include "store/database.h"
#include "workspace/schema.h"
#include "workspace/workspace_table.h"

namespace cofferdam::backup {
namespace {

namespace fs = std::filesystem;

constexpr crypto::DerivationCost kCheap{1, 64};
const std::string kPassphrase = "correct horse";

store::Schema schema() {
  return store::join({identity::migrations(), workspace::migrations(), incident::migrations()});
}

// The parts of a daemon that a backup is of.
class State {
 public:
  explicit State(const std::string& dir) : dir_(dir) {
    EXPECT_TRUE(make_directories(dir_ + "/keys"));
    holder_ = holder_of(dir_).value();
    keys_ = keys::KeyStore::open(dir_ + "/keys", *holder_).value();
    ledger::AppenderOptions options;
    options.folder = dir_ + "/ledger";
    options.key_path = dir_ + "/keys/ledger.key";
    auto opened = ledger::Appender::open(options);
    EXPECT_TRUE(opened) << opened.error().message;
    ledger_ = std::move(*opened);
    database_ = store::Database::open(dir_ + "/cofferd.db", schema()).value();
    for (const char* name : {"keys/token.key", "keys/secrets.key"}) {
      if (!path_exists(cat(dir_, "/", name))) {
        EXPECT_TRUE(write_file_atomically(cat(dir_, "/", name), std::string(32, 't')));
      }
    }
  }
  ~State() { EXPECT_TRUE(ledger_->close()); }

  static Result<std::unique_ptr<keys::RootHolder>> holder_of(const std::string& dir) {
    TRY_ASSIGN(auto files, keys::HostFiles::open(dir + "/keys"));
    return keys::make_file_holder(std::move(files), "root.key");
  }

  std::string keep(const std::string& owner, const std::string& name) {
    const auto key = keys::make_key(32);
    EXPECT_TRUE(keys_->keep({owner, name}, key));
    return key.id;
  }
  void note(model::Entry entry) {
    const std::vector<ledger::Pending> batch{ledger::happened_now(std::move(entry))};
    EXPECT_TRUE(ledger_->commit(batch, ledger::Sign::yes));
  }
  void sql(const std::string& text) {
    const auto done = database_->run_now([text](store::Connection& c) { return c.execute_script(text); });
    EXPECT_TRUE(done) << done.error().message;
  }
  std::vector<std::string> column(const std::string& text) {
    const auto rows = database_->run_now([text](store::Connection& c) { return c.query(text); }).value();
    std::vector<std::string> values;
    for (const auto& row : rows) values.push_back(row.text(0));
    return values;
  }
  // Under kPassphrase, to `path`.
  void back_up(const std::string& path) {
    Manifest manifest;
    manifest.id = new_id("bak");
    manifest.program = "test";
    manifest.database_at = ledger_->size();
    auto draft = Draft::begin(dir_, *keys_).value();
    std::optional<ledger::LedgerCopy> copy = ledger_->copy().value();
    const auto file = draft.seal(SecureBytes::copy_of(kPassphrase), manifest, copy, kCheap).value();
    ASSERT_TRUE(write_file_atomically(path, read_fd(file.get(), 64U << 20).value()));
  }

  std::string dir_;
  std::unique_ptr<keys::RootHolder> holder_;
  std::unique_ptr<keys::KeyStore> keys_;
  std::unique_ptr<ledger::Appender> ledger_;
  std::unique_ptr<store::Database> database_;
};

class RestoreTest : public testing::Test {
 protected:
  RestoreTest() {
    std::string pattern = testing::TempDir() + "coffer-restore-XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
    old_ = folder_ + "/old";
    fresh_ = folder_ + "/fresh";
    file_ = folder_ + "/backup";
    EXPECT_TRUE(make_directories(old_));
    EXPECT_TRUE(make_directories(fresh_));
  }
  ~RestoreTest() override { (void)remove_tree(folder_); }

  Result<Restored> put_back(const std::string& to, const std::string& ledger = {}, Present present = Present::refuse,
                            const std::string& passphrase = kPassphrase) {
    const RestoreOptions options{file_, to, ledger, present};
    const auto make = [to] { return State::holder_of(to); };
    return restore(options, SecureBytes::copy_of(passphrase), make, schema());
  }
  // Every file below, by name, with what is in it.
  static std::map<std::string, std::string> contents(const std::string& folder) {
    std::map<std::string, std::string> found;
    for (const auto& entry : fs::recursive_directory_iterator(folder)) {
      if (entry.is_regular_file()) found[entry.path().string()] = read_file(entry.path().string(), 64U << 20).value();
    }
    return found;
  }
  // One that fails by this code, with these words, and leaves all as it was.
  void expect_refused(Code code, std::string_view words, const std::string& to, const std::string& ledger = {},
                      Present present = Present::refuse, const std::string& passphrase = kPassphrase) {
    const auto before = contents(to);
    const auto done = put_back(to, ledger, present, passphrase);
    ASSERT_FALSE(done) << words;
    EXPECT_EQ(done.error().code, code) << done.error().message;
    EXPECT_NE(done.error().message.find(words), std::string::npos) << done.error().message;
    EXPECT_EQ(contents(to), before) << words;
  }
  static ledger::VerifyReport verified(const std::string& state) {
    ledger::VerifyOptions options;
    options.folder = state + "/ledger";
    auto report = ledger::verify(options);
    EXPECT_TRUE(report) << report.error().message;
    return report ? std::move(*report) : ledger::VerifyReport{};
  }
  static model::Entry destroyed(const std::string& key, const std::string& workspace) {
    model::KeyDestroyed event;
    event.key = key;
    return {{}, {workspace, "ns_1"}, event};
  }

  std::string folder_, old_, fresh_, file_;
};

TEST_F(RestoreTest, an_empty_folder_becomes_what_was_backed_up) {
  std::string id, bytes;
  {
    State state(old_);
    id = state.keep("ws_1", "disk/k");
    bytes = state.keys_->get({"ws_1", "disk/k"})->bytes.view();
    state.sql("INSERT INTO identity_keys (name, proof) VALUES ('x', x'00')");
    state.note({{}, {}, model::SecretSet{"A"}});
    state.back_up(file_);
    // What comes later is in no backup.
    state.keep("ws_2", "disk/k");
    state.note({{}, {}, model::SecretSet{"B"}});
  }
  const auto done = put_back(fresh_);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->keys, 1U);
  EXPECT_FALSE(done->tree_stayed);
  EXPECT_FALSE(done->looked_until);
  EXPECT_TRUE(verified(fresh_).good());
  EXPECT_LT(verified(fresh_).size, verified(old_).size);
  State again(fresh_);
  EXPECT_EQ(again.keys_->get({"ws_1", "disk/k"})->bytes.view(), bytes);
  EXPECT_EQ(again.keys_->get({"ws_1", "disk/k"})->id, id);
  EXPECT_FALSE(again.keys_->get({"ws_2", "disk/k"}));
  EXPECT_EQ(again.column("SELECT name FROM identity_keys"), std::vector<std::string>{"x"});
  // The log goes on, signed anew.
  again.note({{}, {}, model::SecretSet{"C"}});
  EXPECT_TRUE(verified(fresh_).good());
  const auto note = read_note(fresh_).value();
  ASSERT_TRUE(note);
  EXPECT_EQ(note->manifest.id, done->manifest.id);
  EXPECT_EQ(note->keys, 1U);
  ASSERT_TRUE(forget_note(fresh_));
  EXPECT_FALSE(read_note(fresh_).value());
}

TEST_F(RestoreTest, the_backup_holds_neither_tree_nor_root_and_nothing_in_the_clear) {
  std::string secret;
  {
    State state(old_);
    state.keep("ws_1", "disk/k");
    secret = state.keys_->get({"ws_1", "disk/k"})->bytes.view();
    state.back_up(file_);
  }
  const auto bytes = read_file(file_, 64U << 20).value();
  EXPECT_EQ(bytes.find(secret), std::string::npos);
  EXPECT_EQ(bytes.find("ws_1"), std::string::npos);
  ASSERT_TRUE(put_back(fresh_));
  EXPECT_NE(read_file(fresh_ + "/keys/tree", 64U << 20).value(), read_file(old_ + "/keys/tree", 64U << 20).value());
  // The old root opens nothing of the new tree.
  ASSERT_EQ(::rename((old_ + "/keys/root.key").c_str(), (fresh_ + "/keys/root.key").c_str()), 0);
  auto holder = State::holder_of(fresh_).value();
  EXPECT_FALSE(keys::KeyStore::open(fresh_ + "/keys", *holder));
}

TEST_F(RestoreTest, what_the_newer_ledger_says_was_destroyed_does_not_come_back) {
  std::string gone;
  {
    State state(old_);
    gone = state.keep("ws_1", "snapshot/s");
    state.keep("ws_1", "disk/k");
    state.keep("ws_2", "disk/k");
    state.back_up(file_);
    state.note(destroyed(gone, "ws_1"));
    state.note({{}, {"ws_2", "ns_1"}, model::WorkspaceRemoved{"two"}});
  }
  const auto done = put_back(fresh_, old_ + "/ledger");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->keys, 1U);
  EXPECT_EQ(done->keys_ended, 2U);
  EXPECT_EQ(done->looked_until, verified(old_).size);
  State again(fresh_);
  EXPECT_TRUE(again.keys_->get({"ws_1", "disk/k"}));
  EXPECT_FALSE(again.keys_->get({"ws_1", "snapshot/s"}));
  EXPECT_TRUE(again.keys_->list("ws_2")->empty());
}

TEST_F(RestoreTest, credentials_and_secrets_that_ended_since_stay_ended_and_what_was_before_does_not) {
  {
    State state(old_);
    state.sql(
        "INSERT INTO namespaces VALUES ('ns_1', 'a', 'a', '', 'default', 'active', 1, '{}', '[]', NULL, NULL, NULL, "
        "NULL, 0, 0, NULL);"
        "INSERT INTO secrets VALUES ('ns_1', 'OLD', x'00', 0, 0), ('ns_1', 'KEPT', x'00', 0, 0), "
        "('ns_1', 'ANEW', x'00', 0, 0);"
        "INSERT INTO tokens VALUES ('tok_1', 'control', '*', '', '', 9999999999999, '', 0, '', 1, NULL, NULL), "
        "('tok_2', 'control', '*', '', '', 9999999999999, '', 0, '', 1, NULL, NULL), "
        "('tok_3', 'control', '*', '', '', 9999999999999, '', 0, '', 2, NULL, NULL);"
        "INSERT INTO token_secrets VALUES (x'01', 'tok_1', 1, NULL), (x'02', 'tok_2', 1, NULL), (x'03', 'tok_3', 2, "
        "NULL);"
        "INSERT INTO api_keys VALUES ('key_1', x'00', '*', '', '', 0, '', NULL)");
    state.note({{}, {}, model::TokenRotated{"tok_3", 0}});
    state.note({{}, {"", "ns_1"}, model::SecretRemoved{"ANEW"}});  // before it was set again
    state.back_up(file_);
    state.note({{}, {}, model::TokenRevoked{"tok_1", {}}});
    state.note({{}, {}, model::TokenRevoked{"key_1", {}}});
    state.note({{}, {"", "ns_1"}, model::SecretRemoved{"OLD"}});
  }
  const auto done = put_back(fresh_, old_ + "/ledger");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->credentials, 2U);
  EXPECT_EQ(done->secrets, 1U);
  State again(fresh_);
  EXPECT_EQ(again.column("SELECT id FROM tokens WHERE revoked_at IS NULL ORDER BY id"),
            (std::vector<std::string>{"tok_2", "tok_3"}));
  EXPECT_EQ(again.column("SELECT token_id FROM token_secrets ORDER BY token_id"),
            (std::vector<std::string>{"tok_2", "tok_3"}));
  EXPECT_TRUE(again.column("SELECT id FROM api_keys").empty());
  EXPECT_EQ(again.column("SELECT name FROM secrets ORDER BY name"), (std::vector<std::string>{"ANEW", "KEPT"}));
}

TEST_F(RestoreTest, workspaces_that_were_removed_or_contained_since_are_not_as_they_were) {
  const auto add = [](State& state, const std::string& id) {
    workspace::Record record;
    record.id = id;
    record.spec.name = record.hostname = id;
    record.spec.mode = model::Mode::permanent;
    record.state = model::State::stopped;
    const auto text = workspace::record_to_text(record);
    const auto done = state.database_->run_now([id, text](store::Connection& c) {
      return c.execute("INSERT INTO workspaces VALUES ($1, $1, '', 'ns_1', 'permanent', 'stopped', NULL, 0, 0, $2)",
                       {id, text});
    });
    ASSERT_TRUE(done) << done.error().message;
  };
  const auto removed = new_id("ws"), contained = new_id("ws"), released = new_id("ws"), kept = new_id("ws");
  {
    State state(old_);
    for (const auto& id : {removed, contained, released, kept}) add(state, id);
    state.back_up(file_);
    state.note({{}, {removed, "ns_1"}, model::WorkspaceRemoved{"one"}});
    state.note({{}, {contained, "ns_1"}, model::WorkspaceContained{"inc_1", "it mines", {}}});
    state.note({{}, {released, "ns_1"}, model::WorkspaceContained{"inc_2", "it seemed so", {}}});
    state.note({{}, {released, "ns_1"}, model::WorkspaceReleased{"inc_2", "it did not"}});
    // Of one that the backup does not know.
    state.note({{}, {new_id("ws"), "ns_1"}, model::WorkspaceContained{"inc_3", "it mines", {}}});
  }
  const auto done = put_back(fresh_, old_ + "/ledger");
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->workspaces, 1U);
  EXPECT_EQ(done->contained, 1U);
  State again(fresh_);
  EXPECT_EQ(again.column("SELECT id FROM workspaces WHERE state = 'removing'"), std::vector<std::string>{removed});
  EXPECT_EQ(again.column("SELECT workspace_id FROM incidents WHERE released_at IS NULL"),
            std::vector<std::string>{contained});
  const auto book = incident::IncidentBook::open(*again.database_).value();
  ASSERT_NE(book->of(contained), nullptr);
  EXPECT_EQ(book->of(contained)->why, "it mines");
  EXPECT_FALSE(book->of(contained)->finished_at);  // so that the next start takes all steps again
}

TEST_F(RestoreTest, a_state_that_is_there_is_refused_and_with_replace_its_tree_and_ledger_stay) {
  std::string gone;
  {
    State state(old_);
    gone = state.keep("ws_1", "disk/k");
    state.keep("ws_2", "disk/k");
    state.sql("INSERT INTO identity_keys (name, proof) VALUES ('x', x'00')");
    state.back_up(file_);
    const std::vector<keys::KeyName> names{{"ws_1", "disk/k"}};
    ASSERT_TRUE(state.keys_->erase(names));
    state.note(destroyed(gone, "ws_1"));
    state.sql("INSERT INTO identity_keys (name, proof) VALUES ('y', x'00')");
  }
  expect_refused(Code::FailedPrecondition, "is not empty: it has", old_);
  const auto tree = read_file(old_ + "/keys/tree", 64U << 20).value();
  const auto size = verified(old_).size;
  const auto done = put_back(old_, {}, Present::replace);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_TRUE(done->tree_stayed);
  EXPECT_TRUE(done->ledger_stayed);
  EXPECT_EQ(done->looked_until, size);
  EXPECT_EQ(read_file(old_ + "/keys/tree", 64U << 20).value(), tree);
  EXPECT_EQ(verified(old_).size, size);
  State again(old_);
  EXPECT_FALSE(again.keys_->get({"ws_1", "disk/k"}));
  EXPECT_TRUE(again.keys_->get({"ws_2", "disk/k"}));
  EXPECT_EQ(again.column("SELECT name FROM identity_keys"), std::vector<std::string>{"x"});
}

TEST_F(RestoreTest, a_tree_that_does_not_open_is_named_and_nothing_changes) {
  {
    State state(old_);
    state.keep("ws_1", "disk/k");
    state.back_up(file_);
  }
  ASSERT_TRUE(remove_tree(old_ + "/keys/root.key"));
  expect_refused(Code::FailedPrecondition, "lost root", old_, {}, Present::replace);
}

TEST_F(RestoreTest, a_ledger_that_is_no_continuation_is_named) {
  {
    State state(old_);
    state.back_up(file_);
  }
  const std::string other = folder_ + "/other";
  {
    State stranger(other);
  }
  expect_refused(Code::FailedPrecondition, "as the continuation of the backup's", fresh_, other + "/ledger");
  // One that was cut back to before the backup.
  const std::string cut = folder_ + "/cut";
  ASSERT_TRUE(make_directories(cut));
  fs::copy(old_ + "/ledger", cut, fs::copy_options::recursive);
  {
    State state(old_);
    for (int i = 0; i < 100; ++i) state.note({{}, {}, model::SecretSet{"A"}});
    state.back_up(file_);
  }
  expect_refused(Code::FailedPrecondition, "as the continuation of the backup's", fresh_, cut);
}

TEST_F(RestoreTest, damage_a_wrong_passphrase_and_a_newer_database_change_nothing) {
  {
    State state(old_);
    state.keep("ws_1", "disk/k");
    state.back_up(file_);
  }
  const auto good = read_file(file_, 64U << 20).value();
  expect_refused(Code::FailedPrecondition, "wrong passphrase", fresh_, {}, Present::refuse, "battery staple");
  for (const std::size_t at : {kHeadBytes + 10, kHeadBytes + good.size() / 2, good.size() - 1}) {
    std::string changed = good;
    changed[std::min(at, good.size() - 1)] ^= 1;
    ASSERT_TRUE(write_file_atomically(file_, changed));
    expect_refused(Code::DataLoss, "the backup", fresh_);
  }
  for (const std::size_t size : {kHeadBytes, kHeadBytes + 3, good.size() / 2, good.size() - 1}) {
    ASSERT_TRUE(write_file_atomically(file_, good.substr(0, size)));
    expect_refused(Code::DataLoss, "", fresh_);
  }
  ASSERT_TRUE(write_file_atomically(file_, good + "x"));
  expect_refused(Code::DataLoss, "behind the manifest", fresh_);
  EXPECT_TRUE(fs::is_empty(fresh_) || contents(fresh_).empty());
  {
    State state(old_);
    state.sql("UPDATE schema_versions SET version = 99 WHERE room = 'identity'");
    ASSERT_TRUE(remove_tree(file_));
    state.back_up(file_);
    state.sql("UPDATE schema_versions SET version = 1 WHERE room = 'identity'");
  }
  expect_refused(Code::FailedPrecondition, "newer cofferdam", fresh_);
}

TEST_F(RestoreTest, one_that_was_cut_off_before_it_counted_is_forgotten_with_its_root) {
  {
    State state(old_);
    state.keep("ws_1", "disk/k");
    state.back_up(file_);
  }
  const auto folder = begin_place(fresh_).value();
  {
    auto holder = State::holder_of(fresh_).value();
    auto unfinished = keys::KeyStore::open(folder + "/keys", *holder).value();
    ASSERT_TRUE(unfinished->keep({"ws_9", "disk/k"}, keys::make_key(32)));
  }
  EXPECT_EQ(look_for_unfinished(fresh_), Unfinished::key_tree);
  const auto done = put_back(fresh_);
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(look_for_unfinished(fresh_), Unfinished::nothing);
  State again(fresh_);
  EXPECT_TRUE(again.keys_->get({"ws_1", "disk/k"}));
  EXPECT_TRUE(again.keys_->list("ws_9")->empty());
}

TEST_F(RestoreTest, one_that_was_cut_off_after_it_counted_is_finished) {
  {
    State state(old_);
    state.sql("INSERT INTO identity_keys (name, proof) VALUES ('x', x'00')");
    state.back_up(file_);
  }
  ASSERT_TRUE(put_back(fresh_));
  // As if it had been cut off in the midst of its moves.
  const std::string committed = fresh_ + "/restore.committed";
  ASSERT_TRUE(make_directories(committed + "/ledger"));
  ASSERT_EQ(::rename((fresh_ + "/cofferd.db").c_str(), (committed + "/cofferd.db").c_str()), 0);
  ASSERT_EQ(::rename((fresh_ + "/ledger/keys").c_str(), (committed + "/ledger/keys").c_str()), 0);
  ASSERT_TRUE(write_file_atomically(fresh_ + "/cofferd.db", "another"));
  ASSERT_TRUE(write_file_atomically(fresh_ + "/cofferd.db-wal", "another's"));
  ASSERT_TRUE(finish_place(fresh_));
  EXPECT_FALSE(path_exists(committed));
  EXPECT_FALSE(path_exists(fresh_ + "/cofferd.db-wal"));
  State again(fresh_);
  EXPECT_EQ(again.column("SELECT name FROM identity_keys"), std::vector<std::string>{"x"});
}

TEST_F(RestoreTest, drafts_of_a_daemon_that_died_are_removed) {
  ASSERT_TRUE(write_file_atomically(fresh_ + "/backup.tmp-db_1", "rows"));
  ASSERT_TRUE(write_file_atomically(fresh_ + "/admin.json", "{}"));
  ASSERT_TRUE(remove_drafts(fresh_));
  EXPECT_EQ(list_directory(fresh_).value(), std::vector<std::string>{"admin.json"});
}

TEST(RestoredText, comes_back) {
  Restored restored;
  restored.manifest.id = new_id("bak");
  restored.manifest.made_us = 1'700'000'000'000'000;
  restored.ledger_stayed = true;
  restored.keys = 4;
  restored.credentials = 2;
  restored.looked_until = 99;
  const auto again = restored_from_text(text_of(restored)).value();
  EXPECT_EQ(text_of(again), text_of(restored));
  EXPECT_FALSE(restored_from_text("[]"));
  EXPECT_FALSE(restored_from_text("{"));
}

}  // namespace
}  // namespace cofferdam::backup
