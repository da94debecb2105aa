// Users and groups from /etc/passwd and /etc/group, read by hand: a static binary has no NSS.
#pragma once
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::guest {

struct User {
  std::string name;  // the number's text for a uid without an entry
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // supplementary, the primary one included
  std::string home = "/";
  std::string shell = "/bin/sh";
};

// `spec` is "" (root), "name", "uid", "name:group", "uid:gid". A number needs no entry; a name without one is NotFound.
// Bad lines of the files are skipped; missing files are empty.
Result<User> find_user(std::string_view spec);

// The same for somebody who asks often: an answer stands as long as neither file has changed.
class UserCache {
 public:
  Result<User> find(const std::string& spec);

 private:
  // Which file it was, and when it was last changed; all zero when there was none.
  struct Version {
    dev_t device = 0;
    ino_t inode = 0;
    off_t size = 0;
    std::int64_t changed_ns = 0;
    bool operator==(const Version&) const = default;
  };
  static Version version_of(const char* path);
  Version passwd_, group_;
  std::map<std::string, User> known_;
};

// The same on given file texts.
Result<User> find_user_in(std::string_view spec, std::string_view passwd, std::string_view group);

}  // namespace cofferdam::guest
