#include "image/builder.h"

#include <algorithm>

#include "base/file.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "image/apt.h"
#include "image/base_system.h"
#include "image/tree.h"

namespace cofferdam::image {
namespace {

constexpr std::size_t kMaxAccountFileBytes = 1U << 20;

Status add_account_line(const Tree& tree, const std::string& path, const std::string& line) {
  TRY_ASSIGN(std::string text, tree.read(path, kMaxAccountFileBytes));
  const std::string key = line.substr(0, line.find(':') + 1);
  for (const auto& existing : split(text, '\n')) {
    if (starts_with(existing, key)) {
      return fail(Code::InvalidArgument, cat("'", path, "' has '", key, "…' already: choose another user name"));
    }
  }
  return tree.append(path, (text.empty() || text.back() == '\n' ? "" : "\n") + line + "\n");
}

Status check_uid_is_free(const Tree& tree, unsigned uid) {
  TRY_ASSIGN(const std::string text, tree.read("/etc/passwd", kMaxAccountFileBytes));
  for (const auto& line : split(text, '\n')) {
    const auto fields = split(line, ':');
    if (fields.size() > 2 && fields[2] == std::to_string(uid)) {
      return fail(Code::InvalidArgument, cat("uid ", uid, " belongs to '", fields[0], "' already"));
    }
  }
  return {};
}

Status add_user(const Tree& tree, const RecipeUser& user) {
  TRY(check_uid_is_free(tree, user.uid));
  const std::string home = "/home/" + user.name;
  const std::string shell = tree.exists("/bin/bash") ? "/bin/bash" : "/bin/sh";
  const std::string id = std::to_string(user.uid);
  TRY(add_account_line(tree, "/etc/passwd", cat(user.name, ":x:", id, ":", id, "::", home, ":", shell)));
  TRY(add_account_line(tree, "/etc/group", cat(user.name, ":x:", id, ":")));
  // No password; sudo and su ask for none or refuse.
  TRY(add_account_line(tree, "/etc/shadow", cat(user.name, ":*:19518:0:99999:7:::")));
  if (tree.exists("/etc/gshadow")) TRY(add_account_line(tree, "/etc/gshadow", cat(user.name, ":!::")));

  const Owner owner{user.uid, user.uid};
  TRY(tree.make_directory(home, 0755, owner));
  for (const auto* name : {".bashrc", ".profile", ".bash_logout"}) {
    auto text = tree.read(cat("/etc/skel/", name), kMaxAccountFileBytes);
    if (text) TRY(tree.write(cat(home, "/", name), *text, 0644, owner));
  }
  if (user.sudo == Sudo::yes) {
    TRY(tree.write(cat("/etc/sudoers.d/", user.name), cat(user.name, " ALL=(ALL:ALL) NOPASSWD: ALL\n"), 0440));
  }
  return {};
}

// The agent writes the real ones in every workspace; these are what a process sees that comes without one.
Status add_identity_files(const Tree& tree) {
  TRY(tree.write("/etc/hostname", "cofferdam\n", 0644));
  TRY(tree.write("/etc/hosts", "127.0.0.1 localhost cofferdam\n::1 localhost ip6-localhost\n", 0644));
  TRY(tree.write("/etc/resolv.conf", "", 0644));
  return tree.write("/etc/machine-id", "", 0444);
}

}  // namespace

Result<std::string> content_key(const Recipe& recipe) {
  crypto::Sha256 sum;
  sum.update(cat("cofferdam image builder ", kBuilderVersion, "\n"));
  sum.update(canonical_text(recipe));
  if (recipe.kind == RecipeKind::busybox) {
    TRY_ASSIGN(const std::string busybox, find_static_busybox());
    TRY_ASSIGN(const std::string digest, crypto::sha256_file_hex(busybox));
    sum.update(digest);
  } else {
    sum.update(sources_list(host_mirrors(recipe.suite), recipe.suite));
  }
  return sum.hex();
}

Status build_tree(const Recipe& recipe, const std::string& folder, const std::string& work,
                  const ProgressSink& progress) {
  if (recipe.kind == RecipeKind::busybox) {
    progress({"packages", "busybox", -1});
    TRY(make_busybox_base(folder));
  } else {
    TRY(make_debian_base(recipe, folder, work, progress));
  }
  progress({"files", "user, files and identity", -1});
  TRY_ASSIGN(const Tree tree, Tree::open(folder));
  TRY(add_identity_files(tree));
  if (recipe.user) TRY(add_user(tree, *recipe.user));
  for (const auto& file : recipe.files) TRY(tree.write(file.path, file.content, file.mode));
  if (!recipe.config.workdir.empty() && !tree.is_directory(recipe.config.workdir)) {
    TRY(tree.make_directory(recipe.config.workdir, 0755));
  }
  return {};
}

}  // namespace cofferdam::image
