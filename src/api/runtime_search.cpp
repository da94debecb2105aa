// Searching in a workspace: ripgrep in the guest where the image has it, else by reading its files.
#include <algorithm>
#include <array>
#include <chrono>

#include "api/runtime_call.h"
#include "base/text.h"
#include "base/utf8.h"
#include "loop/deadline.h"
#include "model/json.h"
#include "runtime/listing.h"
#include "runtime/text_search.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using Clock = std::chrono::steady_clock;

constexpr std::array<std::string_view, 3> kPlaces = {"/usr/bin/rg", "/usr/local/bin/rg", "/bin/rg"};
constexpr std::int64_t kDefaultMatches = 100, kMaxMatches = 10'000;
constexpr std::int64_t kDefaultFiles = 200, kMaxFiles = 10'000;
constexpr std::int64_t kDefaultSeconds = 10, kMaxSeconds = 60;
constexpr std::int64_t kMaxContext = 10;
constexpr std::size_t kMaxQuery = 4096;
constexpr std::size_t kMaxPatterns = 64;
constexpr std::size_t kMaxLine = 1U << 20;  // of ripgrep's output
constexpr std::size_t kMaxText = runtime::kMaxTold;
constexpr std::size_t kMaxComplaint = 2000;
constexpr std::uint64_t kMaxOutput = 64U << 20;
constexpr std::uint64_t kMaxSearched = 4U << 20;  // of a file, without ripgrep
constexpr std::uint32_t kMaxDepth = 64;
constexpr int kNothingFound = 1;
constexpr int kNoSuchProgram = 127;

struct Search {
  std::string query, path;
  bool case_sensitive = false, regex = false, whole_word = false, hidden = false, no_gitignore = false;
  std::int64_t max_results = kDefaultMatches, context = 0;
  std::chrono::milliseconds limit{};
  std::vector<std::string> file_types, ignore;
};

Result<Search> understand(const RuntimeCall& call) {
  Search search;
  TRY_ASSIGN(search.query, required_query(call.call, "q"));
  if (search.query.size() > kMaxQuery) return fail(Code::InvalidArgument, "the query is too long");
  TRY_ASSIGN(const std::string path, query_text(call, "path"));
  TRY_ASSIGN(search.path, clean_path(path.empty() ? "/" : path));
  TRY_ASSIGN(search.case_sensitive, query_flag(call.call, "case_sensitive"));
  TRY_ASSIGN(search.regex, query_flag(call.call, "regex"));
  TRY_ASSIGN(search.whole_word, query_flag(call.call, "whole_word"));
  TRY_ASSIGN(search.hidden, query_flag(call.call, "include_hidden"));
  TRY_ASSIGN(search.no_gitignore, query_flag(call.call, "no_gitignore"));
  TRY_ASSIGN(const auto most, query_number(call, "max_results", 1, kMaxMatches));
  TRY_ASSIGN(const auto seconds, query_number(call, "timeout", 1, kMaxSeconds));
  TRY_ASSIGN(const auto context, query_number(call, "context_lines", 0, kMaxContext));
  TRY_ASSIGN(const std::string types, query_text(call, "file_types"));
  TRY_ASSIGN(const std::string ignore, query_text(call, "ignore_patterns"));
  search.max_results = most.value_or(kDefaultMatches);
  search.limit = std::chrono::seconds(seconds.value_or(kDefaultSeconds));
  search.context = context.value_or(0);
  search.file_types = list_of(types);
  search.ignore = list_of(ignore);
  if (search.file_types.size() > kMaxPatterns || search.ignore.size() > kMaxPatterns) {
    return fail(Code::InvalidArgument, cat("more than ", kMaxPatterns, " patterns"));
  }
  for (auto& type : search.file_types) {
    if (type.starts_with('.')) type.erase(0, 1);
  }
  return search;
}

// Empty when the image has none.
Task<std::string> find_ripgrep(RuntimeCall& call) {
  for (const auto place : kPlaces) {
    const auto info = co_await call.files().stat(std::string(place));
    if (info && info->type == vm::FileType::file) co_return std::string(place);
    if (!info && info.error().code == Code::Unavailable) co_return fail(info.error());
  }
  co_return std::string{};
}

std::vector<std::string> words_for(const Search& search, const std::string& program) {
  std::vector<std::string> words{
      program, "--json", "--no-config", "--no-messages", "--no-require-git", "--max-depth", std::to_string(kMaxDepth)};
  words.emplace_back(search.case_sensitive ? "--case-sensitive" : "--ignore-case");
  if (!search.regex) words.emplace_back("--fixed-strings");
  if (search.whole_word) words.emplace_back("--word-regexp");
  if (search.hidden) words.emplace_back("--hidden");
  if (search.no_gitignore) words.emplace_back("--no-ignore");
  if (search.context > 0) words.insert(words.end(), {"--context", std::to_string(search.context)});
  for (const auto& type : search.file_types) words.insert(words.end(), {"--glob", "*." + type});
  for (const auto& pattern : search.ignore) words.insert(words.end(), {"--glob", "!" + pattern});
  // What a query says is never an option.
  words.insert(words.end(), {"--regexp", search.query, "--", search.path});
  return words;
}

std::string told(std::string_view line) {
  while (line.ends_with('\n') || line.ends_with('\r')) line.remove_suffix(1);
  return to_utf8(line.substr(0, kMaxText));
}

// What was found, file by file.
class Matches {
 public:
  explicit Matches(std::int64_t most) : most_(most) {}
  void add(const std::string& path, json::object match) {
    ++matches_;
    put(path, std::move(match));
  }
  void add_context(const std::string& path, json::object line) {
    line["context"] = true;
    put(path, std::move(line));
  }
  [[nodiscard]] bool full() const { return matches_ >= most_; }
  [[nodiscard]] std::size_t room() const { return static_cast<std::size_t>(most_ - matches_); }
  json::object finish(const Search& search) {
    const std::size_t files = results_.size();
    return {{"query", to_utf8(search.query)}, {"path", to_utf8(search.path)}, {"results", std::move(results_)},
            {"total_matches", matches_},      {"total_files", files},         {"capped", full()}};
  }

 private:
  void put(const std::string& path, json::object line) {
    auto& lines = results_[to_utf8(path)];
    if (!lines.is_array()) lines.emplace_array();
    lines.get_array().emplace_back(std::move(line));
  }
  std::int64_t most_;
  std::int64_t matches_ = 0;
  json::object results_;
};

// The text of ripgrep's {"text": …} or {"bytes": base64}; empty of the latter.
std::string_view text_of(const json::object& data, std::string_view field) {
  const auto* outer = data.if_contains(field);
  const auto* object = outer == nullptr ? nullptr : outer->if_object();
  const auto* text = object == nullptr ? nullptr : object->if_contains("text");
  return text != nullptr && text->is_string() ? std::string_view(text->get_string()) : std::string_view{};
}

// One line of ripgrep's output: the guest's word.
void take_line(std::string_view line, Matches& matches) {
  const auto value = model::parse_json(line);
  const auto* object = value ? value->if_object() : nullptr;
  if (object == nullptr) return;
  const auto* type = object->if_contains("type");
  const auto* data = object->if_contains("data");
  if (type == nullptr || !type->is_string() || data == nullptr || !data->is_object()) return;
  const bool match = type->get_string() == "match";
  if (!match && type->get_string() != "context") return;
  const auto& found = data->get_object();
  const std::string path(text_of(found, "path"));
  const auto* number = found.if_contains("line_number");
  if (path.empty() || number == nullptr || !number->is_int64()) return;
  json::object told_line{{"line", number->get_int64()}, {"text", told(text_of(found, "lines"))}};
  if (!match) return matches.add_context(path, std::move(told_line));
  const auto* parts = found.if_contains("submatches");
  if (parts != nullptr && parts->is_array() && !parts->get_array().empty()) {
    const auto* first = parts->get_array()[0].if_object();
    const auto* start = first == nullptr ? nullptr : first->if_contains("start");
    if (start != nullptr && start->is_int64()) told_line["column"] = start->get_int64() + 1;
  }
  matches.add(path, std::move(told_line));
}

Task<json::object> with_ripgrep(RuntimeCall& call, Search search, std::string program) {
  model::ExecSpec spec;
  spec.by = call.call.who().origin();
  spec.via = "runtime";
  spec.argv = words_for(search, program);
  spec.timeout = search.limit;
  spec.max_output_bytes = kMaxOutput;
  CO_TRY_ASSIGN(const auto process, co_await call.session->start(std::move(spec)));
  Matches matches(search.max_results);
  std::string line, complaint;
  bool skipping = false;
  while (!matches.full()) {
    CO_TRY_ASSIGN(const auto piece, co_await process->read());
    if (!piece) break;
    if (piece->channel == vm::Channel::stderr_) {
      if (complaint.size() < kMaxComplaint) complaint += piece->bytes.substr(0, kMaxComplaint);
      continue;
    }
    std::string_view bytes = piece->bytes;
    while (!bytes.empty() && !matches.full()) {
      const std::size_t end = bytes.find('\n');
      if (!skipping) line += bytes.substr(0, end);
      if (line.size() > kMaxLine) {
        line.clear();
        skipping = true;
      }
      if (end == std::string_view::npos) break;
      bytes.remove_prefix(end + 1);
      if (!skipping) take_line(line, matches);
      line.clear();
      skipping = false;
    }
  }
  if (matches.full()) co_return matches.finish(search);  // which ends the process
  const auto exit = process->exit_status();
  if (exit.timed_out) {
    co_return fail(Code::DeadlineExceeded, cat("the search took longer than ", search.limit.count(), " ms"),
                   "search a smaller folder, or give it more time");
  }
  if (exit.code == kNoSuchProgram) co_return fail(Code::Unavailable, "ripgrep cannot be run in this workspace");
  if (exit.code > kNothingFound && !complaint.empty()) {
    co_return fail(Code::InvalidArgument, cat("the search failed: ", told(complaint)));
  }
  co_return matches.finish(search);
}

std::string folded(std::string_view text, bool case_sensitive) {
  std::string out(text);
  if (case_sensitive) return out;
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
  return out;
}

bool has_type(const Search& search, const std::string& name) {
  if (search.file_types.empty()) return true;
  const std::string extension = extension_of(name);
  return !extension.empty() &&
         std::find(search.file_types.begin(), search.file_types.end(), extension.substr(1)) != search.file_types.end();
}

using Matcher = std::shared_ptr<const runtime::LineMatcher>;

// What cannot be read, or is no text, is passed over.
Task<void> look_into(RuntimeCall& call, const Search& search, Matcher matcher, std::string path,
                     Clock::time_point until, Matches& matches) {
  auto content = co_await runtime::read_some(call.machine, path, kMaxSearched);
  if (!content || content->find('\0') != std::string::npos) co_return Status{};
  const runtime::LineSearch wish{matches.room(), static_cast<std::size_t>(search.context), until};
  auto look = [matcher, wish, text = std::move(*content)] { return runtime::search_lines(*matcher, text, wish); };
  CO_TRY_ASSIGN(const auto lines, co_await call.services.sessions.searcher().run(std::move(look)));
  for (const auto& line : lines) {
    json::object told_line{{"line", line.number}, {"text", told(line.text)}};
    if (line.column) told_line["column"] = *line.column;
    if (line.column) {
      matches.add(path, std::move(told_line));
    } else {
      matches.add_context(path, std::move(told_line));
    }
  }
  co_return Status{};
}

Task<json::object> by_reading(RuntimeCall& call, Search search, vm::FileType type) {
  using namespace runtime;
  CO_TRY_ASSIGN(const Matcher matcher,
                LineMatcher::make(search.query, search.regex ? Syntax::regular : Syntax::plain,
                                  search.case_sensitive ? Letters::as_they_are : Letters::in_either_case,
                                  search.whole_word ? Words::whole : Words::parts_too));
  Matches matches(search.max_results);
  const auto deadline = Clock::now() + search.limit;
  if (type == vm::FileType::file) {
    CO_TRY(co_await look_into(call, search, matcher, search.path, deadline, matches));
    co_return matches.finish(search);
  }
  ListingOptions options;
  options.max_depth = kMaxDepth;
  options.gitignore = search.no_gitignore ? Gitignore::ignored : Gitignore::obeyed;
  options.hidden = search.hidden ? Hidden::shown : Hidden::left_out;
  options.ignore = search.ignore;
  Listing listing(call.machine, search.path, options);
  while (!matches.full()) {
    if (Clock::now() > deadline) {
      co_return fail(Code::DeadlineExceeded, cat("the search took longer than ", search.limit.count(), " ms"),
                     "search a smaller folder, or give it more time");
    }
    CO_TRY_ASSIGN(const auto found, co_await listing.next());
    if (!found) break;
    const auto& info = found->info;
    if (info.type != vm::FileType::file || info.size > kMaxSearched || !has_type(search, info.name)) continue;
    CO_TRY(co_await look_into(call, search, matcher, found->path, deadline, matches));
  }
  co_return matches.finish(search);
}

Task<std::string> version_of(RuntimeCall& call, std::string program) {
  model::ExecSpec spec;
  spec.by = call.call.who().origin();
  spec.via = "runtime";
  spec.argv = {std::move(program), "--version"};
  spec.timeout = std::chrono::seconds(kDefaultSeconds);
  CO_TRY_ASSIGN(const auto process, co_await call.session->start(std::move(spec)));
  std::string text;
  for (;;) {
    CO_TRY_ASSIGN(const auto piece, co_await process->read());
    if (!piece) break;
    if (text.size() < kMaxText) text += piece->bytes;
  }
  // "ripgrep 13.0.0 …"
  const auto words = split(text.substr(0, text.find('\n')), ' ');
  co_return words.size() > 1 ? told(words[1]) : std::string{};
}

json::object without_ripgrep() {
  return {{"installed", false},
          {"engine", "host"},
          {"message", "the image has no ripgrep: its files are searched by the host, with the same answers"}};
}

}  // namespace

Task<http::Response> runtime_search_content(RuntimeCall& call) {
  CO_TRY_ASSIGN(Search search, understand(call));
  CO_TRY_ASSIGN(const auto info, co_await call.files().stat(search.path));
  CO_TRY_ASSIGN(std::string program, co_await find_ripgrep(call));
  auto searching = program.empty() ? by_reading(call, std::move(search), info.type)
                                   : with_ripgrep(call, std::move(search), std::move(program));
  CO_TRY_ASSIGN(json::object found, co_await std::move(searching));
  co_return answer(std::move(found));
}

Task<http::Response> runtime_search_files(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::string query, required_query(call.call, "q"));
  if (query.size() > kMaxQuery) co_return fail(Code::InvalidArgument, "the query is too long");
  CO_TRY_ASSIGN(const std::string asked, query_text(call, "path"));
  CO_TRY_ASSIGN(const std::string path, clean_path(asked.empty() ? "/" : asked));
  CO_TRY_ASSIGN(const bool case_sensitive, query_flag(call.call, "case_sensitive"));
  CO_TRY_ASSIGN(const bool hidden, query_flag(call.call, "include_hidden"));
  CO_TRY_ASSIGN(const auto most, query_number(call, "max_results", 1, kMaxFiles));
  CO_TRY_ASSIGN(const std::string ignore, query_text(call, "ignore_patterns"));
  runtime::ListingOptions options;
  options.max_depth = kMaxDepth;
  options.hidden = hidden ? runtime::Hidden::shown : runtime::Hidden::left_out;
  options.ignore = list_of(ignore);
  CO_TRY(co_await call.files().stat(path));
  runtime::Listing listing(call.machine, path, options);
  const std::string wanted = folded(query, case_sensitive);
  const bool is_glob = wanted.find_first_of("*?[") != std::string::npos;
  const runtime::Glob glob(wanted);
  const auto deadline = Clock::now() + std::chrono::seconds(kMaxSeconds);
  json::array files;
  bool capped = false;
  for (;;) {
    if (Clock::now() > deadline) co_return fail(Code::DeadlineExceeded, "the search took too long");
    CO_TRY_ASSIGN(const auto found, co_await listing.next());
    if (!found) break;
    if (found->info.type == vm::FileType::directory) continue;
    const std::string relative = folded(found->relative, case_sensitive);
    const bool fits = is_glob ? glob.matches(relative) || glob.matches(name_of(relative))
                              : relative.find(wanted) != std::string::npos;
    if (!fits) continue;
    capped = files.size() == static_cast<std::size_t>(most.value_or(kDefaultFiles));
    if (capped) break;
    files.emplace_back(to_utf8(found->relative));
  }
  const std::size_t count = files.size();
  co_return answer({{"query", to_utf8(query)},
                    {"path", to_utf8(path)},
                    {"files", std::move(files)},
                    {"total_files", count},
                    {"capped", capped}});
}

Task<http::Response> runtime_search_status(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::string program, co_await find_ripgrep(call));
  if (program.empty()) co_return answer(without_ripgrep());
  CO_TRY_ASSIGN(const std::string version, co_await version_of(call, program));
  co_return answer({{"installed", true}, {"engine", "ripgrep"}, {"path", program}, {"version", version}});
}

Task<http::Response> runtime_search_init(RuntimeCall& call) {
  CO_TRY_ASSIGN(const std::string program, co_await find_ripgrep(call));
  if (program.empty()) co_return answer(without_ripgrep());
  CO_TRY_ASSIGN(const std::string version, co_await version_of(call, program));
  co_return answer({{"installed", true}, {"engine", "ripgrep"}, {"path", program}, {"version", version}});
}

}  // namespace cofferdam::api
