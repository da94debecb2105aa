// What the tests of the control plane share: namespaces, the administrator, the shape of an error.
#pragma once
#include "api/api_fixture.h"
#include "base/file.h"
#include "base/text.h"

namespace cofferdam::api {

inline std::string text(const json::value& value) { return std::string(value.as_string()); }

class ControlTest : public ApiTest {
 public:
  // A namespace of that slug; its id.
  std::string make_space(const std::string& slug, const std::string& more = "") {
    const auto made = ask("POST", "/namespaces", R"({"name": ")" + slug + "\"" + more + "}");
    EXPECT_EQ(made.status, 201) << made.text;
    return text(made.body().at("data").at("id"));
  }
  std::string make_in(const std::string& space, const std::string& name) {
    const auto made = ask("POST", "/workspace", R"({"name": ")" + name + R"(", "namespace": ")" + space + "\"}");
    EXPECT_EQ(made.status, 201) << made.text;
    return text(made.body().at("workspace").at("id"));
  }
  http::Headers administrator() {
    const auto kept = json::parse(read_file(dir_ + "/admin.json", 4096).value());
    return {{"X-Client-ID", text(kept.at("client_id"))}, {"X-Client-Secret", text(kept.at("client_secret"))}};
  }
  void expect_error(const Answer& answer, int status, const std::string& code) {
    EXPECT_EQ(answer.status, status) << answer.text;
    const auto body = answer.body();
    EXPECT_FALSE(body.at("success").as_bool());
    EXPECT_EQ(text(body.at("code")), code) << answer.text;
    EXPECT_EQ(text(body.at("error")), code);
    EXPECT_FALSE(text(body.at("message")).empty());
    EXPECT_FALSE(text(body.at("requestId")).empty());
  }
};

}  // namespace cofferdam::api
