// What an installation is, asked over its API.
#pragma once
#include <string>
#include <vector>

#include "cli/api.h"
#include "estate/estate.h"

namespace cofferdam::cli {

struct Found {
  estate::Estate estate;
  std::vector<std::string> left_out;  // for people: what a file cannot hold
};

// Of all that the caller may see; an administrator sees everything.
Task<Found> ask_for_estate(Session& session);

}  // namespace cofferdam::cli
