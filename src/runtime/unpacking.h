// Puts the entries of a tar in place below a folder of a workspace, whose guest sees to it that nothing is written
// through a link there.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "runtime/session.h"
#include "runtime/tar_feed.h"
#include "vm/machine.h"

namespace cofferdam::runtime {

// Whose the files will be: the image's default user, or the numbers that the tar has for each.
enum class Owners { default_user, as_packed };

// Unpacks what `source` gives (TarFeed::Source) below `dest`, clean and absolute, and answers how many files and links
// that were. ResourceExhausted when too many do so already.
Task<std::size_t> unpack(Sessions& sessions, std::shared_ptr<vm::Machine> machine, std::string dest,
                         TarFeed::Source source, Owners owners);

}  // namespace cofferdam::runtime
