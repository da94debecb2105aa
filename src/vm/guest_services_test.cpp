// The host's end of files, walks, watchers and connections: against the real agent, run as an ordinary process, and
// against one that lies.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <optional>
#include <set>
#include <thread>

#include "base/bytes.h"
#include "base/fd_passing.h"
#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "loop/run.h"
#include "vm/guest_connection.h"
#include "vm/guest_files.h"
#include "vm/guest_link.h"
#include "vm/guest_watch.h"

namespace cofferdam::vm {
namespace {

using namespace std::chrono_literals;

constexpr auto kPatience = 30s;

// A link to whatever stands behind a Unix socket, and a loop to run its tasks on.
class LinkTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = "/tmp/vm_test.XXXXXX";
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override {
    if (link_) EXPECT_TRUE(run(link_->stop()));
    EXPECT_TRUE(remove_tree(folder_));
  }
  [[nodiscard]] std::string at(const std::string& name) const { return folder_ + "/" + name; }

  // `serve` gets the other end of the link once the host has connected.
  template <class Serve>
  void connect(Serve serve) {
    const auto listener = listen_unix(at("port"), SOCK_STREAM);
    ASSERT_TRUE(listener);
    auto link = run(GuestLink::connect(at("port")));
    ASSERT_TRUE(link) << link.error().message;
    link_ = std::move(*link);
    auto greeted = begin(link_->greet(Reconnect::no, kPatience));
    io_.poll();
    UniqueFd peer(::accept4(listener->get(), nullptr, nullptr, SOCK_CLOEXEC));
    ASSERT_TRUE(peer);
    serve(std::move(peer));
    const auto done = finish(greeted);
    ASSERT_TRUE(done) << done.error().message;
    ASSERT_EQ(::unlink(at("port").c_str()), 0);
  }

  template <class T>
  loop::Answer<T> begin(Task<T> task) {
    return loop::begin(io_, loop::with_deadline(std::move(task), kPatience, "test"));
  }
  template <class T>
  Result<T> finish(const loop::Answer<T>& answer) {
    io_.restart();
    while (!*answer && io_.run_one() > 0) {
    }
    return std::move(**answer);
  }
  template <class T>
  Result<T> run(Task<T> task) {
    return finish(begin(std::move(task)));
  }

  loop::asio::io_context io_;
  std::string folder_;
  std::shared_ptr<GuestLink> link_;
};

// ---- the real agent ----

class ServicesTest : public LinkTest {
 protected:
  void SetUp() override {
    LinkTest::SetUp();
    connect([this](UniqueFd peer) {
      SpawnOptions options;
      options.argv = {COFFER_GUEST_PROGRAM, "--serve-fd", "3"};
      options.env = {"PATH=/usr/bin:/bin"};
      options.fds = {{peer.get(), 3}, {2, 2}};
      agent_.emplace(*Process::spawn(options));
    });
    files_.emplace(link_);
  }
  Result<void> write(Task<std::unique_ptr<GuestFileWriter>> opening, const std::string& bytes) {
    TRY_ASSIGN(const auto writer, run(std::move(opening)));
    TRY(run(writer->write(bytes)));
    return run(writer->commit());
  }

  std::optional<Process> agent_;
  std::optional<LinkFiles> files_;
};

TEST_F(ServicesTest, what_is_appended_comes_behind_what_is_there) {
  ASSERT_TRUE(write(files_->create(at("file"), 0600, CreateParents::no, ""), "old "));
  ASSERT_TRUE(write(files_->append(at("file"), 0644, CreateParents::no, ""), std::string(100'000, 'n')));
  ASSERT_TRUE(write(files_->append(at("new"), 0640, CreateParents::no, ""), "n"));
  EXPECT_EQ(*read_file(at("file"), 1U << 20), "old " + std::string(100'000, 'n'));
  EXPECT_EQ(run(files_->stat(at("file")))->mode, 0600U);
  EXPECT_EQ(run(files_->stat(at("new")))->mode, 0640U);
}

TEST_F(ServicesTest, a_link_is_made_and_told_with_its_target) {
  ASSERT_TRUE(run(files_->make_symlink("file", at("sub/link"), CreateParents::yes, "")));
  const auto link = run(files_->lstat(at("sub/link")));
  ASSERT_TRUE(link);
  EXPECT_EQ(link->type, FileType::symlink);
  EXPECT_EQ(link->symlink_target, "file");
  EXPECT_EQ(run(files_->stat(at("sub/link"))).error().code, Code::NotFound);
  EXPECT_EQ(run(files_->list(at("sub")))->at(0).symlink_target, "file");
}

TEST_F(ServicesTest, mode_and_time_of_a_folder_are_set) {
  ASSERT_TRUE(make_directories(at("sub"), 0755));
  ASSERT_TRUE(run(files_->set_mode(at("sub"), 01770)));
  ASSERT_TRUE(run(files_->set_modified(at("sub"), 86'400'123)));
  const auto info = run(files_->stat(at("sub")));
  ASSERT_TRUE(info);
  EXPECT_EQ(info->mode, 01770U);
  EXPECT_EQ(info->modified_ms, 86'400'123);
}

TEST_F(ServicesTest, a_walk_brings_every_entry_once) {
  constexpr std::size_t kFiles = 1500;
  for (std::size_t i = 0; i < kFiles; ++i) ASSERT_TRUE(open_file(at(cat("file", i)), O_CREAT | O_WRONLY));
  auto walk = run(files_->walk(folder_, {}));
  ASSERT_TRUE(walk);
  std::set<std::string> names;
  std::size_t batches = 0;
  for (;;) {
    auto batch = run((*walk)->next());
    ASSERT_TRUE(batch) << batch.error().message;
    if (!*batch) break;
    ++batches;
    for (const auto& entry : **batch) EXPECT_TRUE(names.insert(entry.name).second);
  }
  EXPECT_EQ(names.size(), kFiles);
  EXPECT_LT(batches, 30U);
  EXPECT_TRUE((*walk)->summary().complete);
  EXPECT_FALSE(*run((*walk)->next()));
}

TEST_F(ServicesTest, walks_that_are_dropped_make_room_for_others) {
  const std::string name(200, 'n');
  for (int i = 0; i < 800; ++i) ASSERT_TRUE(open_file(at(cat(name, i)), O_CREAT | O_WRONLY));
  for (int i = 0; i < 20; ++i) {
    auto walk = run(files_->walk(folder_, {}));
    ASSERT_TRUE(walk) << walk.error().message;
    ASSERT_TRUE(run((*walk)->next()));
  }
}

TEST_F(ServicesTest, a_watch_tells_changes_by_their_whole_paths_until_its_root_is_gone) {
  ASSERT_TRUE(make_directories(at("root/sub"), 0755));
  auto watch = run(open_guest_watch(link_, {at("root"), {"*.tmp"}}));
  ASSERT_TRUE(watch) << watch.error().message;
  EXPECT_EQ((*watch)->root(), at("root"));
  EXPECT_EQ((*watch)->directory_count(), 2U);
  ASSERT_TRUE(open_file(at("root/sub/x.tmp"), O_CREAT | O_WRONLY));
  ASSERT_TRUE(open_file(at("root/sub/file"), O_CREAT | O_WRONLY));
  auto batch = run((*watch)->read());
  ASSERT_TRUE(batch && *batch);
  ASSERT_EQ((*batch)->changes.size(), 1U);
  EXPECT_EQ((*batch)->changes[0].path, at("root/sub/file"));
  EXPECT_EQ((*batch)->changes[0].op, ChangeOp::create);
  EXPECT_EQ((*batch)->loss, WatchLoss::none);

  ASSERT_TRUE(remove_tree(at("root")));
  std::optional<Change> last;
  for (;;) {
    batch = run((*watch)->read());
    ASSERT_TRUE(batch);
    if (!*batch) break;
    if (!(*batch)->changes.empty()) last = (*batch)->changes.back();
  }
  ASSERT_TRUE(last);
  EXPECT_EQ(last->path, at("root"));
  EXPECT_EQ(last->op, ChangeOp::remove);
}

TEST_F(ServicesTest, excludes_over_their_bounds_are_refused_by_name) {
  EXPECT_EQ(run(open_guest_watch(link_, {folder_, std::vector<std::string>(65, "a")})).error().code,
            Code::InvalidArgument);
  WalkOptions options;
  options.excludes = {std::string(257, 'a')};
  EXPECT_EQ(run(files_->walk(folder_, options)).error().code, Code::InvalidArgument);
}

TEST_F(ServicesTest, watchers_that_are_dropped_make_room_for_others) {
  for (std::size_t i = 0; i < 2 * wire::kMaxWatchers; ++i) {
    auto watch = run(open_guest_watch(link_, {folder_, {}}));
    EXPECT_TRUE(watch) << watch.error().message;
  }
}

// On a port of its own of 127.0.0.1.
UniqueFd listen_on_loopback(std::uint16_t& port) {
  UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) != 0 || ::listen(fd.get(), 16) != 0 ||
      ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    return {};
  }
  port = ntohs(address.sin_port);
  return fd;
}

Task<void> write_and_end(GuestConnection& connection, std::string bytes) {
  CO_TRY(co_await connection.write(std::move(bytes)));
  co_return co_await connection.shut_down_writing();
}

TEST_F(ServicesTest, megabytes_go_there_and_back_while_both_sides_hold_each_other_back) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(port);
  std::thread server([&] {
    const UniqueFd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    std::string buffer(100'000, '\0');
    for (ssize_t n = 0; (n = ::recv(peer.get(), buffer.data(), buffer.size(), 0)) > 0;) {
      if (!write_all(peer.get(), std::string_view(buffer).substr(0, static_cast<std::size_t>(n)))) break;
    }
  });
  auto connection = run(dial_guest(link_, port));
  ASSERT_TRUE(connection) << connection.error().message;
  std::string bytes;
  for (int i = 0; bytes.size() < (3U << 20); ++i) bytes += std::to_string(i);
  const auto writing = begin(write_and_end(**connection, bytes));
  std::string back;
  for (;;) {
    auto piece = run((*connection)->read());
    ASSERT_TRUE(piece) << piece.error().message;
    if (!*piece) break;
    EXPECT_LE((*piece)->size(), 64U << 10);
    back += **piece;
  }
  EXPECT_TRUE(finish(writing));
  EXPECT_EQ(back, bytes);
  server.join();
}

TEST_F(ServicesTest, a_connection_that_goes_ends_its_peer_behind_what_was_written) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(port);
  auto connection = run(dial_guest(link_, port));
  ASSERT_TRUE(connection);
  const UniqueFd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  ASSERT_TRUE(run((*connection)->write("last words")));
  connection->reset();
  ASSERT_TRUE(run(files_->stat("/")));  // gives the link its turn
  std::string heard(100, '\0');
  EXPECT_EQ(::recv(peer.get(), heard.data(), heard.size(), MSG_WAITALL), 10);
}

TEST_F(ServicesTest, a_port_without_a_server_is_refused_by_name) {
  std::uint16_t port = 0;
  {
    const UniqueFd listener = listen_on_loopback(port);
  }
  const auto refused = run(dial_guest(link_, port));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::FailedPrecondition);
  EXPECT_EQ(run(dial_guest(link_, 0)).error().code, Code::InvalidArgument);
}

TEST_F(ServicesTest, what_is_open_when_the_link_ends_says_unavailable) {
  std::uint16_t port = 0;
  const UniqueFd listener = listen_on_loopback(port);
  auto connection = run(dial_guest(link_, port));
  auto watch = run(open_guest_watch(link_, {folder_, {}}));
  ASSERT_TRUE(connection && watch);
  ASSERT_TRUE(run(link_->stop()));
  EXPECT_EQ(run((*connection)->read()).error().code, Code::Unavailable);
  EXPECT_EQ(run((*connection)->write("x")).error().code, Code::Unavailable);
  EXPECT_EQ(run((*watch)->read()).error().code, Code::Unavailable);
  EXPECT_EQ(run(dial_guest(link_, port)).error().code, Code::Unavailable);
}

// ---- an agent that lies ----

// Answers every call with `answer`, and then sends `bytes` and an end on its stream.
class LiarTest : public LinkTest {
 protected:
  void TearDown() override {
    LinkTest::TearDown();
    if (liar_.joinable()) liar_.join();
  }
  void lie(std::string answer, std::string bytes) {
    connect([&](UniqueFd peer) {
      liar_ = std::thread([peer = std::move(peer), answer = std::move(answer), bytes = std::move(bytes)] {
        wire::FrameParser parser;
        wire::SendQueue queue;
        std::string buffer(65536, '\0');
        for (ssize_t n = 0; (n = ::recv(peer.get(), buffer.data(), buffer.size(), 0)) > 0;) {
          std::string_view input(buffer.data(), static_cast<std::size_t>(n));
          while (const auto frame = parser.next(input)) {
            if (frame->type == wire::FrameType::Hello) {
              wire::HelloAck ack;
              ack.nonce = wire::decode<wire::Hello>(frame->payload)->nonce;
              queue.push_handshake(wire::FrameType::HelloAck, wire::encode(ack));
            } else if (frame->type == wire::FrameType::Request) {
              queue.push_response(frame->stream, {{}, answer});
              queue.push_data(frame->stream, wire::Channel::Stdout, bytes);
              queue.push_eof(frame->stream, wire::Channel::Stdout);
            }
          }
          while (!queue.empty()) {
            const std::string piece(queue.peek());
            if (!write_all(peer.get(), piece)) return;
            queue.consume(piece.size());
          }
        }
      });
    });
  }
  static std::string framed(const wire::WalkBatch& batch) {
    std::string bytes;
    ByteWriter(bytes).text(wire::encode(batch));
    return bytes;
  }
  Code walk_code(std::string bytes) {
    lie("", std::move(bytes));
    LinkFiles files(link_);
    WalkOptions options;
    options.max_entries = 2;
    auto walk = run(files.walk("/", options));
    if (!walk) return walk.error().code;
    for (;;) {
      auto batch = run((*walk)->next());
      if (!batch) return batch.error().code;
      if (!*batch) return Code::Unknown;  // all went well
    }
  }

  std::thread liar_;
};

wire::WalkBatch batch_of(std::vector<std::string> names, std::optional<wire::WalkEnd> end = {}) {
  wire::WalkBatch batch;
  for (auto& name : names) batch.entries.emplace_back().name = std::move(name);
  batch.end = end;
  return batch;
}

TEST_F(LiarTest, a_walk_as_it_should_be_ends_well) {
  EXPECT_EQ(walk_code(framed(batch_of({"a", "a/b"})) + framed(batch_of({}, wire::WalkEnd{}))), Code::Unknown);
}
TEST_F(LiarTest, a_walk_that_names_what_is_above_its_root_is_refused) {
  EXPECT_EQ(walk_code(framed(batch_of({"a/../../b"}, wire::WalkEnd{}))), Code::DataLoss);
}
TEST_F(LiarTest, a_walk_that_names_an_absolute_path_is_refused) {
  EXPECT_EQ(walk_code(framed(batch_of({"/etc/passwd"}, wire::WalkEnd{}))), Code::DataLoss);
}
TEST_F(LiarTest, a_walk_of_more_than_was_asked_for_is_refused) {
  EXPECT_EQ(walk_code(framed(batch_of({"a", "b", "c"}))), Code::DataLoss);
}
TEST_F(LiarTest, a_walk_that_tells_nothing_for_ever_is_refused) {
  EXPECT_EQ(walk_code(framed(batch_of({}))), Code::DataLoss);
}
TEST_F(LiarTest, a_walk_that_stops_before_its_end_is_refused) {
  EXPECT_EQ(walk_code(framed(batch_of({"a"}))), Code::DataLoss);
}
TEST_F(LiarTest, a_piece_of_a_walk_over_its_bound_is_refused) {
  EXPECT_EQ(walk_code(std::string("\xff\xff\xff\x7f", 4)), Code::DataLoss);
}
TEST_F(LiarTest, junk_in_a_walk_is_refused) {
  EXPECT_EQ(walk_code(std::string("\x04\0\0\0junk", 8)), Code::InvalidArgument);
}

TEST_F(LiarTest, bytes_that_are_none_are_not_kept) {
  lie(wire::encode(wire::Dialed{0}), "");
  auto connection = run(dial_guest(link_, 80));
  ASSERT_TRUE(connection);
  const auto end = run((*connection)->read());
  ASSERT_TRUE(end);
  EXPECT_FALSE(*end);
}

TEST_F(LiarTest, a_change_outside_of_what_is_watched_is_refused) {
  wire::WatchEvents events;
  events.events = {{"../x", wire::WatchOp::Write}};
  lie(wire::encode(wire::WatchOpened{"/root", 1}), wire::encode(events));
  auto watch = run(open_guest_watch(link_, {"/root", {}}));
  ASSERT_TRUE(watch);
  EXPECT_EQ(run((*watch)->read()).error().code, Code::DataLoss);
}

}  // namespace
}  // namespace cofferdam::vm
