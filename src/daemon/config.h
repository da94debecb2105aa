// Every setting of cofferd, and where it may come from.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "gate/policy.h"
#include "http/tcp.h"
#include "keys/holders.h"
#include "ledger/witness.h"
#include "monitor/rules.h"
#include "vm/qemu_driver.h"

namespace cofferdam::daemon {

// Of the TCP address. A certificate and its key, or one that cofferd makes itself, or nothing: no TLS, which only an
// address of this host may go without.
struct TlsSettings {
  std::string certificate, key;  // PEM files; both or none
  bool self_signed = false;      // in STATE/tls, see http/tls_files.h
};

// What is written down of all that is done, and where besides.
struct LedgerSettings {
  bool write = true;                       // false breaks a promise: for measuring alone
  std::optional<std::chrono::hours> keep;  // nullopt: for ever
  std::string syslog;                      // empty: none
  std::vector<ledger::WitnessTarget> witnesses;
  std::chrono::milliseconds witness_every = std::chrono::minutes(1);
};

// How workspaces are watched, and who is told what is out of the ordinary.
struct WatchSettings {
  std::chrono::milliseconds every = std::chrono::seconds(1);      // a look from outside
  std::chrono::milliseconds ask_every = std::chrono::seconds(4);  // a question to the guest
  std::vector<std::string> rule_texts;                            // as they were given
  monitor::Rules rules;                                           // those on top of the defaults
  std::string syslog, command;                                    // empty: none
};

struct Config {
  std::string state_dir = "/var/lib/cofferdam";
  std::string run_dir = "/run/cofferdam";
  std::optional<http::TcpAddress> listen = http::TcpAddress{"127.0.0.1", 7070};  // nullopt: no TCP
  TlsSettings tls;
  vm::WantedAccelerator accelerator = vm::WantedAccelerator::automatic;
  std::uint32_t pool_size = 2;
  std::uint32_t pool_standby = 1;
  std::string default_image = "debian-12";
  std::uint32_t max_workspaces = 1000;
  std::uint32_t requests_per_second = 1000;  // over TCP, of one source; 0: any number
  std::uint32_t token_max_days = 365;
  // The uids of VMMs. Without a setting each state folder has a range of its own, so that daemons side by side share
  // none.
  std::uint32_t uid_first = 0;
  std::uint32_t uid_count = 65'536;
  std::string recipes_dir;
  std::string guest_binary;
  std::string jail_binary;
  std::string qemu_binary = "/usr/bin/qemu-system-x86_64";
  std::string gate_binary;
  std::string presets_dir;
  gate::Settings network;  // what holds for all workspaces; the proxy's login is read at the start
  std::string proxy_login_file;
  gate::Limits network_limits{
      .bytes_per_second = 128U << 20, .connections_per_second = 200, .connections = 4096, .dns_per_second = 50};
  std::string preview_domain = "localhost";
  keys::HolderSettings root;      // who holds the root of the key tree
  bool private_webhooks = false;  // whether webhooks may go to addresses of private networks
  LedgerSettings ledger;
  WatchSettings watch;
  std::vector<std::string> evidence_recipients;  // public keys of age that all evidence is encrypted to
  LogLevel log_level = LogLevel::info;

  // One that no VMM has.
  [[nodiscard]] std::uint32_t gate_uid() const { return uid_first + uid_count - 1; }
  [[nodiscard]] std::uint32_t age_uid() const { return uid_first + uid_count - 2; }
  [[nodiscard]] std::string socket_path() const { return run_dir + "/cofferd.sock"; }
};

enum class Action { serve, probe_accelerator, probe_network, restore, print_version, print_help };

// A state folder from a backup.
struct RestoreWish {
  std::string file;
  std::string passphrase_file = "/dev/stdin";
  std::string ledger;  // the folder of one that went on after the backup; empty: none
  bool replace = false;
};

struct Invocation {
  Action action = Action::serve;
  Config config;
  RestoreWish restore;  // of that action
};

// The value of an environment variable, or nullopt.
using Environment = std::function<std::optional<std::string>(const std::string& name)>;

// `arguments` without the program's name. `program_dir` holds cofferd: the other programs and the recipes are looked
// for from there. InvalidArgument names the flag, variable, or the file's line and column.
Result<Invocation> read_invocation(const std::vector<std::string>& arguments, const Environment& environment,
                                   const std::string& program_dir);

std::string help_text();

// Every setting as it is in force, a line each.
std::string config_text(const Config& config);

}  // namespace cofferdam::daemon
