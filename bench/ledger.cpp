// bench-ledger: what the ledger itself takes.
//   bench-ledger write FOLDER COUNT   COUNT entries of commands, each awaited durable by one of 2,000 callers at once
//   bench-ledger prove FOLDER COUNT   COUNT proofs of entries taken at random, each also checked
// Prints one JSON object.
#include <algorithm>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "ledger/folder.h"
#include "ledger/ledger.h"

namespace cofferdam::ledger {
namespace {

using Clock = std::chrono::steady_clock;
constexpr int kCallers = 2000;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

model::Entry command(std::uint64_t number) {
  model::ExecStarted started;
  started.exec = "cmd_01j00000000000000000000000";
  started.argv = {"python3", "-c", cat("print(", number, ")")};
  started.via = "exec";
  return {{"tok_01j00000000000000000000000", "192.0.2.7", "req_01j00000000000000000000000"},
          {"ws_01j00000000000000000000000", "ns_01j00000000000000000000000"},
          started};
}

// Takes numbers until there are none left.
Task<void> call(Ledger& ledger, std::uint64_t& left) {
  while (left > 0) CO_TRY(co_await ledger.record(command(left--)));
  co_return Status{};
}

Result<std::string> write(const std::string& folder, std::uint64_t count) {
  loop::asio::io_context io;
  LedgerOptions options;
  options.files.folder = folder + "/ledger";
  options.files.key_path = folder + "/keys/ledger.key";
  TRY_ASSIGN(const auto ledger, Ledger::open(io.get_executor(), std::move(options)));
  ledger->start();
  const auto start = Clock::now();
  Status outcome;
  std::uint64_t left = count;
  int running = kCallers;
  double took = 0;
  for (int i = 0; i < kCallers; ++i) {
    loop::asio::co_spawn(io, call(*ledger, left), [&](const std::exception_ptr&, const Status& ended) {
      if (!ended) outcome = ended;
      if (--running > 0) return;
      took = seconds_since(start);
      loop::asio::co_spawn(io, ledger->close(), [&](const std::exception_ptr&, const Status& closed) {
        if (!closed) outcome = closed;
      });
    });
  }
  io.run();
  TRY(outcome);
  return cat("{\"entries\": ", count, ", \"seconds\": ", took, ", \"per_second\": ", static_cast<double>(count) / took,
             "}");
}

Result<std::string> prove(const std::string& folder, int count) {
  TRY_ASSIGN(const std::string note, read_file(checkpoint_path(folder), kMaxNoteFileBytes));
  TRY_ASSIGN(const std::string links, read_file(keys_path(folder), kMaxKeysBytes));
  TRY_ASSIGN(const KeyChain keys, KeyChain::parse(links));
  EntryProof proof;
  TRY_ASSIGN(proof.checkpoint, parse_note(note));
  TRY_ASSIGN(const Checkpoint tree, parse_checkpoint(proof.checkpoint.text));
  std::mt19937_64 random(1);
  std::vector<double> made, checked;
  for (int i = 0; i < count; ++i) {
    proof.number = random() % tree.size;
    auto start = Clock::now();
    TRY_ASSIGN(const NodeFile nodes, NodeFile::open(folder));
    const auto read = [&](unsigned level, std::uint64_t index) { return nodes.read(level, index); };
    TRY_ASSIGN(proof.hashes, inclusion_proof(proof.number, tree.size, read));
    TRY_ASSIGN(proof.entry, read_entry(folder, proof.number));
    made.push_back(seconds_since(start));
    start = Clock::now();
    TRY(check_proof(proof, keys));
    checked.push_back(seconds_since(start));
  }
  std::sort(made.begin(), made.end());
  std::sort(checked.begin(), checked.end());
  constexpr double kMs = 1000;
  const auto at = [&](const std::vector<double>& all, double part) {
    return all[static_cast<std::size_t>(static_cast<double>(all.size() - 1) * part)] * kMs;
  };
  return cat("{\"made_p50_ms\": ", at(made, 0.5), ", \"made_p99_ms\": ", at(made, 0.99),
             ", \"checked_p50_ms\": ", at(checked, 0.5), ", \"checked_p99_ms\": ", at(checked, 0.99), "}");
}

int run(const std::vector<std::string>& words) {
  constexpr std::size_t kWords = 3;
  if (words.size() != kWords || (words[0] != "write" && words[0] != "prove")) {
    std::fputs("usage: bench-ledger write|prove FOLDER COUNT\n", stderr);
    return 2;
  }
  const auto count = parse_int("COUNT", words[2], 1, 100'000'000);
  auto done = !count                ? Result<std::string>(fail(count.error()))
              : words[0] == "write" ? write(words[1], static_cast<std::uint64_t>(*count))
                                    : prove(words[1], static_cast<int>(*count));
  if (!done) {
    std::fputs(cat("bench-ledger: ", done.error().message, "\n").c_str(), stderr);
    return 1;
  }
  std::puts(done->c_str());
  return 0;
}

}  // namespace
}  // namespace cofferdam::ledger

int main(int argc, char** argv) { return cofferdam::ledger::run({argv + (argc > 0 ? 1 : 0), argv + argc}); }
