#include "runtime/listing.h"

#include <algorithm>

#include "base/text.h"

namespace cofferdam::runtime {
namespace {

constexpr std::size_t kMaxRulesFile = 64U << 10;
constexpr std::size_t kMaxFoldersAbove = 32;
constexpr std::string_view kRulesFile = ".gitignore";

bool is_sane(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

bool is_pseudo(std::string_view path) { return path == "/proc" || path == "/sys" || path == "/dev"; }

}  // namespace

Task<std::string> read_some(std::shared_ptr<vm::Machine> machine, std::string path, std::size_t most) {
  std::string content;
  while (content.size() < most) {
    CO_TRY_ASSIGN(const std::string piece, co_await machine->files().read(path, content.size()));
    if (piece.empty()) break;
    content += piece;
  }
  if (content.size() > most) content.resize(most);
  co_return content;
}

Listing::Listing(std::shared_ptr<vm::Machine> machine, std::string root, ListingOptions options)
    : machine_(std::move(machine)), root_(std::move(root)), options_(std::move(options)), ignore_(options_.ignore) {}

Task<void> Listing::enter(std::string path, std::string relative) {
  CO_TRY_ASSIGN(auto entries, co_await machine_->files().list(path));
  std::erase_if(entries, [](const auto& entry) { return !is_sane(entry.name); });
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
  Folder folder;
  folder.path = path == "/" ? "" : path;
  folder.relative = std::move(relative);
  const bool has_rules =
      options_.gitignore == Gitignore::obeyed && std::any_of(entries.begin(), entries.end(), [](const auto& entry) {
        return entry.name == kRulesFile && entry.type == vm::FileType::file;
      });
  if (has_rules) {
    const auto text = co_await read_some(machine_, cat(folder.path, "/", kRulesFile), kMaxRulesFile);
    if (text) folder.rules = IgnoreRules(*text);
  }
  folder.entries = std::move(entries);
  open_.push_back(std::move(folder));
  co_return Status{};
}

// Those of the repository that the root is in.
Task<void> Listing::read_rules_above() {
  std::vector<std::pair<std::string, IgnoreRules>> found;
  std::string folder = root_, below;
  for (std::size_t i = 0; i < kMaxFoldersAbove && folder != "/"; ++i) {
    if (co_await machine_->files().lstat(folder + "/.git")) {
      above_ = std::move(found);
      co_return Status{};
    }
    const std::size_t slash = folder.rfind('/');
    below.insert(0, folder.substr(slash + 1) + "/");
    folder = slash == 0 ? "/" : folder.substr(0, slash);
    const std::string file = cat(folder == "/" ? "" : folder, "/", kRulesFile);
    const auto text = co_await read_some(machine_, file, kMaxRulesFile);
    if (text && !text->empty()) found.emplace_back(below, IgnoreRules(*text));
  }
  co_return Status{};
}

bool Listing::left_out(const vm::FileInfo& info, const std::string& relative) const {
  if (options_.hidden == Hidden::left_out && info.name.starts_with('.')) return true;
  if (ignore_.fits(relative, info.name)) return true;
  if (options_.gitignore == Gitignore::ignored) return false;
  const auto entry = info.type == vm::FileType::directory ? IgnoreRules::Entry::folder : IgnoreRules::Entry::file;
  // The nearest file that says anything decides.
  for (auto folder = open_.rbegin(); folder != open_.rend(); ++folder) {
    const auto verdict = folder->rules.judge(std::string_view(relative).substr(folder->relative.size()), entry);
    if (verdict != IgnoreRules::Verdict::none) return verdict == IgnoreRules::Verdict::ignored;
  }
  for (const auto& [below, rules] : above_) {
    const auto verdict = rules.judge(below + relative, entry);
    if (verdict != IgnoreRules::Verdict::none) return verdict == IgnoreRules::Verdict::ignored;
  }
  return false;
}

Task<std::optional<Found>> Listing::next() {
  if (!std::exchange(started_, true)) {
    CO_TRY(co_await enter(root_, ""));
    if (options_.gitignore == Gitignore::obeyed) CO_TRY(co_await read_rules_above());
  }
  if (to_enter_) {
    const Found folder = *std::exchange(to_enter_, std::nullopt);
    const Status entered = co_await enter(folder.path, folder.relative + "/");
    if (!entered && entered.error().code == Code::Unavailable) co_return fail(entered.error());
    if (!entered) ++unreadable_;
  }
  while (!open_.empty()) {
    Folder& folder = open_.back();
    if (folder.at == folder.entries.size()) {
      open_.pop_back();
      continue;
    }
    Found found;
    found.info = std::move(folder.entries[folder.at++]);
    found.relative = folder.relative + found.info.name;
    found.path = folder.path + "/" + found.info.name;
    found.depth = static_cast<std::uint32_t>(open_.size());
    if (left_out(found.info, found.relative)) continue;
    const bool git = options_.gitignore == Gitignore::obeyed && found.info.name == ".git";
    if (found.info.type == vm::FileType::directory && found.depth < options_.max_depth && !git &&
        !is_pseudo(found.path)) {
      to_enter_ = found;
    }
    co_return std::optional<Found>(std::move(found));
  }
  co_return std::optional<Found>();
}

}  // namespace cofferdam::runtime
