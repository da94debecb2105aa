// coffer-verify: whether a ledger, or a bundle of evidence, is what was signed. No daemon, no network, nothing written.
#include <fcntl.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/text.h"
#include "evidence/verify.h"
#include "ledger/canonical.h"
#include "ledger/folder.h"
#include "ledger/key_chain.h"
#include "ledger/proof.h"
#include "ledger/query.h"
#include "ledger/verify.h"

namespace cofferdam {
namespace {

using namespace ledger;
using evidence::json_string;

constexpr int kGood = 0;
constexpr int kBad = 1;
constexpr int kUsage = 2;
constexpr off_t kCheckpointTail = 1 << 20;
constexpr auto kSigningTime = std::chrono::seconds(10);

constexpr std::string_view kHelp = R"(coffer-verify: is this ledger what was signed?

usage: coffer-verify [--checkpoint FILE]… [--key KEY] [--json] [FOLDER]
       coffer-verify --prove NUMBER [FOLDER]          print a proof that an entry is in the ledger
       coffer-verify --proof FILE [--keys FILE] [--key KEY] [FOLDER]   check such a proof
       coffer-verify --evidence FILE [--key KEY] [--json]   check what `coffer evidence export` wrote

FOLDER is STATE/ledger of a daemon (default /var/lib/cofferdam/ledger); the daemon may run.

  --checkpoint FILE  checkpoints that were kept elsewhere: the ledger must lead to each of them
  --key KEY          the ledger's first key, kept elsewhere (NAME+ID+BASE64): the chain of keys must begin with it
  --keys FILE        the chain of keys, when FOLDER is not at hand
  --evidence FILE    a bundle of evidence; - is standard input, for one that age decrypts
  --json             the result as one JSON object

Exit status: 0 all is as it was signed, 1 it is not (the entries are named), 2 wrong usage.
)";

struct Arguments {
  std::string folder = "/var/lib/cofferdam/ledger";
  std::vector<std::string> checkpoints;
  std::string key, keys, proof, evidence;
  std::optional<std::uint64_t> prove;
  bool json = false, help = false;
};

Result<Arguments> parse(const std::vector<std::string>& words) {
  Arguments arguments;
  bool folder_given = false;
  for (std::size_t i = 0; i < words.size(); ++i) {
    std::string word = words[i];
    if (word == "--help" || word == "-h") {
      arguments.help = true;
    } else if (word == "--json") {
      arguments.json = true;
    } else if (word.starts_with("--")) {
      std::string value;
      if (const auto equals = word.find('='); equals != std::string::npos) {
        value = word.substr(equals + 1);
        word.resize(equals);
      } else {
        if (++i == words.size()) return fail(Code::InvalidArgument, cat(word, ": needs a value"));
        value = words[i];
      }
      if (word == "--checkpoint") {
        arguments.checkpoints.push_back(value);
      } else if (word == "--key") {
        arguments.key = value;
      } else if (word == "--keys") {
        arguments.keys = value;
      } else if (word == "--proof") {
        arguments.proof = value;
      } else if (word == "--evidence") {
        arguments.evidence = value;
      } else if (word == "--prove") {
        TRY_ASSIGN(arguments.prove, parse_whole(value));
      } else {
        return fail(Code::InvalidArgument, cat("there is no option '", word, "'"));
      }
    } else {
      if (folder_given) return fail(Code::InvalidArgument, cat("'", word, "': there is a folder already"));
      folder_given = true;
      arguments.folder = word;
    }
  }
  return arguments;
}

// Notes of a file that may have grown for years: the last of them are enough, each stands for all before it.
Result<std::vector<Note>> read_checkpoints(const std::string& path) {
  TRY_ASSIGN(const UniqueFd fd, open_file(path, O_RDONLY));
  const off_t size = ::lseek(fd.get(), 0, SEEK_END);
  const off_t from = size > kCheckpointTail ? size - kCheckpointTail : 0;
  if (::lseek(fd.get(), from, SEEK_SET) < 0) return fail_errno(cat("read '", path, "'"));
  TRY_ASSIGN(std::string text, read_fd(fd.get(), kMaxNoteFileBytes));
  // A note is two parts with a blank line between, and a blank line is between two notes.
  if (from > 0) {
    const auto signature = text.find("\n\n\xe2\x80\x94");
    const auto end = signature == std::string::npos ? signature : text.find("\n\n", signature + 2);
    text.erase(0, end == std::string::npos ? text.size() : end + 2);
  }
  auto notes = parse_notes(text);
  if (!notes) return fail(std::move(notes.error()).in(cat("'", path, "'")));
  if (notes->empty()) return fail(Code::InvalidArgument, cat("'", path, "' holds no checkpoint"));
  return notes;
}

std::string text_of(const VerifyReport& report) {
  std::string text = cat("log          ", report.origin, "\nentries      ", report.size);
  if (report.first > 0) text += cat(" (those before ", report.first, " were given up)");
  text += cat("\nroot         ", to_hex(ledger::text_of(report.root)), "\ncheckpoints  ", report.checkpoints,
              " in the log, by ", report.keys, " keys\n");
  if (report.first_key) text += cat("first key    ", report.first_key->text(), "\n");
  if (report.unsigned_entries > 0) text += cat("unsigned     ", report.unsigned_entries, " at the end\n");
  for (const auto& remark : report.remarks) text += cat("note         ", remark, "\n");
  for (const auto& finding : report.findings) text += cat("WRONG        ", finding.what, "\n");
  if (report.finding_count > report.findings.size()) {
    text += cat("WRONG        and ", report.finding_count - report.findings.size(), " more\n");
  }
  return text + (report.good() ? "good: this is what was signed\n" : "NOT GOOD: this is not what was signed\n");
}

std::string json_of(const VerifyReport& report) {
  std::string text =
      cat("{\"good\": ", report.good() ? "true" : "false", ", \"origin\": ", json_string(report.origin),
          ", \"first\": ", report.first, ", \"size\": ", report.size,
          ", \"root\": ", json_string(to_hex(ledger::text_of(report.root))), ", \"checkpoints\": ", report.checkpoints,
          ", \"keys\": ", report.keys, ", \"unsigned\": ", report.unsigned_entries,
          ", \"finding_count\": ", report.finding_count, ", \"findings\": [");
  for (const auto& finding : report.findings) {
    text += cat(&finding == &report.findings.front() ? "" : ", ", "{\"from\": ", finding.from, ", \"to\": ", finding.to,
                ", \"what\": ", json_string(finding.what), "}");
  }
  text += "], \"notes\": [";
  for (const auto& remark : report.remarks) {
    text += cat(&remark == &report.remarks.front() ? "" : ", ", json_string(remark));
  }
  return text + "]}\n";
}

Result<int> verify_folder(const Arguments& arguments) {
  VerifyOptions options;
  options.folder = arguments.folder;
  for (const auto& path : arguments.checkpoints) {
    TRY_ASSIGN(const auto notes, read_checkpoints(path));
    options.checkpoints.insert(options.checkpoints.end(), notes.begin(), notes.end());
  }
  if (!arguments.key.empty()) {
    TRY_ASSIGN(options.first_key, VerifierKey::parse(arguments.key));
  }
  const auto before = std::chrono::system_clock::now() - kSigningTime;
  options.unsigned_before_us = std::chrono::duration_cast<std::chrono::microseconds>(before.time_since_epoch()).count();
  TRY_ASSIGN(const VerifyReport report, verify(options));
  std::fputs((arguments.json ? json_of(report) : text_of(report)).c_str(), stdout);
  return report.good() ? kGood : kBad;
}

Result<KeyChain> read_keys(const Arguments& arguments) {
  const std::string path = arguments.keys.empty() ? keys_path(arguments.folder) : arguments.keys;
  TRY_ASSIGN(const std::string text, read_file(path, kMaxKeysBytes));
  TRY_ASSIGN(KeyChain chain, KeyChain::parse(text));
  if (chain.empty()) return fail(Code::DataLoss, cat("'", path, "' holds no key"));
  if (!arguments.key.empty()) {
    TRY_ASSIGN(const auto key, VerifierKey::parse(arguments.key));
    if (key != chain.links().front().key) {
      return fail(Code::DataLoss, "the chain of keys begins with another key than the one that was given");
    }
  }
  return chain;
}

Result<int> check_proof_file(const Arguments& arguments) {
  TRY_ASSIGN(const KeyChain keys, read_keys(arguments));
  TRY_ASSIGN(const std::string text, read_file(arguments.proof, kMaxNoteFileBytes));
  TRY_ASSIGN(const EntryProof proof, parse_proof(text));
  TRY_ASSIGN(const Decoded entry, check_proof(proof, keys));
  std::puts(cat("good: ", describe(entry), " is in the log ", keys.last().origin).c_str());
  return kGood;
}

Result<int> print_proof(const Arguments& arguments) {
  EntryProof proof;
  proof.number = *arguments.prove;
  TRY_ASSIGN(const std::string note, read_file(checkpoint_path(arguments.folder), kMaxNoteFileBytes));
  TRY_ASSIGN(proof.checkpoint, parse_note(note));
  TRY_ASSIGN(const Checkpoint tree, parse_checkpoint(proof.checkpoint.text));
  TRY_ASSIGN(const NodeFile nodes, NodeFile::open(arguments.folder));
  const auto read = [&](unsigned level, std::uint64_t index) { return nodes.read(level, index); };
  TRY_ASSIGN(proof.hashes, inclusion_proof(proof.number, tree.size, read));
  TRY_ASSIGN(proof.entry, read_entry(arguments.folder, proof.number));
  TRY_ASSIGN(const KeyChain keys, read_keys(arguments));
  TRY(check_proof(proof, keys));
  std::fputs(format_proof(proof).c_str(), stdout);
  return kGood;
}

Result<int> verify_evidence(const Arguments& arguments) {
  evidence::VerifyOptions options;
  if (!arguments.key.empty()) {
    TRY_ASSIGN(options.first_key, VerifierKey::parse(arguments.key));
  }
  UniqueFd file;
  if (arguments.evidence != "-") {
    TRY_ASSIGN(file, open_file(arguments.evidence, O_RDONLY));
  }
  TRY_ASSIGN(const auto report, evidence::verify_fd(file ? file.get() : STDIN_FILENO, std::move(options)));
  std::fputs((arguments.json ? evidence::report_json(report) : evidence::report_text(report)).c_str(), stdout);
  return report.good() ? kGood : kBad;
}

int run(const std::vector<std::string>& words) {
  const auto arguments = parse(words);
  if (!arguments) {
    std::fputs(cat("coffer-verify: ", arguments.error().message, "\nhint: see coffer-verify --help\n").c_str(), stderr);
    return kUsage;
  }
  if (arguments->help) {
    std::fputs(std::string(kHelp).c_str(), stdout);
    return kGood;
  }
  const auto ended = arguments->prove               ? print_proof(*arguments)
                     : !arguments->proof.empty()    ? check_proof_file(*arguments)
                     : !arguments->evidence.empty() ? verify_evidence(*arguments)
                                                    : verify_folder(*arguments);
  if (ended) return *ended;
  std::string text = cat("coffer-verify: ", ended.error().message, "\n");
  if (!ended.error().hint.empty()) text += cat("hint: ", ended.error().hint, "\n");
  std::fputs(text.c_str(), stderr);
  return kBad;
}

}  // namespace
}  // namespace cofferdam

int main(int argc, char** argv) { return cofferdam::run({argv + (argc > 0 ? 1 : 0), argv + argc}); }
