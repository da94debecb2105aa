#include "incident/drills.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "base/log.h"
#include "base/text.h"
#include "base/time.h"
#include "loop/deadline.h"
#include "model/json.h"
#include "workspace/owned.h"

namespace cofferdam::incident {
namespace {

namespace json = boost::json;
using namespace std::chrono_literals;
using std::chrono::duration_cast;
using std::chrono::microseconds;
using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kTurn = 30min;
constexpr std::chrono::milliseconds kScratchTtl = 15min;  // what a daemon that dies meanwhile leaves ends by itself
constexpr std::chrono::milliseconds kAnswerLimit = 30s;
constexpr double kUsPerMs = 1000.0;

microseconds since(steady_clock::time_point began) { return duration_cast<microseconds>(steady_clock::now() - began); }

std::string check_text(const model::ReadyCheck& check) {
  json::array command;
  for (const auto& word : check.command) command.emplace_back(word);
  return json::serialize(json::object{{"command", std::move(command)}, {"limit_ms", check.limit.count()}});
}

Result<model::ReadyCheck> check_from(std::string_view text) {
  TRY_ASSIGN(const auto value, model::parse_json(text));
  model::ReadyCheck check;
  const auto* object = value.if_object();
  const auto* command = object == nullptr ? nullptr : object->if_contains("command");
  if (command == nullptr || !command->is_array()) return fail(Code::DataLoss, "a ready check has no command");
  for (const auto& word : command->get_array()) {
    if (word.is_string()) check.command.emplace_back(word.get_string());
  }
  TRY_ASSIGN(const auto limit, model::get_number(*object, "", "limit_ms"));
  check.limit = std::chrono::milliseconds(static_cast<std::int64_t>(limit.value_or(0)));
  if (check.command.empty()) return fail(Code::DataLoss, "a ready check has no command");
  return check;
}

Result<std::optional<Time>> time_of(const json::object& object, std::string_view field) {
  TRY_ASSIGN(const auto text, model::get_string(object, "", field));
  if (!text) return std::nullopt;
  TRY_ASSIGN(const auto time, parse_rfc3339(*text));
  return time;
}

Result<Drill> drill_from(std::string_view text) {
  TRY_ASSIGN(const auto value, model::parse_json(text));
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::DataLoss, "the record of a drill is not an object");
  Drill drill;
  for (const auto& [name, field] :
       {std::pair("workspace_id", &drill.workspace_id), std::pair("namespace_id", &drill.namespace_id),
        std::pair("snapshot", &drill.snapshot), std::pair("error", &drill.error)}) {
    TRY_ASSIGN(const auto found, model::get_string(*object, "", name));
    *field = found.value_or("");
  }
  for (const auto& [name, field] : {std::pair("restore_ms", &drill.restore), std::pair("check_ms", &drill.check),
                                    std::pair("took_ms", &drill.took)}) {
    TRY_ASSIGN(const auto found, model::get_number(*object, "", name));
    *field = microseconds(static_cast<std::int64_t>(found.value_or(0) * kUsPerMs));
  }
  TRY_ASSIGN(const auto checked, model::get_flag(*object, "", "checked"));
  drill.checked = checked.value_or(false);
  TRY_ASSIGN(const auto at, time_of(*object, "at"));
  drill.at = at.value_or(Time());
  TRY_ASSIGN(drill.passed_at, time_of(*object, "passed_at"));
  return drill;
}

}  // namespace

json::object to_json(const Drill& drill) {
  return {{"workspace_id", drill.workspace_id},
          {"namespace_id", drill.namespace_id},
          {"snapshot", drill.snapshot},
          {"at", format_rfc3339(drill.at)},
          {"passed", drill.error.empty()},
          {"error", drill.error},
          {"checked", drill.checked},
          {"restore_ms", static_cast<double>(drill.restore.count()) / kUsPerMs},
          {"check_ms", static_cast<double>(drill.check.count()) / kUsPerMs},
          {"took_ms", static_cast<double>(drill.took.count()) / kUsPerMs},
          {"passed_at", drill.passed_at ? json::value(format_rfc3339(*drill.passed_at)) : json::value(nullptr)}};
}

Drills::Drills(const loop::asio::any_io_executor& executor, store::Database& database, workspace::Manager& manager,
               ledger::Recorder& recorder)
    : database_(database),
      manager_(manager),
      recorder_(recorder),
      lane_(executor, "too many drills are waiting"),
      tasks_(executor) {}

Result<std::unique_ptr<Drills>> Drills::open(const loop::asio::any_io_executor& executor, store::Database& database,
                                             workspace::Manager& manager, ledger::Recorder& recorder) {
  std::unique_ptr<Drills> drills(new Drills(executor, database, manager, recorder));
  auto load = [&drills](store::Connection& connection) -> Status {
    TRY_ASSIGN(const auto rows, connection.query("SELECT workspace_id, record FROM drills"));
    for (const auto& row : rows) {
      TRY_ASSIGN(auto drill, drill_from(row.text(1)));
      drills->last_.emplace(row.text(0), std::move(drill));
    }
    TRY_ASSIGN(const auto checks, connection.query("SELECT workspace_id, record FROM ready_checks"));
    for (const auto& row : checks) {
      TRY_ASSIGN(auto check, check_from(row.text(1)));
      drills->checks_.emplace(row.text(0), std::move(check));
    }
    return {};
  };
  TRY(database.run_now(std::move(load)));
  return drills;
}

Task<Drill> Drills::run(DrillWish wish) {
  CO_TRY_ASSIGN(const auto info, manager_.get(wish.workspace));
  CO_TRY_ASSIGN(const auto snapshots, manager_.snapshots(info.id));
  Drill drill;
  drill.workspace_id = info.id;
  drill.namespace_id = info.spec.namespace_id;
  for (const auto& snapshot : snapshots) {
    if (wish.snapshot.empty() || snapshot.id == wish.snapshot) drill.snapshot = snapshot.id;
  }
  if (drill.snapshot.empty()) {
    co_return fail(Code::NotFound,
                   wish.snapshot.empty() ? cat("the workspace '", info.id, "' has no snapshot to be brought back")
                                         : cat("the workspace '", info.id, "' has no snapshot '", wish.snapshot, "'"),
                   "take one with `coffer snapshot create`");
  }
  if (const auto* known = check_of(info.id); known != nullptr && !wish.check) wish.check = *known;
  co_return co_await workspace::run_owned<Drill>(tasks_, "drill", try_out(std::move(wish), std::move(drill)));
}

Task<Drill> Drills::try_out(DrillWish wish, Drill drill) {
  CO_TRY_ASSIGN(const auto place, co_await lane_.enter(kTurn));
  const auto began = steady_clock::now();
  auto held = std::make_shared<Drill>(std::move(drill));
  held->at = std::chrono::system_clock::now();
  const auto by = wish.by;
  auto back = co_await bring_back(std::move(wish), held);
  held->took = since(began);
  if (!back) held->error = back.error().message;
  const auto* before = last(held->workspace_id);
  if (back) held->passed_at = held->at;
  if (!back && before != nullptr) held->passed_at = before->passed_at;
  if (!back) log_warn("a drill failed", {{"workspace", held->workspace_id}, {"error", held->error}});
  // Of one that was removed meanwhile, what is known has been forgotten.
  const auto info = manager_.get(held->workspace_id);
  if (!info || info->state == model::State::removing) {
    co_return fail(Code::NotFound, cat("the workspace '", held->workspace_id, "' was removed during its drill"));
  }
  last_.insert_or_assign(held->workspace_id, *held);
  auto write = [id = held->workspace_id,
                text = json::serialize(to_json(*held))](store::Connection& connection) -> Status {
    TRY(
        connection.execute("INSERT INTO drills (workspace_id, record) VALUES ($1, $2) "
                           "ON CONFLICT (workspace_id) DO UPDATE SET record = excluded.record",
                           {id, text}));
    return {};
  };
  CO_TRY(co_await database_.run(std::move(write)));
  model::DrillEnded entry;
  entry.snapshot = held->snapshot;
  entry.error = held->error;
  entry.restore_us = held->restore.count();
  entry.check_us = held->check.count();
  entry.took_us = held->took.count();
  CO_TRY(co_await recorder_.record({by, {held->workspace_id, held->namespace_id}, std::move(entry)}));
  co_return *held;
}

Task<void> Drills::bring_back(DrillWish wish, std::shared_ptr<Drill> drill) {
  const auto began = steady_clock::now();
  workspace::ScratchWish scratch;
  scratch.ttl = kScratchTtl;
  auto made = co_await manager_.scratch(drill->workspace_id, drill->snapshot, std::move(scratch));
  drill->restore = since(began);
  if (!made) co_return fail(std::move(made.error()));
  auto looked = co_await look_at(made->id, std::move(wish.check), drill);
  auto removed = co_await manager_.remove(made->id);
  if (!looked) co_return looked;
  if (!removed) co_return fail(std::move(removed.error()).in("what was brought back could not be removed"));
  co_return Status{};
}

Task<void> Drills::look_at(std::string scratch, std::optional<model::ReadyCheck> check, std::shared_ptr<Drill> drill) {
  const auto began = steady_clock::now();
  Status ready;
  if (check) {
    drill->checked = true;
    ready = co_await workspace::wait_until_ready(manager_, std::move(scratch), std::move(*check));
    if (!ready) ready = fail(std::move(ready.error()).in("the ready check"));
  } else {
    CO_TRY_ASSIGN(const auto machine, manager_.machine(scratch));
    auto answer = co_await loop::with_deadline(machine->guest_metrics(), kAnswerLimit, "an answer of the guest");
    if (!answer) ready = fail(std::move(answer.error()));
  }
  drill->check = since(began);
  co_return ready;
}

Task<void> Drills::keep_check(std::string workspace_id, model::ReadyCheck check) {
  auto write = [id = workspace_id, text = check_text(check)](store::Connection& connection) -> Status {
    TRY(
        connection.execute("INSERT INTO ready_checks (workspace_id, record) VALUES ($1, $2) "
                           "ON CONFLICT (workspace_id) DO UPDATE SET record = excluded.record",
                           {id, text}));
    return {};
  };
  // First here: it is forgotten with its workspace, also in the middle of this.
  checks_.insert_or_assign(workspace_id, std::move(check));
  auto written = co_await database_.run(std::move(write), store::Durability::process_death);
  if (!written) checks_.erase(workspace_id);
  co_return written;
}

Task<void> Drills::drop_check(std::string workspace_id) {
  auto remove = [id = workspace_id](store::Connection& connection) {
    return connection.execute("DELETE FROM ready_checks WHERE workspace_id = $1", {id});
  };
  CO_TRY(co_await database_.run(std::move(remove), store::Durability::process_death));
  checks_.erase(workspace_id);
  co_return Status{};
}

const model::ReadyCheck* Drills::check_of(const std::string& workspace_id) const {
  const auto found = checks_.find(workspace_id);
  return found == checks_.end() ? nullptr : &found->second;
}

const Drill* Drills::last(const std::string& workspace_id) const {
  const auto found = last_.find(workspace_id);
  return found == last_.end() ? nullptr : &found->second;
}

std::vector<Drill> Drills::all() const {
  std::vector<Drill> all;
  all.reserve(last_.size());
  for (const auto& [id, drill] : last_) all.push_back(drill);
  return all;
}

void Drills::forget(const std::string& workspace_id) {
  if (last_.erase(workspace_id) + checks_.erase(workspace_id) == 0) return;
  tasks_.spawn("what is known of a removed workspace", forget_durably(workspace_id));
}

Task<void> Drills::forget_durably(std::string workspace_id) {
  auto remove = [id = std::move(workspace_id)](store::Connection& connection) -> Status {
    TRY(connection.execute("DELETE FROM drills WHERE workspace_id = $1", {id}));
    TRY(connection.execute("DELETE FROM ready_checks WHERE workspace_id = $1", {id}));
    return {};
  };
  co_return co_await database_.run(std::move(remove), store::Durability::process_death);
}

Task<void> Drills::stop() { return tasks_.join(); }

}  // namespace cofferdam::incident
