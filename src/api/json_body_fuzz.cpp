// Whatever body is accepted keeps the limits of parse_json, and is accepted again when it is written out.
#include <boost/json/serialize.hpp>
#include <cmath>
#include <cstdlib>

#include "api/call.h"
#include "base/bytes.h"
#include "model/json.h"

namespace {

using namespace cofferdam;
namespace json = boost::json;

struct Seen {
  std::size_t members = 0;
  bool huge = false;
};

Seen look(const json::value& value, std::size_t depth) {
  if (depth > model::kMaxJsonDepth + 1) std::abort();
  Seen seen;
  const auto add = [&seen](const Seen& more) {
    seen.members += more.members;
    seen.huge = seen.huge || more.huge;
  };
  if (const auto* object = value.if_object()) {
    seen.members = object->size();
    for (const auto& item : *object) add(look(item.value(), depth + 1));
  } else if (const auto* array = value.if_array()) {
    for (const auto& item : *array) add(look(item, depth + 1));
  } else if (const auto* number = value.if_double()) {
    if (!std::isfinite(*number)) std::abort();
    // The parser rounds in the last place, and so may leave the range where it ends.
    seen.huge = std::fabs(*number) > 1e300;
  }
  return seen;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto object = api::parse_object(as_text({data, size}));
  if (!object) {
    if (object.error().code != Code::InvalidArgument) std::abort();
    return 0;
  }
  const Seen seen = look(*object, 1);
  const auto again = api::parse_object(json::serialize(*object));
  if (!again) {
    if (!seen.huge) std::abort();
    return 0;
  }
  if (look(*again, 1).members != seen.members) std::abort();
  // What reads the bodies of requests must stand them all.
  (void)model::workspace_spec_from_json(*object);
  (void)model::exec_spec_from_json(*object);
  (void)api::required_text(*object, "path");
  return 0;
}
