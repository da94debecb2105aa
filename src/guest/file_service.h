// Files of the guest for the host: binary-safe, in bounded pieces; a write that replaces becomes visible whole or not
// at all.
#pragma once
#include <cstdint>
#include <map>
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "guest/beneath.h"
#include "wire/message.h"

namespace cofferdam::guest {

Result<wire::FileInfo> stat_file(const wire::FileStat& request);
Result<wire::FileListResult> list_folder(const wire::FileList& request);
// Regular files only: a pipe or a device could hold the agent for ever.
Result<wire::FileReadResult> read_range(const wire::FileRead& request);
// `default_user` owns what is made when the request names nobody.
Status make_folder(const wire::Mkdir& request, const std::string& default_user);
Status remove_path(const wire::Remove& request);
Status rename_path(const wire::Rename& request);
Status make_symlink(const wire::MakeSymlink& request, const std::string& default_user);
Status set_attributes(const wire::SetAttributes& request);
Result<wire::WarmResult> warm_files(const wire::Warm& request, const std::string& root);

// Writes under way, by handle.
class FileWrites {
 public:
  static constexpr std::size_t kMaxOpen = 64;

  FileWrites() = default;
  ~FileWrites() { abort_all(); }
  FileWrites(const FileWrites&) = delete;
  FileWrites& operator=(const FileWrites&) = delete;

  Result<wire::FileHandle> open(const wire::FileWriteOpen& request, const std::string& default_user);
  // Its handle is 0 for all but a file.
  Result<wire::FileHandle> place(const wire::Place& request, const std::string& default_user);
  Status write(const wire::FileWriteChunk& request);
  // The handle is gone afterwards, also after an error.
  Result<wire::FileInfo> commit(const wire::FileWriteCommit& request);
  void abort(std::uint32_t handle);
  void abort_all();

 private:
  // What a commit does with it.
  enum class Outcome { put_in_place, dropped };
  struct Write {
    UniqueFd fd;
    UniqueFd folder;        // what temporary and target are names in; none: they are paths
    std::string temporary;  // "": appends to the target itself
    std::string target;
    Outcome outcome = Outcome::put_in_place;
    [[nodiscard]] int base() const;
    std::uint32_t mode = 0;
    uid_t uid = 0;
    gid_t gid = 0;
  };
  static Status open_for_append(Write& write);
  static void discard(const Write& write);
  [[nodiscard]] Status check_room() const;
  wire::FileHandle keep(Write write);

  std::map<std::uint32_t, Write> open_;
  std::uint32_t next_ = 1;
};

}  // namespace cofferdam::guest
