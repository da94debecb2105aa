#include "wire/message.h"

#include <algorithm>
#include <limits>
#include <type_traits>

namespace cofferdam::wire {
namespace {

// One list of fields per message serves both directions: an Encoder writes each field, a Decoder reads and checks it.
class Encoder {
 public:
  explicit Encoder(std::string& out) : writer_(out) {}

  template <class T>
  void number(const T& value, T /*min*/, T /*max*/) {
    put(value);
  }
  template <class T>
  void number(const T& value) {
    put(value);
  }
  template <class E>
  void choice(const E& value, E /*last*/) {
    put(static_cast<std::underlying_type_t<E>>(value));
  }
  void flag(const bool& value) { writer_.u8(value ? 1 : 0); }
  void text(const std::string& value, std::size_t /*max*/) { writer_.text(value); }
  template <class C, std::size_t N>
  void block(const std::array<C, N>& value) {
    writer_.raw({reinterpret_cast<const char*>(value.data()), N});
  }
  void rest(const std::string_view& value) { writer_.raw(value); }
  void rest(const std::string& value) { writer_.raw(value); }
  template <class T, class F>
  void optional(const std::optional<T>& value, F field) {
    writer_.u8(value ? 1 : 0);
    if (value) field(*value);
  }
  template <class T, class F>
  void list(const std::vector<T>& values, std::size_t /*max*/, F item) {
    writer_.u32(static_cast<std::uint32_t>(values.size()));
    for (const T& value : values) item(value);
  }

 private:
  template <class T>
  void put(T value) {
    if constexpr (sizeof(T) == 1) writer_.u8(static_cast<std::uint8_t>(value));
    if constexpr (sizeof(T) == 2) writer_.u16(static_cast<std::uint16_t>(value));
    if constexpr (sizeof(T) == 4) writer_.u32(static_cast<std::uint32_t>(value));
    if constexpr (sizeof(T) == 8) writer_.u64(static_cast<std::uint64_t>(value));
  }
  ByteWriter writer_;
};

class Decoder {
 public:
  explicit Decoder(ByteSpan in) : reader_(in) {}

  template <class T>
  void number(T& value, T min, T max) {
    value = get<T>();
    require(value >= min && value <= max);
  }
  template <class T>
  void number(T& value) {
    value = get<T>();
  }
  template <class E>
  void choice(E& value, E last) {
    using U = std::make_unsigned_t<std::underlying_type_t<E>>;
    const U raw = get<U>();
    require(raw <= static_cast<U>(last));
    value = static_cast<E>(raw);
  }
  void flag(bool& value) {
    const std::uint8_t raw = reader_.u8();
    require(raw <= 1);
    value = raw == 1;
  }
  void text(std::string& value, std::size_t max) { value = reader_.text(max); }
  template <class C, std::size_t N>
  void block(std::array<C, N>& value) {
    const std::string_view bytes = reader_.raw(N);
    bytes.copy(reinterpret_cast<char*>(value.data()), N);
  }
  void rest(std::string_view& value) { value = reader_.raw(reader_.left()); }
  void rest(std::string& value) { value = reader_.raw(reader_.left()); }
  template <class T, class F>
  void optional(std::optional<T>& value, F field) {
    bool present = false;
    flag(present);
    if (present && ok()) field(value.emplace());
  }
  template <class T, class F>
  void list(std::vector<T>& values, std::size_t max, F item) {
    const std::size_t count = reader_.u32();
    require(count <= max);
    // Every item takes at least a byte: a count that the bytes cannot hold costs nothing.
    require(count <= reader_.left());
    for (std::size_t i = 0; i < count && ok(); ++i) item(values.emplace_back());
  }
  void require(bool holds) { valid_ = valid_ && holds; }
  [[nodiscard]] bool ok() const { return valid_ && reader_.ok(); }
  [[nodiscard]] bool complete() const { return valid_ && reader_.at_end(); }

 private:
  template <class T>
  T get() {
    if constexpr (sizeof(T) == 1) return static_cast<T>(reader_.u8());
    if constexpr (sizeof(T) == 2) return static_cast<T>(reader_.u16());
    if constexpr (sizeof(T) == 4) return static_cast<T>(reader_.u32());
    if constexpr (sizeof(T) == 8) return static_cast<T>(reader_.u64());
  }
  ByteReader reader_;
  bool valid_ = true;
};

constexpr auto kMaxMode = std::uint32_t{07777};
constexpr auto kNoTime = std::int64_t{0};
constexpr auto kLastTime = std::numeric_limits<std::int64_t>::max();

// `M` is const when encoding; `c` is an Encoder or a Decoder.
template <class C, class M>
void text_list(C& c, M& values, std::size_t max_count, std::size_t max_bytes) {
  c.list(values, max_count, [&](auto& text) { c.text(text, max_bytes); });
}
template <class C, class M>
void mac(C& c, M& address) {
  c.optional(address, [&](auto& bytes) { c.block(bytes); });
}

#define FIELDS(Type)                                      \
  template <class C, class M>                             \
    requires std::is_same_v<std::remove_const_t<M>, Type> \
  void fields(C& c, M& m)

FIELDS(Empty) {
  (void)c;
  (void)m;
}
FIELDS(Hello) {
  c.number(m.version);
  c.block(m.nonce);
}
FIELDS(HelloAck) {
  c.number(m.version);
  c.block(m.nonce);
  c.number(m.features);
  c.choice(m.state, BootState::Prepared);
}
FIELDS(Request) {
  c.choice(m.op, kLastOp);
  if constexpr (std::is_same_v<C, Decoder>) c.require(m.op >= Op::Ping);
  c.rest(m.body);
}
FIELDS(Error) {
  c.choice(m.code, Code::Unauthenticated);
  c.text(m.message, kMaxText);
  c.text(m.hint, kMaxText);
}
FIELDS(Response) {
  c.optional(m.error, [&](auto& error) { fields(c, error); });
  c.rest(m.body);
}
FIELDS(Identity) {
  c.block(m.entropy);
  c.number(m.realtime_ns, kNoTime, kLastTime);
  c.text(m.hostname, 64);
  c.text(m.machine_id, 32);
  mac(c, m.mac);
}
FIELDS(IdentityResult) {
  c.text(m.boot_id, 64);
  c.number(m.realtime_ns, kNoTime, kLastTime);
  c.flag(m.reseeded);
}
FIELDS(Prepare) {
  c.text(m.disk, kMaxPath);
  c.text(m.default_user, kMaxName);
  c.text(m.default_cwd, kMaxPath);
  text_list(c, m.default_env, kMaxArgs, kMaxArgBytes);
  c.number(m.max_pids);
  c.number(m.reserved_memory_bytes);
}
FIELDS(PrepareResult) {
  c.number(m.disk_bytes);
  c.number(m.user_memory_bytes);
  c.number(m.user_max_pids);
}
FIELDS(Clock) { c.number(m.realtime_ns, kNoTime, kLastTime); }
FIELDS(Network) {
  c.text(m.interface, 15);
  mac(c, m.mac);
  c.text(m.address, 15);
  c.number(m.prefix, std::uint8_t{0}, std::uint8_t{32});
  c.text(m.gateway, 15);
  text_list(c, m.dns, 3, 15);
  c.number(m.mtu);
}
FIELDS(Mount) {
  c.text(m.source, kMaxPath);
  c.text(m.target, kMaxPath);
  c.text(m.type, kMaxName);
  c.text(m.options, kMaxPath);
  c.flag(m.read_only);
}
FIELDS(KernelLog) { c.text(m.text, kMaxChunk); }
FIELDS(Metrics) {
  c.number(m.memory_total_kib);
  c.number(m.memory_available_kib);
  c.number(m.cpu_user_ms);
  c.number(m.cpu_system_ms);
  c.number(m.cpu_idle_ms);
  c.number(m.cpus);
  c.number(m.disk_total_bytes);
  c.number(m.disk_free_bytes);
  c.number(m.load1_milli);
  c.number(m.processes);
  c.number(m.uptime_ms);
  c.number(m.net_rx_bytes);
  c.number(m.net_tx_bytes);
}
FIELDS(Warm) { text_list(c, m.paths, kMaxWarmPaths, kMaxPath); }
FIELDS(WarmResult) {
  c.number(m.files);
  c.number(m.bytes);
}
FIELDS(TerminalSize) {
  c.number(m.rows);
  c.number(m.cols);
}
FIELDS(ProcessLimits) {
  const auto number = [&](auto& value) { c.number(value); };
  c.optional(m.open_files, number);
  c.optional(m.processes, number);
  c.optional(m.address_space_bytes, number);
  c.optional(m.file_size_bytes, number);
}
FIELDS(ProcessStart) {
  text_list(c, m.argv, kMaxArgs, kMaxArgBytes);
  text_list(c, m.env, kMaxArgs, kMaxArgBytes);
  c.text(m.cwd, kMaxPath);
  c.text(m.user, kMaxName);
  fields(c, m.limits);
  c.choice(m.stdin_mode, StdinMode::Open);
  c.optional(m.terminal, [&](auto& size) { fields(c, size); });
  c.number(m.timeout_ms);
  c.number(m.drain_ms);
  c.number(m.stdout_credit, 0U, kMaxCredit);
  c.number(m.stderr_credit, 0U, kMaxCredit);
  c.text(m.tag, kMaxTag);
  if constexpr (std::is_same_v<C, Decoder>) {
    std::size_t bytes = 0;
    for (const auto& arg : m.argv) bytes += arg.size();
    for (const auto& variable : m.env) bytes += variable.size();
    c.require(!m.argv.empty() && bytes <= kMaxArgBytes);
  }
}
FIELDS(ProcessStarted) {
  c.choice(m.failure, StartFailure::Other);
  c.number(m.error_number);
  c.text(m.message, kMaxText);
  c.number(m.pid);
  c.number(m.stdin_credit, 0U, kMaxCredit);
}
FIELDS(Data) {
  c.choice(m.channel, Channel::Stderr);
  c.rest(m.bytes);
}
FIELDS(Eof) { c.choice(m.channel, Channel::Stderr); }
FIELDS(Credit) {
  c.choice(m.channel, Channel::Stderr);
  c.number(m.bytes, 0U, kMaxCredit);
}
FIELDS(Signal) {
  c.number(m.number, 1, 64);
  c.choice(m.target, SignalTarget::Process);
}
FIELDS(Resize) { fields(c, m.size); }
FIELDS(Exit) {
  c.choice(m.kind, ExitKind::Signaled);
  c.number(m.value, 0, 255);
  c.flag(m.timed_out);
  c.flag(m.oom_killed);
  c.flag(m.killed_stragglers);
  c.number(m.cpu_ms);
  c.number(m.max_rss_kib);
}
FIELDS(ProcessInfo) {
  c.number(m.pid);
  c.number(m.ppid);
  c.number(m.uid);
  c.number(m.state, ' ', '~');
  c.number(m.rss_kib);
  c.number(m.cpu_ms);
  c.number(m.start_ms);
  c.text(m.command, kMaxCommand);
}
FIELDS(ProcessListRequest) {
  c.number(m.after_pid);
  c.number(m.limit, 1U, static_cast<std::uint32_t>(kMaxPage));
}
FIELDS(ProcessListResult) {
  c.list(m.processes, kMaxPage, [&](auto& process) { fields(c, process); });
  c.number(m.next_after_pid);
}
FIELDS(TaskRef) { c.number(m.stream); }
FIELDS(TaskInfo) {
  c.number(m.stream);
  c.number(m.pid);
  c.flag(m.running);
  c.text(m.command, kMaxCommand);
  c.number(m.stdout_bytes);
  c.number(m.stderr_bytes);
  c.text(m.tag, kMaxTag);
}
FIELDS(TaskListResult) {
  c.list(m.tasks, kMaxPage, [&](auto& task) { fields(c, task); });
}
FIELDS(Attach) {
  c.number(m.stream);
  c.number(m.stdout_credit, 0U, kMaxCredit);
  c.number(m.stderr_credit, 0U, kMaxCredit);
}
FIELDS(AttachResult) {
  c.number(m.pid);
  c.flag(m.running);
  c.number(m.stdin_credit, 0U, kMaxCredit);
  c.number(m.stdin_bytes);
  c.number(m.stdout_bytes);
  c.number(m.stderr_bytes);
}
FIELDS(FileInfo) {
  c.text(m.name, kMaxPath);
  c.choice(m.kind, FileKind::BlockDevice);
  c.number(m.mode, 0U, kMaxMode);
  c.number(m.uid);
  c.number(m.gid);
  c.number(m.size);
  c.number(m.mtime_ns);
  c.text(m.link_target, kMaxPath);
}
FIELDS(FileStat) {
  c.text(m.path, kMaxPath);
  c.choice(m.follow, Follow::Yes);
}
FIELDS(FileList) {
  c.text(m.path, kMaxPath);
  c.number(m.cursor);
  c.number(m.limit, 1U, static_cast<std::uint32_t>(kMaxPage));
}
FIELDS(FileListResult) {
  c.list(m.entries, kMaxPage, [&](auto& entry) { fields(c, entry); });
  c.number(m.next_cursor);
}
FIELDS(FileRead) {
  c.text(m.path, kMaxPath);
  c.number(m.offset);
  c.number(m.length, 0U, static_cast<std::uint32_t>(kMaxChunk));
}
FIELDS(FileReadResult) {
  c.text(m.bytes, kMaxChunk);
  c.flag(m.end);
  c.number(m.size);
}
FIELDS(FileWriteOpen) {
  c.text(m.path, kMaxPath);
  c.number(m.mode, 0U, kMaxMode);
  c.choice(m.make_parents, MakeParents::Yes);
  c.text(m.user, kMaxName);
  c.choice(m.write_mode, WriteMode::Append);
}
FIELDS(FileHandle) { c.number(m.handle); }
FIELDS(FileWriteChunk) {
  c.number(m.handle);
  c.text(m.bytes, kMaxChunk);
}
FIELDS(FileWriteCommit) {
  c.number(m.handle);
  c.choice(m.durable, Durable::Yes);
}
FIELDS(Mkdir) {
  c.text(m.path, kMaxPath);
  c.number(m.mode, 0U, kMaxMode);
  c.choice(m.make_parents, MakeParents::Yes);
  c.text(m.user, kMaxName);
}
FIELDS(Remove) {
  c.text(m.path, kMaxPath);
  c.choice(m.recursive, Recursive::Yes);
}
FIELDS(Rename) {
  c.text(m.from, kMaxPath);
  c.text(m.to, kMaxPath);
}
FIELDS(MakeSymlink) {
  c.text(m.target, kMaxPath);
  c.text(m.path, kMaxPath);
  c.choice(m.make_parents, MakeParents::Yes);
  c.text(m.user, kMaxName);
}
FIELDS(Place) {
  c.text(m.root, kMaxPath);
  c.text(m.path, kMaxPath);
  c.choice(m.kind, PlacedKind::HardLink);
  c.number(m.mode, 0U, kMaxMode);
  c.text(m.target, kMaxPath);
  c.text(m.user, kMaxName);
}
FIELDS(SetAttributes) {
  c.text(m.path, kMaxPath);
  c.optional(m.mode, [&](auto& mode) { c.number(mode, 0U, kMaxMode); });
  c.optional(m.mtime_ns, [&](auto& time) { c.number(time); });
}
FIELDS(Walk) {
  c.text(m.path, kMaxPath);
  c.number(m.max_depth, 1U, kMaxWalkDepth);
  c.number(m.max_entries, 1U, kMaxWalkEntries);
  text_list(c, m.excludes, kMaxExcludes, kMaxPattern);
  c.number(m.credit, 0U, kMaxCredit);
}
FIELDS(WalkEnd) {
  c.choice(m.stop, WalkStop::TooManyEntries);
  c.number(m.unreadable);
}
FIELDS(WalkBatch) {
  c.list(m.entries, kMaxPage, [&](auto& entry) { fields(c, entry); });
  c.optional(m.end, [&](auto& end) { fields(c, end); });
}
FIELDS(WatchOpen) {
  c.text(m.root, kMaxPath);
  text_list(c, m.excludes, kMaxExcludes, kMaxPattern);
  c.number(m.credit, 0U, kMaxCredit);
}
FIELDS(WatchOpened) {
  c.text(m.root, kMaxPath);
  c.number(m.folders);
}
FIELDS(WatchEvent) {
  c.text(m.path, kMaxPath);
  c.choice(m.op, WatchOp::Unknown);
}
FIELDS(WatchEvents) {
  c.list(m.events, kMaxPage, [&](auto& event) { fields(c, event); });
  c.choice(m.loss, WatchLoss::Folders);
}
FIELDS(Dial) {
  c.number(m.port, std::uint16_t{1}, std::numeric_limits<std::uint16_t>::max());
  c.number(m.credit, 0U, kMaxCredit);
}
FIELDS(Dialed) { c.number(m.credit, 0U, kMaxCredit); }
#undef FIELDS

}  // namespace

int exit_status_of(StartFailure failure) {
  switch (failure) {
    case StartFailure::None:
      return 0;
    case StartFailure::NotFound:
      return 127;
    case StartFailure::NotExecutable:
      return 126;
    default:
      return 125;
  }
}

Response refusal(Error error) {
  error.message.resize(std::min(error.message.size(), kMaxText));
  error.hint.resize(std::min(error.hint.size(), kMaxText));
  return {std::move(error), {}};
}

template <class Message>
std::string encode(const Message& message) {
  std::string out;
  Encoder encoder(out);
  fields(encoder, message);
  return out;
}

template <class Message>
Result<Message> decode(ByteSpan bytes) {
  Message message;
  Decoder decoder(bytes);
  fields(decoder, message);
  if (!decoder.complete())
    return fail(Code::InvalidArgument, "the other end of the guest link sent a malformed message");
  return message;
}

#define MESSAGE(Type)                             \
  template std::string encode<Type>(const Type&); \
  template Result<Type> decode<Type>(ByteSpan);
#include "wire/message_types.inc"
#undef MESSAGE

}  // namespace cofferdam::wire
