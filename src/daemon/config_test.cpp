#include "daemon/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <map>

#include "base/file.h"
#include "daemon/tls.h"

namespace cofferdam::daemon {
namespace {

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "coffer-config-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    variables_["COFFER_CONFIG"] = file("");  // not the host's own
  }
  void TearDown() override { (void)remove_tree(dir_); }

  std::string file(const std::string& text) {
    std::string path = dir_ + "/cofferd.yaml";
    EXPECT_TRUE(write_file_atomically(path, text));
    return path;
  }
  Result<Invocation> read(const std::vector<std::string>& arguments) {
    auto environment = [this](const std::string& name) -> std::optional<std::string> {
      const auto found = variables_.find(name);
      if (found == variables_.end()) return std::nullopt;
      return found->second;
    };
    return read_invocation(arguments, environment, dir_ + "/bin");
  }
  std::string error_of(const std::vector<std::string>& arguments) {
    const auto read_now = read(arguments);
    if (read_now) return "no error";
    EXPECT_EQ(read_now.error().code, Code::InvalidArgument);
    return read_now.error().message;
  }

  std::string dir_;
  std::map<std::string, std::string> variables_;
};

TEST_F(ConfigTest, a_login_needs_the_proxy_it_is_for) {
  EXPECT_THAT(error_of({"--network-proxy-login", "/x"}), testing::HasSubstr("network.proxy_login"));
  const auto config = read({"--network-proxy", "10.0.0.80:3128", "--network-proxy-login", "/x"}).value().config;
  EXPECT_EQ(config.proxy_login_file, "/x");
  EXPECT_EQ(config.network.proxy->endpoint.port, 3128);
}

TEST_F(ConfigTest, nothing_given_is_the_safe_end) {
  const auto config = read({}).value().config;
  EXPECT_EQ(config.state_dir, "/var/lib/cofferdam");
  EXPECT_EQ(config.socket_path(), "/run/cofferdam/cofferd.sock");
  EXPECT_EQ(config.listen->text(), "127.0.0.1:7070");
  EXPECT_FALSE(config.private_webhooks);
  EXPECT_EQ(config.requests_per_second, 1000U);
  EXPECT_EQ(config.accelerator, vm::WantedAccelerator::automatic);
  EXPECT_EQ(config.jail_binary, dir_ + "/bin/coffer-jail");
  EXPECT_EQ(config.guest_binary, dir_ + "/bin/coffer-guest");
  EXPECT_GT(config.uid_first, 65'536U);
}

TEST_F(ConfigTest, the_holder_of_the_root_key_is_chosen) {
  auto root = read({"--state", "/s"}).value().config.root;
  EXPECT_EQ(root.kind, keys::HolderKind::file);
  EXPECT_EQ(root.root_file, "/s/keys/root.key");
  file("keys:\n  root: tpm\n  tpm: swtpm:path=/tpm\n  tpm_index: 0x1800100\n");
  root = read({}).value().config.root;
  EXPECT_EQ(root.kind, keys::HolderKind::tpm);
  EXPECT_EQ(root.tcti, "swtpm:path=/tpm");
  EXPECT_EQ(root.nv_index, 0x1800100U);
  file("keys:\n  root: command\n  command: /usr/bin/kms\n  command_timeout: 5s\n");
  root = read({}).value().config.root;
  EXPECT_EQ(root.kind, keys::HolderKind::command);
  EXPECT_EQ(root.command, "/usr/bin/kms");
  EXPECT_EQ(root.command_timeout, std::chrono::seconds(5));
  file("");
  root = read({"--keys-root=passphrase", "--keys-passphrase-file", "/p", "--keys-root-file=/r"}).value().config.root;
  EXPECT_EQ(root.kind, keys::HolderKind::passphrase);
  EXPECT_EQ(root.passphrase_file, "/p");
  EXPECT_EQ(root.root_file, "/r");
  EXPECT_NE(error_of({"--keys-root", "vault"}).find("none of file, tpm, passphrase, command"), std::string::npos);
  EXPECT_NE(error_of({"--keys-tpm-index", "18c0f00"}).find("--keys-tpm-index"), std::string::npos);
  EXPECT_NE(error_of({"--keys-tpm-index", "0x18c0f0g"}).find("--keys-tpm-index"), std::string::npos);
  EXPECT_NE(error_of({"--keys-command-timeout", "0s"}).find("--keys-command-timeout"), std::string::npos);
}

TEST_F(ConfigTest, flags_win_over_variables_and_these_over_the_file) {
  file("state: /file\nrun: /file-run\npool:\n  size: 7\naccel: tcg\n");
  variables_["COFFER_STATE"] = "/variable";
  variables_["COFFER_RUN"] = "/variable-run";
  const auto config = read({"--run=/flag-run", "--accel", "kvm"}).value().config;
  EXPECT_EQ(config.state_dir, "/variable");
  EXPECT_EQ(config.run_dir, "/flag-run");
  EXPECT_EQ(config.pool_size, 7U);
  EXPECT_EQ(config.accelerator, vm::WantedAccelerator::kvm);
}

TEST_F(ConfigTest, a_mistake_in_the_file_has_its_line_and_column) {
  file("state: /s\npool:\n  size: many\n");
  EXPECT_NE(error_of({}).find("cofferd.yaml:3:3: pool.size: "), std::string::npos) << error_of({});
  file("pool:\n  depth: 1\n");
  EXPECT_NE(error_of({}).find("cofferd.yaml:2:3: there is no setting 'pool.depth'"), std::string::npos);
  file("state: [a]\n");
  EXPECT_NE(error_of({}).find("cofferd.yaml:1:1"), std::string::npos);
  file("a: b: c\n");
  EXPECT_NE(error_of({}).find("cofferd.yaml:1:"), std::string::npos);
  file("- a\n");
  EXPECT_NE(error_of({}).find("must be a list of settings"), std::string::npos);
}

TEST_F(ConfigTest, a_file_that_was_asked_for_must_be_there) {
  EXPECT_EQ(read({"--config", dir_ + "/none.yaml"}).error().code, Code::NotFound);
}

TEST_F(ConfigTest, a_wrong_flag_is_named) {
  EXPECT_NE(error_of({"--colour"}).find("'--colour'"), std::string::npos);
  EXPECT_NE(error_of({"--state"}).find("needs a value"), std::string::npos);
  EXPECT_NE(error_of({"--accel", "fast"}).find("--accel: 'fast' is none of auto, kvm, tcg"), std::string::npos);
  EXPECT_NE(error_of({"--max-workspaces", "0"}).find("--max-workspaces"), std::string::npos);
  EXPECT_NE(error_of({"--state", ""}).find("--state"), std::string::npos);
}

TEST_F(ConfigTest, folders_that_cannot_work_are_refused) {
  EXPECT_NE(error_of({"--run", "/" + std::string(100, 'r')}).find("too long"), std::string::npos);
  EXPECT_NE(error_of({"--state", "/"}).find("root"), std::string::npos);
}

TEST_F(ConfigTest, the_address_and_its_tls_come_from_flags_variables_and_the_file) {
  file("listen: 127.0.0.1:1\ntls:\n  cert: /file.pem\n  key: /file.key\n");
  auto config = read({}).value().config;
  EXPECT_EQ(config.listen->text(), "127.0.0.1:1");
  EXPECT_EQ(config.tls.certificate, "/file.pem");
  EXPECT_EQ(config.tls.key, "/file.key");
  EXPECT_FALSE(config.tls.self_signed);
  variables_["COFFER_LISTEN"] = "[::1]:2";
  variables_["COFFER_TLS_CERT"] = "/variable.pem";
  variables_["COFFER_TLS_KEY"] = "/variable.key";
  config = read({"--listen=0.0.0.0:0", "--tls-cert", "/flag.pem"}).value().config;
  EXPECT_EQ(config.listen->text(), "0.0.0.0:0");
  EXPECT_EQ(config.tls.certificate, "/flag.pem");
  EXPECT_EQ(config.tls.key, "/variable.key");
}

TEST_F(ConfigTest, a_switch_needs_no_value_and_takes_one) {
  EXPECT_TRUE(read({"--tls-self-signed"}).value().config.tls.self_signed);
  EXPECT_TRUE(read({"--tls-self-signed", "--listen", "0.0.0.0:1"}).value().config.listen);
  EXPECT_FALSE(read({"--tls-self-signed=false"}).value().config.tls.self_signed);
  EXPECT_NE(error_of({"--tls-self-signed=maybe"}).find("--tls-self-signed: 'maybe'"), std::string::npos);
  variables_["COFFER_TLS_SELF_SIGNED"] = "1";
  EXPECT_TRUE(read({}).value().config.tls.self_signed);
  variables_.erase("COFFER_TLS_SELF_SIGNED");
  file("tls:\n  self_signed: true\n");
  EXPECT_TRUE(read({}).value().config.tls.self_signed);
  EXPECT_NE(help_text().find("--tls-self-signed "), std::string::npos);
}

TEST_F(ConfigTest, the_rate_of_requests_is_a_setting_and_zero_takes_it_away) {
  file("requests_per_second: 50\n");
  EXPECT_EQ(read({}).value().config.requests_per_second, 50U);
  EXPECT_EQ(read({"--tokens-max-days=7"}).value().config.token_max_days, 7U);
  EXPECT_THAT(error_of({"--tokens-max-days=0"}), testing::HasSubstr("--tokens-max-days"));
  EXPECT_EQ(read({"--requests-per-second", "0"}).value().config.requests_per_second, 0U);
  EXPECT_THAT(error_of({"--requests-per-second=-1"}), testing::HasSubstr("--requests-per-second"));
  EXPECT_THAT(error_of({"--requests-per-second=nan"}), testing::HasSubstr("--requests-per-second"));
}

TEST_F(ConfigTest, an_address_that_is_none_is_refused) {
  for (const char* bad : {"7070", "localhost:7070", "127.0.0.1", "::1:7070", "127.0.0.1:65536", ""}) {
    EXPECT_NE(error_of({"--listen", bad}).find("--listen: "), std::string::npos) << bad;
  }
}

TEST_F(ConfigTest, no_address_at_all_can_be_asked_for) {
  EXPECT_FALSE(read({"--listen", "none"}).value().config.listen);
  variables_["COFFER_LISTEN"] = "none";
  EXPECT_FALSE(read({}).value().config.listen);
}

TEST_F(ConfigTest, an_address_beyond_this_host_needs_tls) {
  EXPECT_NE(error_of({"--listen", "0.0.0.0:7070"}).find("no TLS"), std::string::npos);
  EXPECT_NE(error_of({"--listen", "[::]:7070"}).find("no TLS"), std::string::npos);
  EXPECT_TRUE(read({"--listen", "127.0.0.1:7070"}));
  EXPECT_TRUE(read({"--listen", "[::1]:7070"}));
}

TEST_F(ConfigTest, half_a_certificate_and_two_of_them_are_refused) {
  EXPECT_NE(error_of({"--tls-cert", "/c"}).find("belong together"), std::string::npos);
  EXPECT_NE(error_of({"--tls-key", "/k"}).find("belong together"), std::string::npos);
  EXPECT_NE(error_of({"--tls-cert", "/c", "--tls-key", "/k", "--tls-self-signed"}).find("exclude"), std::string::npos);
}

TEST_F(ConfigTest, the_certificate_is_made_in_the_state_folder_or_read_from_the_files) {
  Config config;
  config.state_dir = dir_ + "/state";
  EXPECT_EQ(tls_identity(config).value(), nullptr);
  config.tls.self_signed = true;
  const auto identity = tls_identity(config).value();
  ASSERT_NE(identity, nullptr);
  EXPECT_TRUE(reload_tls_identity(config, *identity));
  config.tls = {dir_ + "/state/tls/certificate.pem", dir_ + "/state/tls/key.pem", false};
  EXPECT_NE(tls_identity(config).value(), nullptr);
  config.tls.key = dir_ + "/absent";
  EXPECT_EQ(tls_identity(config).error().code, Code::NotFound);
  EXPECT_FALSE(reload_tls_identity(config, *identity));
  EXPECT_NE(identity->context(), nullptr);
}

TEST_F(ConfigTest, paths_become_absolute) {
  const auto config = read({"--state", "here/../there/"}).value().config;
  EXPECT_EQ(config.state_dir.front(), '/');
  EXPECT_EQ(config.state_dir.substr(config.state_dir.size() - 6), "/there");
}

TEST_F(ConfigTest, each_state_folder_has_uids_of_its_own_unless_told_otherwise) {
  const auto one = read({"--state", "/a"}).value().config;
  const auto two = read({"--state", "/b"}).value().config;
  EXPECT_NE(one.uid_first, two.uid_first);
  EXPECT_EQ(one.uid_first, read({"--state", "/a"}).value().config.uid_first);
  EXPECT_EQ(read({"--uids-first", "5000"}).value().config.uid_first, 5000U);
}

TEST_F(ConfigTest, recipes_are_found_in_a_prefix_and_in_the_source_tree) {
  ASSERT_TRUE(make_directories(dir_ + "/share/cofferdam/images"));
  EXPECT_EQ(read({}).value().config.recipes_dir, dir_ + "/share/cofferdam/images");
  ASSERT_TRUE(remove_tree(dir_ + "/share"));
  ASSERT_TRUE(make_directories(dir_ + "/images"));
  auto environment = [this](const std::string& name) -> std::optional<std::string> {
    if (name == "COFFER_CONFIG") return variables_["COFFER_CONFIG"];
    return std::nullopt;
  };
  const auto built = read_invocation({}, environment, dir_ + "/build/bin").value();
  EXPECT_EQ(built.config.recipes_dir, dir_ + "/images");
}

TEST_F(ConfigTest, what_only_prints_needs_no_valid_settings) {
  file("nonsense: 1\n");
  EXPECT_EQ(read({"--help"}).value().action, Action::print_help);
  EXPECT_EQ(read({"--version"}).value().action, Action::print_version);
  EXPECT_NE(help_text().find("--pool-size N"), std::string::npos);
}

}  // namespace
}  // namespace cofferdam::daemon
