#include "guest/passwd.h"

#include <gtest/gtest.h>

namespace cofferdam::guest {
namespace {

constexpr auto kPasswd =
    "root:x:0:0:root:/root:/bin/bash\n"
    "broken line\n"
    "bad:x:notanumber:0::/:/bin/sh\n"
    "user:x:1000:1000:User,,,:/home/user:/bin/bash\n"
    "bare:x:1001:1001:::";
constexpr auto kGroup =
    "root:x:0:\n"
    "sudo:x:27:user\n"
    "docker:x:999:other,user\n"
    "userly:x:998:users\n"
    "user:x:1000:\n";

Result<User> find(std::string_view spec) { return find_user_in(spec, kPasswd, kGroup); }

TEST(Passwd, nothing_means_root) {
  EXPECT_EQ(find("")->uid, 0U);
  EXPECT_EQ(find("")->home, "/root");
  EXPECT_EQ(find_user_in("", "", "")->home, "/root");
}

TEST(Passwd, a_name_brings_its_home_shell_and_groups) {
  const auto user = find("user");
  ASSERT_TRUE(user);
  EXPECT_EQ(user->uid, 1000U);
  EXPECT_EQ(user->home, "/home/user");
  EXPECT_EQ(user->shell, "/bin/bash");
  EXPECT_EQ(user->groups, (std::vector<gid_t>{1000, 27, 999}));
}

TEST(Passwd, a_number_with_an_entry_is_that_user) {
  EXPECT_EQ(find("1000")->name, "user");
  EXPECT_EQ(find("1000")->groups.size(), 3U);
}

TEST(Passwd, a_number_without_an_entry_needs_none) {
  const auto user = find("4242");
  ASSERT_TRUE(user);
  EXPECT_EQ(user->uid, 4242U);
  EXPECT_EQ(user->gid, 0U);
  EXPECT_EQ(user->name, "4242");
}

TEST(Passwd, a_named_group_is_the_only_one) {
  EXPECT_EQ(find("user:sudo")->groups, std::vector<gid_t>{27});
  EXPECT_EQ(find("4242:4343")->gid, 4343U);
  EXPECT_EQ(find("1000:0")->gid, 0U);
}

TEST(Passwd, unknown_names_are_refused) {
  EXPECT_EQ(find("nobody-here").error().code, Code::NotFound);
  EXPECT_FALSE(find("user:nothere"));
  EXPECT_FALSE(find("bad"));
  EXPECT_FALSE(find("user:"));
  EXPECT_FALSE(find("4294967295"));
}

TEST(Passwd, empty_fields_get_defaults) {
  EXPECT_EQ(find("bare")->home, "/");
  EXPECT_EQ(find("bare")->shell, "/bin/sh");
}

}  // namespace
}  // namespace cofferdam::guest
