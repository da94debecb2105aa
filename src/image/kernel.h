// The guest kernel: Debian's cloud kernel, downloaded and unpacked, never installed; one for all images.
#pragma once
#include "base/result.h"
#include "image/content_store.h"
#include "image/stored_image.h"

namespace cofferdam::image {

enum class Refresh { no, yes };

// The kernel in use. FailedPrecondition when there is none yet, DataLoss when its files are damaged.
Result<Kernel> current_kernel(const ContentStore& store);

// The kernel in use; fetched when there is none, or when `refresh` and the archive has a newer one. With a kernel at
// hand, an archive that cannot be reached is no error.
Result<Kernel> ensure_kernel(const ContentStore& store, Refresh refresh, const ProgressSink& progress);

// Removes the kernels that are not in use.
Status remove_old_kernels(const ContentStore& store);

}  // namespace cofferdam::image
