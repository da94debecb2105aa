#include "image/base_system.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cstring>

#include "base/file.h"
#include "base/text.h"
#include "image/apt.h"
#include "image/command.h"
#include "image/pack.h"

namespace cofferdam::image {
namespace {

constexpr auto kMmdebstrapTimeout = std::chrono::minutes(60);
constexpr std::size_t kMaxBusyboxBytes = 16U << 20;
constexpr std::size_t kMaxApplets = 2000;
// Passwords' "last changed", in days: 2023-06-10, the day of Debian 12; the build's day must not show.
constexpr auto kFixedDay = "19518";
constexpr std::size_t kMaxAccountFileBytes = 1U << 20;

// In mount and process namespaces of its own: when we die, or lose patience, all of it dies with us, and nothing of
// the host (its /dev, bind-mounted) stays mounted in a folder that is then removed.
std::vector<std::string> contained(std::vector<std::string> argv) {
  const std::vector<std::string> around = {"setpriv",
                                           "--pdeathsig",
                                           "KILL",
                                           "unshare",
                                           "--mount",
                                           "--pid",
                                           "--mount-proc",
                                           "--fork",
                                           "--kill-child=KILL",
                                           "sh",
                                           "-c",
                                           "umask 022; PATH=/usr/sbin:/usr/bin:/sbin:/bin; export PATH; exec \"$@\"",
                                           "sh"};
  argv.insert(argv.begin(), around.begin(), around.end());
  return argv;
}

struct Stage {
  std::string_view line;
  double fraction;
};
constexpr std::array<Stage, 6> kStages = {{{"running apt-get update", 0.02},
                                           {"downloading packages", 0.1},
                                           {"extracting archives", 0.3},
                                           {"installing essential", 0.4},
                                           {"installing remaining", 0.6},
                                           {"cleaning", 0.95}}};

std::string joined(const std::vector<std::string>& texts, std::string_view separator) {
  std::string out;
  for (std::size_t i = 0; i < texts.size(); ++i) out += (i == 0 ? "" : std::string(separator)) + texts[i];
  return out;
}

Status remove_traces(const Tree& tree) {
  for (const auto* folder : {"/var/lib/apt/lists", "/var/cache/apt", "/var/cache/debconf", "/var/cache/ldconfig",
                             "/tmp", "/var/tmp", "/run", "/dev", "/usr/share/info", "/usr/share/lintian"}) {
    TRY(tree.empty_directory(folder));
  }
  // Backups of account files, and what mmdebstrap took from the host.
  for (const auto* file : {"/etc/passwd-", "/etc/group-", "/etc/shadow-", "/etc/gshadow-", "/etc/.pwd.lock",
                           "/etc/apt/apt.conf.d/99mmdebstrap", "/etc/resolv.conf", "/etc/hostname"}) {
    TRY(tree.remove(file));
  }
  TRY(tree.empty_directory("/etc/ssl/private"));
  for (const auto* kind : {"rsa", "ecdsa", "ed25519", "dsa"}) {
    TRY(tree.remove(cat("/etc/ssh/ssh_host_", kind, "_key")));
    TRY(tree.remove(cat("/etc/ssh/ssh_host_", kind, "_key.pub")));
  }
  return {};
}

// The folders stay: services expect theirs.
Status remove_logs(const std::string& folder) {
  return walk_tree(folder + "/var/log", [](const WalkedFile& file) -> Status {
    if (S_ISDIR(file.st.st_mode) || ::unlink(file.path.c_str()) == 0) return {};
    return fail_errno(cat("remove '", file.path, "'"));
  });
}

Status fix_password_dates(const Tree& tree) {
  constexpr std::size_t kDayField = 2;
  TRY_ASSIGN(const std::string text, tree.read("/etc/shadow", kMaxAccountFileBytes));
  std::string fixed;
  for (const auto& line : split(trim(text), '\n')) {
    auto fields = split(line, ':');
    if (fields.size() > kDayField) fields[kDayField] = kFixedDay;
    fixed += joined(fields, ":") + "\n";
  }
  TRY_ASSIGN(const UniqueFd file, open_in_root(tree.fd(), "/etc/shadow", O_WRONLY | O_TRUNC));
  return write_all(file.get(), fixed);
}

// An interpreter in the program headers means shared libraries, which the image would not have.
bool is_static_elf(std::string_view bytes) {
  Elf64_Ehdr header{};
  if (bytes.size() < sizeof header) return false;
  std::memcpy(&header, bytes.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64) return false;
  for (std::size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr program{};
    const std::size_t at = header.e_phoff + i * sizeof program;
    if (at > bytes.size() - sizeof program) return false;
    std::memcpy(&program, bytes.data() + at, sizeof program);
    if (program.p_type == PT_INTERP) return false;
  }
  return true;
}

}  // namespace

Status make_debian_base(const Recipe& recipe, const std::string& folder, const std::string& work,
                        const ProgressSink& progress) {
  const AptMirrors mirrors = host_mirrors(recipe.suite);
  // By file and by stdin: a proxy or mirror may carry a password.
  const std::string settings = work + "/apt.conf";
  TRY_ASSIGN(const std::string network, host_network_settings());
  TRY(write_file_atomically(settings, network + "// end\n"));

  RunOptions options = command(
      {"mmdebstrap", "--mode=root", "--format=directory", "--variant=" + recipe.variant, "--aptopt=" + settings},
      kMmdebstrapTimeout);
  for (const auto* rule : {"force-unsafe-io", "path-exclude=/usr/share/man/*", "path-exclude=/usr/share/info/*",
                           "path-exclude=/usr/share/doc/*", "path-include=/usr/share/doc/*/copyright",
                           "path-exclude=/usr/share/locale/*", "path-exclude=/usr/share/lintian/*"}) {
    options.argv.push_back(cat("--dpkgopt=", rule));
  }
  if (!recipe.packages.empty()) options.argv.push_back("--include=" + joined(recipe.packages, ","));
  options.argv.insert(options.argv.end(), {recipe.suite, folder, "-"});
  // No SOURCE_DATE_EPOCH: with it Python's compiled files would be checked against a hash of their source at every
  // import.
  options.extra_env.push_back("TMPDIR=" + work);
  options.input = sources_list(mirrors, recipe.suite);
  double fraction = 0;
  options.on_line = [&](std::string_view output) {
    if (!starts_with(output, "I: ")) return;
    const std::string line = without_passwords(output.substr(3));
    for (const auto& stage : kStages) {
      if (starts_with(line, stage.line)) fraction = stage.fraction;
    }
    progress({"packages", line, fraction});
  };
  options.argv = contained(std::move(options.argv));
  progress({"packages", cat("Debian ", recipe.suite, " with ", recipe.packages.size(), " packages and what they need"),
            fraction});
  if (auto made = run_checked(options); !made) {
    return fail(
        made.error().code,
        cat("make Debian ", recipe.suite, " for '", recipe.name, "': ", without_passwords(made.error().message)),
        "is the Debian mirror in /etc/apt reachable, and do all packages exist there?");
  }
  TRY_ASSIGN(const Tree tree, Tree::open(folder));
  TRY(remove_traces(tree));
  TRY(remove_logs(folder));
  TRY(fix_password_dates(tree));
  return tree.write("/etc/apt/sources.list", public_sources_list(recipe.suite), 0644);
}

Result<std::string> find_static_busybox() {
  for (const auto* path : {"/usr/bin/busybox", "/bin/busybox"}) {
    const auto bytes = read_file(path, kMaxBusyboxBytes);
    if (bytes && is_static_elf(*bytes)) return std::string(path);
  }
  return fail(Code::NotFound, "there is no statically linked busybox in /usr/bin or /bin",
              "install the package busybox-static");
}

Status make_busybox_base(const std::string& folder) {
  TRY_ASSIGN(const std::string busybox, find_static_busybox());
  TRY(make_root_folder(folder));
  TRY_ASSIGN(const Tree tree, Tree::open(folder));
  TRY_ASSIGN(const std::string bytes, read_file(busybox, kMaxBusyboxBytes));
  TRY(tree.write("/bin/busybox", bytes, 0755));
  TRY_ASSIGN(const std::string applets, run_checked(command({busybox, "--list-full"})));
  const auto names = split(trim(applets), '\n');
  if (names.size() > kMaxApplets) return fail(Code::Internal, cat("'", busybox, "' lists too many applets"));
  for (const auto& name : names) {
    if (name.empty() || name == "bin/busybox") continue;
    TRY(tree.symlink("/" + name, "/bin/busybox"));
  }
  for (const auto* path : {"/home", "/mnt", "/opt", "/srv", "/usr/local/bin", "/var/log", "/var/lib", "/var/cache"}) {
    TRY(tree.make_directory(path, 0755));
  }
  TRY(tree.make_directory("/var/tmp", 01777));
  TRY(tree.symlink("/var/run", "/run"));
  TRY(tree.write("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
                 0644));
  TRY(tree.write("/etc/group", "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n", 0644));
  TRY(tree.write("/etc/shadow", "root:*:19518:0:99999:7:::\nnobody:*:19518:0:99999:7:::\n", 0600));
  return tree.write("/etc/shells", "/bin/sh\n/bin/ash\n", 0644);
}

}  // namespace cofferdam::image
