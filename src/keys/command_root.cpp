#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <csignal>
#include <optional>

#include "base/process.h"
#include "base/text.h"
#include "base/unique_fd.h"
#include "keys/holders.h"

namespace cofferdam::keys {
namespace {

// What a pipe holds, so that a program that has ended has said all it could.
constexpr std::size_t kMaxOutput = 64U << 10;
constexpr std::size_t kMaxRoots = 64;
constexpr std::size_t kMaxReason = 200;
constexpr std::string_view kDigits = "0123456789abcdef";

struct Pipe {
  UniqueFd in, out;  // the end that is read, the end that is written
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("make a pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

SecureBytes hex_of(const SecureBytes& bytes) {
  SecureBytes hex(bytes.size() * 2);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto byte = static_cast<unsigned char>(bytes.view()[i]);
    hex.writable()[2 * i] = kDigits[byte >> 4U];
    hex.writable()[2 * i + 1] = kDigits[byte & 15U];
  }
  return hex;
}

std::optional<SecureBytes> bytes_of(std::string_view hex) {
  if (hex.size() != 2 * kRootKeyBytes) return std::nullopt;
  SecureBytes bytes(kRootKeyBytes);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    const auto high = kDigits.find(hex[2 * i]);
    const auto low = kDigits.find(hex[2 * i + 1]);
    if (high == std::string_view::npos || low == std::string_view::npos) return std::nullopt;
    bytes.writable()[i] = static_cast<char>((high << 4U) | low);
  }
  return bytes;
}

// All that is in the pipe now, whoever else still holds its other end.
Result<SecureBytes> drain(const UniqueFd& pipe) {
  if (::fcntl(pipe.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("prepare a pipe");
  SecureBytes room(kMaxOutput);
  std::size_t have = 0;
  while (have < room.size()) {
    const ssize_t n = ::read(pipe.get(), room.writable().data() + have, room.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    have += static_cast<std::size_t>(n);
  }
  return SecureBytes::copy_of(room.view().substr(0, have));
}

// The last line of what a failed program said, without what it was given.
std::string reason_in(std::string_view text, std::string_view secret) {
  text = trim(text);
  text = text.substr(text.rfind('\n') + 1);
  std::string reason(text.substr(0, kMaxReason));
  std::replace_if(reason.begin(), reason.end(), [](unsigned char c) { return c < 0x20 || c > 0x7e; }, '?');
  if (reason.empty()) return "it said nothing";
  // Cut short or changed it would no longer be found: then nothing is shown at all.
  constexpr std::size_t kTelling = 16;
  for (std::size_t i = 0; i + kTelling <= secret.size(); ++i) {
    if (reason.find(secret.substr(i, kTelling)) != std::string::npos) return "its words hold the key and are not shown";
  }
  return reason;
}

class CommandHolder : public RootHolder {
 public:
  CommandHolder(std::string command, std::chrono::milliseconds timeout)
      : command_(std::move(command)), timeout_(timeout) {}

  [[nodiscard]] std::string name() const override { return cat("the command '", command_, "'"); }
  Result<std::vector<Root>> load(const std::string& store) override;
  Status add(const std::string& store, const Root& root) override {
    TRY(call({"put", store, root.id}, hex_of(root.key)));
    return {};
  }
  Status remove(const std::string& store, const std::string& id) override {
    TRY(call({"delete", store, id}, {}));
    return {};
  }

 private:
  Result<SecureBytes> call(const std::vector<std::string>& arguments, const SecureBytes& input);
  Status wait_for(const Process& process, const std::string& what) const;

  std::string command_;
  std::chrono::milliseconds timeout_;
};

Status CommandHolder::wait_for(const Process& process, const std::string& what) const {
  const auto deadline = std::chrono::steady_clock::now() + timeout_;
  for (;;) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
    if (left <= 0) {
      return fail(Code::Unavailable, cat(what, ": it did not end in ", timeout_.count(), " ms"),
                  "see whether what it talks to answers (keys.command_timeout)");
    }
    pollfd ended{process.pidfd(), POLLIN, 0};
    const int ready = ::poll(&ended, 1, static_cast<int>(std::min<long>(left, 1000)));
    if (ready < 0 && errno != EINTR) return fail_errno("wait for a program");
    if (ready > 0) return {};
  }
}

Result<SecureBytes> CommandHolder::call(const std::vector<std::string>& arguments, const SecureBytes& input) {
  const std::string what = cat("'", command_, " ", arguments.front(), "'");
  TRY_ASSIGN(Pipe given, make_pipe());
  TRY_ASSIGN(Pipe said, make_pipe());
  TRY_ASSIGN(Pipe complained, make_pipe());
  // It fits into the pipe, so nobody has to read yet.
  const auto size = static_cast<ssize_t>(input.size());
  if (size > 0 && ::write(given.out.get(), input.view().data(), input.size()) != size) {
    return fail_errno(cat("give ", what, " the root"));
  }
  given.out.reset();
  SpawnOptions options;
  options.argv = {command_};
  options.argv.insert(options.argv.end(), arguments.begin(), arguments.end());
  options.env = current_environment();
  options.fds = {{given.in.get(), 0}, {said.out.get(), 1}, {complained.out.get(), 2}};
  options.new_session = true;
  TRY_ASSIGN(Process process, Process::spawn(options));
  said.out.reset();
  complained.out.reset();
  if (auto ended = wait_for(process, what); !ended) {
    process.kill(SIGKILL);
    return fail(std::move(ended.error()));
  }
  TRY_ASSIGN(const int status, process.wait());
  TRY_ASSIGN(auto out, drain(said.in));
  if (status == 0) return out;
  TRY_ASSIGN(const auto words, drain(complained.in));
  return fail(Code::Unavailable, cat(what, " ended with ", status, ": ", reason_in(words.view(), input.view())),
              "see what it needs by calling it by hand");
}

Result<std::vector<Root>> CommandHolder::load(const std::string& store) {
  TRY_ASSIGN(const auto listed, call({"list", store}, {}));
  std::vector<Root> roots;
  for (const auto& line : split(listed.view(), '\n')) {
    const std::string id(trim(line));
    if (id.empty()) continue;
    if (id.size() > 64 || roots.size() == kMaxRoots ||
        !std::all_of(id.begin(), id.end(), [](unsigned char c) { return std::isalnum(c) != 0 || c == '_'; })) {
      return fail(Code::DataLoss, cat("'", command_, " list' printed what is no list of roots"));
    }
    TRY_ASSIGN(const auto hex, call({"get", store, id}, {}));
    auto key = bytes_of(trim(hex.view()));
    if (!key) return fail(Code::DataLoss, cat("'", command_, " get' printed what is no root: not 64 hex digits"));
    roots.push_back({id, std::move(*key)});
  }
  return roots;
}

}  // namespace

std::unique_ptr<RootHolder> make_command_holder(const std::string& command, std::chrono::milliseconds timeout) {
  return std::make_unique<CommandHolder>(command, timeout);
}

}  // namespace cofferdam::keys
