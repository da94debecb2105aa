// What is put below a folder of the guest and stays there: no symlink between the two is followed, whoever changes what
// lies on the way meanwhile.
#pragma once
#include <sys/types.h>

#include <string>

#include "base/result.h"
#include "base/unique_fd.h"
#include "wire/message.h"

namespace cofferdam::guest {

// Whose what is made will be; only root can give things away.
struct Owner {
  uid_t uid = 0;
  gid_t gid = 0;
};

// A name in a folder that is held open, so that nobody can put another in its place.
struct Spot {
  UniqueFd folder;
  std::string name;
};

// The last part of root/path, its folders held and made where they are missing. InvalidArgument: `path` is not
// relative, has "." or ".." in it, or lies behind something that is no folder.
Result<Spot> open_beneath(const std::string& root, const std::string& path, Owner owner);

// What becomes of a folder that is there already.
enum class Found { stays, takes_owner_and_mode };

// Whatever is in the place of a folder goes, unless it is one; a folder gives way to nothing (FailedPrecondition).
Status place_folder(const Spot& spot, std::uint32_t mode, Owner owner, Found found);
Status place_symlink(const Spot& spot, const std::string& target, Owner owner);
// `from`: a regular file.
Status place_hard_link(const Spot& spot, const Spot& from);
Status check_no_folder(const Spot& spot);
// Whether something is mounted there: nothing can take its place.
bool is_mounted(const Spot& spot);
// A name beside the spot that nobody has.
std::string hidden_name();

}  // namespace cofferdam::guest
