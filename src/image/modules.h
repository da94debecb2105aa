// Which kernel modules to load, and in which order, from what depmod wrote.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::image {

// The files of `wanted` (module names; '-' and '_' are one) and of all they need, each once, every file after those it
// needs; paths as modules.dep has them ("kernel/fs/erofs/erofs.ko.xz"). What modules.builtin names needs no file.
// NotFound when a module is in neither; DataLoss when modules.dep goes in a circle or names a file it has no line for.
Result<std::vector<std::string>> module_load_order(std::string_view modules_dep, std::string_view modules_builtin,
                                                   const std::vector<std::string>& wanted);

// What the guest needs before it can mount its root and speak to the host.
const std::vector<std::string>& guest_modules();

}  // namespace cofferdam::image
