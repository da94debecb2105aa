#include "image/image_store.h"

#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <mutex>
#include <optional>

#include "base/log.h"
#include "base/text.h"
#include "base/time.h"
#include "crypto/digest.h"
#include "image/builder.h"
#include "image/content_store.h"
#include "image/import.h"
#include "image/initramfs.h"
#include "image/kernel.h"
#include "image/pack.h"
#include "image/recipe.h"

namespace cofferdam::image {
namespace {

constexpr auto kFromRecipe = "recipe";
constexpr auto kFromImport = "import";

std::string now_text() { return format_rfc3339(std::chrono::system_clock::now()); }

Status need_root() {
  if (::geteuid() == 0) return {};
  return fail(Code::PermissionDenied, "images can be made by root only: their files belong to many users",
              "run cofferd as root");
}

}  // namespace

struct ImageStore::State {
  StoreOptions options;
  ContentStore store;

  // The guest binary's digest, kept as long as the file looks the same.
  std::mutex mutex;
  struct stat guest_stat{};
  std::string guest_digest;

  State(StoreOptions o, ContentStore s) : options(std::move(o)), store(std::move(s)) {}

  Result<std::string> current_guest_digest() {
    struct stat st{};
    if (::stat(options.guest_binary.c_str(), &st) != 0) {
      return fail(errno_error(cat("guest agent '", options.guest_binary, "'"), errno)
                      .with_hint("build coffer-guest, or install the package again"));
    }
    const std::lock_guard lock(mutex);
    const auto& old = guest_stat;
    const bool same = old.st_ino == st.st_ino && old.st_dev == st.st_dev && old.st_size == st.st_size &&
                      old.st_mtim.tv_sec == st.st_mtim.tv_sec && old.st_mtim.tv_nsec == st.st_mtim.tv_nsec &&
                      old.st_ctim.tv_sec == st.st_ctim.tv_sec && old.st_ctim.tv_nsec == st.st_ctim.tv_nsec;
    if (same && !guest_digest.empty()) return guest_digest;
    TRY_ASSIGN(guest_digest, crypto::sha256_file_hex(options.guest_binary));
    guest_stat = st;
    return guest_digest;
  }

  Result<Image> complete(const StoredImage& stored) {
    if (!store.is_whole(stored)) {
      return fail(Code::DataLoss, cat("the root file system of image '", stored.name, "' is missing or cut"),
                  cat("make it again: coffer image build ", stored.name));
    }
    TRY_ASSIGN(const Kernel kernel, current_kernel(store));
    TRY_ASSIGN(const std::string digest, current_guest_digest());
    TRY_ASSIGN(const Initramfs initramfs, ensure_initramfs(store, kernel, options.guest_binary, digest));
    Image image;
    image.name = stored.name;
    image.digest = stored.digest;
    image.rootfs_path = store.rootfs_path(stored.digest);
    image.kernel_path = kernel.bzimage();
    image.initramfs_path = initramfs.path;
    image.kernel_digest = kernel.digest;
    image.initramfs_digest = initramfs.digest;
    image.kernel_version = kernel.version;
    image.config = stored.config;
    image.size_bytes = stored.size_bytes;
    image.created = stored.created;
    image.source = stored.source;
    return image;
  }

  // Packs a finished tree and gives it a name.
  Result<StoredImage> pack(StoredImage image, const std::string& folder, const std::string& work,
                           std::time_t build_start, const ProgressSink& progress) {
    progress({"pack", "erofs", -1});
    {
      TRY_ASSIGN(const Tree tree, Tree::open(folder));
      TRY(add_mount_points(tree));
    }
    TRY_ASSIGN(const std::time_t newest, settle_times(folder, build_start));
    const std::string rootfs = work + "/rootfs.erofs";
    TRY(make_erofs(folder, rootfs, newest));
    progress({"store", "checking and naming", -1});
    image.created = now_text();
    return store.publish(std::move(image), rootfs);
  }
};

ImageStore::ImageStore(std::unique_ptr<State> state) : state_(std::move(state)) {}
ImageStore::ImageStore(ImageStore&&) noexcept = default;
ImageStore& ImageStore::operator=(ImageStore&&) noexcept = default;
ImageStore::~ImageStore() = default;

Result<ImageStore> ImageStore::open(StoreOptions options) {
  TRY_ASSIGN(ContentStore store, ContentStore::open(options.state_dir));
  return ImageStore(std::make_unique<State>(std::move(options), std::move(store)));
}

Result<Image> ImageStore::find(const std::string& name) {
  TRY(check_image_name(name));
  TRY_ASSIGN(const StoredImage stored, state_->store.read(name));
  return state_->complete(stored);
}

Result<std::vector<Image>> ImageStore::list() {
  TRY_ASSIGN(const auto names, state_->store.names());
  std::vector<Image> images;
  for (const auto& name : names) {
    auto image = find(name);
    if (image) {
      images.push_back(std::move(*image));
    } else if (image.error().code != Code::NotFound) {  // NotFound: removed meanwhile
      log_warn("an image is left out of the list", {{"image", name}, {"reason", image.error().message}});
    }
  }
  return images;
}

Result<std::vector<RecipeInfo>> ImageStore::recipes() {
  const std::string& folder = state_->options.recipes_dir;
  TRY_ASSIGN(const auto names, recipe_names(folder));
  std::vector<RecipeInfo> out;
  for (const auto& name : names) {
    TRY_ASSIGN(const Recipe recipe, load_recipe(folder, name));
    out.push_back({recipe.name, recipe.description});
  }
  return out;
}

Result<Image> ImageStore::build(const std::string& name, Rebuild rebuild, const ProgressSink& progress) {
  TRY(check_image_name(name));
  TRY_ASSIGN(const Recipe recipe, load_recipe(state_->options.recipes_dir, name));
  TRY_ASSIGN(const std::string key, content_key(recipe));
  const auto& store = state_->store;
  // Whoever waits here finds what the other has made.
  TRY_ASSIGN(const FileLock lock, store.lock_name(name));
  TRY(ensure_kernel(store, rebuild == Rebuild::yes ? Refresh::yes : Refresh::no, progress));
  if (rebuild == Rebuild::no) {
    const auto stored = store.read(name);
    if (stored && stored->key == key && store.is_whole(*stored)) return state_->complete(*stored);
  }
  TRY(need_root());
  const std::time_t start = std::time(nullptr);
  TRY_ASSIGN(const BuildFolder folder, store.make_build_folder());
  const std::string root = folder.path() + "/root";
  TRY(build_tree(recipe, root, folder.path(), progress));
  StoredImage image;
  image.name = name;
  image.key = key;
  image.source = kFromRecipe;
  image.config = recipe.config;
  TRY_ASSIGN(image, state_->pack(std::move(image), root, folder.path(), start, progress));
  return state_->complete(image);
}

Result<Image> ImageStore::import_image(const std::string& path, const std::string& name, const ProgressSink& progress) {
  TRY(check_image_name(name));
  TRY(need_root());
  // Before a kernel is fetched for it.
  if (!path_exists(path)) return fail(Code::NotFound, cat("there is nothing at '", path, "' to import"));
  const auto& store = state_->store;
  TRY_ASSIGN(const FileLock lock, store.lock_name(name));
  TRY(ensure_kernel(store, Refresh::no, progress));
  const std::time_t start = std::time(nullptr);
  TRY_ASSIGN(const BuildFolder folder, store.make_build_folder());
  const std::string root = folder.path() + "/root";
  TRY(make_root_folder(root));
  TRY_ASSIGN(ImageConfig config, import_tree(path, root, folder.path(), ImportLimits{}, progress));
  StoredImage image;
  image.name = name;
  image.key = kFromImport;
  image.source = kFromImport;
  image.config = std::move(config);
  TRY_ASSIGN(image, state_->pack(std::move(image), root, folder.path(), start, progress));
  return state_->complete(image);
}

Status ImageStore::remove(const std::string& name) {
  TRY(check_image_name(name));
  return state_->store.remove(name);
}

Status ImageStore::remove_leftovers() {
  TRY(state_->store.remove_leftovers());
  TRY(remove_old_kernels(state_->store));
  const auto kernel = current_kernel(state_->store);
  const auto digest = state_->current_guest_digest();
  if (kernel && digest) return remove_old_initramfs(state_->store, *kernel, *digest);
  return {};
}

}  // namespace cofferdam::image
