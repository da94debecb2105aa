#include "identity/namespaces.h"

#include "base/id.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text.h"
#include "identity/namespace_table.h"

namespace cofferdam::identity {
namespace {

namespace table = namespace_table;
using store::Connection;

constexpr int kSlugTries = 20;
constexpr std::size_t kSlugStem = 50;  // leaves room for what makes it unique

// A slug nobody chose gives way to one that is there already.
Result<std::string> free_slug(Connection& c, std::string_view name) {
  std::string slug = slug_from_name(name);
  const std::string stem = slug.substr(0, kSlugStem);
  for (int i = 2; i < kSlugTries; ++i) {
    TRY_ASSIGN(const bool taken, table::slug_is_taken(c, slug));
    if (!taken) return slug;
    slug = cat(stem, "-", i);
  }
  return cat(stem, "-", to_hex(random_bytes(6)));
}

Status log_change(Connection& c, const Namespace& space, std::string_view what, Actor actor, Time now,
                  boost::json::object changes = {}) {
  Activity entry;
  entry.namespace_id = space.id;
  entry.action = cat("namespace.", what);
  entry.description = cat("namespace '", space.name, "' ", what);
  entry.changes = std::move(changes);
  entry.actor = std::move(actor);
  entry.created_at = now;
  return append_activity(c, entry);
}

Result<Namespace> create_in(Connection& c, const NamespaceDraft& draft, const Actor& actor, Time now) {
  Namespace space;
  space.id = new_id("ns");
  space.name = draft.name;
  space.description = draft.description;
  space.type = draft.type;
  space.is_default = draft.make_default == MakeDefault::yes;
  space.metadata = draft.metadata;
  space.tags = draft.tags;
  space.limits = draft.limits;
  space.created_at = space.updated_at = now;
  space.slug = draft.slug;
  if (space.slug.empty()) {
    TRY_ASSIGN(space.slug, free_slug(c, space.name));
  } else {
    TRY_ASSIGN(const bool taken, table::slug_is_taken(c, space.slug));
    if (taken) return fail(Code::AlreadyExists, cat("slug: there is a namespace '", space.slug, "'"));
  }
  TRY(validate(space));
  if (space.is_default) TRY(table::clear_default(c));
  TRY(table::insert(c, space));
  TRY(log_change(c, space, "created", actor, now));
  return space;
}

Status refuse_default(const Namespace& space, std::string_view what) {
  if (!space.is_default) return {};
  return fail(Code::FailedPrecondition, cat("'", space.slug, "' is the default namespace and cannot be ", what),
              "make another namespace the default one first");
}

Result<Namespace> update_in(Connection& c, const std::string& id_or_slug, const NamespaceChange& change,
                            const Actor& actor, Time now, std::string_view what) {
  TRY_ASSIGN(Namespace space, table::find(c, id_or_slug));
  if (change.status && *change.status != NamespaceStatus::active) {
    TRY(refuse_default(space, status_name(*change.status)));
  }
  auto changes = apply(change, space);
  if (changes.empty()) return space;
  space.updated_at = now;
  TRY(validate(space));
  TRY(table::update(c, space));
  TRY(log_change(c, space, what, actor, now, std::move(changes)));
  return space;
}

}  // namespace

Result<std::unique_ptr<Namespaces>> Namespaces::open(store::Database& database, Clock clock) {
  auto work = [now = clock.now()](Connection& c) -> Status {
    if (table::find_default(c)) return {};
    NamespaceDraft draft;
    draft.name = "default";
    draft.make_default = MakeDefault::yes;
    TRY(create_in(c, draft, {}, now));
    return {};
  };
  TRY(database.run_now(std::move(work)));
  return std::unique_ptr<Namespaces>(new Namespaces(database, std::move(clock)));
}

loop::Task<Namespace> Namespaces::create(NamespaceDraft draft, Actor actor) {
  auto work = [draft = std::move(draft), actor = std::move(actor), now = clock_.now()](Connection& c) {
    return create_in(c, draft, actor, now);
  };
  co_return co_await database_.run(std::move(work));
}

loop::Task<EnsuredNamespace> Namespaces::ensure(NamespaceDraft draft, Actor actor) {
  auto work = [draft = std::move(draft), actor = std::move(actor),
               now = clock_.now()](Connection& c) mutable -> Result<EnsuredNamespace> {
    if (draft.slug.empty() && draft.name.empty()) {
      TRY_ASSIGN(auto space, table::find_default(c));
      return EnsuredNamespace{std::move(space), false};
    }
    if (draft.slug.empty()) draft.slug = slug_from_name(draft.name);
    if (draft.name.empty()) draft.name = draft.slug;
    TRY_ASSIGN(const bool there, table::slug_is_taken(c, draft.slug));
    auto space = there ? table::find(c, draft.slug) : create_in(c, draft, actor, now);
    if (!space) return fail(std::move(space.error()));
    return EnsuredNamespace{std::move(*space), !there};
  };
  co_return co_await database_.run(std::move(work));
}

loop::Task<NamespacePage> Namespaces::list(NamespaceQuery query) {
  if (query.limit < 1 || query.limit > 1000) {
    co_return fail(Code::InvalidArgument, cat("limit: ", query.limit, ", 1 to 1000 can be"));
  }
  auto work = [query = std::move(query)](Connection& c) { return table::list(c, query); };
  co_return co_await database_.run(std::move(work));
}

loop::Task<Namespace> Namespaces::get(std::string id_or_slug) {
  auto work = [id_or_slug = std::move(id_or_slug)](Connection& c) { return table::find(c, id_or_slug); };
  co_return co_await database_.run(std::move(work));
}

loop::Task<Namespace> Namespaces::get_default() {
  co_return co_await database_.run([](Connection& c) { return table::find_default(c); });
}

loop::Task<Namespace> Namespaces::update(std::string id_or_slug, NamespaceChange change, Actor actor) {
  auto work = [id_or_slug = std::move(id_or_slug), change = std::move(change), actor = std::move(actor),
               now = clock_.now()](Connection& c) { return update_in(c, id_or_slug, change, actor, now, "updated"); };
  co_return co_await database_.run(std::move(work));
}

loop::Task<Namespace> Namespaces::suspend(std::string id_or_slug, Actor actor) {
  auto work = [id_or_slug = std::move(id_or_slug), actor = std::move(actor), now = clock_.now()](Connection& c) {
    NamespaceChange change;
    change.status = NamespaceStatus::suspended;
    return update_in(c, id_or_slug, change, actor, now, "suspended");
  };
  co_return co_await database_.run(std::move(work));
}

loop::Task<Namespace> Namespaces::activate(std::string id_or_slug, Actor actor) {
  auto work = [id_or_slug = std::move(id_or_slug), actor = std::move(actor), now = clock_.now()](Connection& c) {
    NamespaceChange change;
    change.status = NamespaceStatus::active;
    return update_in(c, id_or_slug, change, actor, now, "activated");
  };
  co_return co_await database_.run(std::move(work));
}

loop::Task<Namespace> Namespaces::remove(std::string id_or_slug) {
  auto work = [id_or_slug = std::move(id_or_slug)](Connection& c) -> Result<Namespace> {
    TRY_ASSIGN(auto space, table::find(c, id_or_slug));
    TRY(refuse_default(space, "removed"));
    TRY(table::remove(c, space.id));
    return space;
  };
  auto removed = co_await database_.run(std::move(work));
  if (!removed) co_return removed;
  // Its secrets went with it: out of the write-ahead log too. What holds that up only delays it.
  if (const auto wiped = co_await database_.checkpoint(); !wiped) {
    log_warn("what was removed is overwritten later", {{"why", wiped.error().message}});
  }
  co_return removed;
}

loop::Task<void> Namespaces::record(Activity entry) {
  entry.created_at = clock_.now();
  auto work = [entry = std::move(entry)](Connection& c) -> Status {
    TRY_ASSIGN(const auto changed, c.execute("UPDATE namespaces SET last_active_at = $2 WHERE id = $1",
                                             {entry.namespace_id, to_unix_ms(entry.created_at)}));
    if (changed == 0) return fail(Code::NotFound, cat("there is no namespace '", entry.namespace_id, "'"));
    return append_activity(c, entry);
  };
  co_return co_await database_.run(std::move(work));
}

loop::Task<ActivityPage> Namespaces::activity(std::string id_or_slug, std::uint64_t limit, std::uint64_t offset) {
  auto work = [id_or_slug = std::move(id_or_slug), limit, offset](Connection& c) -> Result<ActivityPage> {
    TRY_ASSIGN(const auto space, table::find(c, id_or_slug));
    return read_activity(c, space.id, limit, offset);
  };
  co_return co_await database_.run(std::move(work));
}

}  // namespace cofferdam::identity
