#include "model/event.h"

#include <map>
#include <utility>

namespace cofferdam::model {
namespace {

struct KindInfo {
  std::string_view name;
  std::vector<FieldInfo> fields;
};

template <class Field>
constexpr FieldInfo::Type type_of() {
  if constexpr (std::is_same_v<Field, std::int64_t>) return FieldInfo::Type::number;
  if constexpr (std::is_same_v<Field, std::string>) return FieldInfo::Type::text;
  return FieldInfo::Type::texts;
}

template <class E>
void add(std::map<std::uint16_t, KindInfo>& kinds) {
  KindInfo info{E::kKind.name, {}};
  std::uint8_t number = 0;
  for (const auto common : {"actor", "address", "request", "workspace", "namespace"}) {
    info.fields.push_back({++number, common, FieldInfo::Type::text});
  }
  E event;
  E::fields(event, [&](std::uint8_t own, std::string_view name, const auto& field) {
    info.fields.push_back({own, name, type_of<std::decay_t<decltype(field)>>()});
  });
  kinds.emplace(E::kKind.number, std::move(info));
}

template <class... E>
std::map<std::uint16_t, KindInfo> all_kinds(EventList<E...> /*all*/) {
  std::map<std::uint16_t, KindInfo> kinds;
  (add<E>(kinds), ...);
  return kinds;
}

const std::map<std::uint16_t, KindInfo>& kinds() {
  static const auto kKinds = all_kinds(AllEvents());
  return kKinds;
}

}  // namespace

std::string_view kind_name(std::uint16_t kind) {
  const auto found = kinds().find(kind);
  return found == kinds().end() ? std::string_view() : found->second.name;
}

const std::vector<FieldInfo>& fields_of(std::uint16_t kind) {
  static const std::vector<FieldInfo> kNone;
  const auto found = kinds().find(kind);
  return found == kinds().end() ? kNone : found->second.fields;
}

std::string_view field_name(std::uint16_t kind, std::uint8_t field) {
  for (const auto& info : fields_of(kind)) {
    if (info.number == field) return info.name;
  }
  return {};
}

std::uint16_t kind_number(std::string_view name) {
  for (const auto& [number, info] : kinds()) {
    if (info.name == name) return number;
  }
  return 0;
}

std::vector<std::string_view> all_kind_names() {
  std::vector<std::string_view> names;
  for (const auto& [number, info] : kinds()) names.push_back(info.name);
  return names;
}

}  // namespace cofferdam::model
