#include "vm/accelerator.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <x86intrin.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <thread>

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"

namespace cofferdam::vm {
namespace {

using std::chrono::steady_clock;

constexpr std::chrono::milliseconds kProbeDeadline{2000};
// Hardware virtualisation loses a few per cent on this loop, emulation a factor of a hundred or more.
constexpr double kGoodEnough = 0.25;
constexpr std::size_t kMaxAnswer = 4096;

std::string encode(const Result<KvmTiming>& timing) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(timing ? 1 : 0);
  writer.u64(timing ? static_cast<std::uint64_t>(timing->native.count()) : 0);
  writer.u64(timing ? static_cast<std::uint64_t>(timing->guest.count()) : 0);
  writer.u8(timing ? 0 : static_cast<std::uint8_t>(timing.error().code));
  writer.text(timing ? std::string_view() : std::string_view(timing.error().message).substr(0, 1024));
  return out;
}

Result<KvmTiming> decode(std::string_view bytes) {
  ByteReader reader(as_bytes(bytes));
  const bool ran = reader.u8() == 1;
  KvmTiming timing;
  timing.native = std::chrono::nanoseconds(reader.u64());
  timing.guest = std::chrono::nanoseconds(reader.u64());
  const auto code = static_cast<Code>(reader.u8());
  std::string message(reader.text(1024));
  if (!reader.at_end()) return fail(Code::Internal, "the KVM probe died without an answer");
  if (!ran) return fail(code, std::move(message));
  return timing;
}

// In a child, because KVM_RUN on a bad KVM may never come back. The child uses nothing but the probe, and ends without
// any of our exit handlers.
Result<KvmTiming> probe_in_child() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return fail_errno("pipe for the KVM probe");
  const UniqueFd ours(ends[0]);
  UniqueFd theirs(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) return fail_errno("fork for the KVM probe");
  if (child == 0) {
    (void)write_all(theirs.get(), encode(run_kvm_probe()));
    ::_exit(0);
  }
  theirs.reset();
  pollfd entry{ours.get(), POLLIN, 0};
  const auto deadline = steady_clock::now() + kProbeDeadline;
  int ready = 0;
  do {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
    ready = ::poll(&entry, 1, static_cast<int>(std::max<long>(left, 0)));
  } while (ready < 0 && errno == EINTR);
  if (ready != 1) ::kill(child, SIGKILL);
  const auto answer = ready == 1 ? read_fd(ours.get(), kMaxAnswer) : Result<std::string>(std::string());
  while (::waitpid(child, nullptr, 0) < 0 && errno == EINTR) {
  }
  if (ready != 1) {
    return fail(Code::DeadlineExceeded,
                cat("a test loop of kernel code did not end within ", kProbeDeadline.count() / 1000, " s under KVM"));
  }
  TRY(answer);
  return decode(*answer);
}

std::string times(double factor) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), factor < 10 ? "%.1f" : "%.0f", factor);
  return text.data();
}

// One reading of both clocks, the tightest of several: a preemption in between would show.
struct ClockPair {
  std::uint64_t ticks = 0;
  steady_clock::time_point time;
};

ClockPair read_clocks() {
  ClockPair best;
  std::uint64_t best_gap = ~0ULL;
  for (int i = 0; i < 16; ++i) {
    const std::uint64_t before = __rdtsc();
    const auto time = steady_clock::now();
    const std::uint64_t after = __rdtsc();
    if (after - before >= best_gap) continue;
    best_gap = after - before;
    best = {before + best_gap / 2, time};
  }
  return best;
}

}  // namespace

Result<AcceleratorChoice> choose_accelerator(Wanted wanted, const Result<KvmTiming>& timing) {
  AcceleratorChoice choice;
  if (wanted == Wanted::tcg) {
    choice.reason = "TCG (software emulation), as asked for";
    return choice;
  }
  if (!timing) {
    const auto& error = timing.error();
    const bool runs = error.code == Code::DeadlineExceeded || error.code == Code::Internal;
    if (wanted == Wanted::kvm && !runs) {
      return fail(Error{Code::FailedPrecondition, cat("KVM was asked for, but: ", error.message),
                        "load kvm_intel or kvm_amd, enable virtualisation in the firmware, or use --accel tcg"});
    }
    choice.kind = wanted == Wanted::kvm ? Accelerator::kvm : Accelerator::tcg;
    choice.reason = wanted == Wanted::kvm ? cat("KVM, as asked for, against the probe: ", error.message)
                                          : cat("TCG (software emulation): no usable KVM here: ", error.message);
    return choice;
  }
  choice.speed_ratio = static_cast<double>(timing->native.count()) /
                       static_cast<double>(std::max<std::int64_t>(timing->guest.count(), 1));
  const bool good = choice.speed_ratio >= kGoodEnough;
  const auto slower = times(1 / choice.speed_ratio);
  if (good || wanted == Wanted::kvm) {
    choice.kind = Accelerator::kvm;
    choice.reason = good ? cat("KVM: kernel code takes ", slower, " times the host's time")
                         : cat("KVM, as asked for, though it runs kernel code ", slower, " times slower than the host");
    return choice;
  }
  choice.reason = cat("TCG (software emulation): KVM here runs kernel code ", slower,
                      " times slower than the host, it is emulated itself");
  return choice;
}

Result<AcceleratorChoice> probe_accelerator(Wanted wanted) {
  if (wanted == Wanted::tcg) return choose_accelerator(wanted, KvmTiming{});
  return choose_accelerator(wanted, probe_in_child());
}

std::uint64_t host_tsc_khz() {
  constexpr std::chrono::milliseconds kInterval{20};
  const auto start = read_clocks();
  std::this_thread::sleep_for(kInterval);
  const auto end = read_clocks();
  const auto taken = std::chrono::duration<double, std::milli>(end.time - start.time).count();
  return static_cast<std::uint64_t>(std::llround(static_cast<double>(end.ticks - start.ticks) / taken));
}

}  // namespace cofferdam::vm
