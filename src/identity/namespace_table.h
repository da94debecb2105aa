// The rows of namespaces. Each function runs in the caller's transaction.
#pragma once
#include <string>
#include <vector>

#include "identity/namespace.h"
#include "identity/namespaces.h"
#include "store/connection.h"

namespace cofferdam::identity::namespace_table {

// NotFound when there is none.
Result<Namespace> find(store::Connection& c, const std::string& id_or_slug);
Result<Namespace> find_default(store::Connection& c);
Result<NamespacePage> list(store::Connection& c, const NamespaceQuery& query);
Status insert(store::Connection& c, const Namespace& space);
// Everything but id, slug and created_at.
Status update(store::Connection& c, const Namespace& space);
Status remove(store::Connection& c, const std::string& id);
// No namespace is the default one afterwards: another takes its place in the same transaction.
Status clear_default(store::Connection& c);
Result<bool> slug_is_taken(store::Connection& c, const std::string& slug);

}  // namespace cofferdam::identity::namespace_table
