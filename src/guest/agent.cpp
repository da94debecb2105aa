#include "guest/agent.h"

#include <malloc.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <type_traits>

#include "base/file.h"
#include "base/log.h"
#include "base/text.h"
#include "guest/cgroups.h"
#include "guest/dial_service.h"
#include "guest/metrics.h"
#include "guest/mounts.h"
#include "guest/net_config.h"
#include "guest/walk_service.h"
#include "guest/watch_service.h"

namespace cofferdam::guest {
namespace {

using wire::Op;

constexpr std::uint64_t kMinReservedBytes = 12U << 20;
constexpr std::uint64_t kReservedPercent = 4;
constexpr auto kTermPatience = std::chrono::seconds(2);
constexpr auto kExitPoll = std::chrono::milliseconds(10);

template <class T>
wire::Response response_of(Result<T> result) {
  if (!result) return wire::refusal(std::move(result.error()));
  if constexpr (std::is_void_v<T>) {
    return {};
  } else {
    return {{}, wire::encode(*result)};
  }
}

std::uint64_t features_of(Role role) { return role == Role::init ? wire::kFeatureInit | wire::kFeatureCgroups : 0; }

// Of what is free now, and not of the total: the kernel's own share would else be promised twice, and the guest would
// run out of memory before its users reach their limit.
Result<std::uint64_t> user_memory(std::uint64_t reserved) {
  const std::uint64_t available = available_memory_bytes();
  if (reserved == 0) reserved = std::max(kMinReservedBytes, available * kReservedPercent / 100);
  if (available > reserved) return available - reserved;
  return fail(Code::ResourceExhausted,
              cat("the guest has ", format_size(available), " of memory free, and ", format_size(reserved),
                  " of it are reserved"),
              "give it more memory");
}

// Before a template is frozen: what is not in memory is not in the snapshot.
Status drop_caches() {
  ::sync();
  return write_control_file("/proc/sys/vm/drop_caches", "3");
}

}  // namespace

Agent::Agent(Loop& loop, UniqueFd link, Role role)
    : loop_(loop),
      role_(role),
      link_(loop, std::move(link), role == Role::init ? SerialLink::Kind::port : SerialLink::Kind::socket,
            features_of(role),
            {
                [this] { return prepared_ ? wire::BootState::Prepared : wire::BootState::Booted; },
                [this](std::uint32_t stream, const wire::Request& request) { on_call(stream, request); },
                [this](const wire::FrameView& frame) {
                  if (!streams_.on_frame(frame)) processes_.on_frame(frame);
                },
                [this] { on_host_changed(); },
                [this] {
                  processes_.on_writable();
                  streams_.on_writable();
                },
                [this] { loop_.stop(); },
            }),
      processes_(loop, link_),
      streams_(loop, link_),
      aside_(loop, link_) {
  loop_.on_child_end(
      [this](pid_t pid, int wait_status, const rusage& usage) { processes_.on_child_end(pid, wait_status, usage); });
}

Status Agent::use_cgroups() {
  TRY_ASSIGN(CgroupPool pool, CgroupPool::create(kCgroupRoot));
  processes_.use_cgroups(std::move(pool));
  return {};
}

void Agent::serve() {
  link_.start();
  loop_.run();
}

void Agent::on_host_changed() {
  processes_.detach_all();
  streams_.close_all();
  aside_.detach_all();
  writes_.abort_all();
}

void Agent::answer(std::uint32_t stream, const wire::Response& response) {
  link_.queue().push_response(stream, response);
  link_.flush();
}

template <class Message, class Work>
void Agent::reply(std::uint32_t stream, const wire::Request& request, Work work) {
  auto message = wire::decode<Message>(request.body);
  answer(stream, message ? response_of(work(*message)) : wire::refusal(message.error()));
}

template <class Message, class Work>
void Agent::reply_aside(std::uint32_t stream, const wire::Request& request, Work work) {
  auto message = wire::decode<Message>(request.body);
  if (!message) return answer(stream, wire::refusal(message.error()));
  aside_.run(stream, [&] { return response_of(work(*message)); });
}

void Agent::on_call(std::uint32_t stream, const wire::Request& request) {
  switch (request.op) {
    case Op::Ping:
      return reply<wire::Empty>(stream, request, [](const wire::Empty&) { return Status(); });
    case Op::Identity:
      return reply<wire::Identity>(stream, request, [this](const wire::Identity& identity) {
        const Status allowed = need_init();
        return allowed ? identity_.apply(identity) : fail(allowed.error());
      });
    case Op::Prepare:
      return reply<wire::Prepare>(stream, request, [this](const wire::Prepare& p) { return prepare(p); });
    case Op::Clock:
      return reply<wire::Clock>(stream, request, [this](const wire::Clock& clock) -> Status {
        TRY(need_init());
        return set_clock(clock.realtime_ns);
      });
    case Op::Network:
      return reply<wire::Network>(stream, request, [this](const wire::Network& n) { return configure(n); });
    case Op::Mount:
      return reply<wire::Mount>(stream, request, [this](const wire::Mount& mount) -> Status {
        TRY(need_init());
        TRY(need_root());
        return mount_one(mount);
      });
    case Op::Metrics:
      return reply<wire::Empty>(stream, request,
                                [](const wire::Empty&) { return Result<wire::Metrics>(read_metrics()); });
    case Op::KernelLog:
      return reply<wire::Empty>(stream, request, [](const wire::Empty&) { return read_kernel_log(); });
    case Op::DropCaches:
      ::malloc_trim(0);
      return reply_aside<wire::Empty>(stream, request, [this](const wire::Empty&) -> Status {
        TRY(need_init());
        return drop_caches();
      });
    case Op::Warm:
      return reply_aside<wire::Warm>(stream, request, [this](const wire::Warm& warm) {
        return warm_files(warm, role_ == Role::init && !prepared_ ? kLowerRoot : "");
      });
    case Op::PowerOff:
      return power_off(stream);
    case Op::ProcessStart:
      return start_process(stream, request);
    case Op::ProcessList:
      return reply<wire::ProcessListRequest>(stream, request, &list_processes);
    case Op::TaskList:
      return reply<wire::Empty>(stream, request,
                                [this](const wire::Empty&) { return Result<wire::TaskListResult>(processes_.list()); });
    case Op::TaskForget:
      return reply<wire::TaskRef>(stream, request,
                                  [this](const wire::TaskRef& task) { return processes_.forget(task.stream); });
    case Op::Attach:
      return attach(stream, request);
    case Op::FileStat:
      return reply<wire::FileStat>(stream, request, &stat_file);
    case Op::FileList:
      return reply<wire::FileList>(stream, request, &list_folder);
    case Op::FileRead:
      return reply<wire::FileRead>(stream, request, &read_range);
    case Op::FileWriteOpen:
      return reply<wire::FileWriteOpen>(stream, request, [this](const wire::FileWriteOpen& open) {
        return writes_.open(open, processes_.defaults().user);
      });
    case Op::Place:
      return reply<wire::Place>(stream, request, [this](const wire::Place& place) {
        return writes_.place(place, processes_.defaults().user);
      });
    case Op::FileWriteChunk:
      return reply<wire::FileWriteChunk>(stream, request,
                                         [this](const wire::FileWriteChunk& chunk) { return writes_.write(chunk); });
    case Op::FileWriteCommit:
      return commit(stream, request);
    case Op::FileWriteAbort:
      return reply<wire::FileHandle>(stream, request, [this](const wire::FileHandle& handle) {
        writes_.abort(handle.handle);
        return Status();
      });
    case Op::Mkdir:
      return reply<wire::Mkdir>(
          stream, request, [this](const wire::Mkdir& mkdir) { return make_folder(mkdir, processes_.defaults().user); });
    case Op::Remove:
      return reply_aside<wire::Remove>(stream, request, &remove_path);
    case Op::Rename:
      return reply<wire::Rename>(stream, request, &rename_path);
    case Op::MakeSymlink:
      return reply<wire::MakeSymlink>(stream, request, [this](const wire::MakeSymlink& link) {
        return make_symlink(link, processes_.defaults().user);
      });
    case Op::SetAttributes:
      return reply<wire::SetAttributes>(stream, request, &set_attributes);
    case Op::Walk:
      return open_stream<wire::Walk>(stream, request, [this, stream](const wire::Walk& walk) {
        return open_walk(loop_, link_, streams_, stream, walk);
      });
    case Op::WatchOpen:
      return open_stream<wire::WatchOpen>(stream, request, [this, stream](const wire::WatchOpen& watch) {
        return open_watch(loop_, link_, streams_, stream, watch);
      });
    case Op::Dial:
      return open_stream<wire::Dial>(stream, request, [this, stream](const wire::Dial& dial) {
        return open_dial(loop_, link_, streams_, stream, dial);
      });
  }
}

Status Agent::need_init() const {
  if (role_ == Role::init) return {};
  return fail(Code::FailedPrecondition, "this agent is not the init of a guest");
}

Status Agent::need_root() const {
  if (role_ == Role::program || prepared_) return {};
  return fail(Code::FailedPrecondition, "the guest has no root file system yet", "call Prepare first");
}

Result<wire::PrepareResult> Agent::prepare(const wire::Prepare& request) {
  TRY(need_init());
  if (prepared_) return fail(Code::FailedPrecondition, "the guest is prepared already");
  wire::PrepareResult result;
  TRY_ASSIGN(result.disk_bytes, enter_root(request.disk));
  TRY(identity_.place_files());

  TRY_ASSIGN(result.user_memory_bytes, user_memory(request.reserved_memory_bytes));
  result.user_max_pids = request.max_pids;
  TRY(limit_user_processes(kCgroupRoot, {result.user_memory_bytes, result.user_max_pids}));
  processes_.set_defaults({request.default_user, request.default_cwd, request.default_env});
  prepared_ = true;
  return result;
}

Status Agent::configure(const wire::Network& request) {
  TRY(need_init());
  TRY(configure_network(request));
  return request.address.empty() ? Status() : identity_.set_dns(request.dns);
}

void Agent::start_process(std::uint32_t stream, const wire::Request& request) {
  const auto message = wire::decode<wire::ProcessStart>(request.body);
  if (!message) return answer(stream, wire::refusal(message.error()));
  if (const Status ready = need_root(); !ready) return answer(stream, wire::refusal(ready.error()));
  if (streams_.contains(stream)) {
    return answer(stream, wire::refusal({Code::AlreadyExists, cat("stream ", stream, " is already open"), ""}));
  }
  processes_.start(stream, *message);
}

template <class Message, class Open>
void Agent::open_stream(std::uint32_t stream, const wire::Request& request, Open open) {
  const auto message = wire::decode<Message>(request.body);
  if (!message) return answer(stream, wire::refusal(message.error()));
  Status opened = need_root();
  // A command that has ended gives its number up.
  if (opened) opened = processes_.forget(stream);
  if (opened) opened = open(*message);
  if (!opened) answer(stream, wire::refusal(opened.error()));
}

void Agent::attach(std::uint32_t stream, const wire::Request& request) {
  auto message = wire::decode<wire::Attach>(request.body);
  if (!message) return answer(stream, wire::refusal(message.error()));
  auto attached = processes_.attach(*message);
  answer(stream, response_of(std::move(attached)));
  // Only now: the answer's figures are those before anything more was sent.
  processes_.pump(message->stream);
}

void Agent::commit(std::uint32_t stream, const wire::Request& request) {
  reply<wire::FileWriteCommit>(stream, request,
                               [this](const wire::FileWriteCommit& commit) { return writes_.commit(commit); });
}

void Agent::power_off(std::uint32_t stream) {
  answer(stream, {});
  if (role_ == Role::program) return loop_.stop();
  // Everybody but PID 1: a database gets its moment to close its files.
  ::kill(-1, SIGTERM);
  wait_for_processes(std::chrono::steady_clock::now() + kTermPatience);
}

void Agent::wait_for_processes(Loop::TimePoint deadline) {
  if (prepared_ && has_user_processes(kCgroupRoot)) {
    if (std::chrono::steady_clock::now() < deadline) {
      loop_.after(kExitPoll, [this, deadline] { wait_for_processes(deadline); });
      return;
    }
    kill_all_user_processes(kCgroupRoot);
  }
  ::sync();
  loop_.stop();
}

}  // namespace cofferdam::guest
