// Folders whose names are on stable storage.
#pragma once
#include <string>

#include "base/result.h"

namespace cofferdam::workspace {

// What was made, renamed or removed in it stays so from here on. Blocks, as the others.
Status sync_folder(const std::string& path);
// Made where it is missing, for its owner alone; its parent must be there.
Status make_lasting_folder(const std::string& path);
// Gone with all that is in it, and does not come back when the host's power fails.
Status remove_for_good(const std::string& path);

}  // namespace cofferdam::workspace
