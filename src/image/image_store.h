// The images of this host: built from recipes or imported, found by name, shared read-only by all virtual machines.
#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"

namespace cofferdam::image {

// What a process in the image starts with when nothing else was asked.
struct ImageConfig {
  std::vector<std::string> env;  // "K=V"
  std::string workdir;           // absolute; empty: "/"
  std::string user;              // a name, "uid", or either with ":group"; empty: root
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
};

// All paths are of files that are never changed in place: an open descriptor stays valid after remove() or a rebuild.
struct Image {
  std::string name;
  std::string digest;  // SHA-256 of the root file system (erofs), hex
  std::string rootfs_path;
  std::string kernel_path;  // bzImage
  std::string initramfs_path;
  std::string kernel_digest;
  std::string initramfs_digest;
  std::string kernel_version;  // as uname -r says it
  ImageConfig config;
  std::uint64_t size_bytes = 0;  // of the root file system
  std::string created;           // RFC 3339, UTC
  std::string source;            // "recipe" or "import"
};

struct Progress {
  std::string stage;   // one word or two: "kernel", "packages", "pack"
  std::string detail;  // one line for people
  double fraction;     // of this stage, 0 to 1; below 0: not known
};
// Called on the thread that builds; must not throw.
using ProgressSink = std::function<void(const Progress&)>;

struct RecipeInfo {
  std::string name;
  std::string description;
};

struct StoreOptions {
  std::string state_dir;     // everything of this room lies in state_dir/images
  std::string recipes_dir;   // *.yaml, one recipe a file
  std::string guest_binary;  // the static coffer-guest: becomes /init of the initramfs
};

enum class Rebuild { no, yes };

// All calls block, and may be made from several threads and several processes at once. Building needs root.
class ImageStore {
 public:
  // Makes the folders; a missing recipes folder or guest binary shows when it is needed.
  static Result<ImageStore> open(StoreOptions options);
  ImageStore(ImageStore&&) noexcept;
  ImageStore& operator=(ImageStore&&) noexcept;
  ~ImageStore();

  // A few stats and small reads. Makes the initramfs when the guest binary or kernel has changed (tens of ms).
  // NotFound: no such image (hint: how to build it); FailedPrecondition: the kernel is missing; DataLoss: a file of
  // the image is gone or has the wrong size.
  Result<Image> find(const std::string& name);
  // By name. An image whose files are damaged is left out.
  Result<std::vector<Image>> list();
  // By name. A recipe file that cannot be read is an error that says where.
  Result<std::vector<RecipeInfo>> recipes();

  // Answers at once when the recipe was built before and has not changed, unless `rebuild`; that also takes a newer
  // kernel when the archive has one. NotFound: no such recipe.
  Result<Image> build(const std::string& name, Rebuild rebuild, const ProgressSink& progress);
  // `path`: a folder or tar archive (also .gz .xz .zst .bz2) that holds a root file system, an OCI image layout, or
  // what `docker save` writes. An older image of the same name is replaced. InvalidArgument: what was refused, and why.
  Result<Image> import_image(const std::string& path, const std::string& name, const ProgressSink& progress);
  // NotFound when there is none.
  Status remove(const std::string& name);

  // Removes what builds that died have left, kernels and initramfs files no longer current, and root file systems that
  // no image names. Safe beside running builds; call it when no virtual machine is just being started.
  Status remove_leftovers();

 private:
  struct State;
  explicit ImageStore(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace cofferdam::image
