#include "daemon/daemon.h"

#include <fcntl.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <optional>

#include "api/api.h"
#include "api/may_run.h"
#include "base/fd_passing.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "daemon/backups.h"
#include "daemon/folder_lock.h"
#include "daemon/ledger.h"
#include "daemon/schema.h"
#include "daemon/tls.h"
#include "daemon/watch.h"
#include "http/server.h"
#include "identity/identity.h"
#include "identity/key_file.h"
#include "incident/containment.h"
#include "incident/drills.h"
#include "incident/evidence_desk.h"
#include "keys/holders.h"
#include "keys/key_store.h"
#include "keys/receipt_book.h"
#include "loop/deadline.h"
#include "loop/event.h"
#include "loop/task_group.h"
#include "loop/worker_pool.h"
#include "monitor/quotas.h"
#include "monitor/usage.h"
#include "monitor/watch.h"
#include "monitor/webhooks.h"
#include "net/networks.h"
#include "store/database.h"
#include "vm/qemu_driver.h"
#include "workspace/manager.h"
#include "workspace/usage_meter.h"

namespace cofferdam::daemon {
namespace {

using loop::Task;
using workspace::Manager;
using namespace std::chrono_literals;

constexpr std::size_t kWorkers = 4;
constexpr std::string_view kGroup = "cofferdam";
constexpr auto kRequestGrace = 5s;
constexpr auto kReleaseLimit = 20s;
constexpr auto kPollEnd = 10ms;
constexpr auto kMaintainEvery = 5s;
constexpr auto kSettleEvery = 30s;

std::optional<gid_t> group_of_administrators() {
  const group* entry = ::getgrnam(std::string(kGroup).c_str());
  if (entry == nullptr) return std::nullopt;
  return entry->gr_gid;
}

// The folder of the sockets: entered, but not read, by the administrators' group where there is one.
Status prepare_run_dir(const std::string& path, const std::optional<gid_t>& group) {
  TRY(make_directories(path, 0700));
  if (::chmod(path.c_str(), group ? 0711 : 0700) != 0) return fail_errno(cat("set the mode of '", path, "'"));
  return {};
}

Result<UniqueFd> listen_for_administrators(const std::string& path, const std::optional<gid_t>& group) {
  TRY_ASSIGN(UniqueFd socket, listen_unix(path, SOCK_STREAM));
  if (group) {
    if (::chown(path.c_str(), 0, *group) != 0) return fail_errno(cat("give '", path, "' to the group ", kGroup));
    if (::chmod(path.c_str(), 0660) != 0) return fail_errno(cat("set the mode of '", path, "'"));
  }
  return socket;
}

Task<http::Response> still_starting() {
  co_return fail(Code::Unavailable, "cofferd is starting", "ask again in a moment");
}

class BuiltDaemon : public Daemon {
 public:
  BuiltDaemon(Config config, FileLock state_lock, FileLock run_lock, std::optional<gid_t> group)
      : config_(std::move(config)),
        state_lock_(std::move(state_lock)),
        run_lock_(std::move(run_lock)),
        group_(group),
        workers_(kWorkers),
        stop_(io_.get_executor()),
        tasks_(io_.get_executor()),
        upkeep_(io_.get_executor()),
        signals_(io_, SIGTERM, SIGINT, SIGHUP) {}

  Status connect(const std::string& version);
  Status run() override;

 private:
  Task<void> live();
  Task<void> serve();
  Status open_state();
  Status open_networks();
  workspace::NetworkHooks network_hooks();
  Task<void> admit(std::string namespace_id, identity::Totals in_use, identity::Totals wish);
  Task<identity::Secrets::Delivery> reveal_secrets(std::string space, std::vector<std::string> names);
  Status start_tcp_listener();
  Task<void> keep_up();
  Task<void> settle_keys();
  Task<void> watch_signals();
  void renew_certificate();
  Task<void> end();
  Task<void> contain_after_alert(std::string workspace, std::string why);
  Task<void> shut_down_on_request(Manager::Permanent permanent);
  void ask_to_stop(Manager::Permanent permanent);

  Config config_;
  std::string version_;
  FileLock state_lock_, run_lock_;
  std::optional<gid_t> group_;
  loop::asio::io_context io_{1};
  // Short calls only; the API has threads of its own for image builds.
  loop::WorkerPool workers_;
  std::unique_ptr<ledger::Ledger> ledger_;  // null: none is kept
  std::unique_ptr<store::Database> database_;
  std::unique_ptr<keys::RootHolder> root_holder_;
  std::unique_ptr<keys::KeyStore> keys_;
  std::unique_ptr<keys::ReceiptBook> receipts_;
  std::unique_ptr<identity::Identity> identity_;
  std::unique_ptr<monitor::Webhooks> webhooks_;
  std::unique_ptr<monitor::UsageHistory> usage_;
  std::unique_ptr<monitor::Quotas> quotas_;
  std::unique_ptr<incident::IncidentBook> incidents_;
  std::optional<image::ImageStore> images_;
  std::unique_ptr<vm::MachineDriver> driver_;
  std::unique_ptr<net::Networks> networks_;
  std::unique_ptr<Manager> manager_;
  ledger::NoRecorder no_ledger_;
  std::unique_ptr<incident::Containment> containment_;
  std::unique_ptr<incident::Drills> drills_;
  std::unique_ptr<incident::EvidenceDesk> evidence_;
  std::unique_ptr<monitor::Watch> watch_;
  std::unique_ptr<Backups> backups_;
  std::unique_ptr<api::Api> api_;
  std::optional<workspace::UsageMeter> meter_;
  std::shared_ptr<http::TlsIdentity> tls_;
  std::unique_ptr<http::Server> server_;
  loop::Event stop_;
  std::optional<Manager::Permanent> asked_;  // how to end, from the first who asked
  std::string stop_reason_ = "an error";
  bool serving_ = false;  // the workspaces are what they are said to be
  bool ended_ = false;    // workspaces and pool have ended
  Status outcome_;
  loop::TaskGroup tasks_, upkeep_;
  loop::asio::signal_set signals_;
};

Status BuiltDaemon::open_state() {
  TRY_ASSIGN(ledger_, open_ledger(io_.get_executor(), config_));
  TRY_ASSIGN(database_, store::Database::open(config_.state_dir + "/cofferd.db", schema_of_all_rooms()));
  TRY_ASSIGN(root_holder_, keys::make_holder(config_.root));
  TRY(forget_unfinished(config_.state_dir, *root_holder_));
  TRY_ASSIGN(keys_, keys::KeyStore::open(config_.state_dir + "/keys", *root_holder_));
  TRY_ASSIGN(receipts_, keys::ReceiptBook::open(*database_, *keys_, config_.state_dir + "/receipt.pub"));
  log_info("key tree", {{"root", root_holder_->name()}});
  identity::IdentityOptions who;
  who.state_dir = config_.state_dir;
  who.tokens.max_ttl = std::chrono::hours(24 * config_.token_max_days);
  who.tokens.default_ttl = std::min(who.tokens.default_ttl, who.tokens.max_ttl);
  who.throttle.requests_per_second = config_.requests_per_second;
  who.throttle.burst = 2.0 * config_.requests_per_second;
  who.namespace_of = [this](std::string_view workspace) -> std::optional<std::string> {
    const auto owner = manager_->owner(std::string(workspace));
    return owner ? std::optional(owner->namespace_id) : std::nullopt;
  };
  who.recorder = ledger_.get();
  TRY_ASSIGN(identity_, identity::Identity::open(*database_, who));
  monitor::WebhookOptions hooks;
  hooks.state_dir = config_.state_dir;
  hooks.reach = config_.private_webhooks ? monitor::Reach::private_too : monitor::Reach::public_only;
  TRY_ASSIGN(webhooks_, monitor::Webhooks::open(io_.get_executor(), *database_, std::move(hooks)));
  TRY_ASSIGN(usage_, monitor::UsageHistory::open(*database_));
  TRY_ASSIGN(quotas_, monitor::Quotas::open(*database_));
  TRY_ASSIGN(incidents_, incident::IncidentBook::open(*database_));
  return {};
}

// One line, "USER:PASSWORD".
Result<std::string> read_proxy_login(const std::string& path) {
  TRY(identity::check_private(path));
  auto text = read_file(path, gate::kMaxLogin + 1);
  if (!text) return fail(std::move(text.error()).in("network.proxy_login"));
  if (text->ends_with('\n')) text->pop_back();
  if (text->empty()) return fail(Code::InvalidArgument, cat("network.proxy_login: '", path, "' is empty"));
  if (auto fits = gate::validate_login(*text); !fits) return fail(std::move(fits.error()).in("network.proxy_login"));
  return std::move(*text);
}

Status BuiltDaemon::open_networks() {
  net::NetworksOptions options;
  options.gate_binary = config_.gate_binary;
  options.gate_uid = options.gate_gid = config_.gate_uid();
  options.presets_dir = config_.presets_dir;
  options.settings = config_.network;
  if (options.settings.proxy && !config_.proxy_login_file.empty()) {
    TRY_ASSIGN(options.settings.proxy->login, read_proxy_login(config_.proxy_login_file));
  }
  options.limits = config_.network_limits;
  options.preview_domain = config_.preview_domain;
  TRY_ASSIGN(options.key, identity::load_or_make_key(config_.state_dir + "/keys/secrets.key"));
  options.recorder = ledger_.get();
  options.space_of = [this](const std::string& id) {
    const auto owner = manager_->owner(id);
    return owner ? owner->namespace_id : std::string();
  };
  options.names_of = [this](const std::string& id) -> std::vector<std::string> {
    const auto info = manager_->get(id);
    if (!info) return {id};
    return {info->spec.name, info->spec.slug, id};
  };
  options.contained = [this](const std::string& id) { return incidents_->of(id) != nullptr; };
  options.isolated = [this](const std::string& id) {
    const auto info = manager_->get(id);
    return info && info->isolated;
  };
  options.answers = [this](const std::string& id) {
    const auto info = manager_->get(id);
    return info && info->state != model::State::paused && info->state != model::State::suspended;
  };
  TRY_ASSIGN(networks_, net::Networks::open(io_.get_executor(), workers_, *database_, std::move(options)));
  return {};
}

workspace::NetworkHooks BuiltDaemon::network_hooks() {
  workspace::NetworkHooks hooks;
  hooks.attach = [this](std::string id, std::shared_ptr<vm::Machine> machine) {
    return networks_->attach(std::move(id), std::move(machine));
  };
  hooks.detach = [this](const std::string& id) { networks_->detach(id); };
  hooks.forget = [this](const std::string& id) { networks_->forget(id); };
  return hooks;
}

// Whether one workspace more fits its namespace.
Task<void> BuiltDaemon::admit(std::string namespace_id, identity::Totals in_use, identity::Totals wish) {
  auto space = namespace_id.empty() ? co_await identity_->namespaces().get_default()
                                    : co_await identity_->namespaces().get(std::move(namespace_id));
  if (!space) co_return fail(std::move(space.error()));
  co_return identity::admit(space->limits, in_use, wish);
}

// What is handed out will be in no entry of the ledger.
Task<identity::Secrets::Delivery> BuiltDaemon::reveal_secrets(std::string space, std::vector<std::string> names) {
  auto values = co_await identity_->secrets().reveal_for_delivery(space, std::move(names));
  if (!values || !ledger_) co_return values;
  for (const auto& [name, value] : *values) ledger_->conceal(space, value.view());
  co_return values;
}

Status BuiltDaemon::connect(const std::string& version) {
  const auto executor = io_.get_executor();
  version_ = version;
  TRY(open_state());
  TRY(open_networks());

  image::StoreOptions images;
  images.state_dir = config_.state_dir;
  images.recipes_dir = config_.recipes_dir;
  images.guest_binary = config_.guest_binary;
  TRY_ASSIGN(images_, image::ImageStore::open(std::move(images)));
  if (auto swept = images_->remove_leftovers(); !swept) {
    log_warn("leftovers of images could not be removed", {{"error", swept.error().message}});
  }

  vm::QemuDriverOptions machines;
  machines.state_dir = config_.state_dir;
  machines.run_dir = config_.run_dir;
  machines.jail_binary = config_.jail_binary;
  machines.qemu_binary = config_.qemu_binary;
  machines.accelerator = config_.accelerator;
  machines.uid_first = config_.uid_first;
  machines.uid_count = config_.uid_count - 2;  // the last are the gate's and age's
  TRY_ASSIGN(driver_, vm::QemuDriver::make(executor, workers_, machines));
  log_info("accelerator", {{"name", driver_->accelerator().name}, {"reason", driver_->accelerator().reason}});

  workspace::ManagerOptions workspaces;
  workspaces.state_dir = config_.state_dir;
  workspaces.pool_size = config_.pool_size;
  workspaces.pool_standby = config_.pool_standby;
  workspaces.default_image = config_.default_image;
  workspaces.max_workspaces = config_.max_workspaces;
  workspaces.admit = [this](std::string space, identity::Totals in_use, identity::Totals wish) {
    return admit(std::move(space), in_use, wish);
  };
  workspaces.may_run = api::may_run_in(identity_->namespaces(), *quotas_);
  workspaces.recorder = ledger_.get();
  workspaces.reveal_secrets = [this](std::string space, std::vector<std::string> names) {
    return reveal_secrets(std::move(space), std::move(names));
  };
  workspaces.network = network_hooks();
  workspaces.contained = [this](const std::string& id) { return incidents_->because(id); };
  auto find_image = [this](const std::string& name) { return images_->find(name); };
  TRY_ASSIGN(manager_, Manager::open(executor, workers_, *database_, std::move(find_image), *driver_, *keys_,
                                     *receipts_, std::move(workspaces)));

  api::HostFacts facts;
  facts.version = version;
  facts.state_dir = config_.state_dir;
  facts.run_dir = config_.run_dir;
  facts.socket = config_.socket_path();
  facts.max_workspaces = config_.max_workspaces;
  facts.started_at = std::chrono::system_clock::now();
  auto shutdown = [this](Manager::Permanent permanent) { return shut_down_on_request(permanent); };
  if (ledger_) write_down_workspaces(*manager_, *ledger_);
  ledger::Recorder& recorder = ledger_ ? static_cast<ledger::Recorder&>(*ledger_) : no_ledger_;
  const incident::Sources sources{*manager_, *networks_, *identity_, ledger_.get()};
  containment_ = std::make_unique<incident::Containment>(executor, *incidents_, sources, recorder);
  TRY_ASSIGN(drills_, incident::Drills::open(executor, *database_, *manager_, recorder));
  manager_->on_event([this](const workspace::Event& event) {
    if (event.kind == workspace::EventKind::removed) drills_->forget(event.workspace_id);
  });
  TRY_ASSIGN(watch_, open_watch(executor, config_,
                                {*database_, *webhooks_, *manager_, *networks_, identity_->namespaces(), ledger_.get(),
                                 [this](std::string workspace, std::string why) {
                                   return contain_after_alert(std::move(workspace), std::move(why));
                                 },
                                 *drills_}));
  incident::EvidenceOptions evidence;
  evidence.state_dir = config_.state_dir;
  evidence.recipients = config_.evidence_recipients;
  evidence.age_uid = config_.age_uid();
  TRY_ASSIGN(evidence_,
             incident::EvidenceDesk::open(executor, std::move(evidence), *containment_, *watch_, recorder, workers_));
  api_ = std::make_unique<api::Api>(executor, *manager_, *identity_, *webhooks_, *usage_, *quotas_, *watch_, *networks_,
                                    *containment_, *drills_, *evidence_, *images_, *receipts_, workers_,
                                    std::move(facts), std::move(shutdown), ledger_.get());
  backups_ = std::make_unique<Backups>(io_.get_executor(), config_, version, *keys_, ledger_.get());
  api_->serve_backups([this](SecureBytes passphrase) { return backups_->make(std::move(passphrase)); });
  meter_.emplace(
      *manager_, *usage_, *quotas_, [this](const monitor::QuotaNews& news) { api_->tell(news); },
      [this](const std::string& workspace) {
        const auto bytes = watch_->take_network_bytes(workspace);
        return workspace::UsageMeter::NetworkBytes{bytes.in, bytes.out};
      });
  auto handler = [this, answer = api_->handler()](http::Request& request) -> Task<http::Response> {
    if (serving_) return answer(request);
    return still_starting();
  };
  server_ = std::make_unique<http::Server>(executor, http::ServerOptions{}, handler, api_->error_format());
  return start_tcp_listener();
}

void BuiltDaemon::ask_to_stop(Manager::Permanent permanent) {
  if (asked_) return;
  asked_ = permanent;
  stop_.notify();
}

Task<void> BuiltDaemon::contain_after_alert(std::string workspace, std::string why) {
  CO_TRY(co_await containment_->contain(std::move(workspace), std::move(why), {"alert", {}, {}}));
  co_return Status{};
}

// The workspaces are ended by the daemon's own task, whatever becomes of the request.
Task<void> BuiltDaemon::shut_down_on_request(Manager::Permanent permanent) {
  stop_reason_ = "a request";
  ask_to_stop(permanent);
  while (!ended_) CO_TRY(co_await loop::sleep_for(kPollEnd));
  co_return Status{};
}

// The files were replaced by whoever renews them; connections that exist keep what they began with.
void BuiltDaemon::renew_certificate() {
  if (!tls_) return;
  if (auto renewed = reload_tls_identity(config_, *tls_); !renewed) {
    log_error("the certificate was not read again; the old one stays", {{"error", renewed.error().message}});
    return;
  }
  log_info("the certificate was read again");
}

Task<void> BuiltDaemon::watch_signals() {
  for (;;) {
    auto [ec, number] = co_await signals_.async_wait(loop::as_result);
    if (ec) co_return Status{};
    if (number == SIGHUP) {
      renew_certificate();
      continue;
    }
    if (asked_) {
      // The next start clears away what this one had no time for.
      log_warn("asked to end a second time: ending at once");
      std::_Exit(1);
    }
    log_info("asked to end by a signal", {{"signal", cat(number)}});
    stop_reason_ = cat("signal ", number);
    ask_to_stop(Manager::Permanent::keep_running);
  }
}

// Before anything is taken over: a port that another program has must not cost a workspace. Nothing is answered until
// the loop runs.
Status BuiltDaemon::start_tcp_listener() {
  if (!config_.listen) return {};
  TRY_ASSIGN(tls_, tls_identity(config_));
  auto bound = server_->listen_tcp(*config_.listen, api::Api::anybody(), tls_);
  if (!bound) {
    return fail(std::move(bound.error())
                    .in("listen")
                    .with_hint("give this daemon another address with --listen ADDR:PORT, or none with --listen none"));
  }
  api_->set_address(cat(tls_ ? "https://" : "http://", bound->text()));
  return {};
}

// What only needs doing now and then.
Task<void> BuiltDaemon::keep_up() {
  for (;;) {
    CO_TRY(co_await loop::sleep_for(kMaintainEvery));
    if (auto kept = co_await identity_->maintain(); !kept) {
      log_warn("the upkeep of tokens failed", {{"error", kept.error().message}});
    }
  }
}

// A root that its holder could not destroy when it should have: an erasure is not over before that is done.
Task<void> BuiltDaemon::settle_keys() {
  for (;;) {
    CO_TRY(co_await loop::sleep_for(kSettleEvery));
    if (auto settled = co_await workers_.run([this] { return keys_->settle(); }); !settled) {
      log_error("an old root key is not destroyed yet", {{"error", settled.error().message}});
    }
  }
}

Task<void> BuiltDaemon::serve() {
  if (ledger_) {
    ledger_->start();
    write_down_restore(config_.state_dir, *ledger_);
    CO_TRY(co_await ledger_->record({{}, {}, started_event(config_, version_, driver_->accelerator().name)}));
    forget_restore(config_.state_dir);
    start_exports(*ledger_, config_.ledger, upkeep_);
  }
  api_->start();
  networks_->start();
  CO_TRY(co_await manager_->reconcile());
  api_->take_over();
  containment_->go_on();
  CO_TRY_ASSIGN(UniqueFd socket, listen_for_administrators(config_.socket_path(), group_));
  CO_TRY(server_->listen_unix(std::move(socket), api::Api::local_administrators()));
  serving_ = true;
  upkeep_.spawn("upkeep", keep_up());
  upkeep_.spawn("keys", settle_keys());
  upkeep_.spawn("meter of use", meter_->run());
  webhooks_->start();
  watch_->start();
  manager_->start_pools();
  log_info("serving", {{"socket", config_.socket_path()},
                       {"address", api_->address()},
                       {"state", config_.state_dir},
                       {"pid", cat(::getpid())}});
  co_return co_await stop_.wait();
}

Task<void> BuiltDaemon::live() {
  try {
    outcome_ = co_await serve();
  } catch (const std::exception& e) {
    outcome_ = fail(Code::Internal, cat("an unexpected exception: ", e.what()));
  }
  if (!outcome_) log_error("cofferd cannot serve", {{"error", outcome_.error().message}});
  co_return co_await end();
}

Task<void> BuiltDaemon::end() {
  auto shut = co_await manager_->shut_down(asked_.value_or(Manager::Permanent::keep_running));
  if (!shut) log_error("not everything could be ended", {{"error", shut.error().message}});
  ended_ = true;
  CO_TRY(co_await server_->stop(kRequestGrace));
  (void)::unlink(config_.socket_path().c_str());
  CO_TRY(co_await api_->stop());
  CO_TRY(co_await evidence_->stop());
  CO_TRY(co_await drills_->stop());
  CO_TRY(co_await containment_->stop());
  upkeep_.cancel();
  CO_TRY(co_await upkeep_.join());
  if (auto closed = co_await watch_->close(); !closed) {
    log_error("the watch did not end in order", {{"error", closed.error().message}});
  }
  if (auto stopped = co_await networks_->stop(); !stopped) {
    log_error("the networks did not end in order", {{"error", stopped.error().message}});
  }
  if (auto closed = co_await webhooks_->close(); !closed) {
    log_error("events for webhooks were not kept", {{"error", closed.error().message}});
  }
  if (auto closed = co_await identity_->close(); !closed) {
    log_error("the last uses of tokens were not written", {{"error", closed.error().message}});
  }
  auto released = co_await loop::with_deadline(driver_->release(), kReleaseLimit, "release of the virtual machines");
  if (!released) log_error("the virtual machines were not let go", {{"error", released.error().message}});
  if (ledger_) {
    ledger_->note({{}, {}, model::DaemonStopped{stop_reason_}});
    if (auto closed = co_await ledger_->close(); !closed) {
      log_error("the ledger was not closed in order", {{"error", closed.error().message}});
    }
  }
  if (!shut) {
    // What still runs must not see its objects go. Machines leased to this process end with it.
    log_error("ended with work left undone; the next start clears it away");
    std::_Exit(1);
  }
  signals_.cancel();
  co_return Status{};
}

Status BuiltDaemon::run() {
  tasks_.spawn("signals", watch_signals());
  tasks_.spawn("daemon", live());
  io_.run();
  log_info("ended");
  return outcome_;
}

}  // namespace

Result<std::unique_ptr<Daemon>> Daemon::build(Config config, const std::string& version) {
  const auto group = group_of_administrators();
  TRY(make_directories(config.state_dir, 0700));
  TRY(prepare_run_dir(config.run_dir, group));
  TRY_ASSIGN(FileLock state_lock, lock_folder(config.state_dir, "--state"));
  TRY_ASSIGN(FileLock run_lock, lock_folder(config.run_dir, "--run"));
  TRY(take_restored(config.state_dir));
  auto daemon = std::make_unique<BuiltDaemon>(std::move(config), std::move(state_lock), std::move(run_lock), group);
  TRY(daemon->connect(version));
  return daemon;
}

}  // namespace cofferdam::daemon
