#include "vm/guest_watch.h"

#include "vm/guest_stream.h"

namespace cofferdam::vm {
namespace {

// A root with thousands of folders is looked through first.
constexpr std::chrono::seconds kOpening{60};

ChangeOp to_op(wire::WatchOp op) {
  switch (op) {
    case wire::WatchOp::Create:
      return ChangeOp::create;
    case wire::WatchOp::Write:
      return ChangeOp::write;
    case wire::WatchOp::Remove:
      return ChangeOp::remove;
    case wire::WatchOp::Rename:
      return ChangeOp::rename;
    case wire::WatchOp::Unknown:
      return ChangeOp::unknown;
  }
  return ChangeOp::unknown;
}

WatchLoss to_loss(wire::WatchLoss loss) {
  switch (loss) {
    case wire::WatchLoss::None:
      return WatchLoss::none;
    case wire::WatchLoss::Events:
      return WatchLoss::events;
    case wire::WatchLoss::Folders:
      return WatchLoss::folders;
  }
  return WatchLoss::none;
}

class LinkWatch : public GuestWatch {
 public:
  LinkWatch(std::shared_ptr<GuestLink> link, GuestLink::Opened<wire::WatchOpened> opened)
      : root_(std::move(opened.answer.root)),
        folders_(opened.answer.folders),
        stream_(std::move(link), std::move(opened.stream), "watcher in the guest") {}

  Task<std::optional<ChangeBatch>> read() override {
    auto bytes = co_await stream_.read();
    if (!bytes) co_return fail(std::move(bytes.error()));
    if (!*bytes) co_return std::optional<ChangeBatch>();
    auto events = wire::decode<wire::WatchEvents>(**bytes);
    if (!events) co_return fail(std::move(events.error()));
    ChangeBatch batch;
    batch.loss = to_loss(events->loss);
    batch.changes.reserve(events->events.size());
    for (const auto& event : events->events) {
      if (!event.path.empty() && !is_plain_relative(event.path)) {
        co_return fail(Code::DataLoss, "the guest agent told a change outside of what is watched");
      }
      batch.changes.push_back({path_of(event.path), to_op(event.op)});
    }
    co_return std::optional<ChangeBatch>(std::move(batch));
  }
  [[nodiscard]] const std::string& root() const override { return root_; }
  [[nodiscard]] std::uint32_t directory_count() const override { return folders_; }

 private:
  [[nodiscard]] std::string path_of(const std::string& below) const {
    if (below.empty()) return root_;
    return root_ == "/" ? root_ + below : root_ + "/" + below;
  }

  std::string root_;
  std::uint32_t folders_;
  GuestStream stream_;
};

}  // namespace

Task<std::unique_ptr<GuestWatch>> open_guest_watch(std::shared_ptr<GuestLink> link, WatchSpec spec) {
  CO_TRY(check_excludes(spec.excludes));
  wire::WatchOpen open;
  open.root = std::move(spec.root);
  open.excludes = std::move(spec.excludes);
  auto opened = co_await link->open_stream<wire::WatchOpened>(wire::Op::WatchOpen, std::move(open), kOpening);
  if (!opened) co_return fail(std::move(opened.error()));
  std::unique_ptr<GuestWatch> watch = std::make_unique<LinkWatch>(link, std::move(*opened));
  co_return watch;
}

}  // namespace cofferdam::vm
