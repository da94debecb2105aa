// How an image is made: a YAML file in images/, read strictly.
#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "image/image_store.h"

namespace cofferdam::image {

enum class RecipeKind {
  debian,   // mmdebstrap
  busybox,  // one static binary and its names; needs no network
};

struct RecipeFile {
  std::string path;  // absolute
  std::string content;
  unsigned mode = 0644;
};

enum class Sudo { no, yes };

struct RecipeUser {
  std::string name;
  unsigned uid = 1000;
  Sudo sudo = Sudo::no;  // without a password
};

struct Recipe {
  std::string name;
  std::string description;
  RecipeKind kind = RecipeKind::debian;
  std::string suite = "bookworm";
  std::string variant = "minbase";
  std::vector<std::string> packages;
  std::vector<RecipeFile> files;
  std::optional<RecipeUser> user;
  ImageConfig config;  // env, workdir, default_user, entrypoint, cmd
};

// `source` names the text in errors: "images/x.yaml:3:7: …". Unknown or doubled keys, wrong types and values that
// cannot be are errors (InvalidArgument).
Result<Recipe> parse_recipe(std::string_view yaml, const std::string& source);

// The recipe `folder`/`name`.yaml. NotFound when there is none.
Result<Recipe> load_recipe(const std::string& folder, const std::string& name);
// The names of all recipe files in `folder`, sorted.
Result<std::vector<std::string>> recipe_names(const std::string& folder);

// Everything of the recipe that shows in the image, in one unambiguous text: equal texts, equal images.
std::string canonical_text(const Recipe& recipe);

}  // namespace cofferdam::image
