// QEMU's machine protocol (QMP, docs/interop/qmp-spec.txt): one client of one monitor socket. The VMM may have been
// taken over by its guest, so what it says is bounded and checked like any hostile input.
#pragma once
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "loop/event.h"
#include "loop/task.h"
#include "loop/task_group.h"

namespace cofferdam::vm {

using loop::Task;

// One line of QMP, understood.
struct QmpLine {
  enum class Kind { greeting, answer, error, event } kind = Kind::event;
  std::uint64_t id = 0;      // of an answer or error
  boost::json::value value;  // an answer's value
  std::string text;          // an error's description, or an event's name
};
// InvalidArgument for anything that is none of the four.
Result<QmpLine> parse_qmp_line(std::string_view line);

class QmpClient {
 public:
  static constexpr std::size_t kMaxLine = 1U << 20;

  // Connects, reads the greeting, enters command mode.
  static Task<std::unique_ptr<QmpClient>> connect(std::string path, std::chrono::milliseconds deadline);
  // Must be stopped first.
  ~QmpClient() = default;
  Task<void> stop();

  // The command's `return` value. Internal with QEMU's own words when it refuses.
  Task<boost::json::value> execute(std::string command, boost::json::object arguments,
                                   std::chrono::milliseconds deadline);

  // The same for a command that takes a descriptor along, such as "add-fd". `fd` stays the caller's.
  Task<boost::json::value> execute_with(int fd, std::string command, boost::json::object arguments,
                                        std::chrono::milliseconds deadline);

  // Gives the VMM a descriptor under a name, for commands that take "fd:NAME". `fd` stays the caller's.
  Task<void> give_descriptor(std::string name, int fd, std::chrono::milliseconds deadline);

 private:
  struct PendingAnswer {
    explicit PendingAnswer(const loop::asio::any_io_executor& executor) : arrived(executor) {}
    loop::Event arrived;
    std::optional<Result<boost::json::value>> answer;
  };
  QmpClient(const loop::asio::any_io_executor& executor, loop::asio::local::stream_protocol::socket socket);
  Task<void> greet();
  Task<boost::json::value> await_answer(PendingAnswer& pending, std::string command,
                                        std::chrono::milliseconds deadline);
  Task<void> read_loop();
  Task<void> write_loop();
  void take(QmpLine line);
  void fail_all(const Error& error);

  loop::asio::any_io_executor executor_;
  loop::asio::local::stream_protocol::socket socket_;
  loop::TaskGroup tasks_;
  loop::Event greeted_;
  loop::Event to_send_;
  bool greeting_seen_ = false;
  std::string unsent_;
  bool writing_ = false;  // the writer is in the middle of some
  std::uint64_t next_id_ = 1;
  std::map<std::uint64_t, PendingAnswer*> pending_;
  std::optional<Error> failure_;
};

}  // namespace cofferdam::vm
