#include "api/may_run.h"

namespace cofferdam::api {
namespace {

using loop::Task;

Task<void> may_run(identity::Namespaces& namespaces, const monitor::Quotas& quotas, std::string namespace_id,
                   identity::Totals others, identity::Totals own) {
  auto space = namespace_id.empty() ? co_await namespaces.get_default() : co_await namespaces.get(namespace_id);
  if (!space) co_return fail(std::move(space.error()));
  CO_TRY(identity::check_active(*space));
  CO_TRY(quotas.check(space->id));
  co_return identity::admit(space->limits, others, own);
}

}  // namespace

workspace::AdmitWorkspace may_run_in(identity::Namespaces& namespaces, const monitor::Quotas& quotas) {
  return [&namespaces, &quotas](std::string space, identity::Totals others, identity::Totals own) {
    return may_run(namespaces, quotas, std::move(space), others, own);
  };
}

}  // namespace cofferdam::api
