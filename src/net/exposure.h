// A port of a workspace that can be reached from outside under a name of its own.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "model/danger.h"

namespace cofferdam::net {

inline constexpr std::size_t kMaxExposuresOfOne = 64;

struct Exposure {
  std::string workspace;
  std::uint16_t port = 0;
  std::string slug;          // unique on this host; a DNS label
  std::string label;         // for people
  std::string token_digest;  // SHA-256, hexadecimal, of what a visitor must show; empty: anybody may come
  std::chrono::system_clock::time_point created_at;
};

// The database whose port this usually is, such as "PostgreSQL"; nullptr: none.
const char* database_of_port(std::uint16_t port);
// FailedPrecondition: a database's port that was not forced, or any port of a workspace that is marked as one.
enum class Marked { no, as_database };
Status may_expose(std::uint16_t port, Marked marked, const std::optional<model::ForceExpose>& force);

}  // namespace cofferdam::net
