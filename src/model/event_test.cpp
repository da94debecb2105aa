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
  EXPECT_EQ(names.size(), AllEvents::kCount);
}

template <class... E>
void for_each_kind(EventList<E...> /*all*/, const auto& visit) {
  (visit(E()), ...);
}

TEST(Event, fields_ascend_from_sixteen_and_have_names) {
  for_each_kind(AllEvents(), [](auto event) {
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
  entry.event.as<ExecStarted>()->argv = {"a", "b"};
  each_text(entry, [](std::string& text) { text = "x"; });
  EXPECT_EQ(entry.by, (Origin{"x", "x", "x"}));
  EXPECT_EQ(entry.about.namespace_id, "x");
  EXPECT_EQ(entry.event.as<ExecStarted>()->argv, (Texts{"x", "x"}));
  EXPECT_EQ(entry.event.as<ExecStarted>()->user, "x");
}

TEST(Event, a_copy_is_its_own_and_of_one_kind) {
  Event event = ExecStarted{};
  event.as<ExecStarted>()->exec = "cmd_1";
  Event copy = event;
  copy.as<ExecStarted>()->exec = "cmd_2";
  EXPECT_EQ(event.as<ExecStarted>()->exec, "cmd_1");
  EXPECT_EQ(copy.as<ExecEnded>(), nullptr);
  EXPECT_EQ(copy.kind().name, "exec.started");
  copy = SecretSet{"A"};
  EXPECT_EQ(std::as_const(copy).as<SecretSet>()->name, "A");
}

TEST(Event, what_is_unknown_has_no_name) {
  EXPECT_EQ(kind_name(9999), "");
  EXPECT_EQ(kind_number("exec.dreamt"), 0);
  EXPECT_EQ(field_name(ExecStarted::kKind.number, 200), "");
  EXPECT_EQ(field_name(ExecStarted::kKind.number, 1), "actor");
}

}  // namespace
}  // namespace cofferdam::model
