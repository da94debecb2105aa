// An OCI image layout in a folder: chooses the image for this machine, checks every digest, unpacks the layers.
#pragma once
#include <string>

#include "base/result.h"
#include "image/archive.h"
#include "image/image_store.h"

namespace cofferdam::image {

// True when `folder` says that it is an image layout.
bool is_oci_layout(const std::string& folder);

// Into `tree`. InvalidArgument: a document or layer that is missing, malformed, of the wrong size or digest, encrypted,
// or for another system; more than one image to choose from; what unpack_tar refuses.
Result<ImageConfig> unpack_oci_layout(const std::string& folder, const Tree& tree, const ImportLimits& limits,
                                      const ProgressSink& progress);

}  // namespace cofferdam::image
