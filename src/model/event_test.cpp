#include "model/event.h"

#include <gtest/gtest.h>

#include <set>

namespace cofferdam::model {
namespace {

TEST(Event, numbers_and_names_are_each_one_kinds) {
  std::set<std::string_view> names;
  for (const auto name : all_kind_names()) {
    EXPECT_TRUE(names.insert(name).second) << name;
    EXPECT_EQ(kind_name(kind_number(name)), name);
  }
  EXPECT_EQ(names.size(), std::variant_size_v<Event>);
}

template <std::size_t... I>
void for_each_kind(std::index_sequence<I...>, const auto& visit) {
  (visit(std::variant_alternative_t<I, Event>()), ...);
}

TEST(Event, fields_ascend_from_sixteen_and_have_names) {
  for_each_kind(std::make_index_sequence<std::variant_size_v<Event>>(), [](auto event) {
    int last = 15;
    using E = decltype(event);
    E::fields(event, [&](std::uint8_t number, std::string_view name, const auto&) {
      EXPECT_EQ(number, last + 1) << E::kKind.name << " " << name;
      last = number;
      EXPECT_EQ(field_name(E::kKind.number, number), name);
    });
  });
}

TEST(Event, every_text_can_be_changed) {
  Entry entry{{"who", "1.2.3.4", "req_1"}, {"ws_1", "ns_1"}, ExecStarted{}};
  std::get<ExecStarted>(entry.event).argv = {"a", "b"};
  each_text(entry, [](std::string& text) { text = "x"; });
  EXPECT_EQ(entry.by, (Origin{"x", "x", "x"}));
  EXPECT_EQ(entry.about.namespace_id, "x");
  EXPECT_EQ(std::get<ExecStarted>(entry.event).argv, (Texts{"x", "x"}));
  EXPECT_EQ(std::get<ExecStarted>(entry.event).user, "x");
}

TEST(Event, what_is_unknown_has_no_name) {
  EXPECT_EQ(kind_name(9999), "");
  EXPECT_EQ(kind_number("exec.dreamt"), 0);
  EXPECT_EQ(field_name(ExecStarted::kKind.number, 200), "");
  EXPECT_EQ(field_name(ExecStarted::kKind.number, 1), "actor");
}

}  // namespace
}  // namespace cofferdam::model
