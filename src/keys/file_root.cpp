#include "base/text.h"
#include "keys/holders.h"
#include "keys/root_file.h"

namespace cofferdam::keys {
namespace {

class FileHolder : public RootHolder {
 public:
  FileHolder(std::shared_ptr<Files> files, const std::string& name) : file_(std::move(files), name) {}

  [[nodiscard]] std::string name() const override { return cat("the file '", file_.path(), "'"); }

  Result<std::vector<Root>> load(const std::string& store) override {
    TRY_ASSIGN(auto records, file_.load(store));
    std::vector<Root> roots;
    for (auto& record : records) {
      if (record.payload.size() != kRootKeyBytes) {
        return fail(Code::FailedPrecondition, cat(name(), " holds a root that is sealed with a passphrase"),
                    "set keys.root to passphrase");
      }
      roots.push_back({std::move(record.id), std::move(record.payload)});
    }
    return roots;
  }

  Status add(const std::string& store, const Root& root) override { return file_.add(store, root.id, root.key.view()); }
  Status remove(const std::string& store, const std::string& id) override { return file_.remove(store, id); }

 private:
  RootFile file_;
};

}  // namespace

std::unique_ptr<RootHolder> make_file_holder(std::shared_ptr<Files> files, const std::string& name) {
  return std::make_unique<FileHolder>(std::move(files), name);
}

}  // namespace cofferdam::keys
