#include "image/kernel.h"

#include <sys/stat.h>

#include "base/log.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "image/apt.h"
#include "image/archive.h"
#include "image/command.h"
#include "image/json_codec.h"
#include "image/modules.h"

namespace cofferdam::image {
namespace {

constexpr auto kPackage = "linux-image-cloud-amd64";
constexpr std::string_view kDependency = "linux-image-";
constexpr std::string_view kSuite = "bookworm";
constexpr std::size_t kMaxManifestBytes = 1U << 20;
constexpr std::size_t kMaxKernelBytes = 128U << 20;
constexpr std::size_t kMaxModuleBytes = 32U << 20;
constexpr std::size_t kMaxDepBytes = 4U << 20;

Result<FileLock> lock_kernel(const ContentStore& store) { return FileLock::acquire(store.kernel_dir() + "/.lock"); }

std::string folder_name(const AptPackage& package) { return cat(package.name, "_", package.version); }

// "kernel/fs/erofs/erofs.ko.xz" is kept as "erofs.ko".
std::string kept_name(std::string_view module_path) {
  const std::string name(module_path.substr(module_path.rfind('/') + 1));
  return name.substr(0, name.find(".ko")) + ".ko";
}

// From the unpacked package to the folder we keep: bzImage, the modules the guest loads, kernel.json.
Status keep_parts(const AptPackage& package, const std::string& unpacked, const std::string& target) {
  TRY_ASSIGN(const auto versions, list_directory(unpacked + "/lib/modules"));
  if (versions.size() != 1) {
    return fail(Code::Internal, cat("package '", package.name, "' holds ", versions.size(), " kernels, not one"));
  }
  Kernel kernel;
  kernel.folder = target;
  kernel.version = versions.front();
  kernel.package_version = package.version;
  TRY(make_directories(target, 0755));

  TRY_ASSIGN(const std::string bzimage, read_file(cat(unpacked, "/boot/vmlinuz-", kernel.version), kMaxKernelBytes));
  TRY(write_public_file(kernel.bzimage(), bzimage));
  kernel.digest = crypto::sha256_hex(bzimage);

  TRY(run_checked(command({"/sbin/depmod", "-b", unpacked, kernel.version})));
  const std::string modules = cat(unpacked, "/lib/modules/", kernel.version, "/");
  TRY_ASSIGN(const std::string dep, read_file(modules + "modules.dep", kMaxDepBytes));
  TRY_ASSIGN(const std::string builtin, read_file(modules + "modules.builtin", kMaxDepBytes));
  TRY_ASSIGN(const auto order, module_load_order(dep, builtin, guest_modules()));
  for (const auto& path : order) {
    TRY_ASSIGN(const std::string bytes, read_decompressed(modules + path, kMaxModuleBytes));
    kernel.modules.push_back(kept_name(path));
    TRY(write_public_file(cat(target, "/", kernel.modules.back()), bytes));
  }
  return write_public_file(target + "/kernel.json", encode_kernel(kernel));
}

Result<Kernel> fetch(const ContentStore& store, const ProgressSink& progress) {
  progress({"kernel", "looking for the newest cloud kernel", -1});
  TRY_ASSIGN(const BuildFolder build, store.make_build_folder());
  const std::string work = build.path() + "/apt";
  TRY(make_directories(work));
  AptFetcher apt(work, std::string(kSuite));
  TRY_ASSIGN(const AptPackage package, apt.resolve(kPackage, kDependency));

  const std::string name = folder_name(package);
  const std::string folder = cat(store.kernel_dir(), "/", name);
  if (!path_exists(folder)) {
    progress({"kernel", cat("downloading ", package.name, " ", package.version), -1});
    const std::string unpacked = build.path() + "/unpacked";
    TRY(apt.unpack(package, unpacked));
    progress({"kernel", "choosing the modules the guest needs", -1});
    const std::string kept = build.path() + "/kept";
    TRY(keep_parts(package, unpacked, kept));
    TRY(sync_path(kept));
    if (::rename(kept.c_str(), folder.c_str()) != 0) return fail_errno(cat("move the kernel to '", folder, "'"));
    TRY(sync_path(store.kernel_dir()));
  }
  TRY(write_public_file(store.kernel_dir() + "/current", name + "\n"));
  return current_kernel(store);
}

}  // namespace

Result<Kernel> current_kernel(const ContentStore& store) {
  constexpr auto kHint = "fetch it: coffer image build minimal";
  const auto name = read_file(store.kernel_dir() + "/current", kMaxManifestBytes);
  if (!name) return fail(Code::FailedPrecondition, "there is no guest kernel yet", kHint);
  const std::string folder = cat(store.kernel_dir(), "/", trim(*name));
  const auto damaged = [&](const std::string& why) {
    return fail(Code::DataLoss, cat("guest kernel in '", folder, "': ", why),
                cat("remove that folder, then: coffer image build minimal"));
  };
  const auto text = read_file(folder + "/kernel.json", kMaxManifestBytes);
  if (!text) return damaged(text.error().message);
  auto kernel = decode_kernel(*text);
  if (!kernel) return damaged(kernel.error().message);
  kernel->folder = folder;
  struct stat st{};
  if (::stat(kernel->bzimage().c_str(), &st) != 0 || st.st_size == 0) return damaged("the bzImage is missing");
  return kernel;
}

Result<Kernel> ensure_kernel(const ContentStore& store, Refresh refresh, const ProgressSink& progress) {
  TRY_ASSIGN(const FileLock lock, lock_kernel(store));
  auto current = current_kernel(store);
  if (current && refresh == Refresh::no) return current;
  auto fetched = fetch(store, progress);
  if (!fetched && current) {
    log_warn("the guest kernel was not refreshed", {{"reason", fetched.error().message}});
    return current;
  }
  return fetched;
}

Status remove_old_kernels(const ContentStore& store) {
  TRY_ASSIGN(const FileLock lock, lock_kernel(store));
  const auto current = current_kernel(store);
  if (!current) return {};
  TRY_ASSIGN(const auto names, list_directory(store.kernel_dir()));
  for (const auto& name : names) {
    const auto path = cat(store.kernel_dir(), "/", name);
    if (starts_with(name, kDependency) && path != current->folder) TRY(remove_tree(path));
  }
  return {};
}

}  // namespace cofferdam::image
