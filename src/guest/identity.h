// What makes a clone somebody of its own: entropy, clock, names, boot id. Done before any user process runs.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/message.h"

namespace cofferdam::guest {

class IdentityService {
 public:
  // Every step or an error: a clone that is only half somebody else must not be used. Before the root is prepared, what
  // belongs into its files is kept for write_files().
  Result<wire::IdentityResult> apply(const wire::Identity& identity);
  // In the user's root, once: hostname, hosts, machine-id and the boot id become files in memory of their own, laid
  // over the image's and /proc's. A new identity then changes their bytes and touches neither disk nor mounts.
  Status place_files();
  // Name servers for resolv.conf; written at once when the root is there.
  Status set_dns(std::vector<std::string> servers);

 private:
  Status write_files() const;
  Status write_resolv_conf() const;

  std::string hostname_;
  std::string machine_id_;
  std::string boot_id_;
  UniqueFd random_, card_control_;  // open from the first identity on: a clone has its template's
  UniqueFd hostname_file_, hosts_file_, machine_id_file_, boot_id_file_;  // open once they are placed
  std::optional<std::vector<std::string>> dns_;
};

Status set_clock(std::int64_t realtime_ns);

}  // namespace cofferdam::guest
