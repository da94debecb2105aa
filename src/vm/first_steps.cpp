#include "vm/first_steps.h"

#include <algorithm>

#include "base/random.h"
#include "vm/guest_process.h"

namespace cofferdam::vm {
namespace {

constexpr std::chrono::seconds kQuick{20};
constexpr std::chrono::seconds kMount{60};
constexpr std::chrono::seconds kRehearsal{10};
// The second meets what only a later command runs through; a third would save next to nothing more.
constexpr int kRehearsals = 2;
constexpr std::chrono::milliseconds kClockSlack{50};
constexpr int kClockTries = 100;

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::array<std::uint8_t, 6> random_mac() {
  const auto random = random_bytes(6);
  std::array<std::uint8_t, 6> mac{};
  std::copy(random.begin(), random.end(), mac.begin());
  // Locally administered, unicast.
  mac[0] = static_cast<std::uint8_t>((mac[0] & 0xfc) | 0x02);
  return mac;
}

}  // namespace

Task<void> set_clock(GuestLink& link) {
  for (int attempt = 0; attempt < kClockTries; ++attempt) {
    const auto begin = std::chrono::steady_clock::now();
    wire::Clock clock;
    clock.realtime_ns = now_ns();
    auto done = co_await link.call<wire::Empty>(wire::Op::Clock, clock, kQuick);
    if (!done) co_return fail(std::move(done.error()).in("clock of a guest"));
    if (std::chrono::steady_clock::now() - begin <= kClockSlack) co_return Status{};
  }
  co_return fail(Code::FailedPrecondition, "clock of a guest: stays more than 50 ms off",
                 "the host is too busy: fewer workspaces at once");
}

Task<void> give_identity(GuestLink& link, Names names) {
  wire::Identity identity;
  const auto entropy = random_bytes(identity.entropy.size());
  std::copy(entropy.begin(), entropy.end(), identity.entropy.begin());
  identity.hostname = std::move(names.hostname);
  identity.machine_id = std::move(names.machine_id);
  identity.mac = random_mac();
  identity.realtime_ns = now_ns();
  const auto begin = std::chrono::steady_clock::now();
  auto answer = co_await link.call<wire::IdentityResult>(wire::Op::Identity, std::move(identity), kQuick);
  if (!answer) co_return fail(std::move(answer.error()).in("identity of a clone"));
  if (!answer->reseeded) co_return fail(Code::FailedPrecondition, "identity of a clone: the guest did not reseed");
  // The guest's clock is behind ours by what passed between our reading and its setting, which is less than the round
  // trip.
  if (std::chrono::steady_clock::now() - begin <= kClockSlack) co_return Status{};
  co_return co_await set_clock(link);
}

Task<void> prepare_root(GuestLink& link, const image::ImageConfig& config) {
  wire::Prepare prepare;
  prepare.default_user = config.user;
  prepare.default_cwd = config.workdir;
  prepare.default_env = config.env;
  auto done = co_await link.call<wire::PrepareResult>(wire::Op::Prepare, std::move(prepare), kMount);
  if (!done) co_return fail(std::move(done.error()).in("mounts of a guest"));
  co_return Status{};
}

// A process of the kind that commands are, to its end.
Task<void> run_nothing(std::shared_ptr<GuestLink> link) {
  model::ExecSpec nothing;
  nothing.argv = {"sh", "-c", "echo; cat </dev/null"};
  nothing.timeout = kRehearsal;
  auto process = co_await start_guest_process(std::move(link), std::move(nothing), kQuick);
  if (!process) co_return fail(std::move(process.error()));
  for (;;) {
    auto output = co_await (*process)->read();
    if (!output) co_return fail(std::move(output.error()));
    if (!*output) co_return Status{};
  }
}

Task<void> rehearse(std::shared_ptr<GuestLink> link) {
  for (int i = 0; i < kRehearsals; ++i) CO_TRY(co_await run_nothing(link));
  co_return Status{};
}

}  // namespace cofferdam::vm
