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
  Task<std::vector<FileInfo>> list(std::string path) override;
  Task<std::string> read(std::string path, std::uint64_t offset) override;
  Task<std::unique_ptr<GuestFileWriter>> create(std::string path, std::uint32_t mode, CreateParents parents,
                                                std::string owner) override;
  Task<void> make_directory(std::string path, std::uint32_t mode, CreateParents parents, std::string owner) override;
  Task<void> remove(std::string path, Recursive recursive) override;
  Task<void> rename(std::string from, std::string to) override;

 private:
  std::shared_ptr<GuestLink> link_;
};

}  // namespace cofferdam::vm
