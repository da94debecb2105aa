#include "daemon/schema.h"

#include "identity/schema.h"
#include "incident/schema.h"
#include "keys/schema.h"
#include "monitor/schema.h"
#include "net/schema.h"
#include "workspace/schema.h"

namespace cofferdam::daemon {

store::Schema schema_of_all_rooms() {
  return store::join({identity::migrations(), keys::migrations(), monitor::migrations(), workspace::migrations(),
                      net::migrations(), incident::migrations()});
}

}  // namespace cofferdam::daemon
