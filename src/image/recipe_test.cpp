#include "image/recipe.h"

#include <gmock/gmock.h>

#include "image/testing.h"

namespace cofferdam::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kFull = R"(name: full
description: everything
kind: debian
suite: bookworm
variant: minbase
packages: [sudo, python3]
files:
  - path: /etc/motd
    content: "hello\n"
    mode: 0640
user: {name: agent, uid: 1001, sudo: true}
env:
  LANG: C.UTF-8
  A: "1"
workdir: /home/agent
default_user: agent
entrypoint: [/bin/sh, -c]
cmd: ["true"]
)";

std::string error_of(const std::string& yaml) {
  const auto recipe = parse_recipe(yaml, "x.yaml");
  if (recipe) return "no error";
  EXPECT_EQ(recipe.error().code, Code::InvalidArgument);
  return recipe.error().message;
}

TEST(Recipe, every_field_is_read) {
  const auto recipe = parse_recipe(kFull, "full.yaml");
  ASSERT_TRUE(recipe) << recipe.error().message;
  EXPECT_EQ(recipe->name, "full");
  EXPECT_EQ(recipe->kind, RecipeKind::debian);
  EXPECT_THAT(recipe->packages, ElementsAre("sudo", "python3"));
  ASSERT_EQ(recipe->files.size(), 1U);
  EXPECT_EQ(recipe->files[0].content, "hello\n");
  EXPECT_EQ(recipe->files[0].mode, 0640U);
  ASSERT_TRUE(recipe->user);
  EXPECT_EQ(recipe->user->uid, 1001U);
  EXPECT_EQ(recipe->user->sudo, Sudo::yes);
  EXPECT_THAT(recipe->config.env, ElementsAre("A=1", "LANG=C.UTF-8"));
  EXPECT_EQ(recipe->config.workdir, "/home/agent");
  EXPECT_EQ(recipe->config.user, "agent");
  EXPECT_THAT(recipe->config.entrypoint, ElementsAre("/bin/sh", "-c"));
  EXPECT_THAT(recipe->config.cmd, ElementsAre("true"));
}

TEST(Recipe, errors_say_line_and_column) {
  EXPECT_THAT(error_of("name: x\npackges: [a]\n"), HasSubstr("x.yaml:2:1: unknown key 'packges'"));
  EXPECT_THAT(error_of("name: x\npackages: yes\n"), HasSubstr("x.yaml:2:11: packages must be a list"));
  EXPECT_THAT(error_of("name: x\nenv: [a]\n"), HasSubstr("x.yaml:2:6: env must be a mapping"));
  EXPECT_THAT(error_of("name: x\nname: y\n"), HasSubstr("x.yaml:2:1: 'name' is given twice"));
  EXPECT_THAT(error_of("name: [\n"), HasSubstr("x.yaml:2:1: "));
  EXPECT_THAT(error_of("- name\n"), HasSubstr("the recipe must be a mapping"));
}

TEST(Recipe, values_that_cannot_be_are_refused) {
  EXPECT_THAT(error_of("description: x\n"), HasSubstr("needs a name"));
  EXPECT_THAT(error_of("name: ../x\n"), HasSubstr("cannot be an image's name"));
  EXPECT_THAT(error_of("name: x\nkind: vm\n"), HasSubstr("kind must be"));
  EXPECT_THAT(error_of("name: x\nsuite: ../a\n"), HasSubstr("cannot be a suite's name"));
  EXPECT_THAT(error_of("name: x\nvariant: -foo\n"), HasSubstr("variant must be"));
  EXPECT_THAT(error_of("name: x\npackages: [--help]\n"), HasSubstr("2:12: '--help' cannot be a package's name"));
  EXPECT_THAT(error_of("name: x\npackages: [\"a,b\"]\n"), HasSubstr("cannot be a package's name"));
  EXPECT_THAT(error_of("name: x\nfiles: [{path: /a/../b}]\n"), HasSubstr("must be an absolute path"));
  EXPECT_THAT(error_of("name: x\nfiles: [{path: a}]\n"), HasSubstr("must be an absolute path"));
  EXPECT_THAT(error_of("name: x\nfiles: [{content: a}]\n"), HasSubstr("needs a path"));
  EXPECT_THAT(error_of("name: x\nfiles: [{path: /a, mode: 999}]\n"), HasSubstr("mode must be octal"));
  EXPECT_THAT(error_of("name: x\nuser: {name: u, uid: 0}\n"), HasSubstr("uid"));
  EXPECT_THAT(error_of("name: x\nuser: {name: \"u:x\"}\n"), HasSubstr("cannot be a user's name"));
  EXPECT_THAT(error_of("name: x\nuser: {name: u, sudo: true}\n"), HasSubstr("needs the package sudo"));
  EXPECT_THAT(error_of("name: x\ndefault_user: u\n"), HasSubstr("neither root nor the user"));
  EXPECT_THAT(error_of("name: x\nkind: busybox\npackages: [a]\n"), HasSubstr("has no packages"));
}

TEST(Recipe, canonical_text_follows_content_and_nothing_else) {
  const auto base = parse_recipe("name: x\npackages: [a, b]\n", "x").value();
  EXPECT_EQ(canonical_text(base),
            canonical_text(parse_recipe("# c\nname: x\ndescription: d\npackages: [b, a]\n", "x").value()));
  EXPECT_NE(canonical_text(base), canonical_text(parse_recipe("name: x\npackages: [ab]\n", "x").value()));
  EXPECT_NE(canonical_text(base),
            canonical_text(parse_recipe("name: x\npackages: [a, b]\nworkdir: /x\n", "x").value()));
}

TEST(Recipe, file_and_name_must_agree) {
  const ScratchFolder folder;
  ASSERT_TRUE(write_file_atomically(folder / "a.yaml", "name: b\n"));
  EXPECT_EQ(load_recipe(folder.path(), "a").error().code, Code::InvalidArgument);
  EXPECT_EQ(load_recipe(folder.path(), "c").error().code, Code::NotFound);
  EXPECT_EQ(load_recipe(folder.path(), "../a").error().code, Code::InvalidArgument);
  EXPECT_THAT(recipe_names(folder.path()).value(), ElementsAre("a"));
}

}  // namespace
}  // namespace cofferdam::image
