// How a restored state takes its place: it is made whole beside the old one, becomes the new one by one rename, and is
// then moved to where it belongs. What a crash leaves before the rename is thrown away, and after it is finished, by
// the next restore or the daemon's next start.
#pragma once
#include <functional>
#include <string>

#include "base/result.h"
#include "keys/root_holder.h"

namespace cofferdam::backup {

// The facts of a restore, for the daemon's ledger: below the new state, and then of the state folder.
inline constexpr std::string_view kRestoredNote = "restored";

// Where the new state is made: an empty folder.
Result<std::string> begin_place(const std::string& state_dir);
// From here on it is the state. Durable when it returns.
Status commit_place(const std::string& state_dir);
// Moves what was committed to where it belongs; nothing there is no error.
Status finish_place(const std::string& state_dir);
// What was not committed: whether it has a key tree, whose root must be destroyed with it.
enum class Unfinished { nothing, files, key_tree };
Unfinished look_for_unfinished(const std::string& state_dir);
// Throws it away. `holder` is asked for when there is a key tree alone.
using FindHolder = std::function<Result<keys::RootHolder*>()>;
Status discard_place(const std::string& state_dir, const FindHolder& holder);

}  // namespace cofferdam::backup
