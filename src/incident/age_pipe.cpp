#include "incident/age_pipe.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/write.hpp>
#include <memory>
#include <optional>

#include "base/process.h"
#include "base/text.h"
#include "loop/child.h"
#include "loop/deadline.h"

namespace cofferdam::incident {
namespace {

namespace asio = loop::asio;

constexpr std::size_t kPiece = 64U << 10;
constexpr std::size_t kMaxWords = 2000;                                // of what it says on stderr
constexpr std::chrono::milliseconds kStall = std::chrono::minutes(2);  // no byte comes out, though some go in
constexpr std::chrono::milliseconds kEnd = std::chrono::seconds(10);

struct Pipe {
  UniqueFd read, write;
};

Result<Pipe> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe");
  return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

class Program : public std::enable_shared_from_this<Program> {
 public:
  Program(const asio::any_io_executor& executor, std::string name, Process process, UniqueFd in, UniqueFd out,
          UniqueFd words, EvidenceBytes from)
      : name_(std::move(name)),
        process_(std::move(process)),
        in_(executor, in.release()),
        out_(executor, out.release()),
        words_(std::move(words)),
        from_(std::move(from)) {}

  // Everything into it, until there is no more or it takes no more.
  static Task<void> feed(std::shared_ptr<Program> self) {
    auto fed = co_await self->feed_all();
    if (!fed && !self->failed_) self->failed_ = fed.error();
    if (!fed) self->process_.kill(SIGKILL);
    boost::system::error_code ignored;
    self->in_.close(ignored);
    co_return Status{};
  }

  Task<std::string> next() {
    std::string piece(kPiece, '\0');
    auto read = co_await loop::with_deadline(read_some(piece), kStall, name_);
    if (!read) co_return fail(failed_.value_or(std::move(read.error())));
    piece.resize(*read);
    if (!piece.empty()) co_return piece;
    CO_TRY(co_await end());
    co_return piece;
  }

  // Nobody wants any more of it.
  void give_up() {
    if (!ended_) process_.kill(SIGKILL);
    boost::system::error_code ignored;
    in_.close(ignored);
    out_.close(ignored);
  }

 private:
  Task<void> feed_all() {
    for (;;) {
      CO_TRY_ASSIGN(const std::string piece, co_await from_());
      if (piece.empty()) co_return Status{};
      auto [ec, written] = co_await asio::async_write(in_, asio::buffer(piece), loop::as_result);
      if (ec) co_return fail(loop::asio_error(cat("write to ", name_), ec));
    }
  }
  Task<std::size_t> read_some(std::string& piece) {
    auto [ec, got] = co_await out_.async_read_some(asio::buffer(piece), loop::as_result);
    if (ec && ec != asio::error::eof) co_return fail(loop::asio_error(cat("read from ", name_), ec));
    co_return got;
  }
  Task<void> end() {
    auto status = co_await loop::with_deadline(loop::wait_for_exit(process_), kEnd, cat("the end of ", name_));
    if (!status) co_return fail(failed_.value_or(std::move(status.error())));
    ended_ = true;
    std::string said(kMaxWords, '\0');
    const ssize_t got = ::read(words_.get(), said.data(), said.size());
    said.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    // Why it ended is what it says itself, unless it was ended because there was nothing more to give it.
    if (*status != 0 && *status != 128 + SIGKILL) {
      co_return fail(Code::Internal, cat(name_, " ended with status ", *status, ": ", trim(said)),
                     "it is Debian's package `age`");
    }
    if (failed_) co_return fail(*failed_);
    if (*status != 0) co_return fail(Code::Internal, cat(name_, " was killed"));
    co_return Status{};
  }

  std::string name_;
  Process process_;
  asio::posix::stream_descriptor in_, out_;
  UniqueFd words_;
  EvidenceBytes from_;
  std::optional<Error> failed_;
  bool ended_ = false;
};

// Ends the program with its last reader.
struct Reader {
  explicit Reader(std::shared_ptr<Program> source) : program(std::move(source)) {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;
  ~Reader() { program->give_up(); }
  std::shared_ptr<Program> program;
};

}  // namespace

Result<EvidenceBytes> through_program(const asio::any_io_executor& executor, loop::TaskGroup& tasks,
                                      std::vector<std::string> argv, EvidenceBytes from) {
  TRY_ASSIGN(auto in, make_pipe());
  TRY_ASSIGN(auto out, make_pipe());
  TRY_ASSIGN(auto words, make_pipe());
  if (::fcntl(words.read.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("set a pipe");
  SpawnOptions spawn;
  spawn.argv = std::move(argv);
  spawn.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  spawn.new_session = true;
  spawn.fds = {{in.read.get(), 0}, {out.write.get(), 1}, {words.write.get(), 2}};
  TRY_ASSIGN(Process process, Process::spawn(spawn));
  auto program = std::make_shared<Program>(executor, "age", std::move(process), std::move(in.write),
                                           std::move(out.read), std::move(words.read), std::move(from));
  tasks.spawn("bytes for age", Program::feed(program));
  auto reader = std::make_shared<Reader>(std::move(program));
  EvidenceBytes next = [reader] { return reader->program->next(); };
  return next;
}

}  // namespace cofferdam::incident
