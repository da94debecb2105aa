#include "image/recipe.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"
#include "image/content_store.h"

namespace cofferdam::image {
namespace {

constexpr std::size_t kMaxRecipeBytes = 1U << 20;
constexpr std::size_t kMaxEntries = 10000;
constexpr std::string_view kSuffix = ".yaml";

class Reader {
 public:
  explicit Reader(std::string source) : source_(std::move(source)) {}

  [[nodiscard]] tl::unexpected<Error> bad(const YAML::Mark& mark, std::string_view why) const {
    return fail(Code::InvalidArgument, cat(source_, ":", mark.line + 1, ":", mark.column + 1, ": ", why));
  }

  using Field = std::function<Status(const YAML::Node&)>;
  // Every key of the mapping must be in `fields`, and at most once.
  [[nodiscard]] Status mapping(const YAML::Node& node, std::string_view what,
                               const std::map<std::string, Field>& fields) const {
    if (!node.IsMap()) return bad(node.Mark(), cat(what, " must be a mapping"));
    std::set<std::string> seen;
    for (const auto& pair : node) {
      TRY_ASSIGN(const std::string key, text(pair.first, cat("a key of ", what)));
      const auto field = fields.find(key);
      if (field == fields.end()) {
        std::string known;
        for (const auto& [name, unused] : fields) known += (known.empty() ? "" : ", ") + name;
        return bad(pair.first.Mark(), cat("unknown key '", key, "' in ", what, " (known: ", known, ")"));
      }
      if (!seen.insert(key).second) return bad(pair.first.Mark(), cat("'", key, "' is given twice"));
      TRY(field->second(pair.second));
    }
    return {};
  }

  [[nodiscard]] Result<std::string> text(const YAML::Node& node, std::string_view what) const {
    if (!node.IsScalar()) return bad(node.Mark(), cat(what, " must be a string"));
    if (node.Scalar().find('\0') != std::string::npos) return bad(node.Mark(), cat(what, " holds a NUL byte"));
    return node.Scalar();
  }

  [[nodiscard]] Result<std::vector<std::string>> texts(const YAML::Node& node, std::string_view what) const {
    if (!node.IsSequence()) return bad(node.Mark(), cat(what, " must be a list"));
    if (node.size() > kMaxEntries) return bad(node.Mark(), cat(what, " has too many entries"));
    std::vector<std::string> out;
    for (const auto& entry : node) {
      TRY_ASSIGN(std::string one, text(entry, cat("an entry of ", what)));
      out.push_back(std::move(one));
    }
    return out;
  }

  [[nodiscard]] Result<std::int64_t> number(const YAML::Node& node, std::string_view what, std::int64_t min,
                                            std::int64_t max) const {
    TRY_ASSIGN(const std::string digits, text(node, what));
    const auto value = parse_int(what, digits, min, max);
    if (!value) return bad(node.Mark(), value.error().message);
    return *value;
  }

  [[nodiscard]] Result<std::string> word(const YAML::Node& node, std::string_view what,
                                         std::string_view more_characters) const {
    TRY_ASSIGN(std::string value, text(node, what));
    if (!is_word(value, more_characters)) return bad(node.Mark(), cat("'", value, "' cannot be ", what));
    return value;
  }

  // An absolute path without "." and "..".
  [[nodiscard]] Result<std::string> path(const YAML::Node& node, std::string_view what) const {
    TRY_ASSIGN(std::string value, text(node, what));
    bool right = value.size() > 1 && value.size() < 4096 && value.front() == '/' && value.back() != '/';
    for (const auto& part : split(std::string_view(value).substr(right ? 1 : 0), '/')) {
      if (part.empty() || part == "." || part == "..") right = false;
    }
    if (!right) return bad(node.Mark(), cat(what, " must be an absolute path without '.' and '..'"));
    return value;
  }

  // A lower-case letter or digit, then those and `more_characters`; at most 64 bytes.
  static bool is_word(std::string_view value, std::string_view more_characters) {
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
    return !value.empty() && value.size() <= 64 && letter(value.front()) &&
           std::all_of(value.begin(), value.end(),
                       [&](char c) { return letter(c) || more_characters.find(c) != std::string_view::npos; });
  }

 private:
  std::string source_;
};

Result<unsigned> read_mode(const Reader& reader, const YAML::Node& node) {
  TRY_ASSIGN(const std::string digits, reader.text(node, "mode"));
  unsigned mode = 0;
  const bool right = !digits.empty() && digits.size() <= 5 &&
                     std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '7'; });
  if (right) {
    for (const char digit : digits) mode = mode * 8 + static_cast<unsigned>(digit - '0');
  }
  if (!right || mode > 07777) return reader.bad(node.Mark(), "mode must be octal, such as 0644");
  return mode;
}

Result<RecipeFile> read_one_file(const Reader& reader, const YAML::Node& node) {
  RecipeFile file;
  TRY(reader.mapping(node, "a file",
                     {{"path",
                       [&](const YAML::Node& value) -> Status {
                         TRY_ASSIGN(file.path, reader.path(value, "path"));
                         return {};
                       }},
                      {"content",
                       [&](const YAML::Node& value) -> Status {
                         TRY_ASSIGN(file.content, reader.text(value, "content"));
                         return {};
                       }},
                      {"mode", [&](const YAML::Node& value) -> Status {
                         TRY_ASSIGN(file.mode, read_mode(reader, value));
                         return {};
                       }}}));
  if (file.path.empty()) return reader.bad(node.Mark(), "a file needs a path");
  return file;
}

Result<RecipeUser> read_user(const Reader& reader, const YAML::Node& node) {
  constexpr std::int64_t kFirstUid = 1000;
  constexpr std::int64_t kLastUid = 59999;
  RecipeUser user;
  TRY(reader.mapping(node, "user",
                     {{"name",
                       [&](const YAML::Node& value) -> Status {
                         TRY_ASSIGN(user.name, reader.word(value, "a user's name", "_-"));
                         return {};
                       }},
                      {"uid",
                       [&](const YAML::Node& value) -> Status {
                         TRY_ASSIGN(const auto uid, reader.number(value, "uid", kFirstUid, kLastUid));
                         user.uid = static_cast<unsigned>(uid);
                         return {};
                       }},
                      {"sudo", [&](const YAML::Node& value) -> Status {
                         TRY_ASSIGN(const std::string word, reader.text(value, "sudo"));
                         if (word != "true" && word != "false") {
                           return reader.bad(value.Mark(), "sudo must be true or false");
                         }
                         user.sudo = word == "true" ? Sudo::yes : Sudo::no;
                         return {};
                       }}}));
  if (user.name.empty()) return reader.bad(node.Mark(), "user needs a name");
  return user;
}

Result<std::vector<std::string>> read_env(const Reader& reader, const YAML::Node& node) {
  if (!node.IsMap()) return reader.bad(node.Mark(), "env must be a mapping");
  std::map<std::string, std::string> env;  // sorted: the order in the file means nothing
  for (const auto& pair : node) {
    TRY_ASSIGN(const std::string key, reader.text(pair.first, "a name in env"));
    TRY_ASSIGN(std::string value, reader.text(pair.second, cat("the value of ", key)));
    const bool right = !key.empty() && key.find('=') == std::string::npos;
    if (!right) return reader.bad(pair.first.Mark(), cat("'", key, "' cannot be a variable's name"));
    if (!env.emplace(key, std::move(value)).second) {
      return reader.bad(pair.first.Mark(), cat("'", key, "' is given twice"));
    }
  }
  std::vector<std::string> out;
  out.reserve(env.size());
  for (const auto& [key, value] : env) out.push_back(cat(key, "=", value));
  return out;
}

Result<Recipe> read_recipe(const Reader& reader, const YAML::Node& root) {
  Recipe recipe;
  const auto text_into = [&](std::string& out, std::string_view what) -> Reader::Field {
    return [&out, &reader, what](const YAML::Node& node) -> Status {
      TRY_ASSIGN(out, reader.text(node, what));
      return {};
    };
  };
  const auto texts_into = [&](std::vector<std::string>& out, std::string_view what) -> Reader::Field {
    return [&out, &reader, what](const YAML::Node& node) -> Status {
      TRY_ASSIGN(out, reader.texts(node, what));
      return {};
    };
  };
  const std::map<std::string, Reader::Field> fields = {
      {"name", text_into(recipe.name, "name")},
      {"description", text_into(recipe.description, "description")},
      {"kind",
       [&](const YAML::Node& node) -> Status {
         TRY_ASSIGN(const std::string kind, reader.text(node, "kind"));
         if (kind != "debian" && kind != "busybox") return reader.bad(node.Mark(), "kind must be debian or busybox");
         recipe.kind = kind == "debian" ? RecipeKind::debian : RecipeKind::busybox;
         return {};
       }},
      {"suite",
       [&](const YAML::Node& node) -> Status {
         TRY_ASSIGN(recipe.suite, reader.word(node, "a suite's name", ""));
         return {};
       }},
      {"variant",
       [&](const YAML::Node& node) -> Status {
         static const std::set<std::string> kVariants = {"minbase", "essential", "apt", "important", "standard"};
         TRY_ASSIGN(recipe.variant, reader.text(node, "variant"));
         if (kVariants.count(recipe.variant) != 0) return {};
         return reader.bad(node.Mark(), "variant must be minbase, essential, apt, important or standard");
       }},
      {"packages",
       [&](const YAML::Node& node) -> Status {
         TRY_ASSIGN(recipe.packages, reader.texts(node, "packages"));
         for (const auto& entry : node) TRY(reader.word(entry, "a package's name", "+-."));
         return {};
       }},
      {"files",
       [&](const YAML::Node& node) -> Status {
         if (!node.IsSequence()) return reader.bad(node.Mark(), "files must be a list");
         for (const auto& entry : node) {
           TRY_ASSIGN(RecipeFile file, read_one_file(reader, entry));
           recipe.files.push_back(std::move(file));
         }
         return {};
       }},
      {"user",
       [&](const YAML::Node& node) -> Status {
         TRY_ASSIGN(recipe.user, read_user(reader, node));
         return {};
       }},
      {"env",
       [&](const YAML::Node& node) -> Status {
         TRY_ASSIGN(recipe.config.env, read_env(reader, node));
         return {};
       }},
      {"workdir",
       [&](const YAML::Node& node) -> Status {
         TRY_ASSIGN(recipe.config.workdir, reader.path(node, "workdir"));
         return {};
       }},
      {"default_user",
       [&](const YAML::Node& node) -> Status {
         TRY_ASSIGN(recipe.config.user, reader.word(node, "a user's name", "_-"));
         return {};
       }},
      {"entrypoint", texts_into(recipe.config.entrypoint, "entrypoint")},
      {"cmd", texts_into(recipe.config.cmd, "cmd")},
  };
  TRY(reader.mapping(root, "the recipe", fields));
  if (const auto named = check_image_name(recipe.name); !named) {
    return reader.bad(root.Mark(), recipe.name.empty() ? "the recipe needs a name" : named.error().message);
  }
  const bool has_sudo = std::find(recipe.packages.begin(), recipe.packages.end(), "sudo") != recipe.packages.end();
  if (recipe.user && recipe.user->sudo == Sudo::yes && !has_sudo) {
    return reader.bad(root["user"].Mark(), "sudo: true needs the package sudo");
  }
  if (recipe.kind == RecipeKind::busybox && !recipe.packages.empty()) {
    return reader.bad(root["packages"].Mark(), "a busybox image has no packages");
  }
  const auto& wanted = recipe.config.user;
  if (!wanted.empty() && wanted != "root" && !(recipe.user && recipe.user->name == wanted)) {
    return reader.bad(root["default_user"].Mark(), cat("default_user '", wanted, "' is neither root nor the user"));
  }
  return recipe;
}

}  // namespace

Result<Recipe> parse_recipe(std::string_view yaml, const std::string& source) {
  const Reader reader(source);
  try {
    return read_recipe(reader, YAML::Load(std::string(yaml)));
  } catch (const YAML::Exception& e) {
    return reader.bad(e.mark, e.msg);
  }
}

Result<Recipe> load_recipe(const std::string& folder, const std::string& name) {
  TRY(check_image_name(name));
  const auto path = cat(folder, "/", name, kSuffix);
  auto text = read_file(path, kMaxRecipeBytes);
  if (!text) {
    if (text.error().code != Code::NotFound) return fail(std::move(text.error()));
    return fail(Code::NotFound, cat("there is no recipe '", path, "'"), "list the recipes: coffer image ls");
  }
  TRY_ASSIGN(Recipe recipe, parse_recipe(*text, path));
  if (recipe.name != name) {
    return fail(Code::InvalidArgument, cat(path, ": the recipe calls itself '", recipe.name, "'"),
                "name and file name must be the same");
  }
  return recipe;
}

Result<std::vector<std::string>> recipe_names(const std::string& folder) {
  TRY_ASSIGN(const auto files, list_directory(folder));
  std::vector<std::string> out;
  for (const auto& file : files) {
    if (file.size() <= kSuffix.size() || file.substr(file.size() - kSuffix.size()) != kSuffix) continue;
    out.push_back(file.substr(0, file.size() - kSuffix.size()));
  }
  return out;
}

std::string canonical_text(const Recipe& recipe) {
  std::string out;
  ByteWriter writer(out);
  const auto list = [&](const std::vector<std::string>& texts) {
    writer.u32(static_cast<std::uint32_t>(texts.size()));
    for (const auto& text : texts) writer.text(text);
  };
  writer.u8(static_cast<std::uint8_t>(recipe.kind));
  writer.text(recipe.suite);
  writer.text(recipe.variant);
  auto packages = recipe.packages;
  std::sort(packages.begin(), packages.end());
  list(packages);
  writer.u32(static_cast<std::uint32_t>(recipe.files.size()));
  for (const auto& file : recipe.files) {
    writer.text(file.path);
    writer.text(file.content);
    writer.u32(file.mode);
  }
  writer.u8(recipe.user ? 1 : 0);
  if (recipe.user) {
    writer.text(recipe.user->name);
    writer.u32(recipe.user->uid);
    writer.u8(recipe.user->sudo == Sudo::yes ? 1 : 0);
  }
  list(recipe.config.env);
  writer.text(recipe.config.workdir);
  writer.text(recipe.config.user);
  list(recipe.config.entrypoint);
  list(recipe.config.cmd);
  return out;
}

}  // namespace cofferdam::image
