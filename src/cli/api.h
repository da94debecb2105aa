// The HTTP API of cofferd as this program uses it: JSON in, JSON or an Error out.
#pragma once
#include <boost/json/object.hpp>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "cli/session.h"
#include "http/client.h"

namespace cofferdam::cli {

using loop::Task;

class Api {
 public:
  explicit Api(Session& session);

  // The answer's object. An answer that is not a success is the Error it describes; an absent daemon is Unavailable
  // with the hint how to start it.
  Task<boost::json::object> get(std::string target);
  Task<boost::json::object> call(std::string method, std::string target, boost::json::object body = {});
  // The same for a request of any kind, with the body not read yet.
  Task<std::unique_ptr<http::ClientResponse>> open(http::ClientRequest request);
  // Speaks the channel protocol of a command.
  Task<std::unique_ptr<http::WebSocket>> exec_socket(std::string target) {
    return socket(std::move(target), "v5.channel.k8s.io");
  }
  // `protocol`: Sec-WebSocket-Protocol; empty: none.
  Task<std::unique_ptr<http::WebSocket>> socket(std::string target, std::string protocol);

 private:
  void add_token(http::Headers& headers) const;
  const Settings& settings_;
  http::Client client_;
};

// "/workspace/<encoded id>" and what follows it, such as "/stop".
std::string workspace_target(std::string_view id, std::string_view rest = {});

// The Error an answer's body describes; what is no such body is told by its HTTP status.
Error error_of_answer(int http_status, std::string_view body);

// Fields of answers; absent or of another type: empty or 0.
std::string text_field(const boost::json::object& object, std::string_view name);
double number_field(const boost::json::object& object, std::string_view name);
std::int64_t whole_field(const boost::json::object& object, std::string_view name);
bool flag_field(const boost::json::object& object, std::string_view name);
const boost::json::object& object_field(const boost::json::object& object, std::string_view name);
const boost::json::array& array_field(const boost::json::object& object, std::string_view name);

}  // namespace cofferdam::cli
