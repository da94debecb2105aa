// What is below a folder of a workspace, one entry after the other, without what is to be left out.
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/ignore.h"
#include "vm/machine.h"

namespace cofferdam::runtime {

using loop::Task;

enum class Gitignore { ignored, obeyed };
enum class Hidden { left_out, shown };

struct ListingOptions {
  std::uint32_t max_depth = 1;  // 1: the folder's own entries; at most 128
  Gitignore gitignore = Gitignore::obeyed;
  Hidden hidden = Hidden::shown;
  std::vector<std::string> ignore;  // IgnoreList
};

struct Found {
  vm::FileInfo info;
  std::string path;      // absolute
  std::string relative;  // to the root
  std::uint32_t depth = 1;
};

// Each folder before what it holds, by name. Links are told and not followed; /proc, /sys and /dev are not entered from
// above, nor is .git where .gitignore files are obeyed. What the guest says is bounded and checked.
class Listing {
 public:
  // `root` is clean and absolute.
  Listing(std::shared_ptr<vm::Machine> machine, std::string root, ListingOptions options);
  // nullopt at the end. The first call fails when the root is no folder.
  Task<std::optional<Found>> next();
  [[nodiscard]] std::size_t unreadable_folders() const { return unreadable_; }

 private:
  struct Folder {
    std::string path;      // "" for the file system's root
    std::string relative;  // "" or with a slash at its end
    std::vector<vm::FileInfo> entries;
    std::size_t at = 0;
    IgnoreRules rules;
  };
  Task<void> enter(std::string path, std::string relative);
  Task<void> read_rules_above();
  [[nodiscard]] bool left_out(const vm::FileInfo& info, const std::string& relative) const;

  std::shared_ptr<vm::Machine> machine_;
  std::string root_;
  ListingOptions options_;
  IgnoreList ignore_;
  std::vector<Folder> open_;
  std::optional<Found> to_enter_;
  std::vector<std::pair<std::string, IgnoreRules>> above_;  // with the path from their folder to the root
  bool started_ = false;
  std::size_t unreadable_ = 0;
};

// The file's first `most` bytes.
Task<std::string> read_some(std::shared_ptr<vm::Machine> machine, std::string path, std::size_t most);

}  // namespace cofferdam::runtime
