#include "evidence/age.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::evidence {
namespace {

constexpr std::string_view kPrefix = "age1";
constexpr std::size_t kKeyLength = 62;  // of an X25519 key
constexpr std::string_view kBech32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l";

// It can make no file longer than nothing, and ends with whoever has started it.
std::vector<std::string> bounded(std::vector<std::string> argv) {
  const std::vector<std::string> around = {"prlimit", "--fsize=0", "--core=0", "--nofile=64"};
  argv.insert(argv.begin(), around.begin(), around.end());
  return argv;
}

}  // namespace

Status check_recipient(std::string_view text) {
  const bool whole = text.size() == kKeyLength && text.starts_with(kPrefix) &&
                     std::all_of(text.begin() + kPrefix.size(), text.end(),
                                 [](char c) { return kBech32.find(c) != std::string_view::npos; });
  if (whole) return {};
  return fail(Code::InvalidArgument, cat("'", text.substr(0, kKeyLength), "' is no public key of age"),
              "`age-keygen -o FILE` makes a pair and prints the public one, age1…");
}

std::vector<std::string> encrypt_argv(const std::vector<std::string>& recipients, std::uint32_t uid) {
  std::vector<std::string> argv = {"unshare", "--net", "--ipc", "--uts", "--"};
  const auto limits =
      bounded({"setpriv", cat("--reuid=", uid), cat("--regid=", uid), "--clear-groups", "--no-new-privs",
               "--inh-caps=-all", "--bounding-set=-all", "--pdeathsig=KILL", "--", "age", "--encrypt"});
  argv.insert(argv.end(), limits.begin(), limits.end());
  for (const auto& recipient : recipients) argv.insert(argv.end(), {"--recipient", recipient});
  return argv;
}

std::vector<std::string> decrypt_argv(const std::string& identity_file, bool as_root) {
  std::vector<std::string> argv;
  if (as_root) argv = {"unshare", "--net", "--ipc", "--uts", "--"};
  const auto limits =
      bounded({"setpriv", "--no-new-privs", "--pdeathsig=KILL", "--", "age", "--decrypt", "--identity", identity_file});
  argv.insert(argv.end(), limits.begin(), limits.end());
  return argv;
}

}  // namespace cofferdam::evidence
