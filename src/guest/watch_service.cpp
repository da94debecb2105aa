#include "guest/watch_service.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <deque>
#include <optional>
#include <unordered_set>
#include <utility>

#include "guest/change_queue.h"
#include "guest/file_info.h"
#include "guest/glob.h"
#include "guest/watched_folders.h"

namespace cofferdam::guest {
namespace {

using std::chrono::milliseconds;
using wire::WatchLoss;
using wire::WatchOp;

// Changes of so long are told together, each once.
constexpr milliseconds kDebounce{50};
// A turn of the loop looks through so much, then lets the others have theirs.
constexpr std::size_t kEntriesPerTurn = 512;
constexpr int kFoldersPerTurn = 16;

class WatchStream final : public Stream {
 public:
  WatchStream(Loop& loop, SerialLink& link, std::uint32_t stream, std::uint32_t credit, WatchedFolders folders,
              Excludes excludes)
      : loop_(loop),
        link_(link),
        stream_(stream),
        credit_(credit),
        folders_(std::move(folders)),
        excludes_(std::move(excludes)) {
    // Before the first look, so that nothing is missed between the two.
    loop_.watch(folders_.fd(), EPOLLIN, [this](std::uint32_t) { on_readable(); });
    enqueue(folders_.root_id(), Found::quietly);
    schedule_scan();
  }
  WatchStream(const WatchStream&) = delete;
  WatchStream& operator=(const WatchStream&) = delete;
  ~WatchStream() override {
    if (!ended_) loop_.forget(folders_.fd());
    if (scan_timer_) loop_.cancel(*scan_timer_);
    if (tell_timer_) loop_.cancel(*tell_timer_);
  }

  void on_credit(std::uint32_t bytes) override {
    credit_ = static_cast<std::uint32_t>(std::min<std::uint64_t>(std::uint64_t{credit_} + bytes, wire::kMaxCredit));
    pump();
  }
  void pump() override {
    if (due_) tell();
  }

 private:
  // quietly: what was there before anybody watched. aloud: what has come since, and is told.
  enum class Found { quietly, aloud };
  struct Scan {
    int folder;
    std::uint64_t cursor;
    Found found;
  };

  // ---- the folders ----

  void enqueue(int folder, Found found) {
    if (queued_.insert(folder).second) scans_.push_back({folder, 0, found});
  }

  void schedule_scan() {
    if (scan_timer_ || ended_) return;
    scan_timer_ = loop_.after(milliseconds(0), [this] {
      scan_timer_.reset();
      scan_some();
    });
  }

  void scan_some() {
    std::size_t left = kEntriesPerTurn;
    for (int i = 0; i < kFoldersPerTurn && left > 0 && !scans_.empty(); ++i) {
      const Scan scan = scans_.front();
      scans_.pop_front();
      queued_.erase(scan.folder);
      if (const auto next = look_through(scan, left)) {
        queued_.insert(scan.folder);
        scans_.push_front({scan.folder, *next, scan.found});
      }
    }
    if (!scans_.empty()) return schedule_scan();
    if (std::exchange(counting_, false)) folders_.end_census();
    if (std::exchange(answered_, true)) return;
    const wire::WatchOpened answer{folders_.root(), static_cast<std::uint32_t>(folders_.size())};
    link_.queue().push_response(stream_, {{}, wire::encode(answer)});
    link_.flush();
    pump();
  }

  // Takes at most `left` entries off a folder; where to go on, if that was not all.
  std::optional<std::uint64_t> look_through(const Scan& scan, std::size_t& left) {
    const auto path = folders_.path_of(scan.folder);
    if (!path) return std::nullopt;
    const UniqueFd folder = folders_.open(*path);
    if (!folder) return std::nullopt;
    std::uint64_t last = scan.cursor;
    const auto at_end = each_entry(folder.get(), scan.cursor, *path, [&](const Entry& entry) {
      if (left == 0) return false;
      --left;
      last = entry.next;
      const std::string name(entry.name);
      const std::string entry_path = join_path(*path, name);
      if (excludes_.fits(entry_path, name)) return true;
      if (scan.found == Found::aloud) note(entry_path, WatchOp::Create);
      if (is_folder(folder.get(), name, entry.type)) add_folder(scan.folder, name, entry_path, scan.found);
      return true;
    });
    if (!at_end || *at_end) return std::nullopt;
    return last;
  }

  static bool is_folder(int parent, const std::string& name, unsigned char type) {
    if (type != DT_UNKNOWN) return type == DT_DIR;
    struct stat info{};
    return ::fstatat(parent, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(info.st_mode);
  }

  void add_folder(int parent, const std::string& name, const std::string& path, Found found) {
    if (is_kernel_folder(join_path(folders_.root(), path))) return;
    const auto added = folders_.add(parent, name);
    if (added.outcome == WatchedFolders::Outcome::full && !std::exchange(told_full_, true)) {
      lose(WatchLoss::Folders);
    }
    // What is below a known folder is known too, unless all are being counted.
    if (added.outcome == WatchedFolders::Outcome::added ||
        (added.outcome == WatchedFolders::Outcome::known && counting_)) {
      enqueue(added.id, found);
    }
  }

  // After lost events nobody knows what was missed: all folders are looked at again.
  void count_again() {
    scans_.clear();
    queued_.clear();
    counting_ = true;
    folders_.begin_census();
    enqueue(folders_.root_id(), Found::quietly);
    schedule_scan();
  }

  // ---- the events ----

  void on_readable() {
    alignas(inotify_event) std::array<char, 16U << 10> buffer{};
    const ssize_t n = ::read(folders_.fd(), buffer.data(), buffer.size());
    for (ssize_t at = 0; at < n && !ended_;) {
      const auto* event = reinterpret_cast<const inotify_event*>(buffer.data() + at);
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
      on_event(*event, event->len > 0 ? std::string(event->name) : std::string());
    }
    if (!scans_.empty()) schedule_scan();
  }

  void on_event(const inotify_event& event, const std::string& name) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      lose(WatchLoss::Events);
      return count_again();
    }
    if (event.wd == folders_.root_id() && (event.mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT)) != 0) {
      return end();
    }
    if ((event.mask & IN_IGNORED) != 0) return folders_.forget(event.wd);
    const auto folder = folders_.path_of(event.wd);
    // Without a name: the folder itself, which its parent's watch tells of.
    if (!folder || name.empty()) return;
    const std::string path = join_path(*folder, name);
    if (excludes_.fits(path, name)) return;
    const bool is_folder = (event.mask & IN_ISDIR) != 0;
    if ((event.mask & IN_MOVED_FROM) != 0) {
      note(path, WatchOp::Rename);
      if (is_folder) folders_.detach(event.wd, name);
    } else if ((event.mask & (IN_CREATE | IN_MOVED_TO)) != 0) {
      note(path, WatchOp::Create);
      if (is_folder) add_folder(event.wd, name, path, Found::aloud);
    } else if ((event.mask & IN_DELETE) != 0) {
      note(path, WatchOp::Remove);
    } else if ((event.mask & IN_MODIFY) != 0) {
      note(path, WatchOp::Write);
    } else if ((event.mask & IN_ATTRIB) != 0) {
      note(path, WatchOp::Unknown);
    }
  }

  // The root is gone: that is the last that can be told.
  void end() {
    note("", WatchOp::Remove);
    loop_.forget(folders_.fd());
    ended_ = true;
    scans_.clear();
  }

  // ---- the telling ----

  void note(std::string path, WatchOp op) {
    changes_.add(std::move(path), op);
    schedule_telling();
  }
  void lose(WatchLoss loss) {
    changes_.lose(loss);
    schedule_telling();
  }

  void schedule_telling() {
    if (tell_timer_) return;
    tell_timer_ = loop_.after(kDebounce, [this] {
      tell_timer_.reset();
      due_ = true;
      folders_.remove_detached();
      tell();
    });
  }

  // As far as credit and the link's queue allow; due_ stays until all is told.
  void tell() {
    auto& queue = link_.queue();
    while (answered_ && !changes_.empty() && has_room(queue, stream_)) {
      const auto bytes = changes_.take(std::min<std::size_t>(credit_, wire::kMaxDataBytes));
      if (!bytes) break;
      credit_ -= static_cast<std::uint32_t>(bytes->size());
      queue.push_data(stream_, wire::Channel::Stdout, *bytes);
    }
    if (answered_ && changes_.empty()) {
      due_ = false;
      if (ended_ && !std::exchange(said_end_, true)) queue.push_eof(stream_, wire::Channel::Stdout);
    }
    link_.flush();
  }

  Loop& loop_;
  SerialLink& link_;
  const std::uint32_t stream_;
  std::uint32_t credit_;
  WatchedFolders folders_;
  const Excludes excludes_;
  std::deque<Scan> scans_;          // at most one for a folder
  std::unordered_set<int> queued_;  // those in it
  ChangeQueue changes_;
  std::optional<Loop::TimerId> scan_timer_;
  std::optional<Loop::TimerId> tell_timer_;
  bool answered_ = false;
  bool due_ = false;  // the debounce of what waits is over
  bool counting_ = false;
  bool told_full_ = false;
  bool ended_ = false;
  bool said_end_ = false;
};

}  // namespace

Status open_watch(Loop& loop, SerialLink& link, StreamTable& table, std::uint32_t stream,
                  const wire::WatchOpen& request) {
  TRY(table.admit(stream, StreamKind::watch));
  TRY(check_path(request.root));
  TRY_ASSIGN(Excludes excludes, Excludes::create(request.excludes));
  TRY_ASSIGN(std::string root, real_path(request.root));
  TRY(open_folder(root));
  TRY_ASSIGN(WatchedFolders folders, WatchedFolders::create(std::move(root)));
  table.add(stream, StreamKind::watch,
            std::make_unique<WatchStream>(loop, link, stream, request.credit, std::move(folders), std::move(excludes)));
  return {};
}

}  // namespace cofferdam::guest
