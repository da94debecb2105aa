// A Policy and the Settings as bytes: parts of the messages in control.h.
#pragma once
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/result.h"
#include "gate/policy.h"

namespace cofferdam::gate {

// Both validate first; InvalidArgument names the bound.
Status write_policy(ByteWriter& out, const Policy& policy);
Status write_settings(ByteWriter& out, const Settings& settings);
// Validated, and of one form only: what is read is written again as the same bytes.
Result<Policy> read_policy(ByteReader& in);
Result<Settings> read_settings(ByteReader& in);

// An IP address or a range as text, in the one form that Address::text() and Cidr::text() give.
void write_address(ByteWriter& out, const Address& address);
void write_range(ByteWriter& out, const Cidr& range);
Result<Address> read_address(ByteReader& in);
Result<Cidr> read_range(ByteReader& in);

}  // namespace cofferdam::gate
