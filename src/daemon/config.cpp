#include "daemon/config.h"

#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <string_view>
#include <utility>

#include "base/dns_name.h"
#include "base/file.h"
#include "base/text.h"
#include "daemon/config_file.h"
#include "daemon/settings.h"
#include "evidence/age.h"
#include "ledger/syslog.h"

namespace cofferdam::daemon {
namespace {

constexpr std::string_view kDefaultConfigFile = "/etc/cofferdam/cofferd.yaml";
// RUN/vm/vm_<26 characters>/<socket's name> must fit in a socket's address.
constexpr std::size_t kLongestSocketTail = 52;
constexpr std::uint32_t kMaxPoolSize = 64;
constexpr std::uint16_t kNamePort = 53;

using Apply = Status (*)(Config& config, const std::string& value);

Status set_path(std::string& target, const std::string& value) {
  if (value.empty()) return fail(Code::InvalidArgument, "must not be empty");
  std::error_code ec;
  const auto absolute = std::filesystem::absolute(value, ec);
  if (ec) return fail(errno_error(cat("'", value, "'"), ec.value()));
  target = absolute.lexically_normal().string();
  if (target.size() > 1 && target.back() == '/') target.pop_back();
  return {};
}

Status set_number(std::uint32_t& target, const std::string& value, std::int64_t min, std::int64_t max) {
  TRY_ASSIGN(const auto number, parse_int("it", value, min, max));
  target = static_cast<std::uint32_t>(number);
  return {};
}

// As the tools for TPMs write it: "0x18c0f00".
Status set_nv_index(std::uint32_t& target, const std::string& value) {
  const auto* end = value.data() + value.size();
  if (starts_with(value, "0x") && value.size() > 2) {
    const auto read = std::from_chars(value.data() + 2, end, target, 16);
    if (read.ec == std::errc() && read.ptr == end) return {};
  }
  return fail(Code::InvalidArgument, cat("'", value, "' is no index such as 0x18c0f00"));
}

template <class T, std::size_t N>
Status set_choice(T& target, const std::string& value, const std::array<std::pair<std::string_view, T>, N>& choices) {
  std::string names;
  for (const auto& [name, choice] : choices) {
    if (name == value) {
      target = choice;
      return {};
    }
    names += cat(names.empty() ? "" : ", ", name);
  }
  return fail(Code::InvalidArgument, cat("'", value, "' is none of ", names));
}

constexpr std::array<std::pair<std::string_view, vm::WantedAccelerator>, 3> kAccelerators{
    {{"auto", vm::WantedAccelerator::automatic},
     {"kvm", vm::WantedAccelerator::kvm},
     {"tcg", vm::WantedAccelerator::tcg}}};
constexpr std::array<std::pair<std::string_view, LogLevel>, 4> kLogLevels{
    {{"debug", LogLevel::debug}, {"info", LogLevel::info}, {"warn", LogLevel::warn}, {"error", LogLevel::error}}};

constexpr std::array<std::pair<std::string_view, keys::HolderKind>, 4> kHolders{
    {{"file", keys::HolderKind::file},
     {"tpm", keys::HolderKind::tpm},
     {"passphrase", keys::HolderKind::passphrase},
     {"command", keys::HolderKind::command}}};

constexpr std::array<std::pair<std::string_view, bool>, 4> kSwitch{
    {{"true", true}, {"false", false}, {"1", true}, {"0", false}}};

std::vector<std::string> list_of(const std::string& value) {
  std::vector<std::string> items;
  for (const auto& item : split(value, ',')) {
    if (!trim(item).empty()) items.emplace_back(trim(item));
  }
  return items;
}

Status set_interval(std::chrono::milliseconds& target, const std::string& value) {
  TRY_ASSIGN(target, parse_duration(value));
  if (target >= std::chrono::milliseconds(100) && target <= std::chrono::hours(1)) return {};
  return fail(Code::InvalidArgument, "must be at least 100ms and at most 1h");
}

Status set_ranges(std::vector<Cidr>& target, const std::string& value) {
  target.clear();
  for (const auto& item : list_of(value)) {
    TRY_ASSIGN(const auto range, Cidr::parse(item));
    target.push_back(range);
  }
  return {};
}

Status set_denied(gate::Settings& settings, const std::string& value) {
  settings.denied_names.clear();
  settings.denied_ranges.clear();
  for (const auto& item : list_of(value)) {
    if (const auto range = Cidr::parse(item)) {
      settings.denied_ranges.push_back(*range);
    } else {
      settings.denied_names.push_back(item);
    }
  }
  return gate::validate(settings);
}

// "ADDR:PORT", "[ADDR]:PORT", or an address alone when there is a port that it would be.
Result<gate::Endpoint> parse_endpoint(const std::string& text, std::uint16_t otherwise) {
  gate::Endpoint endpoint;
  endpoint.port = otherwise;
  if (auto lone = Address::parse(text); lone && otherwise != 0) {
    endpoint.address = *lone;
    return endpoint;
  }
  const auto colon = text.rfind(':');
  if (colon == std::string::npos) return fail(Code::InvalidArgument, cat("'", text, "' is not ADDRESS:PORT"));
  std::string host = text.substr(0, colon);
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') host = host.substr(1, host.size() - 2);
  TRY_ASSIGN(endpoint.address, Address::parse(host));
  TRY_ASSIGN(const auto port, parse_int("the port", std::string_view(text).substr(colon + 1), 1, 65535));
  endpoint.port = static_cast<std::uint16_t>(port);
  return endpoint;
}

struct Setting {
  std::string_view name;   // in the file; the flag is the same with dashes
  std::string_view value;  // empty: a switch, whose flag alone means true
  std::string_view help;
  Apply apply;
};

constexpr std::array<Setting, 50> kSettings{{
    {"state", "DIR", "all state (default /var/lib/cofferdam)",
     [](Config& c, const std::string& v) { return set_path(c.state_dir, v); }},
    {"run", "DIR", "run-time sockets (default /run/cofferdam)",
     [](Config& c, const std::string& v) { return set_path(c.run_dir, v); }},
    {"listen", "ADDR:PORT|none", "address of the HTTP API (default 127.0.0.1:7070; none: the socket alone)",
     [](Config& c, const std::string& v) -> Status {
       if (v == "none") {
         c.listen.reset();
         return {};
       }
       TRY_ASSIGN(c.listen, http::parse_tcp_address(v));
       return {};
     }},
    {"tls.cert", "FILE", "TLS for that address: the certificate with its chain, PEM",
     [](Config& c, const std::string& v) { return set_path(c.tls.certificate, v); }},
    {"tls.key", "FILE", "its key, PEM, for its owner's eyes only",
     [](Config& c, const std::string& v) { return set_path(c.tls.key, v); }},
    {"tls.self_signed", "", "TLS with a certificate that cofferd makes in STATE/tls",
     [](Config& c, const std::string& v) { return set_choice(c.tls.self_signed, v, kSwitch); }},
    {"accel", "auto|kvm|tcg", "how guests run (default auto: KVM where a probe finds it fast)",
     [](Config& c, const std::string& v) { return set_choice(c.accelerator, v, kAccelerators); }},
    {"pool.size", "N", "machines kept ready of each kind asked for lately (default 2; 0: none)",
     [](Config& c, const std::string& v) { return set_number(c.pool_size, v, 0, kMaxPoolSize); }},
    {"pool.standby", "N", "started VMMs kept beside them, which halve a start without a ready machine (default 1)",
     [](Config& c, const std::string& v) { return set_number(c.pool_standby, v, 0, kMaxPoolSize); }},
    {"default_image", "NAME", "the image that is always kept ready (default debian-12)",
     [](Config& c, const std::string& v) -> Status {
       c.default_image = v;
       return {};
     }},
    {"max_workspaces", "N", "more are refused (default 1000)",
     [](Config& c, const std::string& v) { return set_number(c.max_workspaces, v, 1, 100'000); }},
    {"requests_per_second", "N",
     "requests over TCP from one address; twice as many at once; more get 429 (default 1000; 0: any number)",
     [](Config& c, const std::string& v) { return set_number(c.requests_per_second, v, 0, 1'000'000); }},
    {"tokens.max_days", "N", "the longest life of a token (default 365; a token that says nothing lives 30 days)",
     [](Config& c, const std::string& v) { return set_number(c.token_max_days, v, 1, 3650); }},
    {"uids.first", "UID", "first host uid of virtual machines (default: chosen by the state folder)",
     [](Config& c, const std::string& v) { return set_number(c.uid_first, v, 1000, 4'000'000'000); }},
    {"uids.count", "N", "how many of them (default 65536)",
     [](Config& c, const std::string& v) { return set_number(c.uid_count, v, 16, 1 << 24); }},
    {"recipes", "DIR", "image recipes (default: those installed with this program)",
     [](Config& c, const std::string& v) { return set_path(c.recipes_dir, v); }},
    {"guest", "FILE", "coffer-guest (default: beside this program)",
     [](Config& c, const std::string& v) { return set_path(c.guest_binary, v); }},
    {"jail", "FILE", "coffer-jail (default: beside this program)",
     [](Config& c, const std::string& v) { return set_path(c.jail_binary, v); }},
    {"qemu", "FILE", "qemu-system-x86_64 (default: /usr/bin/qemu-system-x86_64)",
     [](Config& c, const std::string& v) { return set_path(c.qemu_binary, v); }},
    {"gate", "FILE", "coffer-gate (default: beside this program; none: workspaces have no network)",
     [](Config& c, const std::string& v) -> Status {
       if (v != "none") return set_path(c.gate_binary, v);
       c.gate_binary = v;
       return {};
     }},
    {"presets", "DIR", "named lists of destinations (default: those installed with this program)",
     [](Config& c, const std::string& v) { return set_path(c.presets_dir, v); }},
    {"network.deny", "LIST", "names, *.suffixes and ranges that no workspace may reach",
     [](Config& c, const std::string& v) { return set_denied(c.network, v); }},
    {"network.allow_private", "LIST", "private ranges that workspaces may reach when their own list says so too",
     [](Config& c, const std::string& v) { return set_ranges(c.network.opened_ranges, v); }},
    {"network.resolvers", "LIST", "DNS servers, ADDR or ADDR:PORT (default: those of /etc/resolv.conf)",
     [](Config& c, const std::string& v) -> Status {
       c.network.resolvers.clear();
       for (const auto& item : list_of(v)) {
         TRY_ASSIGN(const auto resolver, parse_endpoint(item, kNamePort));
         c.network.resolvers.push_back(resolver);
       }
       return {};
     }},
    {"network.proxy", "ADDR:PORT|none", "an HTTP proxy that all connections go out through (CONNECT)",
     [](Config& c, const std::string& v) -> Status {
       if (v == "none") {
         c.network.proxy.reset();
         return {};
       }
       gate::HttpProxy proxy = c.network.proxy.value_or(gate::HttpProxy());
       TRY_ASSIGN(proxy.endpoint, parse_endpoint(v, 0));
       c.network.proxy = proxy;
       return {};
     }},
    {"network.proxy_resolves", "", "the proxy is told names, where this host cannot resolve them itself",
     [](Config& c, const std::string& v) -> Status {
       if (!c.network.proxy) return fail(Code::InvalidArgument, "needs network.proxy before it");
       bool by_name = false;
       TRY(set_choice(by_name, v, kSwitch));
       c.network.proxy->target = by_name ? gate::ProxyTarget::name : gate::ProxyTarget::address;
       return {};
     }},
    {"network.proxy_login", "FILE", "a file with USER:PASSWORD for it, for its owner's eyes only",
     [](Config& c, const std::string& v) { return set_path(c.proxy_login_file, v); }},
    {"network.bytes_per_second", "SIZE", "of each workspace (default 128M; 0: no limit)",
     [](Config& c, const std::string& v) -> Status {
       TRY_ASSIGN(c.network_limits.bytes_per_second, parse_size(v));
       return {};
     }},
    {"network.connections", "N", "open at once, of each workspace (default 4096)",
     [](Config& c, const std::string& v) { return set_number(c.network_limits.connections, v, 1, 1'000'000); }},
    {"preview.domain", "DOMAIN", "exposed ports are at SLUG.preview.DOMAIN (default localhost)",
     [](Config& c, const std::string& v) -> Status {
       if (!is_dns_name(v)) return fail(Code::InvalidArgument, cat("'", v, "' is no domain in lower case"));
       c.preview_domain = v;
       return {};
     }},
    {"keys.root", "file|tpm|passphrase|command", "who holds the root of the key tree (default file)",
     [](Config& c, const std::string& v) { return set_choice(c.root.kind, v, kHolders); }},
    {"keys.root_file", "FILE", "where file and passphrase keep it (default STATE/keys/root.key)",
     [](Config& c, const std::string& v) { return set_path(c.root.root_file, v); }},
    {"keys.passphrase_file", "FILE", "where the passphrase is read from, once: a file, a pipe or a terminal",
     [](Config& c, const std::string& v) { return set_path(c.root.passphrase_file, v); }},
    {"keys.tpm", "TCTI", "how the TPM is reached (default device:/dev/tpmrm0)",
     [](Config& c, const std::string& v) -> Status {
       if (v.empty()) return fail(Code::InvalidArgument, "must not be empty");
       c.root.tcti = v;
       return {};
     }},
    {"keys.tpm_index", "0xINDEX", "the first of its four NV indices (default 0x18c0f00)",
     [](Config& c, const std::string& v) { return set_nv_index(c.root.nv_index, v); }},
    {"keys.command", "FILE", "the program that keeps the root elsewhere, see docs/operations.md",
     [](Config& c, const std::string& v) { return set_path(c.root.command, v); }},
    {"keys.command_timeout", "TIME", "how long one call of it may take (default 20s)",
     [](Config& c, const std::string& v) -> Status {
       TRY_ASSIGN(c.root.command_timeout, parse_duration(v));
       if (c.root.command_timeout >= std::chrono::milliseconds(1)) return {};
       return fail(Code::InvalidArgument, "must be longer than nothing");
     }},
    {"webhooks.private", "", "let webhooks go to private addresses (default: public ones only)",
     [](Config& c, const std::string& v) { return set_choice(c.private_webhooks, v, kSwitch); }},
    {"ledger.keep", "DURATION|forever", "entries older than this are given up, whole files at a time (default forever)",
     [](Config& c, const std::string& v) -> Status {
       c.ledger.keep.reset();
       if (v == "forever") return {};
       TRY_ASSIGN(const auto duration, parse_duration(v));
       if (duration < std::chrono::hours(1)) return fail(Code::InvalidArgument, "must be at least an hour");
       c.ledger.keep = std::chrono::duration_cast<std::chrono::hours>(duration);
       return {};
     }},
    {"ledger.syslog", "/dev/log|udp:ADDR:PORT", "also send each entry there (default: nowhere)",
     [](Config& c, const std::string& v) -> Status {
       TRY(ledger::check_syslog_target(v));
       c.ledger.syslog = v;
       return {};
     }},
    {"ledger.witness", "TARGET[,…]", "send checkpoints to file:/PATH, git:/PATH, https://HOST/PATH (default: nowhere)",
     [](Config& c, const std::string& v) -> Status {
       c.ledger.witnesses.clear();
       for (const auto& text : split(v, ',')) {
         TRY_ASSIGN(auto target, ledger::parse_witness(trim(text)));
         c.ledger.witnesses.push_back(std::move(target));
       }
       return {};
     }},
    {"ledger.witness_every", "DURATION", "how often (default 1m)",
     [](Config& c, const std::string& v) -> Status {
       TRY_ASSIGN(c.ledger.witness_every, parse_duration(v));
       if (c.ledger.witness_every < std::chrono::seconds(1)) return fail(Code::InvalidArgument, "must be at least 1s");
       return {};
     }},
    {"ledger.write", "true|false", "false: nothing that is done is written down; for measuring alone (default true)",
     [](Config& c, const std::string& v) { return set_choice(c.ledger.write, v, kSwitch); }},
    {"watch.every", "DURATION", "how often each workspace is looked at from outside (default 1s)",
     [](Config& c, const std::string& v) { return set_interval(c.watch.every, v); }},
    {"watch.ask_every", "DURATION", "how often each guest is asked for its processes (default 4s)",
     [](Config& c, const std::string& v) { return set_interval(c.watch.ask_every, v); }},
    {"alerts.rules", "LIST", "such as \"cpu over=90 for=60s workspace=web\" or \"denied off\", see docs/watch.md",
     [](Config& c, const std::string& v) -> Status {
       auto texts = list_of(v);
       TRY_ASSIGN(c.watch.rules, monitor::Rules::parse(texts));
       c.watch.rule_texts = std::move(texts);
       return {};
     }},
    {"alerts.syslog", "/dev/log|udp:ADDR:PORT", "also send each alert there (default: nowhere)",
     [](Config& c, const std::string& v) -> Status {
       TRY(ledger::check_syslog_target(v));
       c.watch.syslog = v;
       return {};
     }},
    {"alerts.command", "FILE", "a program that is given each alert as JSON on stdin (default: none)",
     [](Config& c, const std::string& v) { return set_path(c.watch.command, v); }},
    {"evidence.recipients", "LIST", "public keys of age (age1…) that all evidence is encrypted to (default: none)",
     [](Config& c, const std::string& v) -> Status {
       auto recipients = list_of(v);
       for (const auto& recipient : recipients) TRY(evidence::check_recipient(recipient));
       c.evidence_recipients = std::move(recipients);
       return {};
     }},
    {"log_level", "debug|info|warn|error", "what the log holds (default info)",
     [](Config& c, const std::string& v) { return set_choice(c.log_level, v, kLogLevels); }},
}};

std::string flag_of(std::string_view name) {
  std::string flag = cat("--", name);
  std::replace_if(flag.begin(), flag.end(), [](char c) { return c == '.' || c == '_'; }, '-');
  return flag;
}

struct Flags {
  Action action = Action::serve;
  RestoreWish restore;
  std::string config_file;
  std::vector<std::pair<const Setting*, std::string>> settings;
};

// Where the value of a flag of the restore goes; null: it is none.
std::string* restore_value(RestoreWish& wish, std::string_view flag) {
  if (flag == "--restore") return &wish.file;
  if (flag == "--restore-passphrase-file") return &wish.passphrase_file;
  if (flag == "--restore-ledger") return &wish.ledger;
  return nullptr;
}

Result<Flags> parse_flags(const std::vector<std::string>& arguments) {
  Flags flags;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    std::string flag = arguments[i];
    if (flag == "--foreground") continue;  // it never does anything else; taken for the sake of old habits
    if (flag == "--help" || flag == "-h") {
      flags.action = Action::print_help;
      return flags;
    }
    if (flag == "--version") {
      flags.action = Action::print_version;
      return flags;
    }
    if (flag == "--probe-accelerator") {
      flags.action = Action::probe_accelerator;
      continue;
    }
    if (flag == "--probe-network") {
      flags.action = Action::probe_network;
      continue;
    }
    if (flag == "--restore-replace") {
      flags.restore.replace = true;
      continue;
    }
    std::optional<std::string> value;
    if (const auto equals = flag.find('='); equals != std::string::npos) {
      value = flag.substr(equals + 1);
      flag.resize(equals);
    }
    const auto setting = std::find_if(kSettings.begin(), kSettings.end(),
                                      [&](const Setting& each) { return flag_of(each.name) == flag; });
    std::string* const of_restore = restore_value(flags.restore, flag);
    if (setting == kSettings.end() && flag != "--config" && of_restore == nullptr) {
      return fail(Code::InvalidArgument, cat("there is no option '", flag, "'"), "see: cofferd --help");
    }
    if (!value && setting != kSettings.end() && setting->value.empty()) value = "true";
    if (!value) {
      if (i + 1 == arguments.size()) return fail(Code::InvalidArgument, cat(flag, ": needs a value"));
      value = arguments[++i];
    }
    if (flag == "--restore") flags.action = Action::restore;
    if (flag == "--config") {
      flags.config_file = *value;
    } else if (of_restore != nullptr) {
      *of_restore = *value;
    } else {
      flags.settings.emplace_back(&*setting, *value);
    }
  }
  return flags;
}

Status read_file_of(const Flags& flags, const Environment& environment, Config& config) {
  std::string path = flags.config_file;
  if (path.empty()) path = environment("COFFER_CONFIG").value_or("");
  if (!path.empty()) return read_config_file(path, config);
  if (!path_exists(std::string(kDefaultConfigFile))) return {};
  return read_config_file(std::string(kDefaultConfigFile), config);
}

// Above what systemd gives to containers, below what programs with signed uids choke on; a thousand ranges, so that two
// state folders of one host hardly meet.
std::uint32_t uid_range_of(const std::string& state_dir) {
  std::uint32_t hash = 2'166'136'261U;
  for (const char c : state_dir) hash = (hash ^ static_cast<unsigned char>(c)) * 16'777'619U;
  return 1'880'000'000U + (hash % 1000U) * 65'536U;
}

// Installed below a prefix, or in a build folder of the source tree.
std::string data_folder(const std::string& program_dir, const char* name) {
  const std::filesystem::path bin = program_dir;
  const auto shared = (bin.parent_path() / "share/cofferdam" / name).string();
  const auto source = (bin.parent_path().parent_path() / name).string();
  return !path_exists(shared) && path_exists(source) ? source : shared;
}

void fill_defaults(Config& config, const std::string& program_dir) {
  if (config.uid_first == 0) config.uid_first = uid_range_of(config.state_dir);
  if (config.root.root_file.empty()) config.root.root_file = config.state_dir + "/keys/root.key";
  if (config.guest_binary.empty()) config.guest_binary = program_dir + "/coffer-guest";
  if (config.jail_binary.empty()) config.jail_binary = program_dir + "/coffer-jail";
  if (config.gate_binary.empty()) config.gate_binary = program_dir + "/coffer-gate";
  if (config.gate_binary == "none") config.gate_binary.clear();
  if (config.presets_dir.empty()) config.presets_dir = data_folder(program_dir, "presets");
  if (config.recipes_dir.empty()) config.recipes_dir = data_folder(program_dir, "images");
}

Status check(const Config& config) {
  if (config.run_dir.size() + kLongestSocketTail > sizeof(sockaddr_un::sun_path)) {
    return fail(
        Code::InvalidArgument, cat("the run-time folder '", config.run_dir, "' has too long a name for sockets"),
        cat("choose one of at most ", sizeof(sockaddr_un::sun_path) - kLongestSocketTail, " characters (--run)"));
  }
  if (config.state_dir == "/" || config.run_dir == "/") {
    return fail(Code::InvalidArgument, "the state and run-time folders must not be the root of the file system");
  }
  const auto& tls = config.tls;
  if (tls.certificate.empty() != tls.key.empty()) {
    return fail(Code::InvalidArgument, "tls.cert and tls.key belong together: one of them is not set");
  }
  if (tls.self_signed && !tls.certificate.empty()) {
    return fail(Code::InvalidArgument, "tls.self_signed and tls.cert exclude each other");
  }
  if (config.listen && !http::is_loopback(*config.listen) && !tls.self_signed && tls.certificate.empty()) {
    return fail(Code::InvalidArgument,
                cat("listen: ", config.listen->text(), " is reached from outside this host, and there is no TLS"),
                "add --tls-self-signed, or --tls-cert and --tls-key; or listen on 127.0.0.1");
  }
  if (!config.proxy_login_file.empty() && !config.network.proxy) {
    return fail(Code::InvalidArgument, "network.proxy_login: there is no network.proxy that it could be for");
  }
  if (config.uid_first > UINT32_MAX - config.uid_count - 1) {
    return fail(Code::InvalidArgument, "uids.first and uids.count reach past the last uid there is");
  }
  return {};
}

}  // namespace

bool takes_list(std::string_view name) {
  return std::any_of(kSettings.begin(), kSettings.end(),
                     [name](const Setting& setting) { return setting.name == name && setting.value == "LIST"; });
}

Status apply_setting(Config& config, std::string_view name, const std::string& value) {
  for (const auto& setting : kSettings) {
    if (setting.name != name) continue;
    auto applied = setting.apply(config, value);
    if (!applied) return fail(std::move(applied.error()).in(name));
    return {};
  }
  return fail(Code::InvalidArgument, cat("there is no setting '", name, "'"));
}

Result<Invocation> read_invocation(const std::vector<std::string>& arguments, const Environment& environment,
                                   const std::string& program_dir) {
  Invocation invocation;
  TRY_ASSIGN(const Flags flags, parse_flags(arguments));
  invocation.action = flags.action;
  invocation.restore = flags.restore;
  if (flags.action == Action::print_help || flags.action == Action::print_version) return invocation;
  Config& config = invocation.config;
  TRY(read_file_of(flags, environment, config));
  for (const auto& [variable, name] :
       {std::pair{"COFFER_STATE", "state"}, std::pair{"COFFER_RUN", "run"}, std::pair{"COFFER_LISTEN", "listen"},
        std::pair{"COFFER_TLS_CERT", "tls.cert"}, std::pair{"COFFER_TLS_KEY", "tls.key"},
        std::pair{"COFFER_TLS_SELF_SIGNED", "tls.self_signed"}}) {
    const auto value = environment(variable);
    if (!value || value->empty()) continue;
    auto applied = apply_setting(config, name, *value);
    if (!applied) return fail(std::move(applied.error()).in(variable));
  }
  for (const auto& [setting, value] : flags.settings) {
    auto applied = setting->apply(config, value);
    if (!applied) return fail(std::move(applied.error()).in(flag_of(setting->name)));
  }
  fill_defaults(config, program_dir);
  TRY(check(config));
  return invocation;
}

std::string config_text(const Config& config) {
  std::string witnesses;
  for (const auto& witness : config.ledger.witnesses) witnesses += cat(witness.text(), " ");
  std::string rules;
  for (const auto& rule : config.watch.rule_texts) rules += cat(rules.empty() ? "" : ", ", rule);
  std::string recipients;
  for (const auto& one : config.evidence_recipients) recipients += cat(recipients.empty() ? "" : ", ", one);
  return cat("state ", config.state_dir, "\nrun ", config.run_dir, "\nlisten ",
             config.listen ? config.listen->text() : "none", "\ntls.cert ", config.tls.certificate, "\ntls.key ",
             config.tls.key, "\ntls.self_signed ", config.tls.self_signed, "\naccel ",
             static_cast<int>(config.accelerator), "\npool.size ", config.pool_size, "\npool.standby ",
             config.pool_standby, "\ndefault_image ", config.default_image, "\nmax_workspaces ", config.max_workspaces,
             "\nuids ", config.uid_first, " ", config.uid_count, "\nrecipes ", config.recipes_dir, "\nguest ",
             config.guest_binary, "\njail ", config.jail_binary, "\nqemu ", config.qemu_binary, "\nwebhooks.private ",
             config.private_webhooks, "\nledger.keep ", config.ledger.keep ? config.ledger.keep->count() : 0,
             "\nledger.syslog ", config.ledger.syslog, "\nledger.witness ", witnesses, "\nledger.witness_every ",
             config.ledger.witness_every.count(), "\nledger.write ", config.ledger.write, "\nwatch.every ",
             config.watch.every.count(), "\nwatch.ask_every ", config.watch.ask_every.count(), "\nalerts.rules ", rules,
             "\nalerts.syslog ", config.watch.syslog, "\nalerts.command ", config.watch.command,
             "\nevidence.recipients ", recipients, "\nlog_level ", static_cast<int>(config.log_level), "\n");
}

std::string help_text() {
  std::string text =
      "cofferd: the daemon of Cofferdam. It runs in the foreground and logs to stderr.\n\n"
      "usage: cofferd [options]\n\n";
  auto line = [&text](std::string left, std::string_view help) {
    left.resize(std::max<std::size_t>(left.size() + 1, 36), ' ');
    text += cat("  ", left, help, "\n");
  };
  for (const auto& setting : kSettings) line(cat(flag_of(setting.name), " ", setting.value), setting.help);
  line("--config FILE", "the same settings in YAML (default /etc/cofferdam/cofferd.yaml, if there)");
  line("--restore FILE", "put a backup into the state folder, say what was done as JSON, and end; see: coffer restore");
  line("--restore-passphrase-file FILE", "what it was sealed under, a line (default: stdin)");
  line("--restore-ledger FOLDER", "a ledger that went on after the backup: what it says has ended stays so");
  line("--restore-replace", "also where there is a state already");
  line("--probe-accelerator", "print how guests would run, as JSON, and end");
  line("--probe-network", "print whether this host can carry workspaces' networks, as JSON, and end");
  line("--version, --help", "");
  return text;
}

}  // namespace cofferdam::daemon
