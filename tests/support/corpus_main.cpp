// Runs a fuzz target once over every file of its seed corpus, so that each past crash stays a unit test.
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

// Also feeds every prefix of a small seed: decoders meet truncated input more often than anything else.
constexpr std::size_t kPrefixLimit = 512;

void run_one(const std::string& bytes) {
  const auto* data = reinterpret_cast<const std::uint8_t*>(bytes.data());
  LLVMFuzzerTestOneInput(data, bytes.size());
  if (bytes.size() > kPrefixLimit) return;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const std::string prefix = bytes.substr(0, size);
    LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(prefix.data()), prefix.size());
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argc > 0 ? argv[0] : "corpus");
    return 2;
  }
  std::error_code error;
  std::filesystem::directory_iterator folder(argv[1], error);
  if (error) {
    std::fprintf(stderr, "cannot open the corpus folder %s: %s\n", argv[1], error.message().c_str());
    return 1;
  }
  int seeds = 0;
  for (const auto& entry : folder) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    run_one(std::string(std::istreambuf_iterator<char>(file), {}));
    ++seeds;
  }
  std::printf("%d seeds\n", seeds);
  if (seeds == 0) std::fprintf(stderr, "the corpus folder %s holds no seed\n", argv[1]);
  return seeds == 0 ? 1 : 0;
}
