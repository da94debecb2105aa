// What RFC 6455 forbids a client, byte by byte: each ends with the close code that says why.
#include "http/server_fixture.h"

namespace cofferdam::http {
namespace {

constexpr std::uint8_t kFin = 0x80;
constexpr std::uint8_t kMasked = 0x80;
enum Opcode : std::uint8_t { kContinuation = 0, kText = 1, kBinary = 2, kClose = 8, kPing = 9, kPong = 10 };

// A frame as a client sends it; `length_says` lies about the length.
std::string frame(std::uint8_t first, std::string_view payload, std::uint8_t mask_bit = kMasked,
                  std::optional<std::uint64_t> length_says = {}) {
  const std::uint64_t length = length_says.value_or(payload.size());
  std::string bytes(1, static_cast<char>(first));
  if (length < 126) {
    bytes.push_back(static_cast<char>(mask_bit | length));
  } else if (length < 65536) {
    bytes.push_back(static_cast<char>(mask_bit | 126U));
    for (int shift = 8; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(length >> shift));
  } else {
    bytes.push_back(static_cast<char>(mask_bit | 127U));
    for (int shift = 56; shift >= 0; shift -= 8) bytes.push_back(static_cast<char>(length >> shift));
  }
  // A mask of zeros changes nothing.
  if (mask_bit != 0) bytes.append(4, '\0');
  bytes.append(payload);
  return bytes;
}

std::string close_payload(std::uint16_t code, std::string_view reason = {}) {
  std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
  payload.append(reason);
  return payload;
}

const std::string kUpgrade =
    "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

class RawWebSocket : public Http {
 public:
  void open() {
    serve_tcp();
    stream_ = run(raw_connection(tcp_)).value();
    ASSERT_TRUE(run(send(*stream_, kUpgrade)));
    const auto answer = run(read_until(*stream_, "\r\n\r\n")).value();
    ASSERT_EQ(answer.find("HTTP/1.1 101 "), 0U) << answer;
    ASSERT_NE(answer.find("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), std::string::npos) << "the RFC's own example";
  }

  // The next frame of the server; an empty optional is the end of the connection.
  struct Frame {
    std::uint8_t first = 0;
    std::string payload;
  };
  std::optional<Frame> next_frame() {
    const auto need = [&](std::size_t bytes) -> bool {
      while (stream_->buffered().size() < bytes) {
        auto count = run(stream_->fill(kPiece, Clock::now() + 20s, "receive"));
        if (!count || *count == 0) return false;
      }
      return true;
    };
    if (!need(2)) return {};
    Frame got;
    got.first = static_cast<std::uint8_t>(stream_->buffered()[0]);
    std::size_t length = static_cast<std::uint8_t>(stream_->buffered()[1]);
    EXPECT_LT(length, 128U) << "a server must not mask";
    std::size_t head = 2;
    if (length == 126) {
      if (!need(4)) return {};
      length = static_cast<std::size_t>(static_cast<std::uint8_t>(stream_->buffered()[2])) << 8 |
               static_cast<std::uint8_t>(stream_->buffered()[3]);
      head = 4;
    }
    if (!need(head + length)) return {};
    got.payload = std::string(stream_->buffered().substr(head, length));
    stream_->consume(head + length);
    return got;
  }
  // The code of the close frame that the server sends next; 0: another frame, or none.
  int close_code() {
    const auto got = next_frame();
    if (!got || got->first != (kFin | kClose) || got->payload.size() < 2) return 0;
    return static_cast<std::uint8_t>(got->payload[0]) << 8 | static_cast<std::uint8_t>(got->payload[1]);
  }
  void expect_gone() {
    stream_->shut_down_writing();
    EXPECT_FALSE(next_frame());
    stream_.reset();
    for (int i = 0; i < 1000 && server_->connections() != 0; ++i) (void)run(loop::sleep_for(5ms));
    EXPECT_EQ(server_->connections(), 0U);
  }

  std::unique_ptr<Stream> stream_;
};

struct Illegal {
  const char* name;
  std::string bytes;
  int code;
};

class IllegalFrame : public RawWebSocket, public ::testing::WithParamInterface<Illegal> {};

TEST_P(IllegalFrame, is_answered_with_its_close_code) {
  open();
  ASSERT_TRUE(run(send(*stream_, GetParam().bytes)));
  EXPECT_EQ(close_code(), GetParam().code);
  expect_gone();
}

const std::string kTooLong(WebSocket::kMaxMessageBytes + 1, 'x');

INSTANTIATE_TEST_SUITE_P(
    All, IllegalFrame,
    ::testing::Values(
        Illegal{"unmasked_text", frame(kFin | kText, "hi", 0), 1002},
        Illegal{"unmasked_ping", frame(kFin | kPing, "", 0), 1002},
        Illegal{"unmasked_close", frame(kFin | kClose, close_payload(1000), 0), 1002},
        Illegal{"reserved_bit_1", frame(kFin | 0x40 | kText, "hi"), 1002},
        Illegal{"reserved_bit_2", frame(kFin | 0x20 | kText, "hi"), 1002},
        Illegal{"reserved_bit_3", frame(kFin | 0x10 | kText, "hi"), 1002},
        Illegal{"reserved_bit_of_a_ping", frame(kFin | 0x40 | kPing, "hi"), 1002},
        Illegal{"opcode_3", frame(kFin | 3, "hi"), 1002}, Illegal{"opcode_7", frame(kFin | 7, "hi"), 1002},
        Illegal{"opcode_11", frame(kFin | 11, "hi"), 1002}, Illegal{"opcode_15", frame(kFin | 15, "hi"), 1002},
        Illegal{"fragmented_ping", frame(kPing, "hi"), 1002},
        Illegal{"fragmented_close", frame(kClose, close_payload(1000)), 1002},
        Illegal{"oversize_ping", frame(kFin | kPing, std::string(126, 'x')), 1002},
        Illegal{"oversize_pong", frame(kFin | kPong, std::string(126, 'x')), 1002},
        Illegal{"oversize_close", frame(kFin | kClose, close_payload(1000, std::string(124, 'x'))), 1002},
        Illegal{"ping_of_64_bit_length", frame(kFin | kPing, "", kMasked, std::uint64_t{1} << 40), 1002},
        Illegal{"continuation_of_nothing", frame(kFin | kContinuation, "hi"), 1002},
        Illegal{"text_within_a_message", frame(kText, "a") + frame(kFin | kText, "b"), 1002},
        Illegal{"length_with_the_highest_bit", frame(kFin | kBinary, "", kMasked, std::uint64_t{1} << 63), 1009},
        Illegal{"length_not_in_its_shortest_form",
                std::string{static_cast<char>(kFin | kText), static_cast<char>(kMasked | 126U)} +
                    std::string("\0\2\0\0\0\0hi", 8),
                1002},
        Illegal{"text_that_is_not_utf8", frame(kFin | kText, "\xff"), 1007},
        Illegal{"overlong_utf8", frame(kFin | kText, "\xc0\xaf"), 1007},
        Illegal{"surrogate_in_utf8", frame(kFin | kText, "\xed\xa0\x80"), 1007},
        Illegal{"utf8_past_the_last_point", frame(kFin | kText, "\xf4\x90\x80\x80"), 1007},
        Illegal{"utf8_cut_at_the_end", frame(kFin | kText, "a\xc3"), 1007},
        Illegal{"utf8_broken_across_fragments", frame(kText, "\xc3") + frame(kFin | kContinuation, "a"), 1007},
        Illegal{"message_over_the_limit", frame(kFin | kBinary, kTooLong), 1009},
        Illegal{"length_over_the_limit", frame(kFin | kBinary, "", kMasked, std::uint64_t{1} << 40), 1009},
        Illegal{"fragments_over_the_limit", frame(kBinary, kTooLong.substr(2)) + frame(kContinuation, "xx"), 1009},
        Illegal{"close_code_0", frame(kFin | kClose, close_payload(0)), 1002},
        Illegal{"close_code_999", frame(kFin | kClose, close_payload(999)), 1002},
        Illegal{"close_code_1004", frame(kFin | kClose, close_payload(1004)), 1002},
        Illegal{"close_code_1005", frame(kFin | kClose, close_payload(1005)), 1002},
        Illegal{"close_code_1006", frame(kFin | kClose, close_payload(1006)), 1002},
        Illegal{"close_code_1015", frame(kFin | kClose, close_payload(1015)), 1002},
        Illegal{"close_code_2999", frame(kFin | kClose, close_payload(2999)), 1002},
        Illegal{"close_of_one_byte", frame(kFin | kClose, "\x03"), 1002},
        Illegal{"close_reason_not_utf8", frame(kFin | kClose, close_payload(1000, "\xff")), 1002}),
    [](const auto& info) { return std::string(info.param.name); });

TEST_F(RawWebSocket, a_fragmented_message_with_a_ping_within_is_one_message) {
  open();
  ASSERT_TRUE(run(send(*stream_, frame(kText, "\xc3") + frame(kFin | kPing, "p") + frame(kContinuation, "") +
                                     frame(kFin | kContinuation, "\xa4!"))));
  const auto pong = next_frame();
  ASSERT_TRUE(pong);
  EXPECT_EQ(pong->first, kFin | kPong);
  EXPECT_EQ(pong->payload, "p");
  EXPECT_EQ(next_frame()->payload, "\xc3\xa4!");
}

TEST_F(RawWebSocket, a_pong_that_nobody_asked_for_is_passed_over) {
  open();
  ASSERT_TRUE(run(send(*stream_, frame(kFin | kPong, "x") + frame(kFin | kBinary, "y"))));
  EXPECT_EQ(next_frame()->payload, "y");
}

TEST_F(RawWebSocket, a_close_is_answered_with_its_code) {
  // Past 4999 nothing is defined, and nothing forbidden.
  for (const std::uint16_t code : {1000, 1001, 3000, 4999, 5000}) {
    server_.reset();
    open();
    ASSERT_TRUE(run(send(*stream_, frame(kFin | kClose, close_payload(code, "so long")))));
    EXPECT_EQ(close_code(), code);
    expect_gone();
    EXPECT_EQ(peer_code_, code);
    ASSERT_TRUE(run(server_->stop(0ms)));
  }
}

TEST_F(RawWebSocket, a_flood_of_pings_whose_pongs_nobody_reads_fills_no_memory) {
  open();
  std::string pings;
  for (int i = 0; i < 1000; ++i) pings += frame(kFin | kPing, std::string(125, 'p'));
  // Pongs that do not go out hold the reading back: in the end the kernel takes no more pings.
  bool held = false;
  for (int i = 0; i < 1000 && !held; ++i) {
    held = !run(stream_->write(pings, {}, {}, Clock::now() + 500ms, "send"));
  }
  EXPECT_TRUE(held);
}

TEST_F(RawWebSocket, a_client_that_goes_on_after_its_error_is_cut) {
  open();
  ASSERT_TRUE(run(send(*stream_, frame(kFin | 3, "x"))));
  EXPECT_EQ(close_code(), 1002);
  // It neither closes nor stops: the server does.
  const std::string more = frame(kFin | kBinary, std::string(1000, 'x'));
  for (int i = 0; i < 5000 && server_->connections() != 0; ++i) {
    (void)run(send(*stream_, more));
    (void)run(loop::sleep_for(5ms));
  }
  EXPECT_EQ(server_->connections(), 0U);
}

struct BadUpgrade {
  const char* name;
  std::string head;
  const char* status;
};

class WebSocketUpgrade : public Http, public ::testing::WithParamInterface<BadUpgrade> {};

TEST_P(WebSocketUpgrade, is_refused) {
  serve_tcp();
  const auto got = run(raw(GetParam().head)).value();
  EXPECT_EQ(got.find(cat("HTTP/1.1 ", GetParam().status, " ")), 0U) << got;
}

INSTANTIATE_TEST_SUITE_P(
    All, WebSocketUpgrade,
    ::testing::Values(
        BadUpgrade{"without_a_key",
                   "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 13\r\n\r\n",
                   "400"},
        BadUpgrade{"of_another_version",
                   "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                   "Sec-WebSocket-Version: 8\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                   "426"},
        BadUpgrade{"without_connection_upgrade",
                   "GET /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                   "400"},
        BadUpgrade{"by_post",
                   "POST /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nContent-Length: 0\r\n"
                   "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                   "426"},
        BadUpgrade{"with_frames_ahead_of_the_answer", kUpgrade + frame(kFin | kText, "hi"), "426"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace cofferdam::http
