#include "ledger/canonical.h"

#include <chrono>

#include "base/bytes.h"
#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"

namespace cofferdam::ledger {
namespace {

constexpr std::uint8_t kVersion = 1;
enum class Type : std::uint8_t { number = 1, text = 2, texts = 3 };
constexpr std::size_t kMaxTexts = 4096;
constexpr std::int64_t kMaxTimeUs = INT64_MAX / 1000;  // what the clocks of this host count nanoseconds to

class Writer {
 public:
  Writer(std::string& out, const Stamp& stamp, std::uint16_t kind) : out_(out) {
    out_.u8(kVersion);
    out_.u64(stamp.number);
    out_.i64(stamp.time_us);
    out_.u64(stamp.uptime_us);
    out_.u16(kind);
  }
  void add(std::uint8_t number, std::int64_t value) {
    if (value == 0) return;
    begin(number, Type::number);
    out_.i64(value);
  }
  void add(std::uint8_t number, const std::string& value) {
    if (value.empty()) return;
    begin(number, Type::text);
    out_.text(value);
  }
  void add(std::uint8_t number, const model::Texts& values) {
    if (values.empty()) return;
    begin(number, Type::texts);
    out_.u32(static_cast<std::uint32_t>(values.size()));
    for (const auto& value : values) out_.text(value);
  }

 private:
  void begin(std::uint8_t number, Type type) {
    out_.u8(number);
    out_.u8(static_cast<std::uint8_t>(type));
  }
  ByteWriter out_;
};

tl::unexpected<Error> no_entry(std::string_view why) {
  return fail(Code::InvalidArgument, cat("not an entry of the ledger: ", why));
}

Result<std::string> read_text(ByteReader& in) {
  const auto text = in.text(kMaxEntryBytes);
  if (!in.ok()) return no_entry("it ends within a text");
  if (!is_utf8(text)) return no_entry("a text is not UTF-8");
  return std::string(text);
}

Result<Value> read_value(ByteReader& in) {
  switch (static_cast<Type>(in.u8())) {
    case Type::number: {
      const auto number = in.i64();
      if (number == 0) return no_entry("it ends within a number, or has one that is zero");
      return Value(number);
    }
    case Type::text: {
      TRY_ASSIGN(std::string text, read_text(in));
      if (text.empty()) return no_entry("a text is empty");
      return Value(std::move(text));
    }
    case Type::texts: {
      const std::size_t count = in.u32();
      if (count == 0 || count > kMaxTexts) return no_entry("a list has no texts, or too many");
      model::Texts texts;
      for (std::size_t i = 0; i < count; ++i) {
        TRY_ASSIGN(std::string text, read_text(in));
        texts.push_back(std::move(text));
      }
      return Value(std::move(texts));
    }
  }
  return no_entry("a field is of no known type");
}

}  // namespace

std::string encode(const Stamp& stamp, const model::Entry& entry) {
  std::string bytes;
  Writer writer(bytes, stamp, entry.event.kind().number);
  writer.add(kActor, entry.by.actor);
  writer.add(kAddress, entry.by.address);
  writer.add(kRequest, entry.by.request_id);
  writer.add(kWorkspace, entry.about.workspace_id);
  writer.add(kNamespace, entry.about.namespace_id);
  const auto add = [&](std::uint8_t number, std::string_view, const auto& value) { writer.add(number, value); };
  entry.event.each_field(add);
  return bytes;
}

std::string encode(const Decoded& entry) {
  std::string bytes;
  Writer writer(bytes, entry.stamp, entry.kind);
  for (const auto& field : entry.fields) {
    std::visit([&](const auto& value) { writer.add(field.number, value); }, field.value);
  }
  return bytes;
}

Result<Decoded> decode(std::string_view bytes) {
  if (bytes.size() > kMaxEntryBytes) return no_entry("it is too long");
  ByteReader in(as_bytes(bytes));
  if (in.u8() != kVersion) return no_entry("it is of another version");
  Decoded entry;
  entry.stamp.number = in.u64();
  entry.stamp.time_us = in.i64();
  entry.stamp.uptime_us = in.u64();
  entry.kind = in.u16();
  if (!in.ok() || entry.kind == 0) return no_entry("its head is cut");
  if (entry.stamp.time_us < -kMaxTimeUs || entry.stamp.time_us > kMaxTimeUs)
    return no_entry("it is of no time that this host can tell");
  while (!in.at_end()) {
    Field field;
    field.number = in.u8();
    if (!entry.fields.empty() && field.number <= entry.fields.back().number)
      return no_entry("its fields are not in order");
    if (field.number == 0) return no_entry("a field has no number");
    TRY_ASSIGN(field.value, read_value(in));
    entry.fields.push_back(std::move(field));
  }
  return entry;
}

std::string_view Decoded::text(std::uint8_t field) const {
  for (const auto& each : fields) {
    if (each.number != field) continue;
    const auto* text = std::get_if<std::string>(&each.value);
    return text == nullptr ? std::string_view() : std::string_view(*text);
  }
  return {};
}

std::int64_t Decoded::number(std::uint8_t field) const {
  for (const auto& each : fields) {
    if (each.number != field) continue;
    const auto* number = std::get_if<std::int64_t>(&each.value);
    return number == nullptr ? 0 : *number;
  }
  return 0;
}

std::string Decoded::kind_text() const {
  const auto name = model::kind_name(kind);
  return name.empty() ? cat("kind ", kind) : std::string(name);
}

std::string describe(const Decoded& entry) {
  const auto workspace = entry.text(kWorkspace);
  const std::chrono::system_clock::time_point time{std::chrono::microseconds(entry.stamp.time_us)};
  return cat("entry ", entry.stamp.number, " (", entry.kind_text(), workspace.empty() ? "" : " of ", workspace, ", ",
             format_rfc3339(time), ")");
}

}  // namespace cofferdam::ledger
