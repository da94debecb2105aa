// One byte form of a JSON value, for what is signed: no blanks, an object's members sorted by the bytes of their names,
// whole numbers in decimal, texts with the escapes that JSON demands and no others. What RFC 8785 says, for the values
// that receipts have.
#pragma once
#include <boost/json/value.hpp>
#include <string>

#include "base/result.h"

namespace cofferdam::keys {

// InvalidArgument: a number that is not whole.
Result<std::string> canonical_json(const boost::json::value& value);

}  // namespace cofferdam::keys
