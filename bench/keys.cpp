// bench-keys FOLDER KEYS DELETIONS: how long the erasure of one key among KEYS takes, durable and with the old root
// destroyed, beside the three bare flushes that it cannot do without. Prints JSON.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "keys/files.h"
#include "keys/holders.h"
#include "keys/key_store.h"

namespace cofferdam {
namespace {

using Clock = std::chrono::steady_clock;

// To fill a store in seconds: nothing of it has to last.
class UnsyncedFiles : public keys::Files {
 public:
  explicit UnsyncedFiles(keys::Files& real) : real_(real) {}
  [[nodiscard]] std::string path(const std::string& name) const override { return real_.path(name); }
  Result<std::optional<std::uint64_t>> size(const std::string& name) override { return real_.size(name); }
  Result<SecureBytes> read(const std::string& name, std::uint64_t offset, std::size_t size) override {
    return real_.read(name, offset, size);
  }
  Status write(const std::string& name, std::uint64_t offset, std::string_view bytes) override {
    return real_.write(name, offset, bytes);
  }
  Status punch(const std::string& name, std::uint64_t offset, std::uint64_t size) override {
    return real_.punch(name, offset, size);
  }
  Status sync(const std::string& /*name*/) override { return {}; }
  Status rename(const std::string& from, const std::string& to) override { return real_.rename(from, to); }
  Status remove(const std::string& name) override { return real_.remove(name); }
  Status sync_folder() override { return {}; }

 private:
  keys::Files& real_;
};

keys::KeyName name_of(std::size_t number) { return {cat("ws_", number), "disk"}; }

template <class T>
T must(Result<T> result) {
  if (result) return std::move(*result);
  std::fprintf(stderr, "bench-keys: %s\n", result.error().message.c_str());
  std::exit(1);
}
void must(const Status& status) {
  if (status) return;
  std::fprintf(stderr, "bench-keys: %s\n", status.error().message.c_str());
  std::exit(1);
}

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void print(const char* name, const std::vector<double>& values) {
  std::printf("\"%s\": [", name);
  for (std::size_t i = 0; i < values.size(); ++i) std::printf("%s%.3f", i == 0 ? "" : ", ", values[i]);
  std::printf("]");
}

int run(const std::string& folder, std::size_t keys_wanted, std::size_t deletions) {
  const std::shared_ptr<keys::Files> files = must(keys::HostFiles::open(folder));
  const auto holder = keys::make_file_holder(files, "root.key");
  {
    UnsyncedFiles unsynced(*files);
    const auto store = must(keys::KeyStore::open(unsynced, *holder));
    for (std::size_t i = 0; i < keys_wanted; ++i) must(store->keep(name_of(i), keys::make_key(keys::kDiskKeyBytes)));
  }
  ::sync();
  const auto store = must(keys::KeyStore::open(*files, *holder));
  const UniqueFd bare = must(open_file(folder + "/bare", O_RDWR | O_CREAT, 0600));
  must(write_all(bare.get(), std::string(1U << 20, '\0')));
  ::fsync(bare.get());
  std::vector<double> erase_ms;
  std::vector<double> flush_ms;
  std::mt19937 random(1);
  const std::string block(4096, 'x');
  for (std::size_t i = 0; i < deletions; ++i) {
    auto start = Clock::now();
    for (int flush = 0; flush < 3; ++flush) {
      if (::pwrite(bare.get(), block.data(), block.size(), static_cast<off_t>(random() % 256 * block.size())) < 0)
        return 1;
      ::fdatasync(bare.get());
    }
    flush_ms.push_back(ms_since(start));
    const std::vector<keys::KeyName> names{name_of(i * 37 % keys_wanted)};
    start = Clock::now();
    const auto erased = must(store->erase(names));
    erase_ms.push_back(ms_since(start));
    if (erased.erased.size() != 1) return 1;
  }
  std::printf("{");
  print("erase_ms", erase_ms);
  std::printf(", ");
  print("three_flushes_ms", flush_ms);
  std::printf("}\n");
  return 0;
}

}  // namespace
}  // namespace cofferdam

int main(int argc, char** argv) {
  if (argc != 4) {
    std::fprintf(stderr, "usage: bench-keys FOLDER KEYS DELETIONS\n");
    return 2;
  }
  return cofferdam::run(argv[1], std::strtoul(argv[2], nullptr, 10), std::strtoul(argv[3], nullptr, 10));
}
