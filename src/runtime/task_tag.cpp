#include "runtime/task_tag.h"

#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>

#include "base/text.h"
#include "base/utf8.h"
#include "model/json.h"
#include "model/workspace_spec.h"

namespace cofferdam::runtime {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxWords = 16;
constexpr std::size_t kMaxCommandBytes = 96;  // six bytes each when escaped
constexpr std::uint64_t kMaxNumber = 1ULL << 53;
constexpr double kMaxMillis = 4e12;  // the year 2096; the sum of two can still be told in nanoseconds

tl::unexpected<Error> no_tag() { return fail(Code::InvalidArgument, "not the tag of a task"); }

Result<double> whole(const json::object& object, std::string_view field, double max) {
  TRY_ASSIGN(const auto number, model::get_number(object, "", field));
  if (!number || !(*number >= 0) || *number > max) return no_tag();
  return *number;
}

}  // namespace

std::string task_tag_text(const TaskTag& tag) {
  json::array words;
  std::size_t left = kMaxCommandBytes;
  for (const auto& word : tag.command) {
    if (left == 0 || words.size() == kMaxWords) break;
    const auto cut = to_utf8(std::string_view(word).substr(0, left));
    left -= std::min(left, word.size());
    words.emplace_back(cut);
  }
  json::object object{
      {"n", tag.number},
      {"c", std::move(words)},
      {"t", std::chrono::duration_cast<std::chrono::milliseconds>(tag.created_at.time_since_epoch()).count()},
      {"k", tag.keep_logs},
      {"i", tag.takes_input}};
  if (tag.ttl) object["l"] = tag.ttl->count();
  return json::serialize(object);
}

Result<TaskTag> parse_task_tag(std::string_view text) {
  if (text.size() > model::kMaxExecTag) return no_tag();
  TRY_ASSIGN(const auto value, model::parse_json(text));
  const auto* object = value.if_object();
  if (object == nullptr) return no_tag();
  TaskTag tag;
  TRY_ASSIGN(const auto number, whole(*object, "n", static_cast<double>(kMaxNumber)));
  tag.number = static_cast<std::uint64_t>(number);
  TRY_ASSIGN(const auto created, whole(*object, "t", kMaxMillis));
  tag.created_at = std::chrono::system_clock::time_point(std::chrono::milliseconds(static_cast<std::int64_t>(created)));
  TRY_ASSIGN(const auto keep, model::get_flag(*object, "", "k"));
  tag.keep_logs = keep.value_or(false);
  TRY_ASSIGN(const auto input, model::get_flag(*object, "", "i"));
  tag.takes_input = input.value_or(false);
  if (object->contains("l")) {
    TRY_ASSIGN(const auto ttl, whole(*object, "l", kMaxMillis));
    tag.ttl = std::chrono::milliseconds(static_cast<std::int64_t>(ttl));
  }
  const auto* words = object->if_contains("c");
  if (words == nullptr || !words->is_array() || words->get_array().size() > kMaxWords) return no_tag();
  for (const auto& word : words->get_array()) {
    if (!word.is_string()) return no_tag();
    tag.command.emplace_back(word.get_string());
  }
  return tag;
}

}  // namespace cofferdam::runtime
