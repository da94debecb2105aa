#include "image/apt.h"

#include <algorithm>
#include <cctype>

#include "base/file.h"
#include "base/text.h"
#include "image/command.h"

namespace cofferdam::image {
namespace {

constexpr std::string_view kMain = "http://deb.debian.org/debian";
constexpr std::string_view kSecurity = "http://deb.debian.org/debian-security";
constexpr std::string_view kKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg";
constexpr std::size_t kMaxSourcesBytes = 1U << 20;
constexpr auto kAptTimeout = std::chrono::minutes(10);

std::vector<std::string> words(std::string_view line) {
  std::vector<std::string> out;
  std::string word;
  for (const char c : line) {
    if (std::isspace(static_cast<unsigned char>(c)) == 0) {
      word.push_back(c);
    } else if (!word.empty()) {
      out.push_back(std::exchange(word, {}));
    }
  }
  if (!word.empty()) out.push_back(word);
  return out;
}

bool contains(const std::vector<std::string>& all, std::string_view one) {
  return std::find(all.begin(), all.end(), one) != all.end();
}

struct Source {
  std::vector<std::string> uris;
  std::vector<std::string> suites;
  std::vector<std::string> components;
};

// "deb [options] uri suite component…"; anything else has no URI.
Source parse_one_line(std::string_view line) {
  line = line.substr(0, line.find('#'));
  auto parts = words(line);
  if (parts.empty() || parts.front() != "deb") return {};
  parts.erase(parts.begin());
  if (!parts.empty() && parts.front().front() == '[') {
    const auto end = std::find_if(parts.begin(), parts.end(), [](const auto& part) { return part.back() == ']'; });
    if (end == parts.end()) return {};
    parts.erase(parts.begin(), end + 1);
  }
  if (parts.size() < 3) return {};
  return {{parts[0]}, {parts[1]}, {parts.begin() + 2, parts.end()}};
}

// The stanzas of a .sources file.
std::vector<Source> parse_deb822(std::string_view text) {
  std::vector<Source> out;
  Source source;
  std::string field;
  bool binary = false;
  bool enabled = true;
  const auto finish = [&] {
    if (binary && enabled) out.push_back(source);
    source = {};
    binary = false;
    enabled = true;
    field.clear();
  };
  for (const auto& line : split(text, '\n')) {
    if (trim(line).empty()) {
      finish();
      continue;
    }
    if (line.front() == '#') continue;
    std::string_view value = line;
    if (std::isspace(static_cast<unsigned char>(line.front())) == 0) {
      const auto colon = line.find(':');
      if (colon == std::string::npos) continue;
      field = line.substr(0, colon);
      std::transform(field.begin(), field.end(), field.begin(), [](unsigned char c) { return std::tolower(c); });
      value = value.substr(colon + 1);
    }
    auto parts = words(value);
    auto* list = field == "uris"         ? &source.uris
                 : field == "suites"     ? &source.suites
                 : field == "components" ? &source.components
                                         : nullptr;
    if (list != nullptr) list->insert(list->end(), parts.begin(), parts.end());
    if (field == "types" && contains(parts, "deb")) binary = true;
    if (field == "enabled" && !parts.empty() && parts.front() == "no") enabled = false;
  }
  finish();
  return out;
}

bool has_web_scheme(std::string_view uri) { return starts_with(uri, "http://") || starts_with(uri, "https://"); }

bool ends_as_mirror(std::string_view uri, std::string_view name) {
  while (!uri.empty() && uri.back() == '/') uri.remove_suffix(1);
  const auto slash = uri.rfind('/');
  return slash != std::string_view::npos && uri.substr(slash + 1) == name;
}

// Anything else would split a line of sources.list.
bool is_printable(std::string_view uri) {
  return std::all_of(uri.begin(), uri.end(), [](unsigned char c) { return c > ' ' && c < 0x7f; });
}

std::string first_field(std::string_view text, std::string_view field) {
  for (const auto& line : split(text, '\n')) {
    const auto trimmed = trim(line);
    if (starts_with(trimmed, field)) return std::string(trim(trimmed.substr(field.size())));
  }
  return {};
}

std::vector<std::string> join(std::vector<std::string> head, const std::vector<std::string>& middle,
                              const std::vector<std::string>& tail) {
  head.insert(head.end(), middle.begin(), middle.end());
  head.insert(head.end(), tail.begin(), tail.end());
  return head;
}

}  // namespace

AptMirrors mirrors_in_sources(const std::vector<std::string>& sources, std::string_view suite) {
  AptMirrors out;
  const std::string security_suite = cat(suite, "-security");
  const auto consider = [&](const Source& source) {
    if (!contains(source.components, "main")) return;
    for (const auto& uri : source.uris) {
      if (!has_web_scheme(uri) || !is_printable(uri)) continue;
      if (out.main.empty() && contains(source.suites, suite) && ends_as_mirror(uri, "debian")) out.main = uri;
      if (out.security.empty() && contains(source.suites, security_suite) && ends_as_mirror(uri, "debian-security")) {
        out.security = uri;
      }
    }
  };
  for (const auto& text : sources) {
    for (const auto& line : split(text, '\n')) consider(parse_one_line(line));
    for (const auto& source : parse_deb822(text)) consider(source);
  }
  if (out.main.empty()) out.main = kMain;
  if (out.security.empty()) out.security = kSecurity;
  return out;
}

AptMirrors host_mirrors(std::string_view suite) {
  std::vector<std::string> texts;
  const auto add = [&](const std::string& path) {
    if (auto text = read_file(path, kMaxSourcesBytes)) texts.push_back(std::move(*text));
  };
  add("/etc/apt/sources.list");
  const std::string folder = "/etc/apt/sources.list.d";
  for (const auto& name : list_directory(folder).value_or(std::vector<std::string>{})) add(cat(folder, "/", name));
  return mirrors_in_sources(texts, suite);
}

std::string sources_list(const AptMirrors& mirrors, std::string_view suite) {
  const std::string deb = cat("deb [signed-by=", kKeyring, "] ");
  return cat(deb, mirrors.main, " ", suite, " main\n", deb, mirrors.main, " ", suite, "-updates main\n", deb,
             mirrors.security, " ", suite, "-security main\n");
}

std::string public_sources_list(std::string_view suite) {
  return cat("deb ", kMain, " ", suite, " main\n", "deb ", kMain, " ", suite, "-updates main\n", "deb ", kSecurity, " ",
             suite, "-security main\n");
}

std::string without_passwords(std::string_view text) {
  constexpr std::string_view kScheme = "://";
  std::string out;
  for (;;) {
    const auto scheme = text.find(kScheme);
    if (scheme == std::string_view::npos) return out.append(text);
    out.append(text.substr(0, scheme + kScheme.size()));
    text.remove_prefix(scheme + kScheme.size());
    const auto host_end = text.find_first_of("/ \t\n\"'");
    const auto at = text.substr(0, host_end).rfind('@');
    if (at == std::string_view::npos) continue;
    out.append("***");
    text.remove_prefix(at);
  }
}

Result<std::string> host_network_settings() {
  TRY_ASSIGN(const std::string dump, run_checked(command({"apt-config", "dump"})));
  static const std::vector<std::string> kWanted = {
      "Acquire::http::",
      "Acquire::https::",
      "Acquire::Retries ",
      "Acquire::ForceIPv",
      "Acquire::Check-Valid-Until ",
      "Acquire::Check-Date ",
      "Acquire::Max-FutureTime ",
  };
  std::string out;
  for (const auto& line : split(dump, '\n')) {
    const auto wanted = [&](const auto& prefix) { return starts_with(line, prefix); };
    if (std::any_of(kWanted.begin(), kWanted.end(), wanted)) out += line + "\n";
  }
  return out;
}

Result<AptPackage> AptFetcher::resolve_once(const std::string& name, std::string_view dependency_prefix) const {
  const auto show = [&](const std::string& package) {
    return run_checked(command(join({"apt-cache"}, options_, {"show", "--no-all-versions", package}), kAptTimeout));
  };
  AptPackage found{name, {}};
  TRY_ASSIGN(std::string text, show(name));
  if (!dependency_prefix.empty()) {
    std::string needed;
    for (const auto& clause : split(first_field(text, "Depends:"), ',')) {
      const auto parts = words(clause);
      if (!parts.empty() && starts_with(parts.front(), dependency_prefix)) needed = parts.front();
    }
    if (needed.empty()) return fail(Code::NotFound, cat("package '", name, "' depends on no ", dependency_prefix, "…"));
    found.name = needed;
    TRY_ASSIGN(text, show(needed));
  }
  found.version = first_field(text, "Version:");
  if (found.version.empty()) return fail(Code::NotFound, cat("apt knows no version of '", found.name, "'"));
  return found;
}

Status AptFetcher::use_own_lists() {
  const std::string state = folder_ + "/apt";
  for (const auto* folder : {"/lists/partial", "/cache/archives/partial", "/parts"}) {
    TRY(make_directories(state + folder, 0755));
  }
  TRY(write_file_atomically(state + "/sources.list", sources_list(host_mirrors(suite_), suite_)));
  TRY(write_file_atomically(state + "/status", ""));
  options_ = {
      "-o", "Dir::State::Lists=" + state + "/lists",
      "-o", "Dir::State::status=" + state + "/status",
      "-o", "Dir::Cache=" + state + "/cache",
      "-o", "Dir::Etc::SourceList=" + state + "/sources.list",
      "-o", "Dir::Etc::SourceParts=" + state + "/parts",
  };
  // The work folder is root's alone, so apt's unprivileged user could not write to it.
  auto updated =
      run_checked(command(join({"apt-get", "-q", "-o", "APT::Sandbox::User=root"}, options_, {"update"}), kAptTimeout));
  if (!updated) {
    return fail(Code::Unavailable,
                cat("read the package lists of Debian ", suite_, ": ", without_passwords(updated.error().message)),
                "is the Debian mirror in /etc/apt reachable from this host?");
  }
  return {};
}

Result<AptPackage> AptFetcher::resolve(const std::string& name, std::string_view dependency_prefix) {
  auto found = resolve_once(name, dependency_prefix);
  if (found || !options_.empty()) return found;
  TRY(use_own_lists());
  return resolve_once(name, dependency_prefix);
}

Status AptFetcher::download(const AptPackage& package) const {
  const auto argv = join({"env", "-C", folder_, "apt-get", "-q", "-o", "APT::Sandbox::User=root"}, options_,
                         {"download", cat(package.name, "=", package.version)});
  auto done = run_checked(command(argv, kAptTimeout));
  if (done) return {};
  return fail(done.error().code,
              cat("download package '", package.name, "': ", without_passwords(done.error().message)));
}

Status AptFetcher::unpack(const AptPackage& package, const std::string& target) {
  if (auto downloaded = download(package); !downloaded) {
    if (!options_.empty()) return fail(std::move(downloaded.error()));
    TRY(use_own_lists());
    TRY(download(package));
  }
  TRY_ASSIGN(const auto names, list_directory(folder_));
  for (const auto& name : names) {
    if (!starts_with(name, package.name + "_")) continue;
    const auto deb = cat(folder_, "/", name);
    TRY(make_directories(target, 0755));
    TRY(run_checked(command({"dpkg-deb", "-x", deb, target}, kAptTimeout)));
    return remove_tree(deb);
  }
  return fail(Code::Internal, cat("apt-get downloaded '", package.name, "' but left no file"));
}

}  // namespace cofferdam::image
