// An archive that arrives piece by piece on the loop, unpacked on a thread.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "loop/task_group.h"
#include "loop/worker_pool.h"
#include "runtime/tar.h"

namespace cofferdam::runtime {

using loop::Task;

class TarFeed {
 public:
  // The next bytes of the archive, empty at its end.
  using Source = std::function<Task<std::string>()>;
  // An entry, or bytes of the file before.
  using Item = std::variant<TarEntry, std::string>;
  // `workers` and `group` outlive the thread's work, which ends soon after this object.
  TarFeed(loop::TaskGroup& group, loop::WorkerPool& workers, Source source);
  TarFeed(const TarFeed&) = delete;
  TarFeed& operator=(const TarFeed&) = delete;
  ~TarFeed();
  // nullopt at the end; the errors of the source and of TarReader.
  Task<std::optional<Item>> next();

 private:
  struct Shared;
  static Task<void> watch(std::shared_ptr<Shared> shared, loop::WorkerPool* workers);
  std::shared_ptr<Shared> shared_;
  Source source_;
};

}  // namespace cofferdam::runtime
