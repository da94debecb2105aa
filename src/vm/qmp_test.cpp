#include "vm/qmp.h"

#include <gtest/gtest.h>

namespace cofferdam::vm {
namespace {

TEST(QmpLine, knows_its_four_kinds) {
  EXPECT_EQ(parse_qmp_line(R"({"QMP": {"version": {}}})").value().kind, QmpLine::Kind::greeting);
  EXPECT_EQ(parse_qmp_line(R"({"event": "STOP", "timestamp": {}})").value().kind, QmpLine::Kind::event);
  const auto answer = parse_qmp_line(R"({"return": {"status": "paused"}, "id": 7})").value();
  EXPECT_EQ(answer.kind, QmpLine::Kind::answer);
  EXPECT_EQ(answer.id, 7U);
  const auto error = parse_qmp_line(R"({"id": 3, "error": {"class": "GenericError", "desc": "no such node"}})").value();
  EXPECT_EQ(error.kind, QmpLine::Kind::error);
  EXPECT_EQ(error.text, "no such node");
}

TEST(QmpLine, what_is_none_of_them_is_refused) {
  for (const char* line : {"", "[]", "7", "{}", R"({"return": 1})", R"({"id": -1, "return": 1})",
                           R"({"id": 1, "error": "x"})", R"({"id": 1})", "{\"id\": 1, \"return\": "}) {
    EXPECT_FALSE(parse_qmp_line(line)) << line;
  }
  EXPECT_FALSE(parse_qmp_line(std::string(1 << 20, '{')));
}

}  // namespace
}  // namespace cofferdam::vm
