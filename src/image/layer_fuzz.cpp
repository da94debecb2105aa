// Any bytes as a layer, unpacked over a tree with symlinks that lead outside: nothing outside may change.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "base/bytes.h"
#include "base/file.h"
#include "image/archive.h"

namespace {

constexpr auto kBase = "/dev/shm/cofferdam-layer-fuzz";

void require(bool holds) {
  if (!holds) std::abort();
}

std::string base() { return kBase + std::to_string(::getpid()); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace cofferdam;
  using namespace cofferdam::image;
  const std::string folder = base();
  require(remove_tree(folder).has_value());
  require(make_directories(folder + "/root/etc").has_value());
  require(make_directories(folder + "/outside").has_value());
  require(write_file_atomically(folder + "/outside/secret", "untouched").has_value());
  require(write_file_atomically(folder + "/root/etc/file", "x").has_value());
  require(::symlink((folder + "/outside").c_str(), (folder + "/root/out").c_str()) == 0);
  require(::symlink("../../outside", (folder + "/root/up").c_str()) == 0);
  require(::symlink("/etc", (folder + "/root/in").c_str()) == 0);

  const UniqueFd fd(::memfd_create("layer", MFD_CLOEXEC));
  require(write_all(fd.get(), as_text({data, size})).has_value());
  const auto tree = Tree::open(folder + "/root");
  require(tree.has_value());
  ImportLimits limits;
  limits.max_bytes = 1U << 20;
  limits.max_entries = 200;
  limits.max_path_bytes = 512;
  ImportUse use;
  (void)unpack_tar(fd.get(), *tree, Whiteouts::apply, limits, use);

  require(list_directory(folder) == std::vector<std::string>({"outside", "root"}));
  require(list_directory(folder + "/outside") == std::vector<std::string>({"secret"}));
  require(read_file(folder + "/outside/secret", 100).value_or("") == "untouched");
  struct stat st{};
  require(::stat((folder + "/outside/secret").c_str(), &st) == 0 && (st.st_mode & 07777U) == 0600 && st.st_nlink == 1);
  require(remove_tree(folder).has_value());
  return 0;
}
