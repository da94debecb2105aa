#include "guest/modules.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/file.h"
#include "base/text.h"

namespace cofferdam::guest {
namespace {

Status load_module(const std::string& path) {
  TRY_ASSIGN(const UniqueFd file, open_file(path, O_RDONLY));
  if (::syscall(SYS_finit_module, file.get(), "", 0) != 0 && errno != EEXIST) {
    return fail_errno(cat("load module '", path, "'"));
  }
  ::unlink(path.c_str());
  return {};
}

}  // namespace

Status load_modules(const std::string& list) {
  TRY_ASSIGN(const std::string text, read_file(list, 64U << 10));
  for (const auto& line : split(text, '\n')) {
    const std::string_view path = trim(line);
    if (path.empty() || path.front() == '#') continue;
    TRY(load_module(std::string(path)));
  }
  return {};
}

}  // namespace cofferdam::guest
