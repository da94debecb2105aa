// The Debian archive as this host reaches it: mirror, proxy, and single packages fetched without installing them.
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::image {

// A mirror's address may carry a password: it goes to programs by file or stdin only, and is never printed.
struct AptMirrors {
  std::string main;
  std::string security;
};

// The mirrors that the given sources (one-line and deb822 forms) use for `suite`, Debian's own where they have none.
// Only http and https count, only the component main, and only addresses that end as Debian's mirrors do: another
// archive with a suite of that name is signed by somebody else.
AptMirrors mirrors_in_sources(const std::vector<std::string>& sources, std::string_view suite);
// The same from /etc/apt.
AptMirrors host_mirrors(std::string_view suite);

// The lines of a sources.list: the suite, its updates and its security fixes, signed by Debian's keyring on the host.
std::string sources_list(const AptMirrors& mirrors, std::string_view suite);
// The same with Debian's own addresses and the keys of the system it lies in: for the inside of an image.
std::string public_sources_list(std::string_view suite);

// `text` with the user and password of every address in it replaced by "***".
std::string without_passwords(std::string_view text);

// The host's settings of how apt reaches the network (proxy, retries, checks of dates), as lines of an apt.conf.
Result<std::string> host_network_settings();

struct AptPackage {
  std::string name;
  std::string version;
};

// Downloads and unpacks packages with apt and dpkg-deb: signatures are checked, nothing is installed. Uses the host's
// package lists; when those do not know the package or are stale, lists of its own in the work folder.
class AptFetcher {
 public:
  // `work_folder` exists, is empty, and outlives this object.
  AptFetcher(std::string work_folder, std::string suite) : folder_(std::move(work_folder)), suite_(std::move(suite)) {}

  // The newest version, and for a package that only depends on another (a metapackage) that other.
  Result<AptPackage> resolve(const std::string& name, std::string_view dependency_prefix);
  // Into `target`, which is made. Unavailable when the archive cannot be reached.
  Status unpack(const AptPackage& package, const std::string& target);

 private:
  Status use_own_lists();
  Result<AptPackage> resolve_once(const std::string& name, std::string_view dependency_prefix) const;
  Status download(const AptPackage& package) const;
  std::string folder_;
  std::string suite_;
  std::vector<std::string> options_;  // of apt, when the lists are our own
};

}  // namespace cofferdam::image
