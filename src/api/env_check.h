// Environments must not carry the keys of this host into what they are to keep out.
#pragma once
#include <boost/json/object.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace cofferdam::api {

// InvalidArgument names the item ("<path>/env/3: …", never its value) that looks like a control token, unless the
// body says "force": true.
Status check_env(const std::vector<std::string>& env, std::string_view path, const boost::json::object& body);

}  // namespace cofferdam::api
