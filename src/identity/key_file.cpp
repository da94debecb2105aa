#include "identity/key_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "base/file.h"
#include "base/text.h"
#include "crypto/constant_time.h"
#include "crypto/hmac.h"
#include "crypto/random.h"

namespace cofferdam::identity {
namespace {

Result<SecureBytes> read_key(const std::string& path) {
  TRY_ASSIGN(const UniqueFd file, open_file(path, O_RDONLY));
  // Straight into locked memory, with room to notice a longer file.
  SecureBytes room(kKeyBytes + 1);
  std::size_t have = 0;
  while (have < room.size()) {
    const ssize_t n = ::read(file.get(), room.writable().data() + have, room.size() - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail_errno(cat("read '", path, "'"));
    if (n == 0) break;
    have += static_cast<std::size_t>(n);
  }
  if (have != kKeyBytes) {
    return fail(Code::DataLoss, cat("'", path, "' is no key: it does not hold ", kKeyBytes, " bytes"),
                "put the key back from a copy of the state");
  }
  return SecureBytes::copy_of(room.view().substr(0, kKeyBytes));
}

}  // namespace

Status check_private(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return errno == ENOENT ? Status() : fail_errno(cat("look at '", path, "'"));
  if ((st.st_mode & 077) == 0) return {};
  return fail(Code::FailedPrecondition, cat("'", path, "' can be read by others than its owner"),
              cat("chmod 600 '", path, "'; replace what is in it if somebody has read it"));
}

Result<SecureBytes> load_or_make_key(const std::string& path) {
  if (path_exists(path)) {
    TRY(check_private(path));
    return read_key(path);
  }
  TRY(make_directories(std::filesystem::path(path).parent_path().string(), 0700));
  auto key = crypto::random_secret(kKeyBytes);
  TRY(write_file_atomically(path, key.view(), 0600));
  return key;
}

Status check_same_key(store::Database& database, std::string_view name, const SecureBytes& key) {
  const auto proof = crypto::hmac_sha256(key.view(), cat("cofferdam key ", name));
  auto work = [&](store::Connection& c) -> Status {
    TRY_ASSIGN(const auto rows, c.query("SELECT proof FROM identity_keys WHERE name = $1", {std::string(name)}));
    if (rows.empty()) {
      TRY(c.execute("INSERT INTO identity_keys (name, proof) VALUES ($1, $2)",
                    {std::string(name), store::Blob{proof}}));
      return {};
    }
    if (crypto::constant_time_equal(rows.front().blob(0), proof)) return {};
    return fail(Code::FailedPrecondition,
                cat("the ", name, " key is not the one that the database '", c.name(), "' was written under"),
                cat("put the old keys/", name, ".key back from a copy of the state"));
  };
  return database.run_now(work);
}

}  // namespace cofferdam::identity
