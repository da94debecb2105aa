// What the ledger has of a workspace and of those who acted for it: commands, files that were written through the API,
// secrets that were handed out, tokens and workspaces that its tokens have made.
#pragma once
#include <boost/json/object.hpp>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "incident/incident.h"
#include "ledger/ledger.h"
#include "loop/task.h"

namespace cofferdam::incident {

using loop::Task;

struct Traces {
  static constexpr std::size_t kMaxOfAKind = 500;
  struct Written {
    std::string path, by;
    std::int64_t last_us = 0;
  };
  struct Made {
    std::string id, by;
  };
  std::uint64_t commands = 0;
  std::vector<Written> files;                    // each path once, by its last writer
  std::map<std::string, std::uint64_t> secrets;  // how often each was handed to it
  std::vector<Made> tokens, workspaces;          // by its tokens
  std::set<std::string> addresses;               // its tokens were used from
  bool complete = true;                          // false: there is more in the ledger than was looked through

  // Takes what an entry says; `tokens_of_it`: ids of tokens that could reach the workspace.
  void take(const ledger::Decoded& entry, const std::string& workspace, const std::set<std::string>& tokens_of_it);
};
boost::json::object to_json(const Traces& traces);

// Of the entries since `since`.
Task<Traces> find_traces(ledger::Ledger& ledger, std::string workspace, std::set<std::string> tokens, Time since);

}  // namespace cofferdam::incident
