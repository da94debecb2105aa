// The form of a template on disk: memory, state and manifest in one folder, written whole or not at all.
#pragma once
#include <string>

#include "base/result.h"
#include "base/unique_fd.h"

namespace cofferdam::vm {

// Blocking; for the worker pool.

struct TemplateFiles {
  UniqueFd memory, state;  // sealed memfds
  UniqueFd disk;           // the same, where the template has one
};

// Writes the memfds and the manifest (which gets their digests) to `folder`, by way of a temporary folder beside it.
// `disk` is -1 where there is none.
Status store_template(const std::string& folder, const std::string& manifest, int memory, int state, int disk);

// Into fresh memfds, sealed. NotFound: there is none. DataLoss: the manifest is not `manifest`, or a digest differs;
// the caller rebuilds.
Result<TemplateFiles> load_template(const std::string& folder, const std::string& manifest);

// An empty memfd of `bytes`, close-on-exec, sealable.
Result<UniqueFd> make_memory_file(const std::string& name, std::uint64_t bytes);
// No writes, no new size, no more seals: for good.
Status seal(int memfd);

// Keeps the `keep` folders used last, and removes the others and what an interrupted store_template left.
Status prune_templates(const std::string& parent, std::size_t keep);

}  // namespace cofferdam::vm
