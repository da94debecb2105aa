#include "wire/send_queue.h"

#include <algorithm>
#include <utility>

namespace cofferdam::wire {
namespace {

constexpr std::size_t kPieceBytes = 32U << 10;
// A frame of this size goes alone: joining it to others would cost more than a write.
constexpr std::size_t kAloneBytes = 8U << 10;

std::string frame(FrameType type, std::uint8_t flags, std::uint32_t stream, std::string_view payload) {
  std::string out;
  out.reserve(payload.size() + kFrameOverhead);
  append_frame(out, type, flags, stream, payload);
  return out;
}

}  // namespace

void SendQueue::push_handshake(FrameType type, std::string_view payload, std::size_t filler_bytes) {
  std::string bytes(filler_bytes, '\0');
  bytes.append(kSync);
  append_frame(bytes, type, 0, 0, payload);
  queued_bytes_ += bytes.size();
  control_.push_front({0, false, false, std::move(bytes)});
}

void SendQueue::push_request(std::uint32_t stream, Op op, std::string_view body) {
  push_message(FrameType::Request, stream, encode(Request{op, std::string(body)}));
}

void SendQueue::push_response(std::uint32_t stream, const Response& response) {
  push_message(FrameType::Response, stream, encode(response));
}

void SendQueue::push_data(std::uint32_t stream, Channel channel, std::string_view bytes) {
  bytes = bytes.substr(0, kMaxDataBytes);
  // Built in place: under emulation every copy of a large output shows.
  std::string out;
  out.reserve(bytes.size() + 1 + kFrameOverhead);
  append_data_frame(out, stream, static_cast<std::uint8_t>(channel), bytes);
  push_lane({stream, true, true, std::move(out)});
}

void SendQueue::push_eof(std::uint32_t stream, Channel channel) {
  push_lane({stream, true, true, frame(FrameType::Eof, 0, stream, encode(Eof{channel}))});
}

void SendQueue::push_exit(std::uint32_t stream, const Exit& exit) {
  push_lane({stream, true, true, frame(FrameType::Exit, 0, stream, encode(exit))});
}

void SendQueue::push_credit(std::uint32_t stream, const Credit& credit) {
  push_control(FrameType::Credit, stream, encode(credit));
}

void SendQueue::push_signal(std::uint32_t stream, const Signal& signal) {
  push_control(FrameType::Signal, stream, encode(signal));
}

void SendQueue::push_resize(std::uint32_t stream, const Resize& resize) {
  push_control(FrameType::Resize, stream, encode(resize));
}

void SendQueue::push_control(FrameType type, std::uint32_t stream, std::string_view payload) {
  std::string bytes = frame(type, 0, stream, payload);
  queued_bytes_ += bytes.size();
  control_.push_back({stream, false, false, std::move(bytes)});
}

void SendQueue::push_message(FrameType type, std::uint32_t stream, std::string_view message) {
  if (message.size() <= kShortCall) return push_control(type, stream, message);
  do {
    const std::string_view part = message.substr(0, kMaxPayload);
    message.remove_prefix(part.size());
    push_lane({stream, false, true, frame(type, message.empty() ? 0 : kFlagMore, stream, part)});
  } while (!message.empty());
}

void SendQueue::push_lane(Item item) {
  Lane& lane = lanes_[item.stream];
  queued_bytes_ += item.bytes.size();
  lane.bytes += item.bytes.size();
  if (!lane.in_turn && !lane.held) {
    lane.in_turn = true;
    turns_.push_back(item.stream);
  }
  lane.items.push_back(std::move(item));
}

std::string_view SendQueue::peek() {
  if (begun_.empty()) refill();
  return piece().substr(sent_);
}

std::string_view SendQueue::piece() const {
  if (begun_.empty()) return {};
  return begun_.size() == 1 ? begun_.front().bytes : joined_;
}

void SendQueue::consume(std::size_t bytes) {
  const std::size_t size = piece().size();
  bytes = std::min(bytes, size - sent_);
  sent_ += bytes;
  queued_bytes_ -= bytes;
  if (sent_ < size) return;
  for (const Item& item : begun_) {
    if (!item.in_lane) continue;
    const auto lane = lanes_.find(item.stream);
    lane->second.bytes -= item.bytes.size();
    if (lane->second.bytes == 0) lanes_.erase(lane);
  }
  forget_piece();
}

void SendQueue::forget_piece() {
  begun_.clear();
  joined_.clear();
  sent_ = 0;
}

void SendQueue::refill() {
  std::size_t size = 0;
  while (size < kAloneBytes && take_next(kPieceBytes - size)) size += begun_.back().bytes.size();
  if (begun_.size() < 2) return;
  for (const Item& item : begun_) joined_ += item.bytes;
}

// Moves one frame into the piece, if it fits into `room` or is the first.
bool SendQueue::take_next(std::size_t room) {
  if (!control_.empty()) {
    if (!begun_.empty() && control_.front().bytes.size() > room) return false;
    begun_.push_back(std::move(control_.front()));
    control_.pop_front();
    return true;
  }
  if (turns_.empty()) return false;
  const std::uint32_t stream = turns_.front();
  Lane& lane = lanes_[stream];
  if (!begun_.empty() && lane.items.front().bytes.size() > room) return false;
  turns_.pop_front();
  begun_.push_back(std::move(lane.items.front()));
  lane.items.pop_front();
  lane.in_turn = !lane.items.empty();
  if (lane.in_turn) turns_.push_back(stream);
  return true;
}

std::size_t SendQueue::queued_bytes(std::uint32_t stream) const {
  const auto lane = lanes_.find(stream);
  return lane == lanes_.end() ? 0 : lane->second.bytes;
}

std::size_t SendQueue::queued_data(std::uint32_t stream, Channel channel) const {
  const auto lane = lanes_.find(stream);
  if (lane == lanes_.end()) return 0;
  std::size_t bytes = 0;
  for (const Item& item : lane->second.items) {
    std::string_view input = item.bytes;
    if (static_cast<FrameType>(input[2]) != FrameType::Data) continue;
    input.remove_prefix(kHeaderBytes);
    const auto data = decode<Data>(input.substr(0, input.size() - kEndMarkBytes));
    if (data && data->channel == channel) bytes += data->bytes.size();
  }
  return bytes;
}

void SendQueue::restart() {
  control_.clear();
  turns_.clear();
  std::size_t end = 0;
  std::vector<Item> again;
  for (Item& item : begun_) {
    end += item.bytes.size();
    if (item.survives_restart && end > sent_) again.push_back(std::move(item));
  }
  forget_piece();
  for (auto item = again.rbegin(); item != again.rend(); ++item) {
    lanes_[item->stream].items.push_front(std::move(*item));
  }
  queued_bytes_ = 0;
  for (auto it = lanes_.begin(); it != lanes_.end();) {
    Lane& lane = it->second;
    std::erase_if(lane.items, [](const Item& item) { return !item.survives_restart; });
    lane.bytes = 0;
    for (const Item& item : lane.items) lane.bytes += item.bytes.size();
    queued_bytes_ += lane.bytes;
    lane.held = true;
    lane.in_turn = false;
    it = lane.items.empty() ? lanes_.erase(it) : std::next(it);
  }
}

void SendQueue::release(std::uint32_t stream) {
  const auto lane = lanes_.find(stream);
  if (lane == lanes_.end() || !lane->second.held) return;
  lane->second.held = false;
  lane->second.in_turn = true;
  turns_.push_back(stream);
}

void SendQueue::drop(std::uint32_t stream) {
  for (Item& item : begun_) item.survives_restart = item.survives_restart && item.stream != stream;
  const auto it = lanes_.find(stream);
  if (it == lanes_.end()) return;
  Lane& lane = it->second;
  for (const Item& item : lane.items) {
    lane.bytes -= item.bytes.size();
    queued_bytes_ -= item.bytes.size();
  }
  lane.items.clear();
  lane.in_turn = false;
  std::erase(turns_, stream);
  if (lane.bytes == 0) lanes_.erase(it);
}

}  // namespace cofferdam::wire
