// What the tests of the runtime share: one workspace in memory, and its calls below /workspace/box/runtime.
#pragma once
#include "api/api_fixture.h"
#include "base/text.h"

namespace cofferdam::api {

class RuntimeApiTest : public ApiTest {
 public:
  RuntimeApiTest() {
    model::WorkspaceSpec spec;
    spec.name = "box";
    EXPECT_TRUE(run(manager_.create(spec, "")));
  }

  Answer ask(std::string method, const std::string& path, std::string body = {}, http::Headers headers = {}) {
    http::ClientRequest request;
    request.method = std::move(method);
    request.target = kBase + path;
    request.body = std::move(body);
    request.headers = std::move(headers);
    auto answer = run(send(std::move(request)));
    EXPECT_TRUE(answer) << answer.error().message;
    return std::move(answer).value_or(Answer{});
  }
  // What an SDK relies on in every error.
  void expect_error(const Answer& answer, int status, const std::string& code) {
    EXPECT_EQ(answer.status, status) << answer.text;
    const auto body = answer.body();
    EXPECT_FALSE(body.at("success").as_bool());
    EXPECT_EQ(body.at("error").as_string(), code);
    EXPECT_EQ(body.at("code").as_string(), code);
    EXPECT_FALSE(body.at("message").as_string().empty());
  }
  void write(const std::string& path, const std::string& content) {
    EXPECT_EQ(ask("POST", "/files/write", json::serialize(json::object{{"path", path}, {"content", content}})).status,
              201);
  }
  std::unique_ptr<WebSocket> open_socket() {
    auto socket = run(client_->websocket(kBase + "/ws", {}));
    EXPECT_TRUE(socket) << socket.error().message;
    return std::move(*socket);
  }
  std::string read_frame(WebSocket& socket) {
    auto message = run(socket.read());
    if (!message || !*message) return "closed";
    return std::string((*message)->kind == WebSocket::Kind::binary ? "b" : "t") + (*message)->bytes;
  }
  void settle() { EXPECT_TRUE(run(loop::sleep_for(30ms))); }

  const std::string kBase = "/workspace/box/runtime";
};

}  // namespace cofferdam::api
