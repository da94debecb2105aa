// The files of one folder, by name, as the operations that a power cut can fall between. The host's file system is one
// of them; the tests bring another, which forgets what was not synced.
#pragma once
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "base/secure_bytes.h"
#include "base/unique_fd.h"

namespace cofferdam::keys {

// Nothing is durable before sync() of the file, and of the folder where a name was made, changed or removed.
class Files {
 public:
  Files() = default;
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  virtual ~Files() = default;

  [[nodiscard]] virtual std::string path(const std::string& name) const = 0;  // for messages
  virtual Result<std::optional<std::uint64_t>> size(const std::string& name) = 0;
  // Exactly `size` bytes; DataLoss when the file ends before.
  virtual Result<SecureBytes> read(const std::string& name, std::uint64_t offset, std::size_t size) = 0;
  // Makes the file (0600) where there is none, and room where it ends.
  virtual Status write(const std::string& name, std::uint64_t offset, std::string_view bytes) = 0;
  // What was written may stay in the place it had: a file system that can gives the blocks back.
  virtual Status punch(const std::string& name, std::uint64_t offset, std::uint64_t size) = 0;
  virtual Status sync(const std::string& name) = 0;
  virtual Status rename(const std::string& from, const std::string& to) = 0;
  virtual Status remove(const std::string& name) = 0;  // absent is fine
  virtual Status sync_folder() = 0;
};

// Of the host. Descriptors stay open. Calls may come from several threads, as long as no name is changed or removed
// while it is in use.
class HostFiles : public Files {
 public:
  // Made (0700) where there is none.
  static Result<std::unique_ptr<HostFiles>> open(const std::string& dir);

  [[nodiscard]] std::string path(const std::string& name) const override;
  Result<std::optional<std::uint64_t>> size(const std::string& name) override;
  Result<SecureBytes> read(const std::string& name, std::uint64_t offset, std::size_t size) override;
  Status write(const std::string& name, std::uint64_t offset, std::string_view bytes) override;
  Status punch(const std::string& name, std::uint64_t offset, std::uint64_t size) override;
  Status sync(const std::string& name) override;
  Status rename(const std::string& from, const std::string& to) override;
  Status remove(const std::string& name) override;
  Status sync_folder() override;

 private:
  enum class Absent { fail, make };
  explicit HostFiles(std::string dir) : dir_(std::move(dir)) {}
  Result<int> descriptor(const std::string& name, Absent absent);
  void forget(const std::string& name);
  std::string dir_;
  std::mutex mutex_;
  std::map<std::string, UniqueFd> open_;
};

}  // namespace cofferdam::keys
