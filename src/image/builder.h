// From a recipe to a tree with everything in it, ready to be packed.
#pragma once
#include <string>

#include "base/result.h"
#include "image/recipe.h"

namespace cofferdam::image {

// What else than the recipe decides the content: raised with every change of what a build does, so that images made by
// an older builder are not taken for equal.
constexpr int kBuilderVersion = 1;

// The key of what build_tree would make now: recipe, builder, mirror, busybox.
Result<std::string> content_key(const Recipe& recipe);

// Fills `folder` (made here). Needs root. `work` is for files that are not of the image.
Status build_tree(const Recipe& recipe, const std::string& folder, const std::string& work,
                  const ProgressSink& progress);

}  // namespace cofferdam::image
