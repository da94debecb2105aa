// Listings of folders: as a tree, flat, or streamed.
#include <algorithm>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include "api/runtime_call.h"
#include "api/workspace_json.h"
#include "base/text.h"
#include "base/utf8.h"
#include "crypto/digest.h"
#include "runtime/listing.h"

namespace cofferdam::api {
namespace {

namespace json = boost::json;
using runtime::Found;

constexpr std::int64_t kDefaultDepth = 20;
constexpr std::int64_t kMaxDepth = 128;
constexpr std::size_t kMaxListed = 100'000;
constexpr std::size_t kMaxStreamed = 10'000'000;
constexpr std::int64_t kDefaultBudget = 4 << 20;
constexpr std::int64_t kMaxBudget = 32 << 20;
constexpr std::uint64_t kMaxHashed = 256U << 20;
constexpr std::size_t kLineBatch = 32U << 10;

struct Asked {
  std::string path;
  runtime::ListingOptions listing;
  bool flatten = false, light = false, hash = false, content = false, extensions = false, code_only = false;
  std::vector<std::string> extensions_wanted;  // ".go"
  std::string path_filter;
  std::int64_t budget = kDefaultBudget;

  [[nodiscard]] bool filters_files() const { return code_only || !extensions_wanted.empty() || !path_filter.empty(); }
};

enum class Shape { as_asked, flat_and_nested };

Result<Asked> understand(const RuntimeCall& call, Shape shape) {
  Asked asked;
  TRY_ASSIGN(const std::string path, query_text(call, "path"));
  TRY_ASSIGN(asked.path, clean_path(path.empty() ? "/" : path));
  TRY_ASSIGN(bool nested, query_flag(call.call, "nested"));
  TRY_ASSIGN(asked.flatten, query_flag(call.call, "flatten"));
  if (shape == Shape::flat_and_nested) nested = asked.flatten = true;
  TRY_ASSIGN(asked.light, query_flag(call.call, "light"));
  TRY_ASSIGN(asked.hash, query_flag(call.call, "include_hash"));
  TRY_ASSIGN(asked.content, query_flag(call.call, "include_content"));
  TRY_ASSIGN(asked.extensions, query_flag(call.call, "include_extensions"));
  TRY_ASSIGN(asked.code_only, query_flag(call.call, "code_files_only"));
  TRY_ASSIGN(const bool gitignore, query_flag_or(call, "use_gitignore", true));
  TRY_ASSIGN(const auto depth, query_number(call, "max_depth", 1, kMaxDepth));
  TRY_ASSIGN(asked.path_filter, query_text(call, "path_filter"));
  TRY_ASSIGN(const std::string extensions, query_text(call, "include_ext"));
  TRY_ASSIGN(const std::string ignore, query_text(call, "ignore_patterns"));
  TRY_ASSIGN(const auto budget, query_number(call, "max_content_budget", 0, kMaxBudget));
  for (auto& extension : list_of(extensions)) {
    asked.extensions_wanted.push_back(extension.starts_with('.') ? extension : "." + extension);
  }
  asked.budget = budget.value_or(kDefaultBudget);
  asked.listing.max_depth = nested ? static_cast<std::uint32_t>(depth.value_or(kDefaultDepth)) : 1;
  asked.listing.gitignore = gitignore ? runtime::Gitignore::obeyed : runtime::Gitignore::ignored;
  asked.listing.ignore = list_of(ignore);
  return asked;
}

bool fits_path(const std::string& filter, const std::string& relative) {
  if (filter.find_first_of("*?[") == std::string::npos) return relative.find(filter) != std::string::npos;
  return runtime::Glob(filter).matches(relative) ||
         (filter.find('/') == std::string::npos && runtime::Glob(filter).matches(name_of(relative)));
}

bool wanted(const Asked& asked, const Found& found) {
  const auto& name = found.info.name;
  if (asked.code_only && !is_code_file(name)) return false;
  const auto& extensions = asked.extensions_wanted;
  if (!extensions.empty() && std::find(extensions.begin(), extensions.end(), extension_of(name)) == extensions.end()) {
    return false;
  }
  return asked.path_filter.empty() || fits_path(asked.path_filter, found.relative);
}

Task<std::string> hash_of(RuntimeCall& call, const std::string& path) {
  crypto::Sha256 hash;
  for (std::uint64_t at = 0;;) {
    CO_TRY_ASSIGN(const std::string piece, co_await call.files().read(path, at));
    if (piece.empty()) break;
    at += piece.size();
    if (at > kMaxHashed) co_return fail(Code::OutOfRange, "the file has grown");
    hash.update(piece);
  }
  co_return hash.hex();
}

// Gives one entry after the other as JSON, and keeps the budget of contents.
class Entries {
 public:
  Entries(RuntimeCall& call, Asked asked)
      : call_(call), asked_(std::move(asked)), listing_(call.machine, asked_.path, asked_.listing) {}

  struct Entry {
    json::object object;
    std::uint32_t depth = 1;
    bool folder = false;
  };
  Task<std::optional<Entry>> next() {
    for (;;) {
      CO_TRY_ASSIGN(auto found, co_await listing_.next());
      if (!found) co_return std::optional<Entry>();
      const bool folder = found->info.type == vm::FileType::directory;
      if (!folder && !wanted(asked_, *found)) continue;
      if (folder && asked_.flatten && asked_.filters_files()) continue;
      Entry entry;
      entry.depth = found->depth;
      entry.folder = folder;
      CO_TRY_ASSIGN(entry.object, co_await describe(*found));
      co_return std::optional<Entry>(std::move(entry));
    }
  }
  [[nodiscard]] const Asked& asked() const { return asked_; }
  [[nodiscard]] std::size_t unreadable_folders() const { return listing_.unreadable_folders(); }

 private:
  Task<json::object> describe(const Found& found) {
    const auto& info = found.info;
    json::object object{{"name", to_utf8(info.name)}, {"path", to_utf8(found.path)}, {"type", type_name(info.type)}};
    const bool file = info.type == vm::FileType::file;
    const std::string extension = file ? extension_of(info.name) : std::string{};
    if (!extension.empty() && (!asked_.light || asked_.extensions)) object["extension"] = to_utf8(extension);
    if (asked_.light) co_return object;
    object["size"] = info.size;
    object["modified"] = time_text(info.modified_ms);
    if (info.type == vm::FileType::symlink) object["symlink_target"] = to_utf8(info.symlink_target);
    if (file && asked_.hash && info.size <= kMaxHashed) {
      // A file that goes, or that nobody may read, is listed without.
      if (auto hash = co_await hash_of(call_, found.path)) object["hash"] = *hash;
    }
    const auto left = static_cast<std::uint64_t>(asked_.budget);
    if (file && asked_.content && info.size <= left) {
      const auto text = co_await runtime::read_some(call_.machine, found.path, left);
      if (text && is_utf8(*text) && text->find('\0') == std::string::npos) {
        asked_.budget -= static_cast<std::int64_t>(text->size());
        object["content"] = *text;
      }
    }
    co_return object;
  }

  RuntimeCall& call_;
  Asked asked_;
  runtime::Listing listing_;
};

// Builds the tree from entries that come folder by folder.
class Tree {
 public:
  explicit Tree(bool prune) : prune_(prune) {}
  void add(Entries::Entry entry) {
    close_to(entry.depth);
    levels_.back().push_back(std::move(entry.object));
    if (!entry.folder) return;
    levels_.emplace_back();
  }
  json::array finish() {
    close_to(1);
    return std::move(levels_.front());
  }

 private:
  // A folder's own array is the level above its depth.
  void close_to(std::uint32_t depth) {
    while (levels_.size() > depth) {
      json::array children = std::move(levels_.back());
      levels_.pop_back();
      auto& siblings = levels_.back();
      if (children.empty() && prune_) {
        siblings.pop_back();
      } else {
        siblings.back().as_object()["children"] = std::move(children);
      }
    }
  }
  bool prune_;
  std::vector<json::array> levels_ = std::vector<json::array>(1);
};

// One entry on each line; a listing that breaks off ends with an event that says why.
class EntryLines final : public http::BodySource {
 public:
  EntryLines(RuntimeCall& call, Asked asked)
      : request_{call.services, {call.request(), {}}, call.session, call.machine},
        entries_(request_, std::move(asked)) {
    pending_ = line({{"event", "start"}, {"path", to_utf8(entries_.asked().path)}});
  }
  [[nodiscard]] bool may_wait() const override { return pending_.empty(); }
  Task<std::string> next() override {
    while (!ended_ && pending_.size() < kLineBatch) {
      auto entry = co_await entries_.next();
      if (!entry) {
        pending_ += late_error_line(entry.error());
        ended_ = true;
      } else if (!*entry || count_ == kMaxStreamed) {
        json::object done{{"event", "done"}, {"count", count_}};
        if (*entry) done["truncated"] = true;
        pending_ += line(done);
        ended_ = true;
      } else {
        ++count_;
        pending_ += line((*entry)->object);
      }
    }
    co_return std::exchange(pending_, {});
  }

 private:
  static std::string line(const json::object& object) { return json::serialize(object) + "\n"; }
  static std::string late_error_line(const Error& error) {
    json::object object = json::parse(late_error_body(error)).as_object();
    object["event"] = "error";
    return line(object);
  }
  RuntimeCall request_;
  Entries entries_;
  std::string pending_;
  std::size_t count_ = 0;
  bool ended_ = false;
};

Status must_be_folder(const vm::FileInfo& info, const std::string& path) {
  if (info.type == vm::FileType::directory) return {};
  return fail(Code::InvalidArgument, cat("'", to_utf8(path), "' is no folder"));
}

}  // namespace

Task<http::Response> runtime_list_files(RuntimeCall& call) {
  CO_TRY_ASSIGN(Asked asked, understand(call, Shape::as_asked));
  CO_TRY_ASSIGN(const auto info, co_await call.files().stat(asked.path));
  CO_TRY(must_be_folder(info, asked.path));
  const bool flat = asked.flatten || asked.listing.max_depth == 1;
  Entries entries(call, asked);
  Tree tree(asked.filters_files());
  json::array list;
  std::size_t count = 0;
  bool truncated = false;
  for (;;) {
    CO_TRY_ASSIGN(auto entry, co_await entries.next());
    if (!entry) break;
    if (count == kMaxListed) {
      truncated = true;
      break;
    }
    ++count;
    if (flat) {
      list.emplace_back(std::move(entry->object));
    } else {
      tree.add(std::move(*entry));
    }
  }
  json::object listed{{"path", to_utf8(asked.path)}, {"count", count}};
  listed["entries"] = flat ? std::move(list) : tree.finish();
  if (truncated) listed["truncated"] = true;
  if (entries.unreadable_folders() > 0) listed["unreadable_folders"] = entries.unreadable_folders();
  co_return answer(std::move(listed));
}

Task<http::Response> runtime_stream_files(RuntimeCall& call) {
  CO_TRY_ASSIGN(Asked asked, understand(call, Shape::flat_and_nested));
  CO_TRY_ASSIGN(const auto info, co_await call.files().stat(asked.path));
  CO_TRY(must_be_folder(info, asked.path));
  http::Response response;
  response.headers.add("Content-Type", "application/x-ndjson");
  response.headers.add("Cache-Control", "no-cache");
  response.headers.add("X-Accel-Buffering", "no");
  response.source = std::make_unique<EntryLines>(call, std::move(asked));
  co_return response;
}

}  // namespace cofferdam::api
