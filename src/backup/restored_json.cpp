#include "backup/restored_json.h"

#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <chrono>

#include "base/text.h"
#include "base/time.h"
#include "model/json.h"

namespace cofferdam::backup {
namespace {

namespace json = boost::json;
using std::chrono::microseconds;
using std::chrono::system_clock;

Result<std::string> text_in(const json::object& object, std::string_view field) {
  TRY_ASSIGN(auto text, model::get_string(object, "", field));
  return std::move(text).value_or("");
}

Result<std::uint64_t> count_in(const json::object& object, std::string_view field) {
  TRY_ASSIGN(const auto number, model::get_number(object, "", field));
  return static_cast<std::uint64_t>(std::max(number.value_or(0), 0.0));
}

}  // namespace

std::string text_of(const Restored& restored) {
  const auto& manifest = restored.manifest;
  json::object object{{"backup", manifest.id},
                      {"made_at", format_rfc3339(system_clock::time_point(microseconds(manifest.made_us)))},
                      {"version", manifest.program},
                      {"config_digest", manifest.config_digest},
                      {"ledger_entries", manifest.ledger_size},
                      {"key_tree", restored.tree_stayed ? "stayed" : "new"},
                      {"ledger", restored.ledger_stayed ? "stayed" : "of the backup"},
                      {"keys", restored.keys},
                      {"ended",
                       {{"keys", restored.keys_ended},
                        {"workspaces", restored.workspaces},
                        {"credentials", restored.credentials},
                        {"secrets", restored.secrets}}},
                      {"contained", restored.contained}};
  if (restored.looked_until) object["newer_ledger_entries"] = *restored.looked_until;
  return json::serialize(object);
}

Result<Restored> restored_from_text(std::string_view text) {
  TRY_ASSIGN(const auto value, model::parse_json(text));
  const auto* object = value.if_object();
  if (object == nullptr) return fail(Code::DataLoss, "the note of a restore cannot be read");
  Restored restored;
  TRY_ASSIGN(restored.manifest.id, text_in(*object, "backup"));
  TRY_ASSIGN(restored.manifest.program, text_in(*object, "version"));
  TRY_ASSIGN(restored.manifest.config_digest, text_in(*object, "config_digest"));
  TRY_ASSIGN(const std::string made_at, text_in(*object, "made_at"));
  TRY_ASSIGN(const auto made, parse_rfc3339(made_at));
  restored.manifest.made_us = std::chrono::duration_cast<microseconds>(made.time_since_epoch()).count();
  TRY_ASSIGN(restored.manifest.ledger_size, count_in(*object, "ledger_entries"));
  TRY_ASSIGN(const std::string tree, text_in(*object, "key_tree"));
  TRY_ASSIGN(const std::string log, text_in(*object, "ledger"));
  restored.tree_stayed = tree == "stayed";
  restored.ledger_stayed = log == "stayed";
  TRY_ASSIGN(restored.keys, count_in(*object, "keys"));
  if (const auto* ended = object->if_contains("ended"); ended != nullptr && ended->is_object()) {
    TRY_ASSIGN(restored.keys_ended, count_in(ended->get_object(), "keys"));
    TRY_ASSIGN(restored.workspaces, count_in(ended->get_object(), "workspaces"));
    TRY_ASSIGN(restored.credentials, count_in(ended->get_object(), "credentials"));
    TRY_ASSIGN(restored.secrets, count_in(ended->get_object(), "secrets"));
  }
  TRY_ASSIGN(restored.contained, count_in(*object, "contained"));
  if (object->contains("newer_ledger_entries")) {
    TRY_ASSIGN(restored.looked_until, count_in(*object, "newer_ledger_entries"));
  }
  return restored;
}

}  // namespace cofferdam::backup
