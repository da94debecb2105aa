#include "guest/walk_service.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <memory>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"
#include "guest/byte_flow.h"
#include "guest/file_info.h"
#include "guest/glob.h"

namespace cofferdam::guest {
namespace {

constexpr std::size_t kBatchBytes = 48U << 10;
constexpr std::size_t kBatchEntries = 1024;
// What an entry takes beside its texts, at most.
constexpr std::size_t kEntryBytes = 64;
static_assert(kBatchBytes + kEntryBytes + 2 * wire::kMaxPath <= wire::kMaxWalkBatch);
// One for each folder on the way down: that many times that much is what a walk may need.
constexpr std::size_t kFolderBuffer = 8U << 10;

// The child's work: one thread, blocking calls, memory for one path and one batch.
class Walker {
 public:
  Walker(wire::Walk request, Excludes excludes, bool from_slash, UniqueFd out)
      : request_(std::move(request)), excludes_(std::move(excludes)), from_slash_(from_slash), out_(std::move(out)) {}

  Status run(UniqueFd root) {
    enter(std::move(root), 0);
    while (!levels_.empty()) {
      Level& level = levels_.back();
      if (level.at == level.end) {
        if (!fill(level)) levels_.pop_back();
        continue;
      }
      const auto* entry = reinterpret_cast<const dirent64*>(level.bytes->data() + level.at);
      level.at += entry->d_reclen;
      TRY_ASSIGN(const bool go_on, take(level, entry->d_name));
      if (!go_on) break;
    }
    batch_.end = wire::WalkEnd{stop_, unreadable_};
    return flush();
  }

 private:
  struct Level {
    UniqueFd fd;
    std::unique_ptr<std::array<char, kFolderBuffer>> bytes;
    long at = 0;
    long end = 0;
    std::size_t path_size = 0;  // of the folder's own path in path_
  };

  void enter(UniqueFd folder, std::size_t path_size) {
    levels_.push_back({std::move(folder), std::make_unique<std::array<char, kFolderBuffer>>(), 0, 0, path_size});
  }

  bool fill(Level& level) {
    level.at = 0;
    level.end = ::syscall(SYS_getdents64, level.fd.get(), level.bytes->data(), level.bytes->size());
    if (level.end < 0) ++unreadable_;
    return level.end > 0;
  }

  // False when the walk is over.
  Result<bool> take(const Level& level, std::string_view name) {
    if (name == "." || name == "..") return true;
    path_.resize(level.path_size);
    if (!path_.empty()) path_ += '/';
    path_ += name;
    if (excludes_.fits(path_, name)) return true;
    struct stat info{};
    // Removed since: nothing to tell.
    const char* last = path_.c_str() + path_.size() - name.size();
    if (::fstatat(level.fd.get(), last, &info, AT_SYMLINK_NOFOLLOW) != 0) return true;
    if (path_.size() > wire::kMaxPath) {
      ++unreadable_;
      return true;
    }
    if (told_ == request_.max_entries) {
      stop_ = wire::WalkStop::TooManyEntries;
      return false;
    }
    ++told_;
    auto& told = batch_.entries.emplace_back(info_of(path_, info));
    if (S_ISLNK(info.st_mode)) told.link_target = link_target(level.fd.get(), last);
    batch_bytes_ += kEntryBytes + told.name.size() + told.link_target.size();
    if (batch_bytes_ >= kBatchBytes || batch_.entries.size() >= kBatchEntries) TRY(flush());
    if (S_ISDIR(info.st_mode)) descend(level.fd.get(), last);
    return true;
  }

  void descend(int folder, const char* name) {
    if (levels_.size() >= request_.max_depth) return;
    if (from_slash_ && levels_.size() == 1 && is_kernel_folder("/" + path_)) return;
    UniqueFd below(::openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (below) {
      enter(std::move(below), path_.size());
    } else if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
      ++unreadable_;
    }
  }

  Status flush() {
    const std::string batch = wire::encode(batch_);
    std::string bytes;
    ByteWriter(bytes).text(batch);
    batch_ = {};
    batch_bytes_ = 0;
    return write_all(out_.get(), bytes);
  }

  const wire::Walk request_;
  const Excludes excludes_;
  const bool from_slash_;
  UniqueFd out_;
  std::vector<Level> levels_;
  std::string path_;  // relative to the root
  wire::WalkBatch batch_;
  std::size_t batch_bytes_ = 0;
  std::uint32_t told_ = 0;
  std::uint32_t unreadable_ = 0;
  wire::WalkStop stop_ = wire::WalkStop::Complete;
};

class WalkStream final : public Stream {
 public:
  WalkStream(Loop& loop, SerialLink& link, std::uint32_t stream, std::uint32_t credit, UniqueFd helper)
      : helper_(std::move(helper)), out_(loop, link, stream, credit) {}
  WalkStream(const WalkStream&) = delete;
  WalkStream& operator=(const WalkStream&) = delete;
  // By descriptor: its number may be somebody else's by now.
  ~WalkStream() override { ::syscall(SYS_pidfd_send_signal, helper_.get(), SIGKILL, nullptr, 0); }
  void begin(UniqueFd pipe) { out_.open(std::move(pipe)); }
  void on_credit(std::uint32_t bytes) override { out_.add_credit(bytes); }
  void pump() override { out_.pump(); }

 private:
  UniqueFd helper_;
  Outflow out_;
};

// The agent's descriptors must not live on in a child that may wait for its reader for long: an input that the agent
// closes would not be at its end.
void keep_only(UniqueFd& first, UniqueFd& second) {
  constexpr int kAbove = 16;
  const int high_first = ::fcntl(first.get(), F_DUPFD, kAbove);
  const int high_second = ::fcntl(second.get(), F_DUPFD, kAbove);
  (void)first.release();
  (void)second.release();
  first = UniqueFd(::dup2(high_first, 3));
  second = UniqueFd(::dup2(high_second, 4));
  ::close_range(5, ~0U, 0);
}

}  // namespace

Status open_walk(Loop& loop, SerialLink& link, StreamTable& table, std::uint32_t stream, const wire::Walk& request) {
  TRY(table.admit(stream, StreamKind::walk));
  TRY(check_path(request.path));
  TRY_ASSIGN(Excludes excludes, Excludes::create(request.excludes));
  TRY_ASSIGN(const std::string real, real_path(request.path));
  TRY_ASSIGN(UniqueFd root, open_folder(real));
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail_errno("make a pipe");
  UniqueFd read_end(fds[0]);
  UniqueFd write_end(fds[1]);
  if (::fcntl(read_end.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("make a pipe");
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("start a helper");
  if (pid == 0) {
    keep_only(root, write_end);
    Walker walker(request, std::move(excludes), real == "/", std::move(write_end));
    ::_exit(walker.run(std::move(root)) ? 0 : 1);
  }
  // Not reaped before the loop's next round: the number is the child's. Without a descriptor for it, it ends when it
  // writes and nobody reads.
  UniqueFd helper(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  auto walk = std::make_unique<WalkStream>(loop, link, stream, request.credit, std::move(helper));
  WalkStream& opened = *walk;
  table.add(stream, StreamKind::walk, std::move(walk));
  write_end.reset();
  link.queue().push_response(stream, {});
  opened.begin(std::move(read_end));
  return {};
}

}  // namespace cofferdam::guest
