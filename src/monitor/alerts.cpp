#include "monitor/alerts.h"

#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "base/id.h"
#include "base/log.h"
#include "base/text.h"
#include "loop/deadline.h"

namespace cofferdam::monitor {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using identity::from_unix_ms;
using identity::to_unix_ms;

constexpr auto kRound = 1s;
constexpr auto kContainLimit = 60s;
constexpr std::size_t kMaxStormKeys = 10'000;
constexpr std::size_t kMaxNamed = 20;  // workspaces and rules in the evidence of a storm

#define COFFER_ALERT_COLUMNS                                                                                         \
  "id, rule, workspace_id, workspace_name, namespace_id, about, cause, evidence, next, first, last, times, action, " \
  "acknowledged_at, acknowledged_by"

std::string evidence_text(const Evidence& evidence) {
  json::object object;
  for (const auto& [name, value] : evidence) object[name] = value;
  return json::serialize(object);
}

Evidence read_evidence(const std::string& text) {
  Evidence evidence;
  boost::system::error_code ec;
  const auto value = json::parse(text, ec);
  if (ec || !value.is_object()) return evidence;
  for (const auto& [name, item] : value.get_object()) {
    if (item.is_string()) evidence.emplace_back(std::string(name), std::string(item.get_string()));
  }
  return evidence;
}

Alert read_alert(const store::Row& row) {
  Alert alert;
  std::size_t column = 0;
  for (std::string* text : {&alert.id, &alert.rule, &alert.workspace_id, &alert.workspace_name, &alert.namespace_id,
                            &alert.about, &alert.cause}) {
    *text = row.text(column++);
  }
  alert.evidence = read_evidence(row.text(column++));
  alert.next = row.text(column++);
  alert.first = from_unix_ms(row.integer(column++));
  alert.last = from_unix_ms(row.integer(column++));
  alert.times = static_cast<std::uint64_t>(row.integer(column++));
  alert.action = row.text(column++);
  if (const auto ms = row.find_integer(column++)) alert.acknowledged_at = from_unix_ms(*ms);
  alert.acknowledged_by = row.find_text(column).value_or("");
  return alert;
}

// What changes while it lasts; whether it was acknowledged is another statement's.
Status write_alert(store::Connection& connection, const Alert& alert) {
  TRY(connection.execute(
      "INSERT INTO alerts (" COFFER_ALERT_COLUMNS
      ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, "
      "NULL, NULL) ON CONFLICT (id) DO UPDATE SET cause = excluded.cause, evidence = excluded.evidence, last = "
      "excluded.last, times = excluded.times, action = excluded.action",
      {alert.id, alert.rule, alert.workspace_id, alert.workspace_name, alert.namespace_id, alert.about, alert.cause,
       evidence_text(alert.evidence), alert.next, to_unix_ms(alert.first), to_unix_ms(alert.last),
       static_cast<std::int64_t>(alert.times), alert.action}));
  return {};
}

Evidence counted(std::string_view what, const std::map<std::string, std::uint64_t>& counts) {
  std::vector<std::pair<std::string, std::uint64_t>> most(counts.begin(), counts.end());
  std::sort(most.begin(), most.end(), [](const auto& a, const auto& b) { return a.second > b.second; });
  most.resize(std::min(most.size(), kMaxNamed));
  Evidence evidence;
  for (const auto& [name, count] : most)
    evidence.emplace_back(cat(what, " ", name.empty() ? "host" : name), cat(count));
  return evidence;
}

}  // namespace

Alerts::Alerts(const loop::asio::any_io_executor& executor, store::Database& database, Webhooks& webhooks,
               AlertOptions options)
    : database_(database), webhooks_(webhooks), options_(std::move(options)), wake_(executor), tasks_(executor) {}

Result<std::unique_ptr<Alerts>> Alerts::open(const loop::asio::any_io_executor& executor, store::Database& database,
                                             Webhooks& webhooks, AlertOptions options) {
  std::unique_ptr<Alerts> alerts(new Alerts(executor, database, webhooks, std::move(options)));
  TRY_ASSIGN(alerts->channels_, AlertChannels::open(executor, alerts->options_.channels));
  TRY(alerts->load());
  alerts->storm_.began = alerts->options_.clock.steady();
  return alerts;
}

// Those that may go on: a restart tells nobody anew.
Status Alerts::load() {
  const Time now = options_.clock.now();
  auto read = [since = to_unix_ms(now - kQuiet), most = static_cast<std::int64_t>(kMaxRecent)](store::Connection& c) {
    return c.query("SELECT " COFFER_ALERT_COLUMNS " FROM alerts WHERE last >= $1 ORDER BY rowid DESC LIMIT $2",
                   {since, most});
  };
  TRY_ASSIGN(const auto rows, database_.run_now(std::move(read)));
  for (const auto& row : rows) {
    auto alert = read_alert(row);
    const auto age = std::max(now - alert.last, Time::duration(0));
    Key key{alert.rule, alert.workspace_id, alert.about};
    recent_.try_emplace(
        std::move(key),
        Recent{std::move(alert), options_.clock.steady() - std::chrono::duration_cast<Steady::duration>(age)});
  }
  return {};
}

void Alerts::raise(const Watched& workspace, const Finding& finding) {
  Alert alert;
  alert.rule = rule_name(finding.rule->kind);
  alert.workspace_id = workspace.id;
  alert.workspace_name = workspace.name;
  alert.namespace_id = workspace.namespace_id;
  alert.namespace_slug = workspace.namespace_slug;
  alert.about = finding.key;
  alert.cause = finding.cause;
  alert.evidence = finding.evidence;
  if (is_guests_word(finding.rule->kind)) alert.evidence.emplace_back("source", "the guest's own word");
  alert.next = next_command(finding.rule->kind, workspace.id, finding.key);
  raise(std::move(alert), finding.rule->action);
}

void Alerts::raise_of_host(const Finding& finding) {
  Alert alert;
  alert.rule = rule_name(finding.rule->kind);
  alert.about = finding.key;
  alert.cause = finding.cause;
  alert.evidence = finding.evidence;
  alert.next = next_command(finding.rule->kind, "", finding.key);
  raise(std::move(alert), RuleAction::tell);
}

void Alerts::raise(Alert alert, RuleAction action) {
  const Steady now = options_.clock.steady();
  const Time time = options_.clock.now();
  end_storm_window(now);
  const Key key{alert.rule, alert.workspace_id, alert.about};
  if (const auto known = recent_.find(key); known != recent_.end() && now - known->second.last < kQuiet) {
    Alert& old = known->second.alert;
    known->second.last = now;
    ++old.times;
    old.last = time;
    old.cause = std::move(alert.cause);
    old.evidence = std::move(alert.evidence);
    changed_.insert(key);
    return;
  }
  if (is_storm(key, alert)) return;
  alert.id = new_id("al");
  alert.first = alert.last = time;
  if (action == RuleAction::contain) alert.action = "containing it";
  ++raised_;
  remember(key, alert, now);
  news_.push_back({std::move(alert), action, News::Kind::raised});
  wake_.notify();
}

void Alerts::remember(const Key& key, Alert alert, Steady now) {
  recent_.insert_or_assign(key, Recent{std::move(alert), now});
  if (recent_.size() <= kMaxRecent) return;
  const auto oldest = std::min_element(recent_.begin(), recent_.end(),
                                       [](const auto& a, const auto& b) { return a.second.last < b.second.last; });
  changed_.erase(oldest->first);
  recent_.erase(oldest);
}

// Whether it is one too many to be an alert of its own.
bool Alerts::is_storm(const Key& key, const Alert& alert) {
  if (storm_.raised < kMaxPerWindow) {
    ++storm_.raised;
    return false;
  }
  if (storm_.rest.size() >= kMaxStormKeys || !storm_.rest.insert(key).second) return true;
  ++suppressed_;
  ++storm_.by_rule[alert.rule];
  ++storm_.by_workspace[alert.workspace_id];
  // The first of a window is told at once, the sum at the window's end.
  if (storm_.rest.size() == 1) tell_of_storm();
  return true;
}

void Alerts::tell_of_storm() {
  const Key key{std::string(kStormRule), "", ""};
  const Steady now = options_.clock.steady();
  const auto known = recent_.find(key);
  const bool goes_on = known != recent_.end() && now - known->second.last < kQuiet;
  Alert alert;
  if (goes_on) alert = known->second.alert;
  if (!goes_on) {
    alert.id = new_id("al");
    alert.rule = kStormRule;
    alert.next = "coffer alerts ls";
    alert.first = options_.clock.now();
    alert.times = 0;
  }
  alert.last = options_.clock.now();
  ++alert.times;
  alert.cause = cat("more than ", kMaxPerWindow, " alerts came within a minute; ", storm_.rest.size(),
                    storm_.rest.size() == 1 ? " more is" : " more are", " only counted here");
  alert.evidence = counted("rule", storm_.by_rule);
  for (auto& item : counted("workspace", storm_.by_workspace)) alert.evidence.push_back(std::move(item));
  remember(key, alert, now);
  news_.push_back({std::move(alert), RuleAction::tell, goes_on ? News::Kind::changed : News::Kind::raised});
  wake_.notify();
}

void Alerts::end_storm_window(Steady now) {
  if (now - storm_.began < kStormWindow) return;
  if (storm_.rest.size() > 1) tell_of_storm();
  storm_ = {};
  storm_.began = now;
}

void Alerts::start() { tasks_.spawn("alerts", pump()); }

Task<void> Alerts::pump() {
  for (;;) {
    while (!news_.empty()) {
      auto next = std::move(news_.front());
      news_.pop_front();
      CO_TRY(co_await write_and_tell(std::move(next)));
    }
    if (auto written = co_await write_changed(); !written) {
      if (written.error().code == Code::Cancelled) co_return written;
      log_error("alerts were not written", {{"error", written.error().message}});
    }
    auto woken = co_await loop::with_deadline(wake_.wait(), kRound, "news of alerts");
    if (!woken && woken.error().code != Code::DeadlineExceeded) co_return woken;
    end_storm_window(options_.clock.steady());
  }
}

// It is told even when it cannot be kept.
Task<void> Alerts::write_and_tell(News news) {
  auto write = [alert = news.alert](store::Connection& connection) -> Status {
    TRY(write_alert(connection, alert));
    TRY(
        connection.execute("DELETE FROM alerts WHERE rowid IN (SELECT rowid FROM alerts ORDER BY rowid DESC LIMIT -1 "
                           "OFFSET $1)",
                           {static_cast<std::int64_t>(kMaxKept)}));
    return {};
  };
  const auto written = co_await database_.run(std::move(write));
  if (!written && written.error().code != Code::Cancelled) {
    log_error("an alert was not written", {{"alert", news.alert.id}, {"error", written.error().message}});
  }
  const Alert& alert = news.alert;
  log_warn("alert",
           {{"alert", alert.id}, {"rule", alert.rule}, {"workspace", alert.workspace_id}, {"cause", alert.cause}});
  if (options_.recorder != nullptr) {
    options_.recorder->note(
        {{},
         {alert.workspace_id, alert.namespace_id},
         model::AlertRaised{alert.id, alert.rule, alert.about, alert.cause, evidence_text(alert.evidence)}});
  }
  Notice notice;
  notice.event = "alert.raised";
  notice.time = alert.last;
  notice.workspace_id = alert.workspace_id;
  notice.workspace_name = alert.workspace_name;
  notice.namespace_id = alert.namespace_id;
  notice.namespace_slug = alert.namespace_slug;
  notice.detail = alert.cause;
  notice.more = json::object{{"alert", to_json(alert)}};
  webhooks_.notify(std::move(notice));
  channels_->tell(alert);
  if (news.action == RuleAction::contain && options_.contain) tasks_.spawn("containment by a rule", contain(alert));
  // What is asked to end has told it all the same.
  if (!written && written.error().code == Code::Cancelled) co_return written;
  co_return Status{};
}

Task<void> Alerts::contain(Alert alert) {
  const Key key{alert.rule, alert.workspace_id, alert.about};
  auto done =
      co_await loop::with_deadline(options_.contain(alert.workspace_id, cat("alert ", alert.id, ": ", alert.cause)),
                                   kContainLimit, "containment by a rule");
  if (!done) {
    log_error("a rule's containment failed", {{"alert", alert.id}, {"error", done.error().message}});
  }
  const auto known = recent_.find(key);
  if (known == recent_.end() || known->second.alert.id != alert.id) co_return Status{};
  known->second.alert.action = done ? std::string("contained") : cat("not contained: ", done.error().message);
  changed_.insert(key);
  wake_.notify();
  co_return Status{};
}

Task<void> Alerts::write_changed() {
  // Those that are not told yet are written when they are: in the order in which they were raised.
  std::set<std::string> untold;
  for (const auto& news : news_) untold.insert(news.alert.id);
  std::vector<Alert> alerts;
  for (const auto& key : std::exchange(changed_, {})) {
    const auto known = recent_.find(key);
    if (known == recent_.end()) continue;
    if (untold.contains(known->second.alert.id)) {
      changed_.insert(key);
    } else {
      alerts.push_back(known->second.alert);
    }
  }
  if (alerts.empty()) co_return Status{};
  auto write = [alerts = std::move(alerts)](store::Connection& connection) -> Status {
    for (const auto& alert : alerts) TRY(write_alert(connection, alert));
    return {};
  };
  co_return co_await database_.run(std::move(write), store::Durability::process_death);
}

Task<std::vector<Alert>> Alerts::list(AlertFilter filter) {
  CO_TRY(co_await write_changed());
  const std::size_t limit = filter.limit;
  auto read = [workspace = filter.workspace_id, state = filter.state,
               most = static_cast<std::int64_t>(filter.visible ? kMaxKept : limit)](store::Connection& connection) {
    const std::int64_t acknowledged = state == AlertFilter::State::acknowledged ? 1 : 0;
    return connection.query("SELECT " COFFER_ALERT_COLUMNS
                            " FROM alerts WHERE ($1 = '' OR workspace_id = $1) AND ($2 = 0 OR "
                            "(acknowledged_at IS NOT NULL) = $3) ORDER BY rowid DESC LIMIT $4",
                            {workspace, std::int64_t{state == AlertFilter::State::all ? 0 : 1}, acknowledged, most});
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_.run(std::move(read)));
  std::vector<Alert> alerts;
  for (const auto& row : rows) {
    if (alerts.size() >= limit) break;
    auto alert = read_alert(row);
    if (!filter.visible || filter.visible(alert)) alerts.push_back(std::move(alert));
  }
  co_return alerts;
}

Task<Alert> Alerts::get(std::string id) {
  CO_TRY(co_await write_changed());
  auto read = [id](store::Connection& connection) {
    return connection.query("SELECT " COFFER_ALERT_COLUMNS " FROM alerts WHERE id = $1", {id});
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_.run(std::move(read)));
  if (rows.empty()) {
    co_return fail(Code::NotFound, cat("there is no alert '", id.substr(0, 64), "'"), "list them: coffer alerts ls");
  }
  co_return read_alert(rows.front());
}

Task<Alert> Alerts::acknowledge(std::string id, model::Origin by) {
  CO_TRY_ASSIGN(const Alert alert, co_await get(id));
  if (alert.acknowledged_at) co_return alert;
  const Time now = options_.clock.now();
  auto write = [id, at = to_unix_ms(now), actor = by.actor](store::Connection& connection) {
    return connection.execute(
        "UPDATE alerts SET acknowledged_at = $2, acknowledged_by = $3 WHERE id = $1 AND acknowledged_at IS NULL",
        {id, at, actor});
  };
  CO_TRY_ASSIGN(const auto rows, co_await database_.run(std::move(write)));
  if (rows == 0) co_return co_await get(std::move(id));  // somebody else was first
  const Key key{alert.rule, alert.workspace_id, alert.about};
  if (const auto known = recent_.find(key); known != recent_.end() && known->second.alert.id == id) {
    known->second.alert.acknowledged_at = now;
    known->second.alert.acknowledged_by = by.actor;
  }
  if (options_.recorder != nullptr) {
    options_.recorder->note(
        {std::move(by), {alert.workspace_id, alert.namespace_id}, model::AlertAcknowledged{alert.id, alert.rule}});
  }
  co_return co_await get(std::move(id));
}

std::map<std::string, std::size_t> Alerts::open_by_workspace() const {
  std::map<std::string, std::size_t> open;
  const Steady now = options_.clock.steady();
  for (const auto& [key, recent] : recent_) {
    if (!recent.alert.acknowledged_at && now - recent.last < kQuiet) ++open[recent.alert.workspace_id];
  }
  return open;
}

Task<void> Alerts::close() {
  tasks_.cancel();
  CO_TRY(co_await tasks_.join());
  while (!news_.empty()) {
    auto next = std::move(news_.front());
    news_.pop_front();
    next.action = RuleAction::tell;
    CO_TRY(co_await write_and_tell(std::move(next)));
  }
  CO_TRY(co_await write_changed());
  co_return co_await channels_->close();
}

}  // namespace cofferdam::monitor
