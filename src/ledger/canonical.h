// The one byte form of an entry: what is hashed, kept and proven. Version 1, little-endian:
//
//     u8  version (1)
//     u64 number of the entry
//     i64 time, microseconds since 1970, by the wall clock
//     u64 uptime, microseconds since the host's start, which no clock change moves
//     u16 kind (model/event.h)
//     fields, by ascending number, each at most once and none empty or zero:
//       u8 number, u8 type, and 1: i64 · 2: u32 length, UTF-8 · 3: u32 count, each text as in 2
//
// An entry has one encoding and no other: what decodes encodes to the same bytes again.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.h"
#include "model/event.h"

namespace cofferdam::ledger {

inline constexpr std::size_t kMaxEntryBytes = 64U << 10;

// The fields that entries of all kinds have.
inline constexpr std::uint8_t kActor = 1, kAddress = 2, kRequest = 3, kWorkspace = 4, kNamespace = 5;

struct Stamp {
  std::uint64_t number = 0;
  std::int64_t time_us = 0;
  std::uint64_t uptime_us = 0;
};

using Value = std::variant<std::int64_t, std::string, model::Texts>;
struct Field {
  std::uint8_t number = 0;
  Value value;
};
// As it is read back: fields of kinds that this program does not know are there too.
struct Decoded {
  Stamp stamp;
  std::uint16_t kind = 0;
  std::vector<Field> fields;

  // Empty or 0 when it is absent or of another type.
  [[nodiscard]] std::string_view text(std::uint8_t field) const;
  [[nodiscard]] std::int64_t number(std::uint8_t field) const;
  // "exec.started", or "kind 77" of a newer program.
  [[nodiscard]] std::string kind_text() const;
};

std::string encode(const Stamp& stamp, const model::Entry& entry);
std::string encode(const Decoded& entry);
// InvalidArgument: not the encoding of an entry, or not the canonical one.
Result<Decoded> decode(std::string_view bytes);

// "entry 17 (exec.started of ws_…, 2026-01-31T23:59:59.123Z)".
std::string describe(const Decoded& entry);

}  // namespace cofferdam::ledger
