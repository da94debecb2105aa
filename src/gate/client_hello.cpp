#include "gate/client_hello.h"

#include <algorithm>

#include "base/dns_name.h"

namespace cofferdam::gate {
namespace {

constexpr std::size_t kMaxMessage = 16U << 10;
constexpr std::size_t kMaxRecord = 16U << 10;
constexpr std::size_t kMaxRecords = 64;
constexpr std::size_t kRecordHeader = 5;
constexpr std::size_t kMessageHeader = 4;
constexpr std::uint8_t kHandshake = 22;
constexpr std::uint8_t kClientHello = 1;
constexpr unsigned kTlsMajor = 3;
constexpr std::size_t kRandom = 32;
constexpr std::size_t kMaxSessionId = 32;
constexpr unsigned kServerName = 0;
constexpr unsigned kHostName = 0;
// ECH (RFC 9849), its drafts, and ESNI before it.
constexpr unsigned kHidden[] = {0xfe0d, 0xfe08, 0xfe09, 0xfe0a, 0xfe0b, 0xfe0c, 0xffce};

// Big-endian; after a read past the end everything is empty.
class Reader {
 public:
  explicit Reader(ByteSpan bytes) : bytes_(bytes) {}
  unsigned number(std::size_t bytes) {
    unsigned value = 0;
    for (const auto byte : take(bytes)) value = value << 8 | byte;
    return value;
  }
  ByteSpan take(std::size_t n) {
    if (!ok_ || n > bytes_.size()) {
      ok_ = false;
      return {};
    }
    const auto taken = bytes_.first(n);
    bytes_ = bytes_.subspan(n);
    return taken;
  }
  // A length of `bytes`, then so much.
  ByteSpan vector(std::size_t bytes) { return take(number(bytes)); }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] bool at_end() const { return ok_ && bytes_.empty(); }

 private:
  ByteSpan bytes_;
  bool ok_ = true;
};

// Exactly one name, of the one type there is.
bool read_server_name(ByteSpan extension, ClientHello& out) {
  Reader in(extension);
  Reader list(in.vector(2));
  if (!in.at_end()) return false;
  if (list.number(1) != kHostName) return false;
  const auto name = list.vector(2);
  if (!list.at_end()) return false;
  out.server_name.assign(as_text(name));
  std::transform(out.server_name.begin(), out.server_name.end(), out.server_name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c; });
  return is_dns_name(out.server_name);
}

bool read_extensions(ByteSpan extensions, ClientHello& out) {
  Reader in(extensions);
  while (in.ok() && !in.at_end()) {
    const unsigned type = in.number(2);
    const auto body = in.vector(2);
    if (!in.ok()) return false;
    if (type == kServerName) {
      if (!out.server_name.empty() || !read_server_name(body, out)) return false;
    } else if (std::find(std::begin(kHidden), std::end(kHidden), type) != std::end(kHidden)) {
      out.ech = ClientHello::Ech::yes;
    }
  }
  return in.ok();
}

HelloState read_message(ByteSpan message, ClientHello& out) {
  Reader in(message);
  if (in.number(2) >> 8 != kTlsMajor) return HelloState::bad;
  in.take(kRandom);
  if (in.vector(1).size() > kMaxSessionId) return HelloState::bad;
  if (in.vector(2).empty()) return HelloState::bad;  // cipher suites
  if (in.vector(1).empty()) return HelloState::bad;  // compression
  if (!in.ok()) return HelloState::bad;
  if (in.at_end()) return HelloState::done;  // no extensions, so no name
  const auto extensions = in.vector(2);
  if (!in.at_end() || !read_extensions(extensions, out)) return HelloState::bad;
  return HelloState::done;
}

}  // namespace

HelloState parse_client_hello(ByteSpan bytes, ClientHello& out) {
  out = {};
  std::string message;  // what the records carry
  std::size_t records = 0;
  while (true) {
    // What is wrong is said before what is missing, so that nobody is waited for in vain.
    if (!bytes.empty() && bytes[0] != kHandshake) return HelloState::bad;
    if (bytes.size() > 1 && bytes[1] != kTlsMajor) return HelloState::bad;
    if (bytes.size() < kRecordHeader) return HelloState::more;
    if (++records > kMaxRecords) return HelloState::bad;
    const std::size_t length = static_cast<std::size_t>(bytes[3]) << 8 | bytes[4];
    if (length == 0 || length > kMaxRecord) return HelloState::bad;
    const auto body = bytes.subspan(kRecordHeader, std::min(length, bytes.size() - kRecordHeader));
    message.append(as_text(body));
    if (!message.empty() && static_cast<std::uint8_t>(message[0]) != kClientHello) return HelloState::bad;
    if (message.size() >= kMessageHeader) {
      Reader header(as_bytes(message).subspan(1));
      const std::size_t wanted = header.number(3);
      if (wanted > kMaxMessage) return HelloState::bad;
      // More handshake messages cannot follow before the server has spoken, wherever the network cuts the record.
      if (message.size() - body.size() + length > kMessageHeader + wanted) return HelloState::bad;
      if (message.size() == kMessageHeader + wanted) {
        return read_message(as_bytes(message).subspan(kMessageHeader, wanted), out);
      }
    }
    if (body.size() < length) return HelloState::more;
    bytes = bytes.subspan(kRecordHeader + length);
  }
}

}  // namespace cofferdam::gate
