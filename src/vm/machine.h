// What the rooms above may ask of a virtual machine and its driver. QEMU is one implementation (qemu_machine.h);
// another VMM is another class.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/secure_bytes.h"
#include "base/unique_fd.h"
#include "image/image_store.h"
#include "loop/task.h"
#include "model/workspace_spec.h"
#include "vm/figures.h"

namespace cofferdam::vm {

using loop::Task;

enum class Channel { stdout_, stderr_ };
struct Output {
  Channel channel = Channel::stdout_;
  std::string bytes;
};

// One process in the guest. One reader and one writer at a time. When the object goes, the process is killed with its
// whole group, unless it has ended.
class GuestProcess {
 public:
  virtual ~GuestProcess() = default;
  // The next piece of output in order (at most 64 KiB); nullopt when all was read and the process has ended. The guest
  // is held back (credit) when this is not called.
  virtual Task<std::optional<Output>> read() = 0;
  // How it ended; valid only after read() answered nullopt.
  [[nodiscard]] virtual model::ExitStatus exit_status() const = 0;
  // Gives bytes to stdin; waits for room in the guest. Unavailable when the process closed its stdin.
  virtual Task<void> write(std::string bytes) = 0;
  virtual Task<void> close_stdin() = 0;
  // To the whole process group. Overtakes data.
  virtual Status signal(int signal_number) = 0;
  virtual Status resize(std::uint16_t rows, std::uint16_t cols) = 0;
  // In the guest, as the guest says; 0 when there is none.
  [[nodiscard]] virtual std::uint32_t pid() const { return 0; }
  // It is not killed when the object goes: for a daemon that comes after.
  virtual void leave() {}
};

// A command that a former daemon had started with a tag.
struct LeftProcess {
  std::string tag;  // ExecSpec::tag, by the guest's word
  std::unique_ptr<GuestProcess> process;
  bool output_lost = false;  // some of it went to the former daemon
};

enum class FileType { file, directory, symlink, other };
struct FileInfo {
  std::string name;  // in a listing: the entry's name; else the path
  FileType type = FileType::other;
  std::uint64_t size = 0;
  std::uint32_t mode = 0;  // permission bits
  std::uint32_t uid = 0, gid = 0;
  std::int64_t modified_ms = 0;  // Unix time
  std::string symlink_target;    // of a symlink that was not followed
};

enum class Recursive { no, yes };
enum class CreateParents { no, yes };

// A file being written in the guest: it appears whole at commit(), or never. What append() gave goes to the file as it
// comes, and stays there.
class GuestFileWriter {
 public:
  virtual ~GuestFileWriter() = default;  // without commit: abandoned
  virtual Task<void> write(std::string bytes) = 0;
  virtual Task<void> commit() = 0;
};

// Something put below a folder, whatever it replaces; only a folder never gives way (FailedPrecondition). No symlink
// between the two is followed, whoever changes what lies there meanwhile: InvalidArgument when something that is no
// folder is in the way.
struct PlacedEntry {
  enum class Kind { file, folder, symlink, hard_link } kind = Kind::file;
  std::string root;  // absolute
  std::string path;  // relative to it, without "." and ".."; missing folders are made
  std::uint32_t mode = 0644;
  std::string target;  // of a symlink: any text; of a hard link: the path below the root of a regular file
  // As in ExecSpec::user ("" = the image's default user). With one, a folder that is there already takes it and the
  // mode, and the few files that are the host's word to the guest, such as /etc/hostname, stay as they are.
  std::string owner;
};

struct WalkOptions {
  std::uint32_t max_depth = 20;         // 1: the folder's own entries; at most 128
  std::uint32_t max_entries = 100'000;  // at most 10,000,000
  std::vector<std::string> excludes;    // as WatchSpec's
};
// All that is below a folder, each folder before what it holds, in the file system's order. When the object goes, so
// does the walk.
class GuestWalk {
 public:
  virtual ~GuestWalk() = default;
  // The next entries, at most a few thousand; their names are paths relative to the root, without "." and "..". nullopt
  // at the end. The guest is held back when this is not called.
  virtual Task<std::optional<std::vector<FileInfo>>> next() = 0;
  struct Summary {
    bool complete = false;                 // false: there is more than max_entries
    std::uint32_t unreadable_folders = 0;  // left out
  };
  // Valid only after next() answered nullopt.
  [[nodiscard]] virtual Summary summary() const = 0;
};

// Paths are absolute in the guest. What comes back is the guest's word: bounded, not trusted.
class GuestFiles {
 public:
  virtual ~GuestFiles() = default;
  virtual Task<FileInfo> stat(std::string path) = 0;
  // Of a symlink itself, with its target.
  virtual Task<FileInfo> lstat(std::string path) = 0;
  virtual Task<std::vector<FileInfo>> list(std::string path) = 0;  // at most 100,000 entries
  // At most 48 KiB from `offset`; empty at the end of the file.
  virtual Task<std::string> read(std::string path, std::uint64_t offset) = 0;
  // `owner` as in ExecSpec::user ("" = the image's default user).
  virtual Task<std::unique_ptr<GuestFileWriter>> create(std::string path, std::uint32_t mode, CreateParents parents,
                                                        std::string owner) = 0;
  // The same, to write at the file's end; `mode` and `owner` are of a file that was not there.
  virtual Task<std::unique_ptr<GuestFileWriter>> append(std::string path, std::uint32_t mode, CreateParents parents,
                                                        std::string owner) = 0;
  // See PlacedEntry. A writer for a file, null for all else.
  virtual Task<std::unique_ptr<GuestFileWriter>> place(PlacedEntry entry) = 0;
  virtual Task<void> make_directory(std::string path, std::uint32_t mode, CreateParents parents, std::string owner) = 0;
  virtual Task<void> remove(std::string path, Recursive recursive) = 0;
  virtual Task<void> rename(std::string from, std::string to) = 0;
  // AlreadyExists when something is at `path`.
  virtual Task<void> make_symlink(std::string target, std::string path, CreateParents parents, std::string owner) = 0;
  // Neither follows a symlink at `path`; one has no mode (FailedPrecondition).
  virtual Task<void> set_mode(std::string path, std::uint32_t mode) = 0;
  virtual Task<void> set_modified(std::string path, std::int64_t modified_ms) = 0;
  // Symlinks are told and not followed, but for `root`; /proc, /sys and /dev are not entered from above.
  virtual Task<std::unique_ptr<GuestWalk>> walk(std::string root, WalkOptions options) = 0;
};

struct WatchSpec {
  std::string root;  // a folder
  // Names or globs (*, ?, [a-z]), at most 64 of at most 256 bytes. Without a slash one is held against every entry's
  // name, with one against the whole path below the root; a folder that it fits is left out with all it holds.
  std::vector<std::string> excludes;
};
enum class ChangeOp { create, write, remove, rename, unknown };
struct Change {
  std::string path;  // absolute in the guest
  ChangeOp op = ChangeOp::unknown;
};
// events: more changed than could be kept. folders: there are more folders than can be watched; those over it are not.
enum class WatchLoss { none, events, folders };
struct ChangeBatch {
  std::vector<Change> changes;  // each once, by its last time
  WatchLoss loss = WatchLoss::none;
};

// A watcher in the guest. Symlinks are not followed; new folders are. One reader. When the object goes, so does the
// watcher.
class GuestWatch {
 public:
  virtual ~GuestWatch() = default;
  // Waits for changes: what came within 50 ms comes together. nullopt when the root itself is gone.
  virtual Task<std::optional<ChangeBatch>> read() = 0;
  [[nodiscard]] virtual const std::string& root() const = 0;        // with no symlink in it
  [[nodiscard]] virtual std::uint32_t directory_count() const = 0;  // at the start, the root included
};

// A connection to a server on the guest's own loopback. One reader and one writer at a time. When the object goes, so
// does the connection; what was written still goes to a server that reads.
class GuestConnection {
 public:
  virtual ~GuestConnection() = default;
  // At most 64 KiB; nullopt when the server has ended its side. Aborted when the connection broke. The server is held
  // back when this is not called.
  virtual Task<std::optional<std::string>> read() = 0;
  // Waits for room in the guest. Aborted when the server reads no more.
  virtual Task<void> write(std::string bytes) = 0;
  virtual Task<void> shut_down_writing() = 0;
};

struct GuestMetrics {  // the guest's own word
  std::uint64_t memory_total_bytes = 0, memory_available_bytes = 0;
  std::uint64_t disk_total_bytes = 0, disk_free_bytes = 0;
  std::uint64_t cpu_busy_ms = 0, uptime_ms = 0;
  std::uint32_t processes = 0;
};
struct HostMetrics {  // measured outside the guest
  std::uint64_t cpu_ms = 0;
  std::uint64_t private_memory_bytes = 0;
  std::uint64_t disk_read_bytes = 0, disk_written_bytes = 0;
};
struct GuestProcessInfo {
  std::uint32_t pid = 0, parent_pid = 0, uid = 0;
  char state = '?';
  std::uint64_t rss_kib = 0, cpu_ms = 0;
  std::string command;
  bool is_command = false;  // one of those that start() has started: the host's own knowledge
};

// The guest's card, eth0, as it is to be.
struct GuestNetwork {
  std::array<std::uint8_t, 6> mac{};
  std::string address, gateway;  // IPv4
  std::uint8_t prefix = 32;
  std::vector<std::string> dns;
};

enum class ExitReason { destroyed, ttl, vmm_died, out_of_memory, lease_lost };
struct MachineExit {
  ExitReason reason = ExitReason::vmm_died;
  std::string detail;  // the VMM's last words, bounded
};

enum class Lease {
  daemon,  // ends with the daemon's connection: pool members
  own,     // lives until its TTL or its destruction, whatever happens to the daemon
};
struct Claim {
  std::string hostname;
  std::optional<std::chrono::milliseconds> ttl;
  Lease lease = Lease::own;
};

// What a machine that was saved goes on from. Several machines may: each has its own copy of what it changes.
struct Saved {
  UniqueFd memory;  // sealed
  UniqueFd state;   // of its devices; sealed
};

// A machine's memory at one moment.
class MemoryCopy {
 public:
  MemoryCopy() = default;
  MemoryCopy(const MemoryCopy&) = delete;
  MemoryCopy& operator=(const MemoryCopy&) = delete;
  virtual ~MemoryCopy() = default;
  // All of it that is not zero, as a run of bytes for read_memory(). Blocking, on any thread; once.
  virtual Status write(const std::function<Status(std::string_view)>& sink) = 0;
};
// From what MemoryCopy::write() gave: `source` fills exactly what it is asked for. Blocking. DataLoss when it is no
// such thing, or not of a guest with `bytes` of memory.
Result<UniqueFd> read_memory(const std::function<Status(char* to, std::size_t size)>& source, std::uint64_t bytes);

enum class AfterSave { run_on, stand_still };
struct SaveWish {
  AfterSave after = AfterSave::run_on;
  // An empty image, as MachineSpec::disk, that gets what the disk holds at that moment. None: it is not copied.
  UniqueFd disk;
  SecureBytes disk_passphrase;
};
struct SavedMachine {
  UniqueFd state;
  std::unique_ptr<MemoryCopy> memory;
  std::chrono::microseconds pause{0};  // that the guest saw
};

// A running microVM. All calls after its end answer Unavailable.
class Machine {
 public:
  virtual ~Machine() = default;
  [[nodiscard]] virtual const std::string& id() const = 0;
  // Wakes the guest of a machine that was created on standby, for somebody who waits: it runs on under this host name.
  virtual Task<void> wake(std::string hostname) = 0;
  // Turns a clone into somebody's: a paused one is resumed with fresh entropy, clock and hostname (confirmed by the
  // guest, or the machine must be destroyed); its TTL runs.
  virtual Task<void> claim(Claim claim) = 0;
  virtual Task<void> set_ttl(std::optional<std::chrono::milliseconds> from_now) = 0;
  // The guest stands still until resume(), which sets its clock again; its TTL runs on. Meanwhile what asks the guest
  // ends with its own time limit.
  virtual Task<void> pause() = 0;
  virtual Task<void> resume() = 0;
  // `spec.env` is complete: what the image and the workspace set is already in it.
  virtual Task<std::unique_ptr<GuestProcess>> start(model::ExecSpec spec) = 0;
  // After an adoption, once: what is not taken is killed with the machine's object.
  virtual std::vector<LeftProcess> take_left() { return {}; }
  virtual GuestFiles& files() = 0;
  // At most 5 at once (ResourceExhausted).
  virtual Task<std::unique_ptr<GuestWatch>> watch(WatchSpec spec) = 0;
  // To 127.0.0.1, or to ::1 when nobody listens there. FailedPrecondition: connection refused; DeadlineExceeded: not
  // accepted within 5 s; at most 64 at once (ResourceExhausted).
  virtual Task<std::unique_ptr<GuestConnection>> dial(std::uint16_t port) = 0;
  virtual Task<GuestMetrics> guest_metrics() = 0;
  virtual Task<std::vector<GuestProcessInfo>> processes() = 0;
  virtual Task<HostMetrics> host_metrics() = 0;
  // Cheap: for whoever looks every second.
  virtual Task<Figures> figures() = 0;
  // The same at once, while nothing can have happened that only the VMM would know of. nullopt: it has to be asked.
  virtual std::optional<Figures> figures_at_hand() { return std::nullopt; }
  // What the guest's kernel has said since its template was booted, at most 48 KiB: the guest's word.
  virtual Task<std::string> kernel_log() = 0;
  // The last 64 KiB of the guest's console.
  virtual Task<std::string> console() = 0;
  // Guest file systems synced and the guest powered off, at most `grace`; then as destroy().
  virtual Task<void> shut_down(std::chrono::milliseconds grace) = 0;
  // Memory, devices and disk as they are at one moment, for which the guest stands still. Returns when all is copied;
  // the guest runs on before, if it is to. One at a time.
  virtual Task<SavedMachine> save(SaveWish wish) = 0;
  // What opens its disk, as the machine itself has it: for a daemon that came after the one that made it.
  [[nodiscard]] virtual Result<SecureBytes> disk_passphrase() const = 0;
  // Killed; returns when its VMM's process has ended: its memory and what opens its disk are nowhere any more, and
  // nobody has the disk open. destroy() sees to the rest.
  virtual Task<void> kill() = 0;
  // Killed; returns when process, cgroup, namespaces and run folder are gone.
  virtual Task<void> destroy() = 0;
  // Returns when the machine has ended, for whatever reason. Many may wait.
  virtual Task<MachineExit> wait_for_exit() = 0;
  [[nodiscard]] virtual bool alive() const = 0;
  // Until then the card is down and has no address.
  virtual Task<void> configure_network(GuestNetwork network) = 0;
  // That of the VMM's, which holds the other end of the guest's card, "tap0", and nothing else but "lo".
  [[nodiscard]] virtual Result<UniqueFd> network_namespace() const = 0;
};

// An empty, formatted disk, as the room that knows disks makes it.
struct EmptyDisk {
  std::uint32_t mib = 0;
  std::string form;                        // its format and version: part of what a template depends on
  std::function<Result<UniqueFd>()> open;  // read-only; blocking, on any thread
};

// What clones with a fresh disk grow from: a template in which such a disk is mounted already. A clone's own disk must
// hold what `disk` holds when it starts.
struct Seed {
  Seed() = default;
  Seed(const Seed&) = delete;
  Seed& operator=(const Seed&) = delete;
  virtual ~Seed() = default;
  UniqueFd disk;  // sealed
};

// How far a new machine is taken.
enum class Stage {
  standby,    // the VMM has started, the guest has not: most of the host's part is done. Until wake() all else fails
  rehearsed,  // the guest has its identity and has run a first process, and is paused
};

// A machine that nobody waits for takes what CPU time the others leave, until it is woken or claimed.
enum class Urgency { background, awaited };

struct MachineSpec {
  std::string id;  // "vm_…", new for each machine
  image::Image image;
  model::Shape shape;
  std::uint32_t cpu_millis = 1000;
  model::IoLimits io;
  // A qcow2 image holding an ext4 file system, encrypted as LUKS; read and write.
  UniqueFd disk;
  std::uint64_t disk_bytes = 0;       // that the guest sees: the image is made larger when it has less
  std::uint64_t disk_file_bytes = 0;  // the file may become so large
  SecureBytes disk_passphrase;        // text
  Stage stage = Stage::rehearsed;
  Urgency urgency = Urgency::background;
  std::shared_ptr<const Saved> saved;  // goes on from there, with a disk that holds what it held then; on standby
  std::shared_ptr<const Seed> seed;  // whose disk `disk` holds a copy of; null: any disk, which the clone mounts itself
};

struct AcceleratorInfo {
  std::string name;    // "kvm" or "tcg"
  std::string reason;  // one line: how it was decided
};

enum class Adopted { running, standing_still };

class MachineDriver {
 public:
  virtual ~MachineDriver() = default;
  // A clone of the template for the spec's image and shape (built first where there is none, which takes seconds):
  // as far as its stage says, leased to the daemon. A failure leaves nothing.
  virtual Task<std::shared_ptr<Machine>> create(MachineSpec spec) = 0;
  // The seed for machines with such an empty disk; made first where there is none, which takes seconds.
  virtual Task<std::shared_ptr<const Seed>> seed(image::Image image, model::Shape shape, EmptyDisk empty) = 0;
  // Ids of machines that a former daemon left running.
  virtual Task<std::vector<std::string>> orphans() = 0;
  // Takes such a machine over. To run: it runs afterwards, also when it was paused, and its guest has answered. To
  // stand still: its vCPUs do not run from here on, and its guest is asked nothing before resume(). NotFound when it
  // does not answer: then remove_orphan().
  virtual Task<std::shared_ptr<Machine>> adopt(std::string id, Adopted as) = 0;
  // The places where something of an ended machine could be, each with what was found there: "gone", or what is left.
  virtual Task<std::vector<std::pair<std::string, std::string>>> remains(std::string id) = 0;
  // Kills it and removes everything of it; also what is left of one whose processes are gone.
  virtual Task<void> remove_orphan(std::string id) = 0;
  // The daemon's last call: lets go of every machine. Those leased to the daemon end; the others run on.
  virtual Task<void> release() = 0;
  [[nodiscard]] virtual const AcceleratorInfo& accelerator() const = 0;
  // What a saved machine of this image and shape can go on with, by name: VMM, processor, kernel and so on. All must be
  // as they were when it was saved.
  [[nodiscard]] virtual std::map<std::string, std::string> build_of(const image::Image& image,
                                                                    model::Shape shape) const = 0;
};

}  // namespace cofferdam::vm
