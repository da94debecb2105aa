// Files and folders between this host and a workspace.
#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/unique_fd.h"
#include "cli/api.h"
#include "cli/local_tree.h"
#include "cli/progress.h"

namespace cofferdam::cli {

struct RemoteEntry {
  enum class Kind { file, folder, link, other };
  Kind kind = Kind::other;
  std::string name;
  std::uint64_t size = 0;  // as the guest says
  unsigned mode = 0644;
};

// How much was copied, and what was not.
struct TransferCount {
  std::uint64_t files = 0, bytes = 0, skipped = 0;
};

class FileTransfer {
 public:
  FileTransfer(Session& session, Api& api, std::string workspace, Progress::Style style)
      : session_(session), api_(api), workspace_(std::move(workspace)), progress_(style) {}

  // nullopt: there is nothing of that name.
  Task<std::optional<RemoteEntry>> stat(std::string remote);

  // The whole of `fd` from where it stands to the file `remote`; missing folders above it are made. `owner` may be
  // empty: the server's choice.
  Task<void> upload(UniqueFd fd, std::string remote, unsigned mode, std::string owner);
  // What `local` names: a file, or a folder with all below it; `remote` is what it becomes. Links and special files
  // below are skipped with a note.
  Task<void> upload_tree(std::string local, std::string remote);

  // The bytes of `remote` to `fd`.
  Task<void> download(std::string remote, int fd);
  // To the file `name` in `folder`.
  Task<void> download_file(std::string remote, RemoteEntry entry, const LocalFolder& folder, std::string name);
  // The content of the folder `remote` into `folder`. `folder` must outlive the task.
  Task<void> download_tree(std::string remote, const LocalFolder& folder, int depth = 0);

  [[nodiscard]] const TransferCount& count() const { return count_; }

 private:
  Task<std::vector<RemoteEntry>> list(std::string remote);
  void skip(std::string_view what, std::string_view why);
  void advance(std::string_view name, std::uint64_t done, std::optional<std::uint64_t> total, std::size_t piece);
  Session& session_;
  Api& api_;
  std::string workspace_;
  Progress progress_;
  TransferCount count_;
};

}  // namespace cofferdam::cli
