#include "image/apt.h"

#include <gmock/gmock.h>

namespace cofferdam::image {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kDebianMain = "http://deb.debian.org/debian";
constexpr auto kDebianSecurity = "http://deb.debian.org/debian-security";

TEST(AptMirrors, none_configured_means_debians_own) {
  const auto mirrors = mirrors_in_sources({}, "bookworm");
  EXPECT_EQ(mirrors.main, kDebianMain);
  EXPECT_EQ(mirrors.security, kDebianSecurity);
}

TEST(AptMirrors, one_line_form) {
  const auto mirrors =
      mirrors_in_sources({"# deb http://old/debian bookworm main\n"
                          "deb-src http://src/debian bookworm main\n"
                          "deb [arch=amd64 signed-by=/k.gpg] https://mirror.example/debian/ bookworm main contrib\n"
                          "deb http://sec.example/debian-security bookworm-security main\n"},
                         "bookworm");
  EXPECT_EQ(mirrors.main, "https://mirror.example/debian/");
  EXPECT_EQ(mirrors.security, "http://sec.example/debian-security");
}

TEST(AptMirrors, deb822_form) {
  const auto mirrors = mirrors_in_sources(
      {"Types: deb\nEnabled: no\nURIs: http://off.example/debian\nSuites: bookworm\nComponents: main\n\n"
       "Types: deb deb-src\n# comment\nURIs:\n http://on.example/debian\nSuites: bookworm bookworm-updates\n"
       "Components: main\n"},
      "bookworm");
  EXPECT_EQ(mirrors.main, "http://on.example/debian");
  EXPECT_EQ(mirrors.security, kDebianSecurity);
}

TEST(AptMirrors, other_archives_suites_and_schemes_do_not_count) {
  const auto mirrors = mirrors_in_sources({"deb https://packages.example/debian/12/prod bookworm main\n"
                                           "deb https://docker.example/linux/debian bookworm stable\n"
                                           "deb http://m.example/debian trixie main\n"
                                           "deb cdrom:[x]/debian bookworm main\n"
                                           "deb file:/srv/debian bookworm main\n"},
                                          "bookworm");
  EXPECT_EQ(mirrors.main, kDebianMain);
}

TEST(AptMirrors, inside_of_an_image_names_debians_own_addresses_only) {
  const auto text = public_sources_list("bookworm");
  EXPECT_THAT(text, HasSubstr("deb http://deb.debian.org/debian bookworm main\n"));
  EXPECT_THAT(sources_list({"http://u:p@m.example/debian", "http://s/debian-security"}, "bookworm"),
              HasSubstr("[signed-by="));
  EXPECT_THAT(text, Not(HasSubstr("@")));
}

TEST(AptMessages, passwords_in_addresses_are_not_printed) {
  EXPECT_EQ(without_passwords("E: http://user:p@ss@m.example/debian failed, https://t@x.example"),
            "E: http://***@m.example/debian failed, https://***@x.example");
  EXPECT_EQ(without_passwords("Get:1 http://m.example/a@b https:// x@y"), "Get:1 http://m.example/a@b https:// x@y");
}

}  // namespace
}  // namespace cofferdam::image
