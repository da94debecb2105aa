// Whether a bundle is what was signed, and if not, which of its members is not. No daemon, no network, nothing written.
//
// Theory of operation. A bundle goes by once. Of every member the digest is taken; entries of the ledger are held
// against their checkpoint as they come. At the end the manifest says what should have been there, the seal proves that
// the manifest's digest is in the ledger, and the chain of keys signs that proof, the checkpoint and earlier trees. Who
// made all of it anew has another chain: whether it is the right one, only a key that was kept elsewhere can tell.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "evidence/bundle.h"
#include "ledger/note.h"

namespace cofferdam::evidence {

struct VerifyOptions {
  std::optional<ledger::VerifierKey> first_key;  // of the ledger's epoch 0, from elsewhere
};

struct Finding {
  std::string member;  // empty: of the bundle as a whole
  std::string what;
};

struct Report {
  std::string workspace, incident, snapshot, made;  // as its manifest says
  std::string origin;                               // of the ledger
  std::uint64_t members = 0, bytes = 0, entries = 0, trees = 0;
  std::optional<std::uint64_t> sealed_by;  // the number of the entry
  std::optional<ledger::VerifierKey> first_key;
  std::vector<Finding> findings;  // the first 100
  std::uint64_t finding_count = 0;

  [[nodiscard]] bool good() const { return finding_count == 0; }
};

class Verifier {
 public:
  // `also` hears the same members; an error of it ends the reading and is a finding. Null, or outlives the verifier.
  explicit Verifier(VerifyOptions options, MemberSink* also = nullptr);
  ~Verifier();

  // The next bytes. False: it cannot be read any further, and finish() says why.
  bool feed(std::string_view bytes);
  Report finish();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

// From a descriptor to its end; blocks. An error only when it cannot be read.
Result<Report> verify_fd(int fd, VerifyOptions options);

// For people, and as one JSON object in a line with "success".
std::string report_text(const Report& report);
std::string report_json(const Report& report);

// A text as JSON.
std::string json_string(std::string_view text);

}  // namespace cofferdam::evidence
