#include "cli/cp_target.h"

#include "base/text.h"
#include "cli/safe_text.h"

namespace cofferdam::cli {

Result<CpTarget> parse_cp_target(std::string_view text) {
  if (text.empty()) return fail(Code::InvalidArgument, "a copy has an empty path");
  if (text.find('\0') != std::string_view::npos) return fail(Code::InvalidArgument, "a path has a NUL byte");
  CpTarget target;
  if (text == "-") {
    target.kind = CpTarget::Kind::stream;
    return target;
  }
  const auto colon = text.find(':');
  const auto slash = text.find('/');
  if (colon == std::string_view::npos || colon == 0 || slash < colon) {
    target.path = text;
    return target;
  }
  target.kind = CpTarget::Kind::remote;
  target.workspace = text.substr(0, colon);
  target.path = text.substr(colon + 1);
  if (target.path.empty()) {
    return fail(Code::InvalidArgument, cat("'", text, "' names no path in the workspace"),
                "write it as WORKSPACE:/path, or ./NAME for a file of this host whose name has a ':'");
  }
  return target;
}

Result<FileArgument> parse_file_argument(std::string_view text) {
  const auto colon = text.rfind(':');
  FileArgument file;
  file.local = text.substr(0, colon);
  if (colon != std::string_view::npos) file.remote = text.substr(colon + 1);
  if (file.local.empty() || (colon != std::string_view::npos && file.remote.empty())) {
    return fail(Code::InvalidArgument, cat("--file '", text, "' is not of the form LOCAL[:REMOTE]"));
  }
  if (file.remote.empty() && base_name(file.local).empty()) {
    return fail(Code::InvalidArgument, cat("--file '", text, "' names no file"));
  }
  return file;
}

Status check_entry_name(std::string_view name) {
  constexpr std::size_t kMaxName = 255;
  const bool special = name.empty() || name == "." || name == "..";
  const bool separates = name.find('/') != std::string_view::npos || name.find('\0') != std::string_view::npos;
  if (!special && !separates && name.size() <= kMaxName) return {};
  return fail(Code::InvalidArgument, cat("the workspace has an entry named '", printable(name.substr(0, kMaxName)),
                                         "', which is no name of a file"));
}

std::string base_name(std::string_view path) {
  while (!path.empty() && path.back() == '/') path.remove_suffix(1);
  return std::string(path.substr(path.rfind('/') + 1));
}

std::string join_path(std::string_view folder, std::string_view name) {
  if (folder.empty()) return std::string(name);
  return folder.back() == '/' ? cat(folder, name) : cat(folder, "/", name);
}

}  // namespace cofferdam::cli
