// What the handlers work with.
#pragma once
#include "api/api.h"
#include "loop/task_group.h"
#include "runtime/session.h"

namespace cofferdam::api {

struct Services {
  workspace::Manager& manager;
  image::ImageStore& images;
  loop::WorkerPool& workers;
  loop::WorkerPool& builders;
  loop::TaskGroup& builds;      // those that run, whether or not their client still listens
  runtime::Sessions& sessions;  // what API clients have running in workspaces
  HostFacts facts;
  Shutdown shutdown;
};

}  // namespace cofferdam::api
