#include "incident/evidence_desk.h"

#include <fcntl.h>

#include <algorithm>

#include "base/file.h"
#include "base/id.h"
#include "base/text.h"
#include "evidence/age.h"
#include "ledger/key_chain.h"

namespace cofferdam::incident {
namespace {

constexpr std::size_t kMaxKeyText = 1024;

// Keeps the snapshot's files of a bundle in a folder, and its key in memory.
class Unpacker final : public evidence::MemberSink {
 public:
  explicit Unpacker(std::string folder) : folder_(std::move(folder)) {}

  Status begin(const std::string& name, std::uint64_t size) override {
    file_.reset();
    in_key_ = name == evidence::kSnapshotKey;
    if (in_key_ && size > kMaxKeyText) return fail(Code::DataLoss, cat(name, " is too long for a key"));
    if (in_key_ || !name.starts_with(evidence::kSnapshot)) return {};
    const auto part = std::string_view(name).substr(evidence::kSnapshot.size());
    const auto* known = std::find(std::begin(workspace::kSnapshotFiles), std::end(workspace::kSnapshotFiles), part);
    if (known == std::end(workspace::kSnapshotFiles))
      return fail(Code::DataLoss, cat(name, " is no file of a snapshot"));
    TRY_ASSIGN(file_, open_file(cat(folder_, "/", part), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
    return {};
  }
  Status bytes(std::string_view piece) override {
    if (in_key_) key_text_ += piece;
    return file_ ? write_all(file_.get(), piece) : Status{};
  }
  Status end() override {
    file_.reset();
    return {};
  }
  // nullopt: there is none in it.
  [[nodiscard]] Result<std::optional<keys::Key>> key() const {
    if (key_text_.empty()) return std::nullopt;
    const auto blank = key_text_.find(' ');
    const auto bytes = blank == std::string::npos ? Result<std::string>(fail(Code::DataLoss, ""))
                                                  : from_hex(trim(std::string_view(key_text_).substr(blank)));
    if (!bytes || bytes->size() != keys::kDiskKeyBytes || !is_id(key_text_.substr(0, blank), "key")) {
      return fail(Code::DataLoss, cat(evidence::kSnapshotKey, " holds no key"));
    }
    keys::Key key;
    key.id = key_text_.substr(0, blank);
    key.bytes = SecureBytes::copy_of(*bytes);
    return std::optional<keys::Key>(std::move(key));
  }

 private:
  std::string folder_, key_text_;
  UniqueFd file_;
  bool in_key_ = false;
};

Status check_ttl(std::chrono::milliseconds ttl) {
  constexpr auto kLongest = std::chrono::hours(24 * 7);
  if (ttl >= std::chrono::seconds(1) && ttl <= kLongest) return {};
  return fail(Code::InvalidArgument, "/ttl: must be at least 1s and at most 7 days");
}

// Why a bundle is not believed, as far as one line holds it.
Error disbelief(const evidence::Report& report) {
  std::string text = "this bundle is not what was signed:";
  constexpr std::size_t kTold = 3;
  for (std::size_t i = 0; i < std::min(kTold, report.findings.size()); ++i) {
    const auto& finding = report.findings[i];
    text += cat(i == 0 ? " " : "; ", finding.member, finding.member.empty() ? "" : ": ", finding.what);
  }
  if (report.finding_count > kTold) text += cat("; and ", report.finding_count - kTold, " more");
  return {Code::DataLoss, std::move(text),
          "`coffer evidence verify` says more; one of another host is believed when its first key is named with --key"};
}

}  // namespace

// What came of a bundle: removed with the object.
struct EvidenceDesk::Brought {
  explicit Brought(std::string in) : folder(std::move(in)), unpacker(folder) {}
  Brought(const Brought&) = delete;
  Brought& operator=(const Brought&) = delete;
  ~Brought() { (void)remove_tree(folder); }
  std::string folder;
  Unpacker unpacker;
  evidence::Report report;
};

EvidenceDesk::EvidenceDesk(const loop::asio::any_io_executor& executor, EvidenceOptions options,
                           Containment& containment, monitor::Watch& watch, ledger::Recorder& recorder,
                           loop::WorkerPool& workers)
    : executor_(executor),
      options_(std::move(options)),
      containment_(containment),
      watch_(watch),
      recorder_(recorder),
      workers_(workers),
      tasks_(executor) {}

Result<std::unique_ptr<EvidenceDesk>> EvidenceDesk::open(const loop::asio::any_io_executor& executor,
                                                         EvidenceOptions options, Containment& containment,
                                                         monitor::Watch& watch, ledger::Recorder& recorder,
                                                         loop::WorkerPool& workers) {
  std::unique_ptr<EvidenceDesk> desk(
      new EvidenceDesk(executor, std::move(options), containment, watch, recorder, workers));
  TRY(remove_tree(desk->folder()));
  return desk;
}

Task<EvidenceBytes> EvidenceDesk::export_of(EvidenceWish wish) {
  const auto sources = containment_.sources();
  if (sources.ledger == nullptr) {
    co_return fail(Code::FailedPrecondition, "this daemon keeps no ledger, and nothing else could seal evidence",
                   "start it without ledger.write: false");
  }
  for (const auto& one : options_.recipients) {
    const auto& asked = wish.recipients;
    if (std::find(asked.begin(), asked.end(), one) == asked.end()) wish.recipients.push_back(one);
  }
  if (wish.recipients.size() > evidence::kMaxRecipients) {
    co_return fail(Code::InvalidArgument, cat("/recipients: more than ", evidence::kMaxRecipients));
  }
  for (const auto& one : wish.recipients) CO_TRY(evidence::check_recipient(one));
  const auto recipients = wish.recipients;
  auto maker =
      std::make_shared<BundleMaker>(sources, containment_.book(), watch_, recorder_, workers_, std::move(wish));
  CO_TRY(co_await maker->begin());
  EvidenceBytes bytes = [maker] { return maker->next(); };
  if (recipients.empty()) co_return bytes;
  co_return through_program(executor_, tasks_, evidence::encrypt_argv(recipients, options_.age_uid), std::move(bytes));
}

Task<Opened> EvidenceDesk::look_into(std::string workspace, std::string snapshot, OpenWish wish) {
  CO_TRY(check_ttl(wish.ttl));
  auto& manager = containment_.sources().manager;
  CO_TRY_ASSIGN(const auto info, manager.get(workspace));
  if (snapshot.empty()) {
    CO_TRY_ASSIGN(const auto incidents, co_await containment_.book().list(info.id, 1));
    if (!incidents.empty()) snapshot = incidents.front().snapshot;
  }
  CO_TRY_ASSIGN(const auto all, manager.snapshots(info.id));
  if (snapshot.empty() && !all.empty()) snapshot = all.back().id;
  Opened opened;
  opened.from = info.id;
  opened.snapshot = snapshot;
  CO_TRY_ASSIGN(opened.info, co_await manager.scratch(info.id, snapshot, {std::move(wish.name), wish.ttl}));
  recorder_.note({wish.by,
                  {opened.info.id, opened.info.spec.namespace_id},
                  model::EvidenceOpened{opened.from, opened.snapshot, {}}});
  co_return opened;
}

// The first link of the chain, whose signature it holds itself.
Task<ledger::VerifierKey> EvidenceDesk::own_first_key() {
  auto* ledger = containment_.sources().ledger;
  if (ledger == nullptr) {
    co_return fail(Code::FailedPrecondition, "this daemon keeps no ledger: say by whose a bundle must be sealed",
                   "name its first key with --key");
  }
  CO_TRY_ASSIGN(auto written, co_await ledger->keys());
  auto read = [written = std::move(written)]() -> Result<ledger::VerifierKey> {
    TRY_ASSIGN(const auto notes, ledger::parse_notes(written));
    if (notes.empty()) return fail(Code::DataLoss, "the ledger's chain of keys is empty");
    TRY_ASSIGN(auto link, ledger::parse_link(notes.front()));
    return std::move(link.key);
  };
  co_return co_await ledger->offload(std::move(read));
}

Task<Opened> EvidenceDesk::look_into(EvidenceBytes bundle, OpenWish wish) {
  CO_TRY(check_ttl(wish.ttl));
  if (!wish.first_key) {
    CO_TRY_ASSIGN(wish.first_key, co_await own_first_key());
  }
  CO_TRY_ASSIGN(auto brought, co_await take_in(std::move(bundle), wish));
  auto opened = co_await grow(brought, std::move(wish));
  auto clear = [brought = std::move(brought)]() mutable -> Status {
    brought.reset();
    return {};
  };
  (void)co_await workers_.run(std::move(clear));
  co_return opened;
}

Task<std::shared_ptr<EvidenceDesk::Brought>> EvidenceDesk::take_in(EvidenceBytes bundle, OpenWish wish) {
  auto brought = std::make_shared<Brought>(cat(folder(), "/", new_id("ev")));
  auto prepare = [in = brought->folder] { return make_directories(in, 0700); };
  CO_TRY(co_await workers_.run(std::move(prepare)));
  auto verifier = std::make_shared<evidence::Verifier>(evidence::VerifyOptions{wish.first_key}, &brought->unpacker);
  for (bool goes_on = true;;) {
    CO_TRY_ASSIGN(auto piece, co_await bundle());
    if (piece.empty()) break;
    // Whoever sends it gets the answer when all was sent.
    if (!goes_on) continue;
    // `brought` stays as long as work is under way, also when nobody waits for it any more.
    auto take = [verifier, brought, piece = std::move(piece)]() -> Result<bool> { return verifier->feed(piece); };
    CO_TRY_ASSIGN(goes_on, co_await workers_.run(std::move(take)));
  }
  auto finish = [verifier, brought]() -> Status {
    brought->report = verifier->finish();
    return {};
  };
  CO_TRY(co_await workers_.run(std::move(finish)));
  if (!brought->report.good()) co_return fail(disbelief(brought->report));
  co_return brought;
}

Task<Opened> EvidenceDesk::grow(std::shared_ptr<Brought> brought, OpenWish wish) {
  const auto& report = brought->report;
  if (report.snapshot == evidence::kNone) {
    co_return fail(Code::FailedPrecondition, "there is no snapshot in this bundle",
                   "its workspace did not run when it was contained, and had none");
  }
  const auto sources = containment_.sources();
  workspace::BroughtSnapshot snapshot{brought->folder, report.workspace, report.snapshot, {}};
  CO_TRY_ASSIGN(snapshot.key, brought->unpacker.key());
  workspace::ScratchWish scratch;
  scratch.name = std::move(wish.name);
  scratch.ttl = wish.ttl;
  // Namespaces are this host's: of another one's it knows none.
  if (const auto owner = sources.manager.owner(report.workspace)) {
    scratch.namespace_id = owner->namespace_id;
  } else {
    CO_TRY_ASSIGN(const auto space, co_await sources.identity.namespaces().get_default());
    scratch.namespace_id = space.id;
  }
  Opened opened;
  opened.from = report.workspace;
  opened.snapshot = report.snapshot;
  CO_TRY_ASSIGN(opened.info, co_await sources.manager.scratch_from(std::move(snapshot), std::move(scratch)));
  recorder_.note({wish.by,
                  {opened.info.id, opened.info.spec.namespace_id},
                  model::EvidenceOpened{opened.from, opened.snapshot, wish.first_key->text()}});
  co_return opened;
}

Task<void> EvidenceDesk::stop() { return tasks_.join(); }

}  // namespace cofferdam::incident
