// The handshake's constants: who speaks what, and the bytes that bring two ends back into step.
#pragma once
#include <array>
#include <cstdint>
#include <string_view>

namespace cofferdam::wire {

// Both ends are built together; a template with another version is rebuilt, never spoken to in an old dialect.
inline constexpr std::uint32_t kProtocolVersion = 4;

// The name of the virtio-serial port that carries the link.
inline constexpr std::string_view kPortName = "cofferdam.agent";

// Neither its first two bytes nor any of its suffixes look like a frame's header, and no prefix repeats inside it.
inline constexpr std::array<char, 16> kSyncBytes = {'\x7f', 'C', 'O', 'F', 'F', 'E', 'R',    'D',
                                                    'A',    'M', '-', 'S', 'Y', 'N', '\xf1', '\x0a'};
inline constexpr std::string_view kSync{kSyncBytes.data(), kSyncBytes.size()};

inline constexpr std::size_t kNonceBytes = 16;
using Nonce = std::array<char, kNonceBytes>;

// What a guest can do beyond the protocol's base, as bits of HelloAck::features.
inline constexpr std::uint64_t kFeatureCgroups = 1U << 0;  // processes are in cgroups of their own
inline constexpr std::uint64_t kFeatureInit = 1U << 1;     // the agent is PID 1: Identity and Prepare work

}  // namespace cofferdam::wire
