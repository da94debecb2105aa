#include "keys/canonical.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <string_view>
#include <vector>

#include "base/text.h"

namespace cofferdam::keys {
namespace {

namespace json = boost::json;

std::string_view view_of(const json::string& text) { return {text.data(), text.size()}; }
std::string_view view_of(json::string_view text) { return {text.data(), text.size()}; }

void put_text(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    switch (c) {
      case '"':
        out += "\\\"";
        break;
      case '\\':
        out += "\\\\";
        break;
      case '\b':
        out += "\\b";
        break;
      case '\f':
        out += "\\f";
        break;
      case '\n':
        out += "\\n";
        break;
      case '\r':
        out += "\\r";
        break;
      case '\t':
        out += "\\t";
        break;
      default:
        if (static_cast<unsigned char>(c) < 0x20) {
          out += "\\u00" + to_hex({&c, 1});
        } else {
          out += c;
        }
    }
  }
  out += '"';
}

Status put(std::string& out, const json::value& value);

Status put_object(std::string& out, const json::object& object) {
  std::vector<const json::key_value_pair*> members;
  for (const auto& member : object) members.push_back(&member);
  std::sort(members.begin(), members.end(), [](const auto* a, const auto* b) { return a->key() < b->key(); });
  out += '{';
  for (const auto* member : members) {
    if (member != members.front()) out += ',';
    put_text(out, view_of(member->key()));
    out += ':';
    TRY(put(out, member->value()));
  }
  out += '}';
  return {};
}

Status put_array(std::string& out, const json::array& array) {
  out += '[';
  for (const auto& value : array) {
    if (&value != &array.front()) out += ',';
    TRY(put(out, value));
  }
  out += ']';
  return {};
}

// As deep as the parser lets a value be.
Status put(std::string& out, const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      out += "null";
      return {};
    case json::kind::bool_:
      out += value.get_bool() ? "true" : "false";
      return {};
    case json::kind::int64:
      out += std::to_string(value.get_int64());
      return {};
    case json::kind::uint64:
      out += std::to_string(value.get_uint64());
      return {};
    case json::kind::string:
      put_text(out, view_of(value.get_string()));
      return {};
    case json::kind::object:
      return put_object(out, value.get_object());
    case json::kind::array:
      return put_array(out, value.get_array());
    case json::kind::double_:
      break;
  }
  return fail(Code::InvalidArgument, "a number that is not whole has no canonical form");
}

}  // namespace

Result<std::string> canonical_json(const boost::json::value& value) {
  std::string out;
  TRY(put(out, value));
  return out;
}

}  // namespace cofferdam::keys
