#include "guest/stream_table.h"

#include <algorithm>
#include <chrono>

#include "base/text.h"

namespace cofferdam::guest {
namespace {

constexpr std::size_t kStreamQueueBytes = 64U << 10;
constexpr std::size_t kAllQueueBytes = 1U << 20;

struct Bound {
  std::size_t most;
  std::string_view what;
};

Bound bound_of(StreamKind kind) {
  switch (kind) {
    case StreamKind::watch:
      return {wire::kMaxWatchers, "watchers"};
    case StreamKind::dial:
      return {wire::kMaxDials, "connections"};
    case StreamKind::walk:
      return {wire::kMaxWalks, "walks through folders"};
  }
  return {0, "streams"};
}

}  // namespace

bool has_room(const wire::SendQueue& queue, std::uint32_t stream) {
  return queue.queued_bytes(stream) < kStreamQueueBytes && queue.queued_bytes() < kAllQueueBytes;
}

StreamTable::~StreamTable() {
  if (burial_) loop_.cancel(*burial_);
  if (pump_) loop_.cancel(*pump_);
}

Status StreamTable::admit(std::uint32_t number, StreamKind kind) const {
  if (contains(number)) return fail(Code::AlreadyExists, cat("stream ", number, " is already open"));
  const Bound bound = bound_of(kind);
  const auto open =
      std::count_if(streams_.begin(), streams_.end(), [&](const auto& entry) { return entry.second.kind == kind; });
  if (static_cast<std::size_t>(open) < bound.most) return {};
  return fail(Code::ResourceExhausted, cat("the guest already has ", bound.most, " ", bound.what, " open"),
              "close one first");
}

void StreamTable::add(std::uint32_t number, StreamKind kind, std::unique_ptr<Stream> stream) {
  streams_[number] = {kind, std::move(stream)};
}

void StreamTable::retire(std::uint32_t number) {
  auto node = streams_.extract(number);
  if (node.empty()) return;
  link_.queue().drop(number);
  retired_.push_back(std::move(node.mapped().stream));
  if (burial_) return;
  burial_ = loop_.after(std::chrono::milliseconds(0), [this] {
    burial_.reset();
    retired_.clear();
  });
}

bool StreamTable::on_frame(const wire::FrameView& frame) {
  const auto found = streams_.find(frame.stream);
  if (found == streams_.end()) return false;
  Stream& stream = *found->second.stream;
  switch (frame.type) {
    case wire::FrameType::Data:
      if (const auto data = wire::decode<wire::Data>(frame.payload); data && data->channel == wire::Channel::Stdin)
        stream.on_data(data->bytes);
      break;
    case wire::FrameType::Eof:
      if (const auto eof = wire::decode<wire::Eof>(frame.payload); eof && eof->channel == wire::Channel::Stdin)
        stream.on_eof();
      break;
    case wire::FrameType::Credit:
      if (const auto credit = wire::decode<wire::Credit>(frame.payload);
          credit && credit->channel == wire::Channel::Stdout)
        stream.on_credit(credit->bytes);
      break;
    case wire::FrameType::Exit:
      close(frame.stream, stream);
      break;
    default:
      break;
  }
  return true;
}

void StreamTable::close(std::uint32_t number, Stream& stream) {
  const bool done = stream.close();
  link_.queue().drop(number);
  if (done) retire(number);
}

void StreamTable::on_writable() {
  if (pump_ || streams_.empty()) return;
  pump_ = loop_.after(std::chrono::milliseconds(0), [this] {
    pump_.reset();
    // Numbers first: a stream may retire while it is pumped. From the one after last time's first on, so that all get
    // their turn at a queue that is nearly full.
    std::vector<std::uint32_t> numbers;
    numbers.reserve(streams_.size());
    for (auto it = streams_.upper_bound(last_pumped_); it != streams_.end(); ++it) numbers.push_back(it->first);
    for (auto it = streams_.begin(); numbers.size() < streams_.size(); ++it) numbers.push_back(it->first);
    if (!numbers.empty()) last_pumped_ = numbers.front();
    for (const std::uint32_t number : numbers) {
      const auto found = streams_.find(number);
      if (found != streams_.end()) found->second.stream->pump();
    }
  });
}

void StreamTable::close_all() {
  for (const auto& [number, member] : streams_) link_.queue().drop(number);
  streams_.clear();
}

}  // namespace cofferdam::guest
