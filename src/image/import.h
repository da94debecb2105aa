// From what others packed to a tree: folders, tar archives, OCI image layouts, docker archives. All of it is hostile.
#pragma once
#include <cstdint>
#include <string>

#include "base/result.h"
#include "image/archive.h"
#include "image/image_store.h"

namespace cofferdam::image {

// Fills the empty folder `root`; `work` is for files that are not of the image. InvalidArgument: what was refused.
Result<ImageConfig> import_tree(const std::string& path, const std::string& root, const std::string& work,
                                const ImportLimits& limits, const ProgressSink& progress);

}  // namespace cofferdam::image
