// The two sides of a copy, and which names from a guest may become names here.
#pragma once
#include <string>
#include <string_view>

#include "base/result.h"

namespace cofferdam::cli {

// "WORKSPACE:PATH", "-", or a path of this host. What has a '/' before its first ':' is a path of this host.
struct CpTarget {
  enum class Kind { local, remote, stream };
  Kind kind = Kind::local;
  std::string workspace;  // of a remote one
  std::string path;       // of a local or remote one
};
Result<CpTarget> parse_cp_target(std::string_view text);

// "LOCAL[:REMOTE]" of --file. A LOCAL that has a ':' is written with a '/' after it, never before: the last ':' splits.
struct FileArgument {
  std::string local, remote;  // remote may be empty
};
Result<FileArgument> parse_file_argument(std::string_view text);

// A name a guest may give to one entry of a folder here: not empty, not "." or "..", no '/', no NUL, at most 255 bytes.
Status check_entry_name(std::string_view name);

std::string base_name(std::string_view path);                           // "a/b/" -> "b"; "/" -> ""
std::string join_path(std::string_view folder, std::string_view name);  // one '/' between

}  // namespace cofferdam::cli
