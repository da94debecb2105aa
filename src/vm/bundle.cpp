#include "vm/bundle.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>
#include <optional>

#include "base/file.h"
#include "base/process.h"
#include "base/random.h"
#include "base/rollback.h"
#include "base/text.h"
#include "crypto/digest.h"

namespace cofferdam::vm {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kRecordMagic = "cofferdam-bundle 1";
constexpr std::string_view kTemporaryPrefix = ".new-";
constexpr char kLoader[] = "/lib64/ld-linux-x86-64.so.2";
constexpr char kModule[] = "accel-tcg-x86_64.so";
// What `-M microvm` opens when it is given a kernel.
constexpr const char* kFirmware[] = {"bios-microvm.bin", "linuxboot_dma.bin"};
constexpr std::size_t kMaxRecord = 256U << 10;

std::string vmm_folder(const std::string& state_dir) { return state_dir + "/vmm"; }
std::string record_path(const std::string& state_dir) { return vmm_folder(state_dir) + "/current"; }

// Changes whenever the file's content can have changed.
Result<std::string> stamp_of(const std::string& path) {
  struct stat st{};
  if (::stat(path.c_str(), &st) != 0) return fail_errno(cat("stat '", path, "'"));
  return cat(st.st_dev, ":", st.st_ino, ":", st.st_size, ":", st.st_mtim.tv_sec, ".", st.st_mtim.tv_nsec, ":",
             st.st_ctim.tv_sec, ".", st.st_ctim.tv_nsec);
}

// The last bundle and the files it was made of: "name value" lines, then one "source stamp path" a file.
struct Record {
  std::string asked_for;
  Bundle bundle;
  std::map<std::string, std::string> sources;  // path: stamp
};

std::string record_text(const Record& record) {
  std::string text =
      cat(kRecordMagic, "\nasked ", record.asked_for, "\nroot ", record.bundle.root, "\nprogram ",
          record.bundle.program, "\nfirmware ", record.bundle.firmware_folder, "\nversion ", record.bundle.qemu_version,
          "\ndigest ", record.bundle.digest, "\nsize ", record.bundle.size_bytes, "\n");
  for (const auto& [path, stamp] : record.sources) text += cat("source ", stamp, " ", path, "\n");
  return text;
}

std::vector<std::string> bundle_env() { return {"LC_ALL=C"}; }

std::optional<Record> read_record(const std::string& state_dir) {
  const auto text = read_file(record_path(state_dir), kMaxRecord);
  if (!text) return std::nullopt;
  const auto lines = split(*text, '\n');
  if (lines[0] != kRecordMagic) return std::nullopt;
  Record record;
  std::map<std::string, std::string*> fields = {{"asked", &record.asked_for},
                                                {"root", &record.bundle.root},
                                                {"program", &record.bundle.program},
                                                {"firmware", &record.bundle.firmware_folder},
                                                {"version", &record.bundle.qemu_version},
                                                {"digest", &record.bundle.digest}};
  for (const auto& line : lines) {
    const auto blank = line.find(' ');
    if (blank == std::string::npos) continue;
    const auto name = line.substr(0, blank);
    const auto value = line.substr(blank + 1);
    if (const auto field = fields.find(name); field != fields.end()) *field->second = value;
    if (name == "size") {
      record.bundle.size_bytes = static_cast<std::uint64_t>(parse_int("size", value, 0, INT64_MAX).value_or(0));
    }
    if (const auto second = value.find(' '); name == "source" && second != std::string::npos) {
      record.sources[value.substr(second + 1)] = value.substr(0, second);
    }
  }
  record.bundle.env = bundle_env();
  if (record.sources.empty() || record.bundle.digest.empty()) return std::nullopt;
  return record;
}

bool is_current(const Record& record, const std::string& qemu_binary) {
  if (record.asked_for != qemu_binary || !path_exists(record.bundle.root + record.bundle.program)) return false;
  return std::all_of(record.sources.begin(), record.sources.end(), [](const auto& source) {
    const auto stamp = stamp_of(source.first);
    return stamp && *stamp == source.second;
  });
}

// The shared libraries the loader would map for `file`, and the loader itself, by the paths it finds them at.
Result<std::vector<std::string>> libraries_of(const std::string& file) {
  RunOptions options;
  options.argv = {kLoader, "--list", file};
  auto listing = run_checked(options);
  if (!listing) return fail(std::move(listing.error()).in(cat("list the libraries of '", file, "'")));
  std::vector<std::string> paths;
  for (const auto& line : split(*listing, '\n')) {
    // "libz.so.1 => /lib/x86_64-linux-gnu/libz.so.1 (0x…)", "/lib64/ld-linux-x86-64.so.2 (0x…)", "linux-vdso.so.1
    // (0x…)"
    if (line.find("not found") != std::string::npos) {
      return fail(Code::NotFound, cat("'", file, "' needs a library that is missing: ", trim(line)),
                  "reinstall the package qemu-system-x86");
    }
    const auto start = line.find('/');
    const auto end = line.find(" (0x");
    if (start != std::string::npos && end != std::string::npos) paths.push_back(line.substr(start, end - start));
  }
  return paths;
}

struct Sources {
  std::string program;
  std::string firmware_folder;
  std::map<std::string, std::string> files;  // path inside the bundle: path on the host
};

std::string first_existing(const std::vector<std::string>& candidates) {
  const auto found = std::find_if(candidates.begin(), candidates.end(), path_exists);
  return found == candidates.end() ? std::string() : *found;
}

// QEMU finds modules and firmware relative to its own place: everything keeps its path.
Result<Sources> find_sources(const std::string& qemu_binary) {
  std::error_code ec;
  const auto program = fs::canonical(qemu_binary, ec).string();
  if (ec) {
    return fail(Code::NotFound, cat("QEMU is not at '", qemu_binary, "'"), "install the package qemu-system-x86");
  }
  Sources sources;
  sources.program = program;
  sources.files[program] = program;
  const auto prefix = fs::path(program).parent_path().parent_path().string();
  const auto module = first_existing({cat(prefix, "/lib/x86_64-linux-gnu/qemu/", kModule),
                                      cat(prefix, "/lib64/qemu/", kModule), cat(prefix, "/lib/qemu/", kModule)});
  if (!module.empty()) sources.files[module] = module;  // else TCG is built in
  sources.firmware_folder = prefix + "/share/qemu";
  for (const char* name : kFirmware) {
    const auto found = first_existing({cat(prefix, "/share/qemu/", name), cat(prefix, "/share/seabios/", name)});
    if (found.empty()) {
      return fail(Code::NotFound, cat("firmware '", name, "' is not in '", prefix, "/share/qemu'"),
                  "install the package qemu-system-data");
    }
    sources.files[cat(sources.firmware_folder, "/", name)] = found;
  }
  TRY_ASSIGN(auto libraries, libraries_of(program));
  if (!module.empty()) {
    TRY_ASSIGN(const auto more, libraries_of(module));
    libraries.insert(libraries.end(), more.begin(), more.end());
  }
  for (const auto& library : libraries) sources.files[library] = library;
  return sources;
}

Result<std::string> version_of(const std::string& program) {
  RunOptions options;
  options.argv = {program, "--version"};
  TRY_ASSIGN(const std::string text, run_checked(options));
  constexpr std::string_view kBefore = "version ";
  const auto start = text.find(kBefore);
  if (start == std::string::npos) return fail(Code::Internal, cat("'", program, " --version' names no version"));
  const auto from = start + kBefore.size();
  return text.substr(from, text.find_first_of(" \n", from) - from);
}

Status copy_file(const std::string& from, const std::string& to, unsigned mode) {
  TRY(make_directories(fs::path(to).parent_path().string(), 0755));
  TRY_ASSIGN(const UniqueFd in, open_file(from, O_RDONLY));
  TRY_ASSIGN(const UniqueFd out, open_file(to, O_WRONLY | O_CREAT | O_EXCL, mode));
  if (auto copied = copy_sparse(in.get(), out.get()); !copied) {
    return fail(std::move(copied.error()).in(cat("copy '", from, "' to '", to, "'")));
  }
  // The process's umask may have taken bits that the VMM's uid needs.
  if (::fchmod(out.get(), mode) != 0) return fail_errno(cat("chmod '", to, "'"));
  return {};
}

// Lets the loader in the jail find every library at once, wherever the host keeps it.
Status write_loader_cache(const std::string& root, const Sources& sources) {
  std::set<std::string> folders;
  for (const auto& [inside, host] : sources.files) {
    if (inside.find(".so") != std::string::npos) folders.insert(fs::path(inside).parent_path().string());
  }
  TRY(make_directories(root + "/etc", 0755));
  RunOptions options;
  options.argv = {first_existing({"/sbin/ldconfig", "/usr/sbin/ldconfig"}), "-r", root, "-X", "-f", "/dev/null"};
  options.argv.insert(options.argv.end(), folders.begin(), folders.end());
  if (options.argv[0].empty()) return fail(Code::NotFound, "ldconfig is not installed", "install the package libc-bin");
  TRY(run_checked(options));
  for (const char* extra : {"/var/cache/ldconfig", "/var/cache", "/var"}) {
    TRY(remove_tree(root + extra));
  }
  if (::chmod((root + "/etc/ld.so.cache").c_str(), 0644) != 0) return fail_errno("chmod the loader's cache");
  return {};
}

struct Filled {
  std::string digest;
  std::uint64_t size_bytes = 0;
};

Result<Filled> fill(const std::string& root, const Sources& sources) {
  crypto::Sha256 digest;
  Filled filled;
  for (const auto& [inside, host] : sources.files) {
    const unsigned mode = inside == sources.program || inside.find("/ld-linux") != std::string::npos ? 0755 : 0644;
    TRY(copy_file(host, root + inside, mode));
    TRY_ASSIGN(const std::string content, crypto::sha256_file_hex(root + inside));
    digest.update(cat(inside, " ", content, "\n"));
    std::error_code ec;
    filled.size_bytes += fs::file_size(root + inside, ec);
  }
  TRY(write_loader_cache(root, sources));
  // Where the jail mounts; see jail/mounts.
  for (const char* folder : {"/proc", "/dev"}) TRY(make_directories(root + folder, 0755));
  filled.digest = digest.hex();
  return filled;
}

// Durable before its name is: after a power cut there is either no bundle of this name or a whole one.
Status publish(const std::string& temporary, const std::string& root) {
  TRY_ASSIGN(const UniqueFd folder, open_file(temporary, O_RDONLY | O_DIRECTORY));
  if (::syncfs(folder.get()) != 0) return fail_errno(cat("sync '", temporary, "'"));
  if (::rename(temporary.c_str(), root.c_str()) == 0) return {};
  if (errno != EEXIST && errno != ENOTEMPTY) return fail_errno(cat("rename '", temporary, "' to '", root, "'"));
  return {};  // the same content was there already; the caller removes the copy
}

Result<Record> build(const std::string& state_dir, const std::string& qemu_binary) {
  // The stamps are taken first: a change during the copy makes the record stale, not wrong.
  TRY_ASSIGN(const Sources sources, find_sources(qemu_binary));
  Record record;
  record.asked_for = qemu_binary;
  for (const auto& [inside, host] : sources.files) {
    TRY_ASSIGN(record.sources[host], stamp_of(host));
  }
  TRY_ASSIGN(record.sources[qemu_binary], stamp_of(qemu_binary));
  const auto temporary = cat(vmm_folder(state_dir), "/", kTemporaryPrefix, to_hex(random_bytes(6)));
  Rollback rollback;
  rollback.add([&temporary] { (void)remove_tree(temporary); });
  TRY(make_directories(temporary, 0755));
  if (::chmod(temporary.c_str(), 0755) != 0) return fail_errno(cat("chmod '", temporary, "'"));
  TRY_ASSIGN(const Filled filled, fill(temporary, sources));
  record.bundle = Bundle{cat(vmm_folder(state_dir), "/", filled.digest),
                         sources.program,
                         sources.firmware_folder,
                         bundle_env(),
                         {},
                         filled.digest,
                         filled.size_bytes};
  TRY_ASSIGN(record.bundle.qemu_version, version_of(sources.program));
  TRY(publish(temporary, record.bundle.root));
  TRY(write_file_atomically(record_path(state_dir), record_text(record), 0644));
  return record;
}

}  // namespace

Result<Bundle> ensure_bundle(const std::string& state_dir, const std::string& qemu_binary) {
  std::error_code ec;
  const auto state = fs::absolute(state_dir, ec).lexically_normal().string();
  if (auto record = read_record(state); record && is_current(*record, qemu_binary)) return std::move(record->bundle);
  TRY(make_directories(vmm_folder(state), 0755));
  TRY_ASSIGN(const FileLock lock, FileLock::acquire(vmm_folder(state) + "/lock"));
  // Another daemon may have built it while we waited.
  if (auto record = read_record(state); record && is_current(*record, qemu_binary)) return std::move(record->bundle);
  auto record = build(state, qemu_binary);
  if (!record) return fail(std::move(record.error()).in(cat("make the VMM's bundle in '", vmm_folder(state), "'")));
  return std::move(record->bundle);
}

Result<std::vector<std::string>> remove_unused_bundles(const std::string& state_dir,
                                                       const std::set<std::string>& in_use) {
  std::vector<std::string> removed;
  const auto folder = vmm_folder(state_dir);
  if (!path_exists(folder)) return removed;
  TRY_ASSIGN(const FileLock lock, FileLock::acquire(folder + "/lock"));
  const auto record = read_record(state_dir);
  TRY_ASSIGN(const auto names, list_directory(folder));
  for (const auto& name : names) {
    std::error_code ec;
    const bool is_bundle = name.size() == 64 && fs::is_directory(cat(folder, "/", name), ec);
    const bool is_current_one = record && record->bundle.digest == name;
    if (!starts_with(name, kTemporaryPrefix) && (!is_bundle || is_current_one || in_use.contains(name))) continue;
    TRY(remove_tree(cat(folder, "/", name)));
    if (is_bundle) removed.push_back(name);
  }
  return removed;
}

}  // namespace cofferdam::vm
