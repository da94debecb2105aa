#include "evidence/verify.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "base/text.h"
#include "crypto/digest.h"
#include "evidence/manifest.h"
#include "evidence/slice.h"
#include "ledger/canonical.h"
#include "ledger/key_chain.h"
#include "ledger/proof.h"

namespace cofferdam::evidence {
namespace {

constexpr std::size_t kMaxFindings = 100;
constexpr std::size_t kMaxKept = 64U << 20;  // of a member that is looked into
constexpr std::size_t kPiece = 1U << 18;
constexpr std::uint8_t kManifestField = 17;  // of evidence.sealed, as model/event.h gives it

// Whether its content is looked into, and so kept until its end.
bool is_read(std::string_view name) {
  return name == kManifest || name == kSeal || name == kKeys || name == kCheckpoint || name == kConsistency ||
         name.starts_with(kProofs);
}

// Names and texts of a bundle are whoever's who made it.
std::string clean(std::string text) {
  std::replace_if(text.begin(), text.end(), [](unsigned char byte) { return byte < ' ' || byte == 0x7f; }, '?');
  return text;
}

bool is_outside_manifest(std::string_view name) { return name == kManifest || name == kSeal || name == kKeys; }

}  // namespace

class Verifier::Impl final : public MemberSink {
 public:
  Impl(VerifyOptions options, MemberSink* also) : options_(std::move(options)), also_(also), reader_(*this) {}

  bool feed(std::string_view bytes) {
    if (broken_) return false;
    report_.bytes += bytes.size();
    if (auto fed = reader_.feed(bytes); !fed) {
      broken_ = true;
      find(reader_.member(), fed.error().message);
    }
    return !broken_;
  }

  Report finish() {
    if (!broken_) {
      if (auto whole = reader_.finish(); !whole) find(reader_.member(), whole.error().message);
    }
    check_members();
    check_signatures();
    return std::move(report_);
  }

  Status begin(const std::string& name, std::uint64_t size) override {
    name_ = name;
    size_ = size;
    digest_ = crypto::Sha256();
    kept_.clear();
    keeps_ = is_read(name);
    if (keeps_ && size > kMaxKept) {
      keeps_ = false;
      find(name, cat("it is larger than ", kMaxKept, " bytes, which it never is"));
    }
    if (seen_.contains(name)) find(name, "it is there twice");
    return also_ == nullptr ? Status{} : also_->begin(name, size);
  }

  Status bytes(std::string_view piece) override {
    digest_.update(piece);
    if (keeps_) kept_ += piece;
    return also_ == nullptr ? Status{} : also_->bytes(piece);
  }

  Status end() override {
    ++report_.members;
    seen_.try_emplace(name_, ManifestItem{name_, digest_.hex(), size_});
    if (name_.starts_with(kProofs)) {
      check_entries();
    } else if (keeps_) {
      texts_.try_emplace(name_, std::move(kept_));
    }
    kept_.clear();
    return also_ == nullptr ? Status{} : also_->end();
  }

 private:
  void find(std::string member, std::string what) {
    if (++report_.finding_count <= kMaxFindings) report_.findings.push_back({std::move(member), std::move(what)});
  }
  void find(std::string_view member, const Error& error) { find(std::string(member), error.message); }

  // Null when it is not there.
  [[nodiscard]] const std::string* text_of(std::string_view name) const {
    const auto found = texts_.find(name);
    return found == texts_.end() ? nullptr : &found->second;
  }

  // The tree that proofs are against. It comes before them, and whether it was signed is seen when the keys are there.
  [[nodiscard]] Result<ledger::Checkpoint> tree() const {
    const auto* text = text_of(kCheckpoint);
    if (text == nullptr) return fail(Code::DataLoss, "there is no checkpoint before it");
    TRY_ASSIGN(const auto note, ledger::parse_note(*text));
    return ledger::parse_checkpoint(note.text);
  }

  void check_entries() {
    const auto tree = this->tree();
    if (!tree) return find(name_, tree.error());
    const auto take = [&](const ProvenEntry& entry) -> Status {
      const auto wrong = [&](const Error& error) {
        return fail(Code::DataLoss, cat("entry ", entry.number, " is not in the ledger: ", error.message));
      };
      auto proven =
          ledger::check_inclusion(entry.number, tree->size, ledger::leaf_hash(entry.bytes), entry.hashes, tree->root);
      if (!proven) return wrong(proven.error());
      const auto decoded = ledger::decode(entry.bytes);
      if (!decoded) return wrong(decoded.error());
      if (decoded->stamp.number != entry.number)
        return fail(Code::DataLoss, cat("entry ", entry.number, " has another number"));
      ++report_.entries;
      return {};
    };
    if (auto checked = parse_entries(kept_, take); !checked) find(name_, checked.error());
  }

  void check_members() {
    const auto* text = text_of(kManifest);
    if (text == nullptr) return find(std::string(kManifest), "it is missing");
    const auto manifest = parse_manifest(*text);
    if (!manifest) return find(kManifest, manifest.error());
    report_.workspace = manifest->workspace;
    report_.incident = manifest->incident;
    report_.snapshot = manifest->snapshot;
    report_.made = manifest->made;
    std::map<std::string, const ManifestItem*> listed;
    for (const auto& item : manifest->items) {
      listed.emplace(item.name, &item);
      const auto seen = seen_.find(item.name);
      if (seen == seen_.end()) {
        find(item.name, "it is missing");
      } else if (seen->second.sha256 != item.sha256 || seen->second.size != item.size) {
        find(item.name, cat("it was changed: it has ", seen->second.size, " bytes with the SHA-256 ",
                            seen->second.sha256, ", and had ", item.size, " with ", item.sha256));
      }
    }
    for (const auto& [name, item] : seen_) {
      if (!listed.contains(name) && !is_outside_manifest(name)) find(name, "the manifest does not know it");
    }
  }

  void check_signatures() {
    const auto* written = text_of(kKeys);
    if (written == nullptr) return find(std::string(kKeys), "it is missing");
    const auto keys = ledger::KeyChain::parse(*written);
    if (!keys) return find(kKeys, keys.error());
    if (keys->empty()) return find(std::string(kKeys), "it holds no key");
    report_.first_key = keys->links().front().key;
    report_.origin = keys->last().origin;
    if (options_.first_key && *options_.first_key != *report_.first_key) {
      find(std::string(kKeys), "the chain of keys begins with another key than the one that was given");
    }
    check_seal(*keys);
    check_checkpoint(*keys);
  }

  void check_seal(const ledger::KeyChain& keys) {
    const auto* text = text_of(kSeal);
    if (text == nullptr) return find(std::string(kSeal), "it is missing");
    const auto proof = ledger::parse_proof(*text);
    if (!proof) return find(kSeal, proof.error());
    const auto entry = ledger::check_proof(*proof, keys);
    if (!entry) return find(kSeal, entry.error());
    if (entry->kind != model::EvidenceSealed::kKind.number) {
      return find(std::string(kSeal), cat("it proves ", ledger::describe(*entry), ", which seals no evidence"));
    }
    report_.sealed_by = entry->stamp.number;
    const auto* manifest = text_of(kManifest);
    if (manifest == nullptr) return;
    if (entry->text(kManifestField) != crypto::sha256_hex(*manifest)) {
      find(std::string(kManifest), cat("it is not the one that ", ledger::describe(*entry), " has sealed"));
    }
    if (!report_.workspace.empty() && entry->text(ledger::kWorkspace) != report_.workspace) {
      find(std::string(kSeal), cat("it is of another workspace: ", ledger::describe(*entry)));
    }
  }

  void check_checkpoint(const ledger::KeyChain& keys) {
    const auto* text = text_of(kCheckpoint);
    if (text == nullptr) return find(std::string(kCheckpoint), "it is missing");
    const auto note = ledger::parse_note(*text);
    if (!note) return find(kCheckpoint, note.error());
    const auto tree = keys.check(*note);
    if (!tree) return find(kCheckpoint, tree.error());
    const auto* growths = text_of(kConsistency);
    if (growths == nullptr) return find(std::string(kConsistency), "it is missing");
    const auto parsed = parse_growths(*growths);
    if (!parsed) return find(kConsistency, parsed.error());
    for (const auto& growth : *parsed) {
      const auto& links = keys.links();
      const auto link =
          std::find_if(links.begin(), links.end(), [&](const auto& one) { return one.size == growth.from; });
      if (link == links.end()) {
        find(std::string(kConsistency), cat("no key took over at ", growth.from, " entries"));
        continue;
      }
      auto grown = ledger::check_consistency(link->size, link->root, tree->size, tree->root, growth.hashes);
      if (!grown)
        find(std::string(kConsistency),
             cat("the ledger of ", growth.from, " entries is not the beginning of this one"));
      if (grown) ++report_.trees;
    }
  }

  VerifyOptions options_;
  MemberSink* also_;
  BundleReader reader_;
  Report report_;
  bool broken_ = false;
  // Of the member that goes by.
  std::string name_, kept_;
  std::uint64_t size_ = 0;
  bool keeps_ = false;
  crypto::Sha256 digest_;
  std::map<std::string, ManifestItem> seen_;
  std::map<std::string, std::string, std::less<>> texts_;
};

Verifier::Verifier(VerifyOptions options, MemberSink* also) : impl_(std::make_unique<Impl>(std::move(options), also)) {}
Verifier::~Verifier() = default;
bool Verifier::feed(std::string_view bytes) { return impl_->feed(bytes); }
Report Verifier::finish() { return impl_->finish(); }

Result<Report> verify_fd(int fd, VerifyOptions options) {
  Verifier verifier(std::move(options));
  std::string piece(kPiece, '\0');
  for (;;) {
    const ssize_t got = ::read(fd, piece.data(), piece.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail_errno("read a bundle of evidence");
    if (got == 0 || !verifier.feed(std::string_view(piece).substr(0, static_cast<std::size_t>(got)))) {
      return verifier.finish();
    }
  }
}

std::string json_string(std::string_view text) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += cat('\\', c);
    } else if (byte < ' ' || byte == 0x7f) {
      out += cat("\\u00", kDigits[byte >> 4], kDigits[byte & 15]);
    } else {
      out += c;
    }
  }
  return out + "\"";
}

std::string report_text(const Report& report) {
  std::string text = cat("workspace    ", report.workspace, "\nincident     ", report.incident, "\nsnapshot     ",
                         report.snapshot, "\nmade         ", report.made, "\nmembers      ", report.members, ", ",
                         report.bytes, " bytes\nledger       ", clean(report.origin), "\nentries      ", report.entries,
                         ", each proven; ", report.trees, " earlier trees lead here\n");
  if (report.sealed_by) text += cat("sealed by    entry ", *report.sealed_by, "\n");
  if (report.first_key) text += cat("first key    ", clean(report.first_key->text()), "\n");
  for (const auto& finding : report.findings) {
    text += cat("WRONG        ", finding.member, finding.member.empty() ? "" : ": ", clean(finding.what), "\n");
  }
  if (report.finding_count > report.findings.size()) {
    text += cat("WRONG        and ", report.finding_count - report.findings.size(), " more\n");
  }
  return text + (report.good() ? "good: this is what was signed\n" : "NOT GOOD: this is not what was signed\n");
}

std::string report_json(const Report& report) {
  std::string text =
      cat("{\"success\": ", report.good() ? "true" : "false", ", \"workspace\": ", json_string(report.workspace),
          ", \"incident\": ", json_string(report.incident), ", \"snapshot\": ", json_string(report.snapshot),
          ", \"made\": ", json_string(report.made), ", \"origin\": ", json_string(report.origin),
          ", \"first_key\": ", report.first_key ? json_string(report.first_key->text()) : "null",
          ", \"sealed_by\": ", report.sealed_by ? cat(*report.sealed_by) : "null", ", \"members\": ", report.members,
          ", \"bytes\": ", report.bytes, ", \"entries\": ", report.entries, ", \"trees\": ", report.trees,
          ", \"finding_count\": ", report.finding_count, ", \"findings\": [");
  for (const auto& finding : report.findings) {
    text += cat(&finding == &report.findings.front() ? "" : ", ", "{\"member\": ", json_string(finding.member),
                ", \"what\": ", json_string(finding.what), "}");
  }
  return text + "]}\n";
}

}  // namespace cofferdam::evidence
