// What says whether a workspace is ready, as clients say it.
#pragma once
#include <boost/json/object.hpp>
#include <string_view>

#include "model/ready_check.h"

namespace cofferdam::api {

// {command, timeout_seconds?, target?}. InvalidArgument names the field below `path`.
Result<model::ReadyCheck> ready_check_from(const boost::json::object& given, std::string_view path);

}  // namespace cofferdam::api
