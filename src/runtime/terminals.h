// Terminals of one workspace: they live on while nobody is attached.
#pragma once
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loop/task_group.h"
#include "runtime/events.h"
#include "runtime/tasks.h"

namespace cofferdam::runtime {

inline constexpr std::size_t kMaxTerminals = 10;
inline constexpr std::size_t kDefaultScrollback = 64U << 10;
inline constexpr std::size_t kMaxScrollback = 256U << 10;

struct TerminalRequest {
  std::vector<std::string> command;
  std::uint16_t rows = 24, cols = 80;
  std::size_t scrollback = kDefaultScrollback;
  std::vector<std::string> env;
  std::string cwd, user;
  model::Origin by;  // for the ledger
};

struct TerminalInfo {
  std::uint8_t id = 0;
  std::vector<std::string> command;
  std::uint16_t rows = 0, cols = 0;
  bool alive = true;
  std::optional<int> exit_code;
  Time created_at;
  std::size_t scrollback = 0;  // its bound
};

// Used on the loop's thread only. One per session; what terminals say goes to the session's hub.
class Terminals {
 public:
  Terminals(loop::TaskGroup& group, StartProcess start, SessionHub& hub);
  ~Terminals();
  Terminals(const Terminals&) = delete;
  Terminals& operator=(const Terminals&) = delete;

  // ResourceExhausted: kMaxTerminals are open; one that has ended makes room.
  Task<TerminalInfo> open(TerminalRequest request);
  [[nodiscard]] std::vector<TerminalInfo> list() const;
  [[nodiscard]] Result<TerminalInfo> get(std::uint8_t id) const;
  // Killed with all that runs in it, and forgotten.
  Status close(std::uint8_t id);
  Status resize(std::uint8_t id, std::uint16_t rows, std::uint16_t cols);
  // Like a keyboard: what does not fit while the program reads nothing is lost.
  Status type(std::uint8_t id, std::string_view bytes);
  // The last `most` bytes that are kept.
  [[nodiscard]] Result<std::string> scrollback(std::uint8_t id, std::size_t most) const;
  Status clear_scrollback(std::uint8_t id);
  Status set_scrollback(std::uint8_t id, std::size_t bound);
  // What somebody who attaches now has to hear first.
  void replay(std::deque<SessionEvent>& into) const;

 private:
  struct One;
  using OnePtr = std::shared_ptr<One>;
  Task<void> pump_output(OnePtr one);
  Task<void> pump_input(OnePtr one);
  Task<void> follow(One& one);
  [[nodiscard]] Result<OnePtr> find(std::uint8_t id) const;
  Result<std::uint8_t> free_id();

  loop::TaskGroup& group_;
  StartProcess start_;
  SessionHub& hub_;
  std::map<std::uint8_t, OnePtr> terminals_;
  std::uint8_t last_ = 0;
  std::size_t starting_ = 0;
};

}  // namespace cofferdam::runtime
