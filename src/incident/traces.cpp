#include "incident/traces.h"

#include <algorithm>
#include <boost/json/array.hpp>

#include "base/time.h"

namespace cofferdam::incident {
namespace {

namespace json = boost::json;

constexpr std::size_t kPage = 1000;
constexpr int kPages = 10;

// Numbers of fields, as model/event.h gives them.
constexpr std::uint8_t kMethod = 16, kRoute = 17, kCode = 20, kDetail = 21;  // of api.changed
constexpr std::uint8_t kNames = 16;                                          // of secret.used
constexpr std::uint8_t kToken = 16;                                          // of token.issued

const model::Texts* texts_of(const ledger::Decoded& entry, std::uint8_t number) {
  for (const auto& field : entry.fields) {
    if (field.number == number) return std::get_if<model::Texts>(&field.value);
  }
  return nullptr;
}

bool writes_files(std::string_view route) {
  return route.find("/files") != std::string_view::npos || route.find("filesystem") != std::string_view::npos;
}

template <class Item>
bool has_room(Traces& traces, const std::vector<Item>& items) {
  if (items.size() < Traces::kMaxOfAKind) return true;
  traces.complete = false;
  return false;
}

}  // namespace

void Traces::take(const ledger::Decoded& entry, const std::string& workspace,
                  const std::set<std::string>& tokens_of_it) {
  const std::string actor(entry.text(ledger::kActor));
  const bool about_it = entry.text(ledger::kWorkspace) == workspace;
  const bool by_it = tokens_of_it.count(actor) > 0;
  if (by_it && !entry.text(ledger::kAddress).empty() && addresses.size() < kMaxOfAKind) {
    addresses.emplace(entry.text(ledger::kAddress));
  }
  if (about_it && entry.kind == model::ExecStarted::kKind.number) ++commands;
  if (about_it && entry.kind == model::SecretUsed::kKind.number) {
    const auto* names = texts_of(entry, kNames);
    for (const auto& name : names == nullptr ? model::Texts() : *names) ++secrets[name];
  }
  if (by_it && entry.kind == model::TokenIssued::kKind.number && has_room(*this, tokens)) {
    tokens.push_back({std::string(entry.text(kToken)), actor});
  }
  if (entry.kind != model::ApiChanged::kKind.number || !entry.text(kCode).empty()) return;
  const auto route = entry.text(kRoute);
  if (by_it && entry.text(kMethod) == "POST" && route == "/workspace" && has_room(*this, workspaces)) {
    workspaces.push_back({std::string(entry.text(ledger::kWorkspace)), actor});
  }
  if (!about_it || !writes_files(route) || entry.text(kDetail).empty()) return;
  const std::string path(entry.text(kDetail));
  const auto known = std::find_if(files.begin(), files.end(), [&](const Written& file) { return file.path == path; });
  if (known != files.end()) {
    if (entry.stamp.time_us >= known->last_us) *known = {path, actor, entry.stamp.time_us};
  } else if (has_room(*this, files)) {
    files.push_back({path, actor, entry.stamp.time_us});
  }
}

Task<Traces> find_traces(ledger::Ledger& ledger, std::string workspace, std::set<std::string> tokens, Time since) {
  ledger::EventFilter filter;
  filter.since_us = std::chrono::duration_cast<std::chrono::microseconds>(since.time_since_epoch()).count();
  filter.visible = [workspace, tokens](const ledger::Decoded& entry) {
    return entry.text(ledger::kWorkspace) == workspace || tokens.count(std::string(entry.text(ledger::kActor))) > 0;
  };
  Traces traces;
  std::optional<std::uint64_t> before;
  for (int page = 0; page < kPages; ++page) {
    CO_TRY_ASSIGN(const auto found, co_await ledger.events(filter, before, kPage));
    for (const auto& entry : found.entries) traces.take(entry, workspace, tokens);
    before = found.before;
    if (!before) co_return traces;
  }
  traces.complete = false;
  co_return traces;
}

json::object to_json(const Traces& traces) {
  json::array files;
  for (const auto& file : traces.files) {
    const auto time = std::chrono::system_clock::time_point(std::chrono::microseconds(file.last_us));
    files.emplace_back(json::object{{"path", file.path}, {"by", file.by}, {"last", format_rfc3339(time)}});
  }
  json::array secrets;
  for (const auto& [name, times] : traces.secrets) secrets.emplace_back(json::object{{"name", name}, {"times", times}});
  const auto made = [](const std::vector<Traces::Made>& items) {
    json::array array;
    for (const auto& item : items) array.emplace_back(json::object{{"id", item.id}, {"by", item.by}});
    return array;
  };
  json::array addresses;
  for (const auto& address : traces.addresses) addresses.emplace_back(address);
  return {{"commands", traces.commands},
          {"files_written", std::move(files)},
          {"secrets_used", std::move(secrets)},
          {"tokens_minted", made(traces.tokens)},
          {"workspaces_started", made(traces.workspaces)},
          {"tokens_used_from", std::move(addresses)},
          {"complete", traces.complete}};
}

}  // namespace cofferdam::incident
