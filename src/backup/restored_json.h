// What a restore did, as JSON: for the one who asked, and for the daemon that starts afterwards.
#pragma once
#include <string>
#include <string_view>

#include "backup/restore.h"

namespace cofferdam::backup {

std::string text_of(const Restored& restored);
// The members of the backup are not in it.
Result<Restored> restored_from_text(std::string_view text);

}  // namespace cofferdam::backup
