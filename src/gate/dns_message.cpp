#include "gate/dns_message.h"

#include "gate/policy.h"

namespace cofferdam::gate {
namespace {

constexpr std::size_t kHeader = 12;
constexpr std::size_t kMaxWireName = 255;
constexpr std::uint8_t kMaxLabel = 63;
constexpr std::uint16_t kClassIn = 1;
constexpr std::uint16_t kTypeOpt = 41;
constexpr std::uint16_t kResponse = 0x8000;
constexpr std::uint16_t kOpcode = 0x7800;
constexpr std::uint16_t kAuthoritative = 0x0400;
constexpr std::uint16_t kTruncated = 0x0200;
constexpr std::uint16_t kRecursionDesired = 0x0100;
constexpr std::uint16_t kRecursionAvailable = 0x0080;
constexpr std::uint16_t kPointerToQuestion = 0xc000 | kHeader;

// Big-endian, bounded: after a read past the end everything is zero.
class NetworkReader {
 public:
  explicit NetworkReader(ByteSpan bytes) : bytes_(bytes) {}
  std::uint8_t u8() {
    if (at_ >= bytes_.size()) {
      ok_ = false;
      return 0;
    }
    return bytes_[at_++];
  }
  std::uint16_t u16() {
    const unsigned high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  void skip(std::size_t n) {
    if (n > bytes_.size() - at_) ok_ = false;
    at_ = ok_ ? at_ + n : bytes_.size();
  }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t at() const { return at_; }
  [[nodiscard]] bool at_end() const { return ok_ && at_ == bytes_.size(); }

 private:
  ByteSpan bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

char name_char(std::uint8_t byte) {
  if (byte >= 'A' && byte <= 'Z') return static_cast<char>(byte + ('a' - 'A'));
  const bool known = (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
  return known ? static_cast<char>(byte) : '?';
}

// The labels with dots between; false when they are no name.
bool read_name(NetworkReader& in, std::string& name) {
  while (true) {
    const std::uint8_t length = in.u8();
    if (!in.ok() || length > kMaxLabel) return false;  // pointers and the like have the top bits set
    if (length == 0) return true;
    if (!name.empty()) name.push_back('.');
    for (int i = 0; i < length; ++i) name.push_back(name_char(in.u8()));
    if (!in.ok() || name.size() + 2 > kMaxWireName) return false;
  }
}

// An OPT record (RFC 6891): root name, type, size, flags, data.
bool skip_opt(NetworkReader& in) {
  if (in.u8() != 0 || in.u16() != kTypeOpt) return false;
  in.skip(2 + 4);
  in.skip(in.u16());
  return in.ok();
}

void put16(std::string& out, unsigned value) {
  out.push_back(static_cast<char>(value >> 8 & 0xff));
  out.push_back(static_cast<char>(value & 0xff));
}

}  // namespace

std::optional<DnsQuestion> parse_dns_query(ByteSpan packet) {
  if (packet.size() < kHeader || packet.size() > kMaxDnsPacket) return std::nullopt;
  NetworkReader in(packet);
  DnsQuestion question;
  question.id = in.u16();
  question.flags = in.u16();
  if ((question.flags & (kResponse | kOpcode | kTruncated)) != 0) return std::nullopt;
  const std::uint16_t questions = in.u16();
  const std::uint16_t answers = in.u16();
  const std::uint16_t authorities = in.u16();
  const std::uint16_t others = in.u16();
  if (questions != 1 || answers != 0 || authorities != 0 || others > 1) return std::nullopt;
  if (!read_name(in, question.name)) return std::nullopt;
  question.type = in.u16();
  const std::uint16_t klass = in.u16();
  if (!in.ok() || klass != kClassIn) return std::nullopt;
  question.wire = as_text(packet.subspan(kHeader, in.at() - kHeader));
  if (others == 1) {
    if (!skip_opt(in)) return std::nullopt;
    question.edns = DnsQuestion::Edns::yes;
  }
  if (!in.at_end()) return std::nullopt;
  return question;
}

std::string build_dns_answer(const DnsQuestion& question, DnsCode code, const std::optional<Address>& address,
                             std::uint32_t ttl_seconds) {
  std::string out;
  put16(out, question.id);
  put16(out, kResponse | kAuthoritative | kRecursionAvailable | (question.flags & kRecursionDesired) |
                 static_cast<unsigned>(code));
  put16(out, 1);
  put16(out, address ? 1 : 0);
  put16(out, 0);
  put16(out, question.edns == DnsQuestion::Edns::yes ? 1 : 0);
  out += question.wire;
  if (address) {
    put16(out, kPointerToQuestion);
    put16(out, static_cast<unsigned>(DnsType::a));
    put16(out, kClassIn);
    put16(out, ttl_seconds >> 16);
    put16(out, ttl_seconds & 0xffff);
    put16(out, 4);
    for (std::size_t i = 12; i < 16; ++i) out.push_back(static_cast<char>(address->bytes().at(i)));
  }
  if (question.edns == DnsQuestion::Edns::yes) {
    out.push_back('\0');
    put16(out, kTypeOpt);
    put16(out, kMaxDnsPacket);
    out.append(6, '\0');  // no extended code, version 0, no flags, no data
  }
  return out;
}

}  // namespace cofferdam::gate
