// The two ways to a root file system that has nothing of a recipe's own in it yet.
#pragma once
#include <string>

#include "base/result.h"
#include "image/recipe.h"
#include "image/tree.h"

namespace cofferdam::image {

// mmdebstrap into `folder`, then everything taken out that is of the host or of the installation: lists, caches, logs,
// device files, and private keys that packages made and all workspaces would share.
Status make_debian_base(const Recipe& recipe, const std::string& folder, const std::string& work,
                        const ProgressSink& progress);

// The host's static busybox. NotFound when there is none or it is not static.
Result<std::string> find_static_busybox();
Status make_busybox_base(const std::string& folder);

}  // namespace cofferdam::image
