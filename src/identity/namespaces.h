// The namespaces of the host. There is always a default one. Every change leaves an entry in the namespace's activity,
// in the same transaction.
#pragma once
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "identity/activity.h"
#include "identity/namespace.h"
#include "loop/task.h"
#include "store/database.h"

namespace cofferdam::identity {

struct NamespaceQuery {
  enum class SortBy { created_at, updated_at, name };
  enum class Order { ascending, descending };
  std::uint64_t limit = 50;  // 1 to 1000
  std::uint64_t offset = 0;
  std::optional<NamespaceStatus> status = {};
  std::optional<NamespaceType> type = {};
  std::string search = {};  // anywhere in name, slug or description; letters in either case
  SortBy sort_by = SortBy::created_at;
  Order order = Order::descending;
  std::optional<std::string> only_id = {};  // for who may see one namespace only
};

struct NamespacePage {
  std::vector<Namespace> items;
  std::uint64_t total = 0;  // that match, on all pages
};

struct EnsuredNamespace {
  Namespace space;
  bool created = false;
};

// Errors beside the store's: NotFound, AlreadyExists (the slug), InvalidArgument with the field, FailedPrecondition
// (the default namespace is neither removed nor suspended).
class Namespaces {
 public:
  // Makes the default namespace when there is none. Blocks. `database` outlives this.
  static Result<std::unique_ptr<Namespaces>> open(store::Database& database, Clock clock);

  loop::Task<Namespace> create(NamespaceDraft draft, Actor actor);
  // The namespace of the draft's slug, or of the slug its name gives, as it is; made when there is none. Neither slug
  // nor name: the default one.
  loop::Task<EnsuredNamespace> ensure(NamespaceDraft draft, Actor actor);
  loop::Task<NamespacePage> list(NamespaceQuery query);
  loop::Task<Namespace> get(std::string id_or_slug);
  loop::Task<Namespace> get_default();
  loop::Task<Namespace> update(std::string id_or_slug, NamespaceChange change, Actor actor);
  loop::Task<Namespace> suspend(std::string id_or_slug, Actor actor);
  loop::Task<Namespace> activate(std::string id_or_slug, Actor actor);
  // With its secrets and its activity. That no workspace is left in it is for the caller to see to. Answers what was
  // removed.
  loop::Task<Namespace> remove(std::string id_or_slug);

  // Something happened in the namespace: also sets last_active_at. The time is filled in.
  loop::Task<void> record(Activity entry);
  loop::Task<ActivityPage> activity(std::string id_or_slug, std::uint64_t limit, std::uint64_t offset);

 private:
  Namespaces(store::Database& database, Clock clock) : database_(database), clock_(std::move(clock)) {}
  store::Database& database_;
  Clock clock_;
};

}  // namespace cofferdam::identity
