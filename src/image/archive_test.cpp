#include "image/archive.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "image/command.h"
#include "image/testing.h"

namespace cofferdam::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ArchiveTest : public ::testing::Test {
 protected:
  ArchiveTest() {
    EXPECT_TRUE(make_directories(scratch_ / "root"));
    EXPECT_TRUE(make_directories(scratch_ / "outside"));
    EXPECT_TRUE(write_file_atomically(scratch_ / "outside/secret", "untouched"));
  }

  Status unpack(const std::string& bytes, Whiteouts whiteouts = Whiteouts::apply) {
    EXPECT_TRUE(write_file_atomically(scratch_ / "a.tar", bytes));
    return unpack_file(scratch_ / "a.tar", whiteouts);
  }
  Status unpack_file(const std::string& path, Whiteouts whiteouts = Whiteouts::apply) {
    const auto fd = open_file(path, O_RDONLY).value();
    const auto tree = Tree::open(scratch_ / "root").value();
    return unpack_tar(fd.get(), tree, whiteouts, limits_, use_);
  }
  std::string refusal(const TarMaker& tar) {
    const auto status = unpack(tar.bytes());
    if (status) return "not refused";
    EXPECT_EQ(status.error().code, Code::InvalidArgument) << status.error().message;
    return status.error().message;
  }
  [[nodiscard]] std::string content(const std::string& name) const {
    return read_file(scratch_ / ("root/" + name), 1U << 20).value_or("(no such file)");
  }
  [[nodiscard]] std::vector<std::string> names(const std::string& folder = "") const {
    return list_directory(scratch_ / ("root/" + folder)).value_or(std::vector<std::string>{"(no such folder)"});
  }
  [[nodiscard]] struct stat info(const std::string& name) const {
    struct stat st{};
    EXPECT_EQ(::lstat((scratch_ / ("root/" + name)).c_str(), &st), 0) << name;
    return st;
  }
  [[nodiscard]] std::string outside() const { return read_file(scratch_ / "outside/secret", 100).value_or("gone"); }

  ScratchFolder scratch_;
  ImportLimits limits_;
  ImportUse use_;
};

TEST_F(ArchiveTest, kinds_modes_owners_and_times_are_kept) {
  ASSERT_TRUE(unpack(TarMaker()
                         .directory("./usr/", 0750)
                         .file("usr/su", "bits", 04755, 1234)
                         .symlink("link", "/usr/su")
                         .hardlink("hard", "usr/su")
                         .fifo("pipe")
                         .bytes()));
  EXPECT_EQ(content("usr/su"), "bits");
  EXPECT_EQ(info("usr").st_mode, S_IFDIR | 0750U);
  EXPECT_EQ(info("usr/su").st_mode, S_IFREG | 04755U);
  EXPECT_EQ(info("usr/su").st_uid, 1234U);
  EXPECT_EQ(info("usr/su").st_gid, 1234U);
  EXPECT_EQ(info("usr/su").st_mtime, 1'600'000'000);
  EXPECT_EQ(info("hard").st_ino, info("usr/su").st_ino);
  EXPECT_EQ(info("pipe").st_mode, S_IFIFO | 0644U);
  std::array<char, 100> target{};
  ASSERT_GT(::readlink((scratch_ / "root/link").c_str(), target.data(), target.size() - 1), 0);
  EXPECT_STREQ(target.data(), "/usr/su");
}

TEST_F(ArchiveTest, dot_dot_in_a_name_is_refused) {
  EXPECT_THAT(refusal(TarMaker().file("../outside/secret", "x")), HasSubstr("'..'"));
  EXPECT_THAT(refusal(TarMaker().file("a/../../outside/secret", "x")), HasSubstr("'..'"));
  EXPECT_THAT(refusal(TarMaker().hardlink("a", "../outside/secret")), HasSubstr("'..'"));
  EXPECT_EQ(outside(), "untouched");
}

TEST_F(ArchiveTest, a_refused_archive_has_written_no_file) {
  EXPECT_THAT(refusal(TarMaker().file("good", "x").file("../bad", "x")), HasSubstr("'..'"));
  EXPECT_THAT(names(), IsEmpty());
}

TEST_F(ArchiveTest, absolute_name_lies_in_the_root) {
  ASSERT_TRUE(unpack(TarMaker().file("/etc/x", "y").bytes()));
  EXPECT_EQ(content("etc/x"), "y");
}

TEST_F(ArchiveTest, write_through_a_symlink_stays_inside) {
  ASSERT_TRUE(make_directories(scratch_ / "root/inside"));
  // To an absolute path that exists outside, and upwards out of the root.
  const auto absolute = unpack(TarMaker().symlink("way", scratch_ / "outside").file("way/secret", "x").bytes());
  EXPECT_FALSE(absolute);
  EXPECT_FALSE(unpack(TarMaker().symlink("up", "../../outside").file("up/secret", "x").bytes()));
  EXPECT_EQ(outside(), "untouched");
  // A symlink within the root is the way it is for the image's own programs.
  ASSERT_TRUE(unpack(TarMaker().symlink("lib", "/inside").file("lib/f", "through").bytes()));
  EXPECT_EQ(content("inside/f"), "through");
}

TEST_F(ArchiveTest, file_over_a_symlink_replaces_it) {
  ASSERT_TRUE(unpack(TarMaker().symlink("f", scratch_ / "outside/secret").file("f", "mine").bytes()));
  EXPECT_EQ(content("f"), "mine");
  EXPECT_EQ(outside(), "untouched");
}

TEST_F(ArchiveTest, hard_link_through_a_symlink_cannot_reach_outside) {
  EXPECT_THAT(refusal(TarMaker().symlink("way", scratch_ / "outside").hardlink("mine", "way/secret")),
              HasSubstr("not there"));
  EXPECT_THAT(refusal(TarMaker().symlink("f", scratch_ / "outside/secret").hardlink("g", "f").file("g/x", "y")),
              HasSubstr("'/g/x'"));
  EXPECT_EQ(outside(), "untouched");
}

TEST_F(ArchiveTest, hard_link_of_folder_of_itself_and_of_nothing_is_refused) {
  EXPECT_THAT(refusal(TarMaker().directory("d").hardlink("h", "d")), HasSubstr("hard link of a folder"));
  EXPECT_THAT(refusal(TarMaker().file("f", "x").hardlink("f", "f")), HasSubstr("of itself"));
  EXPECT_THAT(refusal(TarMaker().hardlink("h", "none")), HasSubstr("not there"));
}

TEST_F(ArchiveTest, device_file_is_refused) {
  EXPECT_THAT(refusal(TarMaker().character_device("dev/mem")), HasSubstr("'/dev/mem' is a device file"));
}

TEST_F(ArchiveTest, limits_hold_for_all_archives_together) {
  limits_.max_bytes = 1000;
  EXPECT_THAT(refusal(TarMaker().huge_file("big", 1001)), HasSubstr("over 1000 B"));
  use_ = {};
  ASSERT_TRUE(unpack(TarMaker().file("a", std::string(600, 'x')).bytes()));
  EXPECT_THAT(refusal(TarMaker().file("b", std::string(600, 'x'))), HasSubstr("'/b' brings the image over"));
  use_ = {};
  limits_.max_entries = 2;
  EXPECT_THAT(refusal(TarMaker().file("a", "").file("b", "").file("c", "")), HasSubstr("more than 2 entries"));
}

TEST_F(ArchiveTest, long_names_are_refused) {
  limits_.max_path_bytes = 50;
  EXPECT_THAT(refusal(TarMaker().file(std::string(60, 'a'), "")), HasSubstr("too long"));
  EXPECT_THAT(refusal(TarMaker().symlink("l", std::string(60, 'a'))), HasSubstr("target that cannot be"));
}

TEST_F(ArchiveTest, cut_archive_is_refused) {
  EXPECT_FALSE(unpack(TarMaker().file("a", std::string(5000, 'x')).bytes().substr(0, 2000)));
  EXPECT_FALSE(unpack("this is no archive"));
}

TEST_F(ArchiveTest, whiteout_hides_what_lower_layers_brought) {
  ASSERT_TRUE(unpack(TarMaker().file("d/keep", "1").file("d/gone", "2").directory("e").file("e/f", "3").bytes()));
  ASSERT_TRUE(unpack(TarMaker().file("d/.wh.gone", "").file(".wh.e", "").file("d/new", "4").bytes()));
  EXPECT_THAT(names(), ElementsAre("d"));
  EXPECT_THAT(names("d"), ElementsAre("keep", "new"));
}

TEST_F(ArchiveTest, opaque_folder_keeps_its_own_layers_files_whatever_their_order) {
  ASSERT_TRUE(unpack(TarMaker().file("d/old", "1").file("d/sub/old", "1").bytes()));
  ASSERT_TRUE(unpack(TarMaker().file("d/new", "2").file("d/.wh..wh..opq", "").file("d/sub/new", "2").bytes()));
  EXPECT_THAT(names("d"), ElementsAre("new", "sub"));
  EXPECT_THAT(names("d/sub"), ElementsAre("new"));
}

TEST_F(ArchiveTest, whiteout_through_a_symlink_stays_inside) {
  ASSERT_TRUE(unpack(TarMaker().symlink("way", scratch_ / "outside").bytes()));
  ASSERT_TRUE(unpack(TarMaker().file("way/.wh.secret", "").file("way/.wh..wh..opq", "").bytes()));
  EXPECT_EQ(outside(), "untouched");
  EXPECT_THAT(refusal(TarMaker().file(".wh...", "")), HasSubstr("whiteout of nothing"));
  EXPECT_THAT(refusal(TarMaker().file(".wh.", "")), HasSubstr("whiteout of nothing"));
}

TEST_F(ArchiveTest, plain_archive_has_no_whiteouts) {
  ASSERT_TRUE(unpack(TarMaker().file("a", "1").file(".wh.a", "2").bytes(), Whiteouts::plain_files));
  EXPECT_THAT(names(), ElementsAre(".wh.a", "a"));
}

TEST_F(ArchiveTest, folder_and_file_take_each_others_place_between_layers) {
  ASSERT_TRUE(unpack(TarMaker().file("a/inner", "1").file("b", "2").symlink("c", "a").bytes()));
  ASSERT_TRUE(unpack(TarMaker().file("a", "now a file").directory("b").file("b/x", "3").directory("c").bytes()));
  EXPECT_EQ(content("a"), "now a file");
  EXPECT_EQ(content("b/x"), "3");
  EXPECT_TRUE(S_ISDIR(info("c").st_mode));
}

TEST_F(ArchiveTest, what_tar_itself_writes_is_read_in_every_compression) {
  const std::string source = scratch_ / "source";
  const std::string long_name = std::string(180, 'n') + "-höhe";
  ASSERT_TRUE(make_directories(source));
  ASSERT_TRUE(write_file_atomically(source + "/" + long_name, "long"));
  ASSERT_TRUE(write_file_atomically(source + "/bin", "cap", 0755));
  // cap_net_raw+ep, version 2: what ping carries.
  constexpr std::array<unsigned char, 20> kCapability = {1, 0, 0, 2, 0, 32};
  ASSERT_EQ(::setxattr((source + "/bin").c_str(), "security.capability", kCapability.data(), kCapability.size(), 0), 0);
  for (const auto* format : {"pax", "gnu"}) {
    for (const auto* compression : {"", "--gzip", "--xz", "--zstd"}) {
      ASSERT_TRUE(remove_tree(scratch_ / "root"));
      ASSERT_TRUE(make_directories(scratch_ / "root"));
      std::vector<std::string> argv = {"tar", "-C", source, "-cf", scratch_ / "b.tar", cat("--format=", format)};
      if (*compression != '\0') argv.emplace_back(compression);
      if (std::string_view(format) == "pax") argv.emplace_back("--xattrs");
      if (std::string_view(format) == "pax") argv.emplace_back("--xattrs-include=*");
      argv.emplace_back(".");
      ASSERT_TRUE(run_checked(command(argv)));
      const auto unpacked = unpack_file(scratch_ / "b.tar", Whiteouts::plain_files);
      ASSERT_TRUE(unpacked) << format << compression << unpacked.error().message;
      EXPECT_EQ(content(long_name), "long") << format << compression;
      if (std::string_view(format) != "pax") continue;
      std::array<unsigned char, 64> value{};
      EXPECT_EQ(::getxattr((scratch_ / "root/bin").c_str(), "security.capability", value.data(), value.size()), 20);
    }
  }
}

TEST_F(ArchiveTest, sparse_file_keeps_its_size) {
  const std::string source = scratch_ / "sparse";
  ASSERT_TRUE(write_file_atomically(source, "head"));
  ASSERT_EQ(::truncate(source.c_str(), 3'000'000), 0);
  ASSERT_TRUE(run_checked(command({"tar", "-C", scratch_.path(), "--sparse", "-cf", scratch_ / "s.tar", "sparse"})));
  ASSERT_TRUE(unpack_file(scratch_ / "s.tar"));
  EXPECT_EQ(info("sparse").st_size, 3'000'000);
  limits_.max_bytes = 2'000'000;
  use_ = {};
  EXPECT_FALSE(unpack_file(scratch_ / "s.tar"));
}

TEST_F(ArchiveTest, compressed_file_is_read_whole_and_bounded) {
  ASSERT_TRUE(write_file_atomically(scratch_ / "m.ko", std::string(100'000, 'k')));
  ASSERT_TRUE(run_checked(command({"xz", "-k", scratch_ / "m.ko"})));
  EXPECT_EQ(read_decompressed(scratch_ / "m.ko.xz", 100'000).value_or("?"), std::string(100'000, 'k'));
  EXPECT_EQ(read_decompressed(scratch_ / "m.ko", 100'000).value_or("?"), std::string(100'000, 'k'));
  EXPECT_EQ(read_decompressed(scratch_ / "m.ko.xz", 99'999).error().code, Code::ResourceExhausted);
}

TEST_F(ArchiveTest, top_level_names_each_once) {
  ASSERT_TRUE(write_file_atomically(
      scratch_ / "a.tar", TarMaker().file("./oci-layout", "").file("blobs/a", "").file("blobs/b", "").bytes()));
  const auto fd = open_file(scratch_ / "a.tar", O_RDONLY).value();
  EXPECT_THAT(top_level_names(fd.get(), limits_).value(), ElementsAre("blobs", "oci-layout"));
}

}  // namespace
}  // namespace cofferdam::image
