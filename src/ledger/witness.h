// Checkpoints to places outside this host, so that whoever owns the host later cannot make another past.
//
//     file:/mnt/other/checkpoints         each appended, a blank line between two
//     git:/srv/witness                    committed as the file `checkpoint` of that repository, and pushed when it has
//     a
//                                         remote; hooks are not run, and the repository must be root's own
//     https://host/path, http://…         POST, in the form of a C2SP tlog-witness's add-checkpoint: "old N", the proof
//                                         from N entries to this checkpoint, a blank line, the checkpoint. 2xx: it has
//                                         it; 409 with a number: that is the size it has
#pragma once
#include <chrono>
#include <string>
#include <vector>

#include "ledger/ledger.h"

namespace cofferdam::ledger {

struct WitnessTarget {
  enum class Kind { file, git, http } kind = Kind::file;
  std::string where;  // a path, or the URL
  [[nodiscard]] std::string text() const;
};
// InvalidArgument: none of the forms above.
Result<WitnessTarget> parse_witness(std::string_view text);

// Sends the newest checkpoint to each target, whenever it has changed, at most so often; until it is cancelled. A
// failure is an entry, once until it works again. `ledger` outlives the task.
Task<void> send_to_witnesses(Ledger& ledger, std::vector<WitnessTarget> targets, std::chrono::milliseconds every);

// One try, now.
Task<void> send_to_witness(Ledger& ledger, WitnessTarget target, std::uint64_t& known_size);

}  // namespace cofferdam::ledger
