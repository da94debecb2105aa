// Files in the guest, over the guest link.
#pragma once
#include <memory>

#include "vm/guest_link.h"
#include "vm/machine.h"

namespace cofferdam::vm {

class LinkFiles : public GuestFiles {
 public:
  explicit LinkFiles(std::shared_ptr<GuestLink> link) : link_(std::move(link)) {}
  Task<FileInfo> stat(std::string path) override;
  Task<FileInfo> lstat(std::string path) override;
  Task<std::vector<FileInfo>> list(std::string path) override;
  Task<std::string> read(std::string path, std::uint64_t offset) override;
  Task<std::unique_ptr<GuestFileWriter>> create(std::string path, std::uint32_t mode, CreateParents parents,
                                                std::string owner) override;
  Task<std::unique_ptr<GuestFileWriter>> append(std::string path, std::uint32_t mode, CreateParents parents,
                                                std::string owner) override;
  Task<std::unique_ptr<GuestFileWriter>> place(PlacedEntry entry) override;
  Task<void> make_directory(std::string path, std::uint32_t mode, CreateParents parents, std::string owner) override;
  Task<void> remove(std::string path, Recursive recursive) override;
  Task<void> rename(std::string from, std::string to) override;
  Task<void> make_symlink(std::string target, std::string path, CreateParents parents, std::string owner) override;
  Task<void> set_mode(std::string path, std::uint32_t mode) override;
  Task<void> set_modified(std::string path, std::int64_t modified_ms) override;
  Task<std::unique_ptr<GuestWalk>> walk(std::string root, WalkOptions options) override;

 private:
  Task<std::unique_ptr<GuestFileWriter>> open_writer(std::string path, std::uint32_t mode, CreateParents parents,
                                                     std::string owner, wire::WriteMode write_mode);
  Task<void> set_attributes(wire::SetAttributes attributes);

  std::shared_ptr<GuestLink> link_;
};

}  // namespace cofferdam::vm
