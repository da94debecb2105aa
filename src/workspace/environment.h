// What a command starts with: image, workspace and caller merged.
#pragma once
#include <string>
#include <vector>

#include "image/image_store.h"
#include "model/workspace_spec.h"

namespace cofferdam::workspace {

// "K=V" items of both; of one name only the last stays, at its first place.
std::vector<std::string> merge_env(std::vector<std::string> base, const std::vector<std::string>& over);

// `spec` with the defaults of image and workspace filled in.
model::ExecSpec complete_exec(model::ExecSpec spec, const image::ImageConfig& image,
                              const std::vector<std::string>& workspace_env);

// A host name made of `name`: letters, digits and dashes, at most 63; of `id` when nothing is left of the name.
std::string hostname_for(const std::string& name, const std::string& id);

}  // namespace cofferdam::workspace
