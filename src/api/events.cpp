// The ledger over HTTP: its entries to whoever may see what they are about; checkpoints, keys and proofs of the whole
// to those who may see the host.
#include <algorithm>
#include <boost/json/serialize.hpp>

#include "api/event_answer.h"
#include "api/handlers.h"
#include "base/base64.h"
#include "base/text.h"
#include "base/time.h"
#include "ledger/json.h"
#include "ledger/tail.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using ledger::Decoded;
using ledger::EventFilter;

constexpr std::uint64_t kMaxPage = 1000;
constexpr std::uint64_t kPage = 100;
constexpr std::size_t kReadAtOnce = 500;
constexpr std::size_t kMaxKind = 64;
constexpr std::uint64_t kMaxNumber = INT64_MAX;

Result<ledger::Ledger*> ledger_of(const Services& services) {
  if (services.ledger != nullptr) return services.ledger;
  return fail(Code::FailedPrecondition, "this daemon keeps no ledger", "it was started with ledger.write: false");
}

// "2026-01-31T23:59:59Z", seconds since 1970, or a time ago such as "15m".
Result<std::int64_t> time_of(std::string_view name, const std::string& text) {
  constexpr std::int64_t kUsPerS = 1'000'000;
  if (const auto parsed = parse_rfc3339(text)) {
    return std::chrono::duration_cast<std::chrono::microseconds>(parsed->time_since_epoch()).count();
  }
  if (const auto seconds = parse_int(name, text, 1'000'000'000, INT64_MAX / kUsPerS)) return *seconds * kUsPerS;
  const auto ago = parse_duration(text);
  if (!ago) {
    return fail(Code::InvalidArgument, cat("the query parameter '", name, "' is no time"),
                "write 2026-01-31T23:59:59Z, or how long ago: 15m, 2h, 1d");
  }
  const auto at = std::chrono::system_clock::now() - *ago;
  return std::chrono::duration_cast<std::chrono::microseconds>(at.time_since_epoch()).count();
}

Task<EventFilter> filter_of(Services& services, Call& call) {
  EventFilter filter;
  CO_TRY_ASSIGN(const auto workspace, query_text(call, "workspace"));
  CO_TRY_ASSIGN(const auto actor, query_text(call, "actor"));
  CO_TRY_ASSIGN(const auto kind, query_text(call, "kind"));
  CO_TRY_ASSIGN(const auto since, query_text(call, "since"));
  CO_TRY_ASSIGN(const auto until, query_text(call, "until"));
  if (workspace) {
    // One that is gone is asked for by its id.
    const auto info = services.manager.get(*workspace);
    filter.workspace_id = info ? info->id : *workspace;
  }
  filter.actor = actor.value_or("");
  filter.kind = kind.value_or("");
  const auto names = model::all_kind_names();
  const bool known = filter.kind.empty() || std::any_of(names.begin(), names.end(), [&](std::string_view name) {
                       return name == filter.kind || name.starts_with(filter.kind + ".");
                     });
  if (!known) {
    co_return fail(Code::InvalidArgument, cat("there is no kind of event '", filter.kind.substr(0, kMaxKind), "'"),
                   "such as exec, exec.started, api.changed, token.issued, workspace, ledger");
  }
  if (since) {
    CO_TRY_ASSIGN(filter.since_us, time_of("since", *since));
  }
  if (until) {
    CO_TRY_ASSIGN(filter.until_us, time_of("until", *until));
  }
  filter.visible = [who = call.who()](const Decoded& entry) {
    return who.sees(entry.text(ledger::kWorkspace), entry.text(ledger::kNamespace));
  };
  co_return filter;
}

Task<void> send_tail(ledger::Ledger* from, std::uint64_t number, EventFilter filter,
                     std::shared_ptr<http::EventPipe> pipe) {
  ledger::Tail tail(*from, number);
  for (;;) {
    CO_TRY_ASSIGN(const auto entry, co_await tail.next());
    if (!entry) co_return Status{};
    if (!ledger::matches(filter, *entry)) continue;
    CO_TRY(co_await send_event(*pipe, ledger::to_json(*entry)));
  }
}

// The entries of the log, a line of JSON each.
class Export final : public http::BodySource {
 public:
  enum class Form { plain, ocsf };
  Export(ledger::Ledger& from, std::uint64_t number, EventFilter filter, Form form)
      : ledger_(from),
        reader_(std::make_shared<ledger::EntryReader>(from.folder(), number)),
        filter_(std::move(filter)),
        form_(form),
        origin_(from.status().origin),
        end_(from.size()) {}

  Task<std::string> next() override {
    std::string lines;
    while (lines.empty() && reader_->next() < end_) {
      CO_TRY_ASSIGN(const auto entries, co_await ledger_.read(reader_, kReadAtOnce));
      if (entries.empty()) co_return lines;
      for (const auto& bytes : entries) {
        CO_TRY_ASSIGN(const auto entry, ledger::decode(bytes));
        if (!ledger::matches(filter_, entry)) continue;
        lines += json::serialize(form_ == Form::ocsf ? ledger::to_ocsf(entry, origin_) : ledger::to_json(entry));
        lines += '\n';
      }
    }
    co_return lines;
  }

 private:
  ledger::Ledger& ledger_;
  std::shared_ptr<ledger::EntryReader> reader_;
  EventFilter filter_;
  Form form_;
  std::string origin_;
  std::uint64_t end_;
};

http::Response plain_text(std::string text) {
  http::Response response;
  response.headers.add("Content-Type", "text/plain; charset=utf-8");
  response.body = std::move(text);
  return response;
}

}  // namespace

Task<http::Response> list_events(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto* const from, ledger_of(services));
  CO_TRY_ASSIGN(auto filter, co_await filter_of(services, call));
  CO_TRY_ASSIGN(const auto limit, query_whole(call, "limit", kPage, 1, kMaxPage));
  CO_TRY_ASSIGN(const auto before, query_whole(call, "before", kMaxNumber, 0, kMaxNumber));
  CO_TRY(co_await from->catch_up());
  // What becomes durable from here on, a follower is told.
  const auto next = from->size();
  CO_TRY_ASSIGN(const auto page, co_await from->events(std::move(filter), std::min(before, next), limit));
  json::array events;
  for (const auto& entry : page.entries) events.emplace_back(ledger::to_json(entry));
  json::object whole{{"events", std::move(events)}, {"next", next}};
  if (page.before) whole["before"] = *page.before;
  co_return answer(std::move(whole));
}

Task<http::Response> stream_entries(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto* const from, ledger_of(services));
  CO_TRY_ASSIGN(auto filter, co_await filter_of(services, call));
  CO_TRY_ASSIGN(const auto number, query_whole(call, "from", from->size(), 0, kMaxNumber));
  auto produce = [from, number, filter = std::move(filter)](std::shared_ptr<http::EventPipe> pipe) {
    return send_tail(from, number, filter, std::move(pipe));
  };
  co_return stream_events(services, "events of the ledger", std::move(produce));
}

Task<http::Response> export_events(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto* const from, ledger_of(services));
  CO_TRY_ASSIGN(auto filter, co_await filter_of(services, call));
  CO_TRY_ASSIGN(const auto number, query_whole(call, "from", 0, 0, kMaxNumber));
  CO_TRY_ASSIGN(const auto format, query_text(call, "format"));
  if (format && *format != "ocsf" && *format != "json") {
    co_return fail(Code::InvalidArgument, "the query parameter 'format' must be json or ocsf");
  }
  CO_TRY(co_await from->catch_up());
  http::Response response;
  response.headers.add("Content-Type", "application/x-ndjson");
  const auto form = format && *format == "ocsf" ? Export::Form::ocsf : Export::Form::plain;
  response.source = std::make_unique<Export>(*from, number, std::move(filter), form);
  co_return response;
}

Task<http::Response> get_ledger(Services& services, Call& /*call*/) {
  CO_TRY_ASSIGN(auto* const from, ledger_of(services));
  const auto status = from->status();
  co_return answer({{"ledger",
                     {{"origin", status.origin},
                      {"size", status.size},
                      {"unsigned", status.unsigned_entries},
                      {"dropped", status.dropped},
                      {"trouble", status.trouble},
                      {"folder", from->folder()}}}});
}

Task<http::Response> get_checkpoint(Services& services, Call& /*call*/) {
  CO_TRY_ASSIGN(auto* const from, ledger_of(services));
  co_return plain_text(from->checkpoint());
}

Task<http::Response> get_ledger_keys(Services& services, Call& /*call*/) {
  CO_TRY_ASSIGN(auto* const from, ledger_of(services));
  CO_TRY_ASSIGN(auto keys, co_await from->keys());
  co_return plain_text(std::move(keys));
}

Task<http::Response> prove_entry(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto* const from, ledger_of(services));
  CO_TRY_ASSIGN(const auto number, parse_int("the number of an entry", call.id(), 0, INT64_MAX));
  CO_TRY_ASSIGN(const auto proof, co_await from->prove(static_cast<std::uint64_t>(number)));
  co_return plain_text(ledger::format_proof(proof));
}

// Lines of base64, as a witness takes them.
Task<http::Response> prove_consistency(Services& services, Call& call) {
  CO_TRY_ASSIGN(auto* const from, ledger_of(services));
  CO_TRY_ASSIGN(const auto old_size, query_whole(call, "from", 0, 1, kMaxNumber));
  CO_TRY_ASSIGN(const auto new_size, query_whole(call, "to", 0, 0, kMaxNumber));
  CO_TRY_ASSIGN(const auto proof, co_await from->prove_consistency(old_size, new_size));
  std::string lines;
  for (const auto& hash : proof) lines += cat(to_base64(ledger::text_of(hash)), "\n");
  co_return plain_text(std::move(lines));
}

}  // namespace cofferdam::api
