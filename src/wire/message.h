// The messages of the guest link as plain structs, each with a bounded binary form. encode() and decode() exist for
// exactly the structs of this header; decode() refuses what is too long, out of range, cut, or followed by more bytes.
//
// Calls: the host sends Request (op, body struct) on a stream number it chose and gets one Response on it. Streams of
// processes: the number of the ProcessStart call becomes the process's stream; from the Response on it carries Data,
// Eof, Credit, Signal, Resize and at last Exit. A number is free again after the Response, or after Exit.
//
// The calls WatchOpen, Dial and Walk open a stream in the same way. What the guest sends on it is stdout, what the host
// sends is stdin. Eof is an end as it should be; an Exit of the guest's is a breakdown, its value the errno. The host
// ends every such stream, opened or not, with an Exit of its own behind its last Data; no host, no stream: they do not
// wait for the next one.
#pragma once
#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "wire/version.h"

namespace cofferdam::wire {

// ---- bounds ----

inline constexpr std::size_t kMaxMessage = 2U << 20;  // a whole Request or Response, over all its frames
inline constexpr std::size_t kMaxArgs = 4096;
inline constexpr std::size_t kMaxArgBytes = 1U << 20;  // argv and env together
inline constexpr std::size_t kMaxPath = 4095;
inline constexpr std::size_t kMaxName = 255;         // host names, users, file names
inline constexpr std::size_t kMaxText = 4096;        // error texts
inline constexpr std::size_t kMaxChunk = 48U << 10;  // bytes of one FileRead or FileWriteChunk
inline constexpr std::size_t kMaxPage = 4096;        // entries of one listing
inline constexpr std::size_t kMaxCommand = 256;      // the command of a process list's line
inline constexpr std::size_t kMaxTag = 2048;
inline constexpr std::size_t kMaxWarmPaths = 1024;
inline constexpr std::size_t kMaxExcludes = 64;
inline constexpr std::size_t kMaxPattern = 256;          // bytes of one exclude
inline constexpr std::size_t kMaxWatchers = 5;           // open at once
inline constexpr std::size_t kMaxWatchedFolders = 8192;  // of one watcher
inline constexpr std::size_t kMaxDials = 64;             // connections open at once
inline constexpr std::size_t kMaxWalks = 4;              // at once
inline constexpr std::uint32_t kMaxWalkDepth = 128;
inline constexpr std::uint32_t kMaxWalkEntries = 10'000'000;
inline constexpr std::size_t kMaxWalkBatch = 64U << 10;  // bytes of one encoded WalkBatch
inline constexpr std::size_t kEntropyBytes = 64;
inline constexpr std::uint32_t kInitialCredit = 256U << 10;  // what a host grants stdout and stderr at first
inline constexpr std::uint32_t kMaxCredit = 16U << 20;       // more unused credit than this is not counted

// ---- connection ----

struct Hello {  // host -> guest, stream 0, right after kSync
  std::uint32_t version = kProtocolVersion;
  Nonce nonce{};
};

enum class BootState : std::uint8_t { Booted, Prepared };

struct HelloAck {  // guest -> host, stream 0, right after kSync
  std::uint32_t version = kProtocolVersion;
  Nonce nonce{};  // the Hello's; another one is an answer to somebody else
  std::uint64_t features = 0;
  BootState state = BootState::Booted;
};

// ---- calls ----

enum class Op : std::uint16_t {
  Ping = 1,         // Empty -> Empty
  Identity,         // Identity -> IdentityResult
  Prepare,          // Prepare -> PrepareResult
  Clock,            // Clock -> Empty
  Network,          // Network -> Empty
  Mount,            // Mount -> Empty
  Metrics,          // Empty -> Metrics
  DropCaches,       // Empty -> Empty
  Warm,             // Warm -> WarmResult
  PowerOff,         // Empty -> Empty, then the machine goes
  ProcessStart,     // ProcessStart -> ProcessStarted
  ProcessList,      // ProcessListRequest -> ProcessListResult
  TaskList,         // Empty -> TaskListResult
  TaskForget,       // TaskRef -> Empty; only a task that has ended
  Attach,           // Attach -> AttachResult, then the stream's frames go on
  FileStat,         // FileStat -> FileInfo
  FileList,         // FileList -> FileListResult
  FileRead,         // FileRead -> FileReadResult
  FileWriteOpen,    // FileWriteOpen -> FileHandle
  FileWriteChunk,   // FileWriteChunk -> Empty
  FileWriteCommit,  // FileWriteCommit -> FileInfo
  FileWriteAbort,   // FileHandle -> Empty
  Mkdir,            // Mkdir -> Empty
  Remove,           // Remove -> Empty
  Rename,           // Rename -> Empty
  MakeSymlink,      // MakeSymlink -> Empty
  SetAttributes,    // SetAttributes -> Empty
  Walk,             // Walk -> Empty, then a stream of WalkBatch
  WatchOpen,        // WatchOpen -> WatchOpened, then a stream of WatchEvents
  Dial,             // Dial -> Dialed, then a stream of bytes both ways
  Place,            // Place -> FileHandle, 0 but for a file
  KernelLog,        // Empty -> KernelLog
};
inline constexpr auto kLastOp = Op::KernelLog;

struct Empty {};

struct Response {
  std::optional<Error> error{};
  std::string body{};  // the op's answer, encoded; empty with an error
};

struct Request {
  Op op{};
  std::string body{};
};

// ---- the machine ----

struct Identity {
  std::array<char, kEntropyBytes> entropy{};  // fresh from the host, for this clone alone
  std::int64_t realtime_ns = 0;               // since 1970
  std::string hostname{};
  std::string machine_id{};                          // 32 lower-case hex digits
  std::optional<std::array<std::uint8_t, 6>> mac{};  // of eth0; none: left as it is
};

struct IdentityResult {  // sent only when all of it is done
  std::string boot_id{};
  std::int64_t realtime_ns = 0;  // the guest's clock at the answer
  bool reseeded = false;
};

struct Prepare {
  std::string disk = "/dev/vdb";  // ext4
  // Of the image's configuration: what a ProcessStart that leaves them empty gets.
  std::string default_user{};  // "": root
  std::string default_cwd{};   // "": the user's home, else /
  std::vector<std::string> default_env{};
  std::uint32_t max_pids = 4096;            // of all user processes together
  std::uint64_t reserved_memory_bytes = 0;  // kept from user processes; 0: the agent's own choice
};

struct PrepareResult {
  std::uint64_t disk_bytes = 0;
  std::uint64_t user_memory_bytes = 0;  // memory.max of the user processes; 0: no limit could be set
  std::uint32_t user_max_pids = 0;
};

struct Clock {
  std::int64_t realtime_ns = 0;
};

struct Network {
  std::string interface = "eth0";
  std::optional<std::array<std::uint8_t, 6>> mac{};
  std::string address{};  // IPv4, dotted; "": nothing is changed
  std::uint8_t prefix = 0;
  std::string gateway{};           // "": no default route
  std::vector<std::string> dns{};  // at most 3
  std::uint16_t mtu = 0;           // 0: as it is
};

struct Mount {
  std::string source{};
  std::string target{};
  std::string type{};
  std::string options{};
  bool read_only = false;
};

// What the kernel has said since it was booted, with what the agent said before its link was there.
struct KernelLog {
  std::string text{};  // the last kMaxChunk bytes, whole lines
};

struct Metrics {
  std::uint64_t memory_total_kib = 0;
  std::uint64_t memory_available_kib = 0;
  std::uint64_t cpu_user_ms = 0;
  std::uint64_t cpu_system_ms = 0;
  std::uint64_t cpu_idle_ms = 0;
  std::uint32_t cpus = 0;
  std::uint64_t disk_total_bytes = 0;
  std::uint64_t disk_free_bytes = 0;
  std::uint32_t load1_milli = 0;  // load average of one minute, in thousandths
  std::uint32_t processes = 0;
  std::uint64_t uptime_ms = 0;
  std::uint64_t net_rx_bytes = 0;  // all interfaces but lo
  std::uint64_t net_tx_bytes = 0;
};

struct Warm {
  std::vector<std::string> paths{};  // files to read into the page cache
};
struct WarmResult {
  std::uint32_t files = 0;
  std::uint64_t bytes = 0;
};

// ---- processes ----

enum class Channel : std::uint8_t { Stdin, Stdout, Stderr };
enum class StdinMode : std::uint8_t { Closed, Open };
enum class SignalTarget : std::uint8_t { Group, Process };

struct TerminalSize {
  std::uint16_t rows = 24;
  std::uint16_t cols = 80;
};

struct ProcessLimits {  // absent: the guest's default
  std::optional<std::uint64_t> open_files{};
  std::optional<std::uint64_t> processes{};
  std::optional<std::uint64_t> address_space_bytes{};
  std::optional<std::uint64_t> file_size_bytes{};
};

struct ProcessStart {
  std::vector<std::string> argv{};  // at least one; argv[0] is a path, or a name to look up in PATH
  std::vector<std::string> env{};   // "K=V", on top of the image's
  std::string cwd{};                // "": the image's
  std::string user{};               // "": the image's; a name, "uid", "uid:gid", "name:group"
  ProcessLimits limits{};
  StdinMode stdin_mode = StdinMode::Closed;
  std::optional<TerminalSize> terminal{};  // one channel then: stdout carries everything, stdin is always open
  std::uint32_t timeout_ms = 0;            // 0: none; then SIGTERM to the group, SIGKILL 2 s later
  std::uint32_t drain_ms = 2000;           // after its exit, for children that still hold stdout open
  std::uint32_t stdout_credit = kInitialCredit;
  std::uint32_t stderr_credit = kInitialCredit;
  std::string tag{};  // the host's own, for TaskList
};

enum class StartFailure : std::uint8_t { None, NotFound, NotExecutable, NoSuchFolder, NoSuchUser, Other };

// With a failure there is no process, nothing more comes on the stream, and its number is free.
struct ProcessStarted {
  StartFailure failure = StartFailure::None;
  std::int32_t error_number = 0;  // the guest's errno
  std::string message{};
  std::int32_t pid = 0;
  std::uint32_t stdin_credit = 0;
};

// The shell's convention for a start that failed: 127 not found, 126 not executable, else 125.
int exit_status_of(StartFailure failure);

struct Data {
  Channel channel{};
  std::string_view bytes{};  // a view into the frame
};
struct Eof {
  Channel channel{};
};
struct Credit {
  Channel channel{};
  std::uint32_t bytes = 0;
};
struct Signal {
  std::int32_t number = 0;  // 1 to 64
  SignalTarget target = SignalTarget::Group;
};
struct Resize {
  TerminalSize size{};
};

enum class ExitKind : std::uint8_t { Exited, Signaled };
struct Exit {
  ExitKind kind = ExitKind::Exited;
  std::int32_t value = 0;  // the status, or the signal's number
  bool timed_out = false;
  bool oom_killed = false;
  bool killed_stragglers = false;  // children that held the output open past drain_ms
  std::uint64_t cpu_ms = 0;
  std::uint64_t max_rss_kib = 0;
};

struct ProcessInfo {
  std::int32_t pid = 0;
  std::int32_t ppid = 0;
  std::uint32_t uid = 0;
  char state = '?';
  std::uint64_t rss_kib = 0;
  std::uint64_t cpu_ms = 0;
  std::uint64_t start_ms = 0;  // after the guest's boot
  std::string command{};       // arguments, control characters replaced
};
struct ProcessListRequest {
  std::int32_t after_pid = 0;  // 0: from the start
  std::uint32_t limit = 256;
};
struct ProcessListResult {
  std::vector<ProcessInfo> processes{};
  std::int32_t next_after_pid = 0;  // 0: that was all
};

struct TaskRef {
  std::uint32_t stream = 0;
};
struct TaskInfo {
  std::uint32_t stream = 0;
  std::int32_t pid = 0;
  bool running = false;
  std::string command{};
  std::uint64_t stdout_bytes = 0;  // sent so far; a new host sees by it what its predecessor took along
  std::uint64_t stderr_bytes = 0;
  std::string tag{};
};
struct TaskListResult {
  std::vector<TaskInfo> tasks{};
};

struct Attach {
  std::uint32_t stream = 0;
  std::uint32_t stdout_credit = kInitialCredit;
  std::uint32_t stderr_credit = kInitialCredit;
};
struct AttachResult {
  std::int32_t pid = 0;
  bool running = false;
  std::uint32_t stdin_credit = 0;
  std::uint64_t stdin_bytes = 0;  // taken so far
  std::uint64_t stdout_bytes = 0;
  std::uint64_t stderr_bytes = 0;
};

// ---- files ----

enum class FileKind : std::uint8_t { Other, File, Folder, Symlink, Fifo, Socket, CharDevice, BlockDevice };

struct FileInfo {
  std::string name{};  // in a listing: the entry's; else the path asked for
  FileKind kind = FileKind::Other;
  std::uint32_t mode = 0;  // permission bits
  std::uint32_t uid = 0;
  std::uint32_t gid = 0;
  std::uint64_t size = 0;
  std::int64_t mtime_ns = 0;
  std::string link_target{};  // of a symlink that was not followed
};

enum class Follow : std::uint8_t { No, Yes };

struct FileStat {
  std::string path{};
  Follow follow = Follow::Yes;
};
struct FileList {
  std::string path{};
  std::uint64_t cursor = 0;  // 0: from the start; else a result's next_cursor
  std::uint32_t limit = 256;
};
struct FileListResult {
  std::vector<FileInfo> entries{};  // in the folder's own order
  std::uint64_t next_cursor = 0;    // 0: that was all
};
struct FileRead {
  std::string path{};
  std::uint64_t offset = 0;
  std::uint32_t length = kMaxChunk;
};
struct FileReadResult {
  std::string bytes{};
  bool end = false;        // nothing follows
  std::uint64_t size = 0;  // of the whole file now
};

enum class MakeParents : std::uint8_t { No, Yes };

// Replace: goes to a hidden file beside the target and becomes it at the commit: readers see the old or the new
// content. Append: each chunk goes to the file's end as it comes, and stays there without a commit too; mode and owner
// are those of a file that this made.
enum class WriteMode : std::uint8_t { Replace, Append };

struct FileWriteOpen {
  std::string path{};
  std::uint32_t mode = 0644;
  MakeParents make_parents = MakeParents::No;
  std::string user{};  // owner, in ProcessStart's forms; "": the image's user
  WriteMode write_mode = WriteMode::Replace;
};
struct FileHandle {
  std::uint32_t handle = 0;
};
struct FileWriteChunk {
  std::uint32_t handle = 0;
  std::string bytes{};  // appended
};
enum class Durable : std::uint8_t { No, Yes };
struct FileWriteCommit {
  std::uint32_t handle = 0;
  Durable durable = Durable::No;  // Yes: fsync first
};
struct Mkdir {
  std::string path{};
  std::uint32_t mode = 0755;
  MakeParents make_parents = MakeParents::No;
  std::string user{};
};
enum class Recursive : std::uint8_t { No, Yes };
struct Remove {
  std::string path{};
  Recursive recursive = Recursive::No;
};
struct Rename {
  std::string from{};
  std::string to{};  // replaced if it exists
};
struct MakeSymlink {
  std::string target{};  // any text: it need not exist
  std::string path{};    // must not exist
  MakeParents make_parents = MakeParents::No;
  std::string user{};
};
// Something put below a folder, whatever it replaces; only a folder never gives way. No symlink between the two is
// followed, whoever changes what lies there meanwhile. A file is written and committed by its handle.
enum class PlacedKind : std::uint8_t { File, Folder, Symlink, HardLink };
struct Place {
  std::string root{};  // absolute; symlinks on the way to it are followed
  std::string path{};  // relative to it, without "." and ".."; missing folders are made
  PlacedKind kind = PlacedKind::File;
  std::uint32_t mode = 0644;  // of a file or a folder that is made
  std::string target{};       // of a symlink: any text; of a hard link: the path below the root of a regular file
  // Owner, as in FileWriteOpen. With one, a folder that is there takes it and the mode too, and a file that the host
  // has given the guest (its hosts and names, each mounted) stays: what comes for it is dropped.
  std::string user{};
};
struct SetAttributes {  // of the path itself, never of what a link points to
  std::string path{};
  std::optional<std::uint32_t> mode{};  // a link has none
  std::optional<std::int64_t> mtime_ns{};
};

// The entries below a folder, each folder before what it holds. Links are told and not followed, but for the root; the
// kernel's own /proc, /sys and /dev are told and not entered, but as the root. Names are relative to the root. The
// stream is a row of u32 length and WalkBatch, cut into Data frames wherever; only the last batch has an end.
//
// An exclude is a name or a glob (*, ?, [a-z]). Without a slash it is held against every entry's name, with one against
// the whole path below the root; a folder that it fits is left out with all it holds.
struct Walk {
  std::string path{};
  std::uint32_t max_depth = kMaxWalkDepth;  // 1: the root's own entries
  std::uint32_t max_entries = 100'000;
  std::vector<std::string> excludes{};
  std::uint32_t credit = kInitialCredit;
};
enum class WalkStop : std::uint8_t { Complete, TooManyEntries };
struct WalkEnd {
  WalkStop stop = WalkStop::Complete;
  std::uint32_t unreadable = 0;  // folders that could not be opened, or whose path is too long
};
struct WalkBatch {
  std::vector<FileInfo> entries{};
  std::optional<WalkEnd> end{};
};

// ---- changes of files ----

struct WatchOpen {
  std::string root{};                   // a folder
  std::vector<std::string> excludes{};  // as a Walk's
  std::uint32_t credit = kInitialCredit;
};
struct WatchOpened {
  std::string root{};  // with no link in it
  std::uint32_t folders = 0;
};
// Rename: something had this path and has another one now, which comes as a Create if it is watched. Unknown: something
// else about it, such as its mode.
enum class WatchOp : std::uint8_t { Create, Write, Remove, Rename, Unknown };
struct WatchEvent {
  std::string path{};  // below the root; "": the root itself
  WatchOp op = WatchOp::Unknown;
};
// Events: more changes than could be kept. Folders: more folders than can be watched; those over it stay unwatched.
enum class WatchLoss : std::uint8_t { None, Events, Folders };
// One whole Data frame of a watcher's stream; Eof when the root is gone.
struct WatchEvents {
  std::vector<WatchEvent> events{};  // each change once in a batch, by its last time
  WatchLoss loss = WatchLoss::None;  // after these
};

// ---- connections to a server in the guest ----

struct Dial {  // to 127.0.0.1, and to ::1 when nobody listens there
  std::uint16_t port = 0;
  std::uint32_t credit = kInitialCredit;
};
struct Dialed {
  std::uint32_t credit = 0;
};

// ---- codec ----

// The payload of a frame, or the body of a Request or Response. Never fails; what is over a bound will not decode.
template <class Message>
std::string encode(const Message& message);

// InvalidArgument when `bytes` is not exactly one such message within its bounds.
template <class Message>
Result<Message> decode(ByteSpan bytes);
template <class Message>
Result<Message> decode(std::string_view bytes) {
  return decode<Message>(as_bytes(bytes));
}

// A Response that carries an error, its texts cut to their bounds.
Response refusal(Error error);

// What a caller sees of a Response: its decoded body, or the guest's error.
template <class Message>
Result<Message> result_of(const Response& response) {
  if (response.error) return fail(*response.error);
  return decode<Message>(as_bytes(response.body));
}

}  // namespace cofferdam::wire
