#include "backup/place.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <vector>

#include "backup/members.h"
#include "base/file.h"
#include "base/text.h"
#include "keys/key_store.h"

namespace cofferdam::backup {
namespace {

namespace fs = std::filesystem;

std::string being_made(const std::string& state_dir) { return state_dir + "/restore.unfinished"; }
std::string committed(const std::string& state_dir) { return state_dir + "/restore.committed"; }

Status sync_path(const std::string& path) {
  TRY_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY));
  if (::fsync(fd.get()) != 0) return fail_errno(cat("sync '", path, "'"));
  return {};
}

// Every file and folder below, and the folder itself last.
Status sync_all(const std::string& folder) {
  std::error_code ec;
  for (fs::recursive_directory_iterator it(folder, ec), end; !ec && it != end; it.increment(ec)) {
    TRY(sync_path(it->path().string()));
  }
  if (ec) return fail(Code::Unavailable, cat("list '", folder, "': ", ec.message()));
  return sync_path(folder);
}

Status move(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return fail_errno(cat("move '", from, "' to '", to, "'"));
  return {};
}

// The database's other files belong to the one that goes: the new one would be read with them.
Status clear_for(const std::string& state_dir, std::string_view name) {
  if (name != kDatabase) return {};
  for (const auto* suffix : {"-wal", "-shm"}) TRY(remove_tree(cat(state_dir, "/", name, suffix)));
  return sync_path(state_dir);
}

Status move_files(const std::string& from, const std::string& state_dir) {
  std::error_code ec;
  std::vector<std::string> names;
  for (fs::recursive_directory_iterator it(from, ec), end; !ec && it != end; it.increment(ec)) {
    if (it->is_regular_file()) names.push_back(fs::relative(it->path(), from).string());
  }
  if (ec) return fail(Code::Unavailable, cat("list '", from, "': ", ec.message()));
  for (const auto& name : names) {
    const std::string to = cat(state_dir, "/", name);
    const std::string folder = fs::path(to).parent_path().string();
    TRY(make_directories(folder, 0700));
    TRY(clear_for(state_dir, name));
    TRY(move(cat(from, "/", name), to));
    TRY(sync_path(folder));
  }
  return {};
}

}  // namespace

Unfinished look_for_unfinished(const std::string& state_dir) {
  const std::string folder = being_made(state_dir);
  if (!path_exists(folder)) return Unfinished::nothing;
  const bool has_tree = path_exists(cat(folder, "/keys/tree")) || path_exists(cat(folder, "/keys/tree.new"));
  return has_tree ? Unfinished::key_tree : Unfinished::files;
}

Result<std::string> begin_place(const std::string& state_dir) {
  std::string folder = being_made(state_dir);
  TRY(make_directories(folder, 0700));
  return folder;
}

Status commit_place(const std::string& state_dir) {
  TRY(sync_all(being_made(state_dir)));
  TRY(move(being_made(state_dir), committed(state_dir)));
  return sync_path(state_dir);
}

Status finish_place(const std::string& state_dir) {
  const std::string from = committed(state_dir);
  if (!path_exists(from)) return {};
  auto moved = move_files(from, state_dir);
  if (moved) moved = remove_tree(from);
  if (!moved) {
    return fail(std::move(moved.error())
                    .in("finish a restore")
                    .with_hint(cat("the restored state lies whole in '", from, "': the next start goes on with it")));
  }
  return sync_path(state_dir);
}

Status discard_place(const std::string& state_dir, const FindHolder& holder) {
  const std::string folder = being_made(state_dir);
  if (look_for_unfinished(state_dir) == Unfinished::key_tree) {
    TRY_ASSIGN(auto* const found, holder());
    TRY(keys::KeyStore::discard(cat(folder, "/keys"), *found));
  }
  return remove_tree(folder);
}

}  // namespace cofferdam::backup
