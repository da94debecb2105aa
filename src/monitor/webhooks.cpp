#include "monitor/webhooks.h"

#include <algorithm>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <utility>

#include "base/id.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "base/time.h"
#include "crypto/aead.h"
#include "identity/key_file.h"
#include "loop/deadline.h"
#include "monitor/delivery.h"

namespace cofferdam::monitor {
namespace {

namespace json = boost::json;
using std::chrono::milliseconds;

constexpr std::size_t kMaxDescription = 1024;
constexpr std::size_t kMaxSecret = 1024;
constexpr std::size_t kMaxError = 256;
constexpr milliseconds kTurn = std::chrono::seconds(60);
constexpr milliseconds kLongestSleep = std::chrono::seconds(60);
constexpr int kFirstGood = 200;
constexpr int kFirstBad = 300;

tl::unexpected<Error> no_such_webhook(std::int64_t id) { return fail(Code::NotFound, cat("there is no webhook ", id)); }

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const auto& name : names) text += cat(text.empty() ? "" : ",", name);
  return text;
}

Status check_events(const std::vector<std::string>& events) {
  if (events.empty()) return fail(Code::InvalidArgument, "/events: is empty", "GET /webhooks/events lists them");
  const auto& known = event_names();
  for (std::size_t i = 0; i < events.size(); ++i) {
    if (events[i] == "*" || std::find(known.begin(), known.end(), events[i]) != known.end()) continue;
    return fail(Code::InvalidArgument, cat("/events/", i, ": '", events[i].substr(0, 64), "' is no event"),
                "GET /webhooks/events lists them; \"*\" is all of them");
  }
  return {};
}

Status check_text(const char* field, const std::optional<std::string>& text, std::size_t max) {
  if (text && text->size() > max) return fail(Code::InvalidArgument, cat(field, ": is longer than ", max, " bytes"));
  return {};
}

std::string associated(std::int64_t id) { return cat("webhook:", id); }

std::optional<Time> time_at(const store::Row& row, std::size_t column) {
  const auto ms = row.find_integer(column);
  return ms ? std::optional(identity::from_unix_ms(*ms)) : std::nullopt;
}

std::string body_of(const Notice& notice) {
  const auto space = notice.namespace_slug.empty() ? notice.namespace_id : notice.namespace_slug;
  json::object data{{"namespace", space}, {"namespace_id", notice.namespace_id}};
  if (!notice.workspace_id.empty()) {
    data["workspace_id"] = notice.workspace_id;
    data["workspace_name"] = notice.workspace_name;
  }
  if (!notice.detail.empty()) data["detail"] = notice.detail;
  for (const auto& [name, value] : notice.more) data[name] = value;
  json::object body{{"event", notice.event},
                    {"timestamp", format_rfc3339(notice.time)},
                    {"namespace", space},
                    {"data", std::move(data)}};
  return json::serialize(body);
}

}  // namespace

const std::vector<std::string>& event_names() {
  static const std::vector<std::string> kNames{"vm.created",
                                               "vm.started",
                                               "vm.stopped",
                                               "vm.paused",
                                               "vm.resumed",
                                               "vm.suspended",
                                               "vm.woken",
                                               "vm.resized",
                                               "vm.removed",
                                               "vm.failed",
                                               "vm.ttl_expired",
                                               "workload.started",
                                               "workload.exited",
                                               "workload.failed",
                                               "namespace.suspended",
                                               "namespace.restored",
                                               "namespace.quota_threshold",
                                               "namespace.quota_used_up",
                                               "alert.raised",
                                               "vm.snapshot_taken",
                                               "vm.snapshot_removed",
                                               "vm.restored",
                                               "vm.archive_made",
                                               "vm.archive_removed",
                                               "vm.held",
                                               "vm.unheld"};
  return kNames;
}

Webhooks::Webhooks(const loop::asio::any_io_executor& executor, store::Database& database, WebhookOptions options,
                   SecureBytes key)
    : database_(database),
      options_(std::move(options)),
      key_(std::move(key)),
      changes_(executor, "the changes of webhooks"),
      wake_(executor),
      tasks_(executor),
      tries_(executor) {}

Result<std::unique_ptr<Webhooks>> Webhooks::open(const loop::asio::any_io_executor& executor, store::Database& database,
                                                 WebhookOptions options) {
  TRY_ASSIGN(auto key, identity::load_or_make_key(options.state_dir + "/keys/webhooks.key"));
  TRY(identity::check_same_key(database, "webhooks", key));
  std::unique_ptr<Webhooks> webhooks(new Webhooks(executor, database, std::move(options), std::move(key)));
  TRY(webhooks->load());
  return webhooks;
}

Status Webhooks::load() {
  auto read = [](store::Connection& c) {
    return c.query(
        "SELECT id, url, events, active, description, namespace_id, secret, created_at, last_triggered_at,"
        " last_status_code FROM webhooks ORDER BY id");
  };
  TRY_ASSIGN(const auto rows, database_.run_now(read));
  for (const auto& row : rows) {
    Hook hook;
    auto& webhook = hook.webhook;
    webhook.id = row.integer(0);
    webhook.url = row.text(1);
    webhook.events = split(row.text(2), ',');
    webhook.active = row.integer(3) != 0;
    webhook.description = row.find_text(4);
    webhook.namespace_id = row.find_text(5);
    if (!row.is_null(6)) hook.sealed = row.blob(6);
    webhook.is_signed = !hook.sealed.empty();
    webhook.created_at = identity::from_unix_ms(row.integer(7));
    webhook.last_triggered_at = time_at(row, 8);
    webhook.last_status_code = row.find_integer(9);
    hooks_.emplace(webhook.id, std::move(hook));
  }
  return {};
}

std::string Webhooks::seal_secret(std::int64_t id, const SecureBytes& secret) const {
  return secret.empty() ? std::string() : crypto::seal(key_, secret.view(), associated(id));
}

Task<Webhook> Webhooks::create(WebhookDraft draft) {
  CO_TRY(parse_target(draft.url));
  CO_TRY(check_events(draft.events));
  CO_TRY(check_text("/description", draft.description, kMaxDescription));
  if (draft.secret.size() > kMaxSecret) co_return fail(Code::InvalidArgument, "/secret: is too long");
  if (hooks_.size() >= kMaxHooks) {
    co_return fail(Code::ResourceExhausted, cat("there are ", kMaxHooks, " webhooks already"), "remove one");
  }
  Hook hook;
  hook.webhook.url = draft.url;
  hook.webhook.events = draft.events;
  hook.webhook.description = draft.description;
  hook.webhook.namespace_id = draft.namespace_id;
  hook.webhook.created_at = options_.clock.now();
  // One with a secret is told nothing before it has it, which is sealed for its number.
  hook.webhook.active = draft.secret.empty();
  auto insert = [webhook = hook.webhook](store::Connection& c) -> Result<std::int64_t> {
    TRY(
        c.execute("INSERT INTO webhooks (url, events, active, description, namespace_id, created_at)"
                  " VALUES ($1, $2, $3, $4, $5, $6)",
                  {webhook.url, joined(webhook.events), std::int64_t{webhook.active ? 1 : 0},
                   store::nullable(webhook.description), store::nullable(webhook.namespace_id),
                   identity::to_unix_ms(webhook.created_at)}));
    TRY_ASSIGN(const auto rows, c.query("SELECT max(id) FROM webhooks"));
    return rows.front().integer(0);
  };
  CO_TRY_ASSIGN(hook.webhook.id, co_await database_.run(std::move(insert)));
  const auto id = hook.webhook.id;
  hooks_[id] = std::move(hook);
  if (draft.secret.empty()) co_return hooks_[id].webhook;
  WebhookChange change;
  change.secret = std::move(draft.secret);
  change.active = true;
  auto changed = co_await update(id, std::move(change));
  if (!changed) (void)co_await remove(id);
  co_return changed;
}

Task<Webhook> Webhooks::update(std::int64_t id, WebhookChange change) {
  CO_TRY_ASSIGN(const auto place, co_await changes_.enter(kTurn));
  const auto found = hooks_.find(id);
  if (found == hooks_.end()) co_return no_such_webhook(id);
  Hook hook = found->second;
  auto& webhook = hook.webhook;
  if (change.url) {
    CO_TRY(parse_target(*change.url));
    webhook.url = *change.url;
  }
  if (change.events) {
    CO_TRY(check_events(*change.events));
    webhook.events = *change.events;
  }
  if (change.description) {
    CO_TRY(check_text("/description", *change.description, kMaxDescription));
    webhook.description = *change.description;
  }
  if (change.namespace_id) webhook.namespace_id = *change.namespace_id;
  if (change.active) webhook.active = *change.active;
  if (change.secret) {
    if (change.secret->size() > kMaxSecret) co_return fail(Code::InvalidArgument, "/secret: is too long");
    hook.sealed = seal_secret(id, *change.secret);
    webhook.is_signed = !hook.sealed.empty();
  }
  auto write = [webhook, sealed = hook.sealed](store::Connection& c) -> Status {
    const store::Value secret = sealed.empty() ? store::Value() : store::Value(store::Blob{sealed});
    TRY(
        c.execute("UPDATE webhooks SET url = $2, events = $3, active = $4, description = $5, namespace_id = $6,"
                  " secret = $7 WHERE id = $1",
                  {webhook.id, webhook.url, joined(webhook.events), std::int64_t{webhook.active ? 1 : 0},
                   store::nullable(webhook.description), store::nullable(webhook.namespace_id), secret}));
    return {};
  };
  CO_TRY(co_await database_.run(std::move(write)));
  const auto live = hooks_.find(id);
  if (live == hooks_.end()) co_return no_such_webhook(id);
  // What deliveries have said meanwhile is newer.
  hook.webhook.last_triggered_at = live->second.webhook.last_triggered_at;
  hook.webhook.last_status_code = live->second.webhook.last_status_code;
  live->second = hook;
  wake_.notify();
  co_return hook.webhook;
}

Task<void> Webhooks::remove(std::int64_t id) {
  if (hooks_.erase(id) == 0) co_return no_such_webhook(id);
  auto erase = [id](store::Connection& c) -> Status {
    TRY(c.execute("DELETE FROM webhook_deliveries WHERE webhook_id = $1", {id}));
    TRY(c.execute("DELETE FROM webhooks WHERE id = $1", {id}));
    return {};
  };
  co_return co_await database_.run(std::move(erase));
}

std::vector<Webhook> Webhooks::list() const {
  std::vector<Webhook> all;
  all.reserve(hooks_.size());
  for (const auto& [id, hook] : hooks_) all.push_back(hook.webhook);
  return all;
}

Result<Webhook> Webhooks::get(std::int64_t id) const {
  const auto found = hooks_.find(id);
  if (found == hooks_.end()) return no_such_webhook(id);
  return found->second.webhook;
}

Task<std::vector<Delivery>> Webhooks::deliveries(std::int64_t id) {
  if (!hooks_.contains(id)) co_return no_such_webhook(id);
  auto read = [id](store::Connection& c) {
    return c.query(
        "SELECT id, event, delivered, tries, next_try_at, status_code, error, created_at, tried_at"
        " FROM webhook_deliveries WHERE webhook_id = $1 ORDER BY created_at DESC, id DESC LIMIT $2",
        {id, static_cast<std::int64_t>(kKeptDeliveries)});
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_.run(std::move(read)));
  std::vector<Delivery> all;
  all.reserve(rows.size());
  for (const auto& row : rows) {
    Delivery delivery;
    delivery.id = row.text(0);
    delivery.event = row.text(1);
    delivery.delivered = row.integer(2) != 0;
    delivery.tries = row.integer(3);
    delivery.next_try_at = time_at(row, 4);
    delivery.status_code = row.find_integer(5);
    delivery.error = row.find_text(6);
    delivery.created_at = identity::from_unix_ms(row.integer(7));
    delivery.tried_at = time_at(row, 8);
    all.push_back(std::move(delivery));
  }
  co_return all;
}

bool Webhooks::wants(const Webhook& hook, const Notice& notice) const {
  if (!hook.active || (hook.namespace_id && *hook.namespace_id != notice.namespace_id)) return false;
  return std::any_of(hook.events.begin(), hook.events.end(),
                     [&](const std::string& event) { return event == "*" || event == notice.event; });
}

void Webhooks::notify(Notice notice) {
  const bool wanted =
      std::any_of(hooks_.begin(), hooks_.end(), [&](const auto& item) { return wants(item.second.webhook, notice); });
  if (!wanted) return;
  if (notices_.size() >= kMaxQueued) {
    notices_.pop_front();
    if (lost_++ % kMaxQueued == 0) log_warn("events for webhooks are lost: they come faster than they can be kept");
  }
  notices_.push_back(std::move(notice));
  wake_.notify();
}

void Webhooks::start() { tasks_.spawn("webhooks", pump()); }

Task<void> Webhooks::close() {
  tasks_.cancel();
  tries_.cancel();
  CO_TRY(co_await tasks_.join());
  CO_TRY(co_await tries_.join());
  co_return co_await write_notices();
}

Task<void> Webhooks::pump() {
  for (;;) {
    auto written = co_await write_notices();
    if (!written && written.error().code == Code::Cancelled) co_return written;
    if (!written) log_warn("events for webhooks were not kept", {{"error", written.error().message}});
    auto pause = co_await begin_due();
    if (!pause && pause.error().code == Code::Cancelled) co_return fail(std::move(pause.error()));
    if (!pause) log_warn("deliveries of webhooks were not read", {{"error", pause.error().message}});
    const auto waited = co_await loop::with_deadline(wake_.wait(), pause.value_or(kLongestSleep), "wait");
    if (!waited && waited.error().code != Code::DeadlineExceeded) co_return waited;
  }
}

Task<void> Webhooks::write_notices() {
  struct Row {
    std::string id, event, body;
    std::int64_t webhook_id, created_at;
  };
  std::vector<Row> rows;
  const auto now = identity::to_unix_ms(options_.clock.now());
  for (const auto& notice : std::exchange(notices_, {})) {
    for (const auto& [id, hook] : hooks_) {
      if (wants(hook.webhook, notice)) rows.push_back({new_id("wd"), notice.event, body_of(notice), id, now});
    }
  }
  if (rows.empty()) co_return Status{};
  auto insert = [rows = std::move(rows)](store::Connection& c) -> Status {
    for (const auto& row : rows) {
      TRY_ASSIGN(const auto there, c.query("SELECT (SELECT count(*) FROM webhooks WHERE id = $1),"
                                           " (SELECT count(*) FROM webhook_deliveries WHERE webhook_id = $1"
                                           " AND next_try_at IS NOT NULL)",
                                           {row.webhook_id}));
      const bool full = there.front().integer(1) >= static_cast<std::int64_t>(kMaxPending);
      if (full) log_warn("a webhook has too much waiting for it", {{"webhook", cat(row.webhook_id)}});
      if (full || there.front().integer(0) == 0) continue;
      TRY(
          c.execute("INSERT INTO webhook_deliveries (id, webhook_id, event, body, tries, next_try_at, delivered,"
                    " created_at) VALUES ($1, $2, $3, $4, 0, $5, 0, $5)",
                    {row.id, row.webhook_id, row.event, row.body, row.created_at}));
    }
    return {};
  };
  co_return co_await database_.run(std::move(insert));
}

Task<milliseconds> Webhooks::begin_due() {
  // Beyond those that run already, as many as could begin now.
  auto read = [](store::Connection& c) {
    return c.query(
        "SELECT id, event, body, webhook_id, tries, next_try_at FROM webhook_deliveries"
        " WHERE next_try_at IS NOT NULL ORDER BY next_try_at LIMIT 64");
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_.run(std::move(read)));
  const auto now = options_.clock.now();
  milliseconds pause = kLongestSleep;
  for (const auto& row : rows) {
    Due due{row.text(0), row.text(1), row.text(2), row.integer(3), row.integer(4)};
    if (running_.contains(due.id)) continue;
    const auto left = identity::from_unix_ms(row.integer(5)) - now;
    if (left > milliseconds::zero()) {
      pause = std::min(pause, std::chrono::ceil<milliseconds>(left));
      continue;
    }
    // Each that ends wakes the pump.
    if (running_.size() >= kAtOnce || running_of_[due.webhook_id] >= kAtOnceOfOne) continue;
    running_.insert(due.id);
    ++running_of_[due.webhook_id];
    tries_.spawn("a webhook's delivery", attempt(std::move(due)));
  }
  co_return std::max(pause, milliseconds(1));
}

Task<void> Webhooks::attempt(Due due) {
  const auto hook = hooks_.find(due.webhook_id);
  Result<int> answered = fail(Code::NotFound, "the webhook is gone");
  if (hook != hooks_.end() && hook->second.webhook.active) {
    SecureBytes secret;
    Status readable;
    if (!hook->second.sealed.empty()) {
      auto opened = crypto::unseal(key_, hook->second.sealed, associated(due.webhook_id));
      if (opened) secret = std::move(*opened);
      if (!opened) readable = fail(std::move(opened.error()));
    }
    Letter letter{due.id, hook->second.webhook.url, due.event, due.body, options_.clock.now()};
    if (readable) {
      answered = co_await deliver(std::move(letter), std::move(secret), options_.reach, options_.limit);
    } else {
      answered = fail(std::move(readable.error()));
    }
  } else if (hook != hooks_.end()) {
    answered = fail(Code::FailedPrecondition, "the webhook is not active");
  }
  const auto state = co_await loop::asio::this_coro::cancellation_state;
  const bool stopping = state.cancelled() != loop::asio::cancellation_type::none;
  Status noted;
  if (!stopping) noted = co_await note_outcome(due, std::move(answered));
  running_.erase(due.id);
  if (--running_of_[due.webhook_id] == 0) running_of_.erase(due.webhook_id);
  wake_.notify();
  co_return noted;
}

std::optional<Time> Webhooks::next_try(std::int64_t tries_made) const {
  const auto index = static_cast<std::size_t>(tries_made - 1);
  if (index >= options_.pauses.size()) return std::nullopt;
  // Those that failed together must not come back together.
  constexpr std::int64_t kPerMille = 1000;
  const auto pause = options_.pauses[index];
  std::uint16_t drawn = 0;
  fill_random({reinterpret_cast<char*>(&drawn), sizeof drawn});
  const std::int64_t part = drawn % 401;
  return options_.clock.now() + pause * (800 + part) / kPerMille;
}

Task<void> Webhooks::note_outcome(const Due& due, Result<int> answered) {
  const bool delivered = answered && *answered >= kFirstGood && *answered < kFirstBad;
  const auto tries = due.tries + 1;
  // What is gone, or not to be heard of any more, is not tried again.
  const bool hopeless =
      !answered && (answered.error().code == Code::NotFound || answered.error().code == Code::FailedPrecondition ||
                    answered.error().code == Code::InvalidArgument || answered.error().code == Code::PermissionDenied);
  const auto now = options_.clock.now();
  const auto next = delivered || hopeless ? std::nullopt : next_try(tries);
  std::optional<std::int64_t> status;
  std::optional<std::string> error;
  if (answered) status = *answered;
  if (!answered) error = answered.error().message.substr(0, kMaxError);
  if (answered && !delivered) error = cat("it answered ", *answered);
  if (auto hook = hooks_.find(due.webhook_id); hook != hooks_.end()) {
    hook->second.webhook.last_triggered_at = now;
    if (status) hook->second.webhook.last_status_code = status;
  }
  if (!delivered && !next) {
    log_warn("a webhook was given up", {{"webhook", cat(due.webhook_id)}, {"delivery", due.id}, {"why", *error}});
  }
  const auto at = [](const std::optional<Time>& time) {
    return time ? store::Value(identity::to_unix_ms(*time)) : store::Value();
  };
  const store::Values values{
      due.id, tries, at(next), std::int64_t{delivered ? 1 : 0}, store::nullable(status), store::nullable(error),
      at(now)};
  auto write = [values, id = due.webhook_id, status, now](store::Connection& c) -> Status {
    TRY(
        c.execute("UPDATE webhook_deliveries SET tries = $2, next_try_at = $3, delivered = $4, status_code = $5,"
                  " error = $6, tried_at = $7 WHERE id = $1",
                  values));
    TRY(
        c.execute("UPDATE webhooks SET last_triggered_at = $2, last_status_code = coalesce($3, last_status_code)"
                  " WHERE id = $1",
                  {id, identity::to_unix_ms(now), store::nullable(status)}));
    TRY(
        c.execute("DELETE FROM webhook_deliveries WHERE webhook_id = $1 AND next_try_at IS NULL AND id NOT IN"
                  " (SELECT id FROM webhook_deliveries WHERE webhook_id = $1 AND next_try_at IS NULL"
                  " ORDER BY created_at DESC, id DESC LIMIT $2)",
                  {id, static_cast<std::int64_t>(kKeptDeliveries)}));
    return {};
  };
  co_return co_await database_.run(std::move(write));
}

}  // namespace cofferdam::monitor
