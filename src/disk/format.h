// The formatted, empty disks that new volumes are copied from: one file a size, made once.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::disk {

// The name of the form that disks have now: it changes with any of the options they are formatted with.
std::string_view format_version();

// An open, read-only descriptor of the empty disk of `mib` MiB under `formats_dir`, made first where there is none
// (tens of milliseconds; several processes may ask at once). Blocking.
Result<UniqueFd> open_format(const std::string& formats_dir, std::uint32_t mib);

// Removes formats of other versions and what a died process left half-made.
Status remove_old_formats(const std::string& formats_dir);

}  // namespace cofferdam::disk
