#include "incident/bundle_maker.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <cstdio>

#include "base/text.h"
#include "base/time.h"
#include "base/utf8.h"
#include "evidence/bundle.h"
#include "evidence/slice.h"
#include "ledger/json.h"
#include "ledger/key_chain.h"
#include "ledger/proof.h"
#include "loop/deadline.h"
#include "monitor/watch_json.h"
#include "net/flow_json.h"

namespace cofferdam::incident {
namespace {

namespace json = boost::json;
using evidence::is_member_name;
using std::chrono::system_clock;

constexpr std::size_t kFlowsAtOnce = 5000;
constexpr std::size_t kMostRows = 2000;    // of figures, of alerts
constexpr std::size_t kPage = 500;         // entries in one member
constexpr std::size_t kMostPages = 1000;   // half a million entries; older ones are left out, and said to be
constexpr std::size_t kMostGrowths = 500;  // earlier trees
constexpr std::size_t kPiece = 256U << 10;
constexpr std::chrono::milliseconds kConsoleLimit = std::chrono::seconds(10);
constexpr std::uint8_t kManifestField = 17;  // of evidence.sealed

std::string number_text(std::size_t number) {
  std::array<char, 16> text{};
  std::snprintf(text.data(), text.size(), "%06zu", number);
  return text.data();
}

std::string text_of(const std::vector<workspace::LogLine>& lines) {
  std::string text;
  for (const auto& line : lines) text += cat("[", format_rfc3339(line.time), "] ", to_utf8(line.message), "\n");
  return text;
}

std::string line_of(const json::object& object) { return json::serialize(object) + "\n"; }

}  // namespace

BundleMaker::BundleMaker(Sources sources, IncidentBook& book, monitor::Watch& watch, ledger::Recorder& recorder,
                         loop::WorkerPool& workers, EvidenceWish wish)
    : sources_(sources), book_(book), watch_(watch), recorder_(recorder), workers_(workers), wish_(std::move(wish)) {}

Task<void> BundleMaker::begin() {
  CO_TRY_ASSIGN(info_, sources_.manager.get(wish_.workspace));
  CO_TRY_ASSIGN(const auto incidents, co_await book_.list(info_->id, 1));
  if (!incidents.empty()) incident_ = incidents.front();
  std::string wanted = wish_.snapshot;
  CO_TRY_ASSIGN(const auto snapshots, sources_.manager.snapshots(info_->id));
  if (wanted.empty() && incident_) wanted = incident_->snapshot;
  // One that did not run when it was contained has none, and its disk stays where it is.
  if (!wanted.empty() || !snapshots.empty()) {
    CO_TRY_ASSIGN(snapshot_, co_await sources_.manager.sealed_snapshot(info_->id, wanted));
  }
  manifest_.workspace = info_->id;
  manifest_.incident = incident_ ? incident_->id : std::string(evidence::kNone);
  manifest_.snapshot = snapshot_ ? snapshot_->snapshot.id : std::string(evidence::kNone);
  manifest_.made = format_rfc3339(system_clock::now());
  co_return Status{};
}

Task<std::string> BundleMaker::next() {
  constexpr std::array<Stage, 9> kStages = {
      &BundleMaker::add_workspace,   &BundleMaker::add_connections, &BundleMaker::add_figures,
      &BundleMaker::add_console,     &BundleMaker::add_checkpoint,  &BundleMaker::add_entries,
      &BundleMaker::add_consistency, &BundleMaker::add_snapshot,    &BundleMaker::seal};
  while (ready_.empty()) {
    if (!files_.empty()) co_return co_await next_of_file();
    if (stage_ == kStages.size()) co_return std::string();
    const Stage stage = kStages.at(stage_);
    CO_TRY_ASSIGN(const bool more, co_await (this->*stage)());
    if (!more) ++stage_;
  }
  std::string piece = ready_.substr(ready_sent_, kPiece);
  ready_sent_ += piece.size();
  if (ready_sent_ == ready_.size()) {
    ready_.clear();
    ready_sent_ = 0;
  }
  co_return piece;
}

Task<std::string> BundleMaker::next_of_file() {
  File& file = files_.front();
  if (file.sent == file.size) {
    manifest_.items.push_back({file.name, file.digest.hex(), file.size});
    std::string tail = evidence::member_tail(file.size);
    files_.pop_front();
    if (!files_.empty()) tail += evidence::member_head(files_.front().name, files_.front().size);
    ready_ = std::move(tail);
    if (ready_.empty()) co_return co_await next();
    co_return std::exchange(ready_, {});
  }
  const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(kPiece, file.size - file.sent));
  auto read = [fd = file.fd.get(), at = static_cast<off_t>(file.sent), want]() -> Result<std::string> {
    std::string piece(want, '\0');
    const ssize_t got = ::pread(fd, piece.data(), piece.size(), at);
    if (got < 0) return fail_errno("read a file of a snapshot");
    piece.resize(static_cast<std::size_t>(got));
    return piece;
  };
  CO_TRY_ASSIGN(auto piece, co_await workers_.run(std::move(read)));
  if (piece.empty()) co_return fail(Code::DataLoss, cat(file.name, " became shorter while it was read"));
  file.digest.update(piece);
  file.sent += piece.size();
  co_return std::move(piece);
}

void BundleMaker::add(std::string name, const std::string& content) {
  send(name, content);
  manifest_.items.push_back({std::move(name), crypto::sha256_hex(content), content.size()});
}

void BundleMaker::send(std::string_view name, const std::string& content) {
  ready_ += cat(evidence::member_head(name, content.size()), content, evidence::member_tail(content.size()));
}

Task<bool> BundleMaker::add_workspace() {
  const auto& info = *info_;
  json::object about{{"id", info.id},
                     {"name", to_utf8(info.spec.name)},
                     {"namespace_id", info.spec.namespace_id},
                     {"image", to_utf8(info.spec.image)},
                     {"cpus", info.spec.cpu_millis / 1000.0},
                     {"memory_mb", info.spec.memory_mib},
                     {"disk_size_mb", info.spec.disk_mib},
                     {"status", model::state_name(info.state)},
                     {"hostname", to_utf8(info.hostname)},
                     {"created_at", format_rfc3339(info.created_at)},
                     {"snapshot", manifest_.snapshot},
                     {"made_at", manifest_.made},
                     {"made_by", wish_.by.actor}};
  if (snapshot_) about["snapshot_taken_at"] = format_rfc3339(snapshot_->snapshot.created_at);
  about["could_reach"] = policy_of(sources_.networks, sources_.manager, info.id);
  CO_TRY_ASSIGN(const auto observed, co_await observe(sources_.networks.flows(), info.id));
  about["reached"] = to_json(observed);
  add("workspace.json", line_of(about));
  if (incident_) add("incident.json", line_of(to_json(*incident_)));
  co_return false;
}

Task<bool> BundleMaker::add_connections() {
  std::vector<std::string> parts;
  std::uint64_t before = 0;
  for (std::size_t taken = 0; taken < net::FlowLog::kKeptOfOne; taken += kFlowsAtOnce) {
    CO_TRY_ASSIGN(const auto flows, co_await sources_.networks.flows().last(info_->id, kFlowsAtOnce, before));
    if (flows.empty()) break;
    std::string part;
    for (const auto& flow : flows) part += line_of(net::to_json(flow));
    parts.push_back(std::move(part));
    before = flows.front().number;
    if (flows.size() < kFlowsAtOnce || before == 0) break;
  }
  std::string text;
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) text += *part;
  add("connections.jsonl", text);
  co_return false;
}

Task<bool> BundleMaker::add_figures() {
  json::object figures;
  json::array seconds;
  for (const auto& sample : watch_.history().seconds(info_->id)) seconds.emplace_back(monitor::to_json(sample));
  figures["seconds"] = std::move(seconds);
  for (const auto& [name, span] :
       {std::pair("minutes", monitor::Span::minute), std::pair("hours", monitor::Span::hour)}) {
    CO_TRY_ASSIGN(const auto rows,
                  co_await watch_.history().rolled_up(info_->id, span, Time(), Time::max(), kMostRows));
    json::array array;
    for (const auto& row : rows) array.emplace_back(monitor::to_json(row));
    figures[name] = std::move(array);
  }
  json::array destinations;
  for (const auto& one : watch_.destinations().of(info_->id)) destinations.emplace_back(monitor::to_json(one));
  figures["destinations"] = std::move(destinations);
  monitor::AlertFilter filter;
  filter.workspace_id = info_->id;
  filter.limit = kMostRows;
  CO_TRY_ASSIGN(const auto alerts, co_await watch_.alerts().list(std::move(filter)));
  json::array raised;
  for (const auto& alert : alerts) raised.emplace_back(monitor::to_json(alert));
  figures["alerts"] = std::move(raised);
  add("watch.json", line_of(figures));
  co_return false;
}

Task<bool> BundleMaker::add_console() {
  for (const auto& [name, source] :
       {std::pair("boot", workspace::LogSource::boot), std::pair("cmd", workspace::LogSource::cmd)}) {
    CO_TRY_ASSIGN(const auto lines, co_await sources_.manager.logs(info_->id, source, 0));
    add(cat("console/", name, ".log"), text_of(lines));
  }
  // What a VMM does not answer is missing, and everything else is there.
  auto console = co_await loop::with_deadline(sources_.manager.console(info_->id), kConsoleLimit, "a guest's console");
  if (console) add("console/guest.log", to_utf8(*console));
  co_return false;
}

Task<bool> BundleMaker::add_checkpoint() {
  CO_TRY_ASSIGN(checkpoint_, co_await sources_.ledger->checkpoint_of_now());
  CO_TRY_ASSIGN(const auto note, ledger::parse_note(checkpoint_));
  CO_TRY_ASSIGN(const auto tree, ledger::parse_checkpoint(note.text));
  tree_size_ = tree.size;
  before_ = tree.size;
  add(std::string(evidence::kCheckpoint), checkpoint_);
  CO_TRY_ASSIGN(auto tokens, co_await tokens_of_it());
  const auto since = info_->created_at.time_since_epoch();
  filter_.since_us = std::chrono::duration_cast<std::chrono::microseconds>(since).count();
  filter_.visible = [id = info_->id, tokens = std::move(tokens)](const ledger::Decoded& entry) {
    return entry.text(ledger::kWorkspace) == id || tokens.contains(std::string(entry.text(ledger::kActor)));
  };
  co_return false;
}

Task<std::set<std::string>> BundleMaker::tokens_of_it() {
  std::set<std::string> tokens;
  for (const auto& token : sources_.identity.tokens().reaching(info_->id)) tokens.insert(token.id);
  if (incident_) {
    for (auto& id : incident_->token_ids()) tokens.insert(std::move(id));
  }
  co_return tokens;
}

// A page of entries, from the newest on: those that can be read, and beside them what proves them.
Task<bool> BundleMaker::add_entries() {
  CO_TRY_ASSIGN(const auto page, co_await sources_.ledger->events(filter_, before_, kPage));
  before_ = page.before;
  if (!page.entries.empty()) {
    std::vector<std::uint64_t> numbers;
    std::string events;
    for (const auto& entry : page.entries) {
      numbers.push_back(entry.stamp.number);
      events += line_of(ledger::to_json(entry));
    }
    first_entry_ = std::min(first_entry_, numbers.front());
    CO_TRY_ASSIGN(auto proofs, co_await sources_.ledger->prove_under(std::move(numbers), checkpoint_));
    std::string proven;
    for (auto& proof : proofs)
      proven += evidence::format_entry({proof.number, std::move(proof.entry), std::move(proof.hashes)});
    ++pages_;
    add(cat("ledger/events-", number_text(pages_), ".jsonl"), events);
    add(cat(evidence::kProofs, number_text(pages_)), proven);
  }
  if (!before_) co_return false;
  if (pages_ < kMostPages) co_return true;
  add("ledger/left-out", cat("entries before ", *before_, " are not here\n"));
  co_return false;
}

// Trees of the ledger as they were signed when keys took over, since before its first entry here.
Task<bool> BundleMaker::add_consistency() {
  CO_TRY_ASSIGN(auto written, co_await sources_.ledger->keys());
  auto find = [written = std::move(written), first = first_entry_,
               size = tree_size_]() -> Result<std::vector<std::uint64_t>> {
    TRY_ASSIGN(const auto chain, ledger::KeyChain::parse(written));
    std::vector<std::uint64_t> sizes;
    for (auto link = chain.links().rbegin(); link != chain.links().rend(); ++link) {
      if (link->size > size) continue;
      if (link->size == 0 || sizes.size() == kMostGrowths) break;
      sizes.push_back(link->size);
      if (link->size <= first) break;
    }
    return sizes;
  };
  CO_TRY_ASSIGN(const auto sizes, co_await sources_.ledger->offload(std::move(find)));
  std::string text;
  for (const auto size : sizes) {
    CO_TRY_ASSIGN(auto hashes, co_await sources_.ledger->prove_consistency(size, tree_size_));
    text += evidence::format_growth({size, std::move(hashes)});
  }
  add(std::string(evidence::kConsistency), text);
  co_return false;
}

Task<bool> BundleMaker::add_snapshot() {
  if (!snapshot_) co_return false;
  // In the open its key would open it to whoever finds the file.
  if (!wish_.recipients.empty()) {
    add(std::string(evidence::kSnapshotKey), cat(snapshot_->key.id, " ", to_hex(snapshot_->key.bytes.view()), "\n"));
  }
  for (auto& part : snapshot_->files) {
    File file;
    file.name = cat(evidence::kSnapshot, part.name);
    file.fd = std::move(part.fd);
    file.size = part.bytes;
    files_.push_back(std::move(file));
  }
  snapshot_->key = {};
  if (!files_.empty()) ready_ += evidence::member_head(files_.front().name, files_.front().size);
  co_return false;
}

Task<bool> BundleMaker::seal() {
  const std::string text = evidence::format_manifest(manifest_);
  const auto digest = crypto::sha256_hex(text);
  model::EvidenceSealed entry;
  entry.incident = incident_ ? incident_->id : "";
  entry.manifest = digest;
  entry.snapshot = snapshot_ ? snapshot_->snapshot.id : "";
  entry.recipients = wish_.recipients;
  CO_TRY(co_await recorder_.record({wish_.by, {info_->id, info_->spec.namespace_id}, std::move(entry)}));
  ledger::EventFilter filter;
  filter.workspace_id = info_->id;
  filter.kind = model::EvidenceSealed::kKind.name;
  filter.visible = [digest](const ledger::Decoded& one) { return one.text(kManifestField) == digest; };
  CO_TRY_ASSIGN(const auto found, co_await sources_.ledger->events(std::move(filter), std::nullopt, 1));
  if (found.entries.empty()) co_return fail(Code::Internal, "the entry that seals the evidence is not in the ledger");
  CO_TRY_ASSIGN(const auto proof, co_await sources_.ledger->prove(found.entries.front().stamp.number));
  CO_TRY_ASSIGN(const auto keys, co_await sources_.ledger->keys());
  send(evidence::kManifest, text);
  send(evidence::kSeal, ledger::format_proof(proof));
  send(evidence::kKeys, keys);
  ready_ += evidence::bundle_end();
  co_return false;
}

}  // namespace cofferdam::incident
