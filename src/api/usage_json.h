// JSON forms of what was used, and the span of time a query asks about.
#pragma once
#include <boost/json/object.hpp>

#include "api/call.h"
#include "monitor/usage.h"

namespace cofferdam::api {

// Under the names of the contract's totals.
boost::json::object totals_to_json(const monitor::Usage& usage);
// Under those of its buckets: minutes, hours, gigabytes, credits.
boost::json::object units_to_json(const monitor::Usage& usage);

struct Span {
  monitor::Time from, to;
  monitor::Period period = monitor::Period::day;
};
// Of the query: from, to (times); last ("24h", or how many buckets); all; tier or groupBy (hour, day). Without any: the
// last week by hours, as far as it is kept.
Result<Span> span_of(const Call& call);

}  // namespace cofferdam::api
