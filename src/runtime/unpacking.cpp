#include "runtime/unpacking.h"

#include "base/text.h"
#include "base/utf8.h"

namespace cofferdam::runtime {
namespace {

constexpr std::uint32_t kFolderMode = 0755;

class Unpacking {
 public:
  Unpacking(std::shared_ptr<vm::Machine> machine, std::string dest, Owners owners)
      : machine_(std::move(machine)), dest_(std::move(dest)), owners_(owners) {}

  Task<void> take(TarFeed::Item item) {
    if (auto* bytes = std::get_if<std::string>(&item)) {
      if (!writer_) co_return fail(Code::Internal, "bytes without a file");
      co_return co_await writer_->write(std::move(*bytes));
    }
    CO_TRY(co_await finish_file());
    co_return co_await begin(std::get<TarEntry>(std::move(item)));
  }
  Task<void> finish_file() {
    if (!writer_) co_return Status{};
    CO_TRY(co_await writer_->commit());
    writer_.reset();
    ++files_;
    co_return Status{};
  }
  [[nodiscard]] std::size_t files() const { return files_; }

 private:
  Task<void> begin(TarEntry entry) {
    if (entry.path.empty()) {
      if (dest_ == "/") co_return Status{};
      co_return co_await machine_->files().make_directory(dest_, kFolderMode, vm::CreateParents::yes, "");
    }
    using Kind = vm::PlacedEntry::Kind;
    vm::PlacedEntry placed;
    placed.root = dest_;
    placed.path = entry.path;
    placed.mode = entry.mode;
    placed.target = entry.link_target;
    if (owners_ == Owners::as_packed) placed.owner = cat(entry.uid, ":", entry.gid);
    switch (entry.type) {
      case TarEntry::Type::file:
        break;
      case TarEntry::Type::folder:
        placed.kind = Kind::folder;
        break;
      case TarEntry::Type::symlink:
        CO_TRY(check_symlink(dest_, entry.path, entry.link_target));
        placed.kind = Kind::symlink;
        break;
      case TarEntry::Type::hard_link:
        placed.kind = Kind::hard_link;
        break;
    }
    auto put = co_await machine_->files().place(std::move(placed));
    if (!put) co_return fail(std::move(put.error()).in(cat("the archive's entry '", to_utf8(entry.path), "'")));
    writer_ = std::move(*put);
    if (entry.type == TarEntry::Type::symlink || entry.type == TarEntry::Type::hard_link) ++files_;
    co_return Status{};
  }

  std::shared_ptr<vm::Machine> machine_;
  std::string dest_;
  Owners owners_;
  std::unique_ptr<vm::GuestFileWriter> writer_;
  std::size_t files_ = 0;
};

}  // namespace

Task<std::size_t> unpack(Sessions& sessions, std::shared_ptr<vm::Machine> machine, std::string dest,
                         TarFeed::Source source, Owners owners) {
  if (sessions.unpacking() >= kUnpackers) {
    co_return fail(Code::ResourceExhausted, cat(kUnpackers, " uploads are running already"),
                   "try again when one has ended");
  }
  struct Place {
    std::size_t& count;
    explicit Place(std::size_t& counter) : count(counter) { ++count; }
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    ~Place() { --count; }
  };
  const Place place(sessions.unpacking());
  // The feed goes before the source does.
  TarFeed feed(sessions.background(), sessions.unpackers(), std::move(source));
  Unpacking unpacking(std::move(machine), std::move(dest), owners);
  for (;;) {
    CO_TRY_ASSIGN(auto item, co_await feed.next());
    if (!item) break;
    CO_TRY(co_await unpacking.take(std::move(*item)));
  }
  CO_TRY(co_await unpacking.finish_file());
  co_return unpacking.files();
}

}  // namespace cofferdam::runtime
