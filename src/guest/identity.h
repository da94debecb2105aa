// What makes a clone somebody of its own: entropy, clock, names, boot id. Done before any user process runs.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "wire/message.h"

namespace cofferdam::guest {

class IdentityService {
 public:
  // Every step or an error: a clone that is only half somebody else must not be used. Before the root is prepared, what
  // belongs into its files is kept for write_files().
  Result<wire::IdentityResult> apply(const wire::Identity& identity);
  // From the user's root: hostname, hosts, machine-id, the boot id over /proc's, resolv.conf.
  Status write_files();
  // Name servers for resolv.conf; written at once when the root is there.
  Status set_dns(std::vector<std::string> servers);

 private:
  Status write_resolv_conf() const;

  bool in_root_ = false;
  bool boot_id_mounted_ = false;
  std::string hostname_;
  std::string machine_id_;
  std::string boot_id_;
  std::optional<std::vector<std::string>> dns_;
};

Status set_clock(std::int64_t realtime_ns);

}  // namespace cofferdam::guest
