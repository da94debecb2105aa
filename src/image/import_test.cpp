#include "image/import.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "crypto/digest.h"
#include "image/command.h"
#include "image/testing.h"

namespace cofferdam::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kManifestType = "application/vnd.oci.image.manifest.v1+json";
constexpr auto kIndexType = "application/vnd.oci.image.index.v1+json";
constexpr auto kLayerType = "application/vnd.oci.image.layer.v1.tar";

void ignore_progress(const Progress&) {}

// An image layout written by hand, so that each of its parts can be made wrong.
class LayoutMaker {
 public:
  explicit LayoutMaker(std::string folder) : folder_(std::move(folder)) {
    EXPECT_TRUE(make_directories(folder_ + "/blobs/sha256"));
    EXPECT_TRUE(write_file_atomically(folder_ + "/oci-layout", R"({"imageLayoutVersion":"1.0.0"})"));
  }
  // The descriptor of a blob that was written.
  [[nodiscard]] std::string blob(const std::string& type, const std::string& bytes,
                                 const std::string& more = {}) const {
    const auto digest = crypto::sha256_hex(bytes);
    EXPECT_TRUE(write_file_atomically(cat(folder_, "/blobs/sha256/", digest), bytes));
    return cat(R"({"mediaType":")", type, R"(","digest":"sha256:)", digest, R"(","size":)", bytes.size(), more, "}");
  }
  [[nodiscard]] std::string image(const std::vector<std::string>& layers, const std::string& architecture = "amd64",
                                  const std::string& layer_type = kLayerType) const {
    std::string descriptors;
    std::string ids;
    for (const auto& layer : layers) {
      descriptors += (descriptors.empty() ? "" : ",") + blob(layer_type, layer);
      ids += cat(ids.empty() ? "" : ",", "\"sha256:", crypto::sha256_hex(layer), "\"");
    }
    const auto config = blob("application/vnd.oci.image.config.v1+json",
                             cat(R"({"os":"linux","architecture":")", architecture,
                                 R"(","config":{"Env":["A=B"],"User":"app","WorkingDir":"/srv","Cmd":["/run.sh"]},)",
                                 R"("rootfs":{"type":"layers","diff_ids":[)", ids, "]}}"));
    return blob(kManifestType, cat(R"({"schemaVersion":2,"config":)", config, R"(,"layers":[)", descriptors, "]}"),
                cat(R"(,"platform":{"os":"linux","architecture":")", architecture, "\"}"));
  }
  void index(const std::string& entries) const {
    EXPECT_TRUE(
        write_file_atomically(folder_ + "/index.json", cat(R"({"schemaVersion":2,"manifests":[)", entries, "]}")));
  }

 private:
  std::string folder_;
};

class ImportTest : public ::testing::Test {
 protected:
  Result<ImageConfig> import(const std::string& path) {
    for (const auto* folder : {"root", "work"}) {
      EXPECT_TRUE(remove_tree(scratch_ / folder));
      EXPECT_TRUE(make_directories(scratch_ / folder, 0755));
    }
    return import_tree(path, scratch_ / "root", scratch_ / "work", limits_, ignore_progress);
  }
  std::string refusal(const std::string& path) {
    const auto config = import(path);
    if (config) return "not refused";
    EXPECT_EQ(config.error().code, Code::InvalidArgument) << config.error().message;
    return config.error().message;
  }
  [[nodiscard]] std::string content(const std::string& name) const {
    return read_file(scratch_ / ("root/" + name), 1U << 20).value_or("(no such file)");
  }
  [[nodiscard]] std::vector<std::string> names(const std::string& folder = "") const {
    return list_directory(scratch_ / ("root/" + folder)).value_or(std::vector<std::string>{"(no such folder)"});
  }
  static std::string base_layer() {
    return TarMaker().file("etc/keep", "1").file("etc/gone", "2").directory("app").file("app/old", "3").bytes();
  }
  static std::string top_layer() {
    return TarMaker().file("etc/.wh.gone", "").file("app/.wh..wh..opq", "").file("app/run.sh", "4", 0755, 33).bytes();
  }
  void expect_both_layers(const Result<ImageConfig>& config) const {
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_THAT(config->env, ElementsAre("A=B"));
    EXPECT_EQ(config->user, "app");
    EXPECT_EQ(config->workdir, "/srv");
    EXPECT_THAT(config->cmd, ElementsAre("/run.sh"));
    EXPECT_THAT(names("etc"), ElementsAre("keep"));
    EXPECT_THAT(names("app"), ElementsAre("run.sh"));
    struct stat st{};
    ASSERT_EQ(::stat((scratch_ / "root/app/run.sh").c_str(), &st), 0);
    EXPECT_EQ(st.st_uid, 33U);
    EXPECT_EQ(st.st_mode & 07777U, 0755U);
  }

  ScratchFolder scratch_;
  ImportLimits limits_;
};

TEST_F(ImportTest, layout_gives_layers_in_order_and_settings) {
  const LayoutMaker layout(scratch_ / "oci");
  layout.index(layout.image({base_layer(), top_layer()}));
  expect_both_layers(import(scratch_ / "oci"));
}

TEST_F(ImportTest, archive_of_a_layout_is_a_layout) {
  const LayoutMaker layout(scratch_ / "oci");
  layout.index(layout.image({base_layer(), top_layer()}));
  ASSERT_TRUE(run_checked(command({"tar", "-C", scratch_ / "oci", "-cf", scratch_ / "oci.tar", "."})));
  expect_both_layers(import(scratch_ / "oci.tar"));
}

TEST_F(ImportTest, docker_archive_is_converted) {
  const LayoutMaker layout(scratch_ / "oci");
  layout.index(layout.image({base_layer(), top_layer()}));
  const std::string archive = scratch_ / "docker:save.tar";
  ASSERT_TRUE(run_checked(command({"skopeo", "copy", "--insecure-policy", "oci:" + (scratch_ / "oci"),
                                   "docker-archive:" + (scratch_ / "saved.tar") + ":name:tag"})));
  ASSERT_EQ(::rename((scratch_ / "saved.tar").c_str(), archive.c_str()), 0);
  expect_both_layers(import(archive));
}

TEST_F(ImportTest, image_for_this_machine_is_chosen_from_many) {
  const LayoutMaker layout(scratch_ / "oci");
  const auto arm = layout.image({TarMaker().file("arm", "").bytes()}, "arm64");
  const auto ours = layout.image({base_layer(), top_layer()});
  const auto attestation = layout.blob(kManifestType, "{}", R"(,"platform":{"os":"unknown","architecture":"unknown"})");
  layout.index(layout.blob(kIndexType, cat(R"({"manifests":[)", arm, ",", attestation, ",", ours, "]}")));
  expect_both_layers(import(scratch_ / "oci"));

  layout.index(arm);
  EXPECT_THAT(refusal(scratch_ / "oci"), HasSubstr("no image for linux/amd64"));
  layout.index(cat(ours, ",", layout.image({base_layer()})));
  EXPECT_THAT(refusal(scratch_ / "oci"), HasSubstr("several images"));
}

TEST_F(ImportTest, changed_blob_is_refused) {
  const LayoutMaker layout(scratch_ / "oci");
  const auto layer = base_layer();
  layout.index(layout.image({layer}));
  const auto path = cat(scratch_ / "oci/blobs/sha256/", crypto::sha256_hex(layer));
  auto changed = layer;
  changed[600] ^= 1;
  ASSERT_TRUE(write_file_atomically(path, changed));
  EXPECT_THAT(refusal(scratch_ / "oci"), HasSubstr("another SHA-256 digest"));
  ASSERT_TRUE(write_file_atomically(path, layer + "x"));
  EXPECT_THAT(refusal(scratch_ / "oci"), HasSubstr("its descriptor says"));
  ASSERT_TRUE(remove_tree(path));
  EXPECT_THAT(refusal(scratch_ / "oci"), HasSubstr("No such file"));
}

TEST_F(ImportTest, blob_that_is_a_symlink_is_refused) {
  const LayoutMaker layout(scratch_ / "oci");
  const auto layer = base_layer();
  layout.index(layout.image({layer}));
  const auto path = cat(scratch_ / "oci/blobs/sha256/", crypto::sha256_hex(layer));
  ASSERT_TRUE(write_file_atomically(scratch_ / "elsewhere", layer));
  ASSERT_TRUE(remove_tree(path));
  ASSERT_EQ(::symlink((scratch_ / "elsewhere").c_str(), path.c_str()), 0);
  EXPECT_THAT(refusal(scratch_ / "oci"), HasSubstr("open 'blobs/sha256/"));
}

TEST_F(ImportTest, index_that_names_itself_is_refused) {
  const LayoutMaker layout(scratch_ / "oci");
  // An index cannot hold its own digest; a chain of them ends at a depth.
  std::string inner = layout.blob(kIndexType, R"({"manifests":[]})");
  for (int i = 0; i < 6; ++i) inner = layout.blob(kIndexType, cat(R"({"manifests":[)", inner, "]}"));
  layout.index(inner);
  EXPECT_THAT(refusal(scratch_ / "oci"), HasSubstr("nested too deeply"));
}

TEST_F(ImportTest, encrypted_layer_is_refused) {
  const LayoutMaker layout(scratch_ / "oci");
  layout.index(layout.image({base_layer()}, "amd64", cat(kLayerType, "+encrypted")));
  EXPECT_THAT(refusal(scratch_ / "oci"), HasSubstr("cannot be unpacked here"));
}

TEST_F(ImportTest, hostile_layer_is_refused_by_name) {
  const LayoutMaker layout(scratch_ / "oci");
  layout.index(layout.image({base_layer(), TarMaker().file("../../escape", "x").bytes()}));
  EXPECT_THAT(refusal(scratch_ / "oci"), HasSubstr("'..'"));
}

TEST_F(ImportTest, limits_hold_over_all_layers) {
  const LayoutMaker layout(scratch_ / "oci");
  layout.index(layout.image(
      {TarMaker().file("a", std::string(600, 'x')).bytes(), TarMaker().file("a", std::string(600, 'y')).bytes()}));
  limits_.max_bytes = 1000;
  EXPECT_THAT(refusal(scratch_ / "oci"), HasSubstr("over 1000 B"));
}

TEST_F(ImportTest, root_file_system_archive) {
  ASSERT_TRUE(write_file_atomically(scratch_ / "fs.tar", base_layer()));
  ASSERT_TRUE(run_checked(command({"zstd", "-q", scratch_ / "fs.tar"})));
  const auto config = import(scratch_ / "fs.tar.zst");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_THAT(names("etc"), ElementsAre("gone", "keep"));
}

TEST_F(ImportTest, folder_is_copied_with_links_and_left_as_it_was) {
  const std::string source = scratch_ / "source";
  ASSERT_TRUE(make_directories(source + "/bin", 0755));
  ASSERT_TRUE(write_file_atomically(source + "/bin/a", "text", 0755));
  ASSERT_EQ(::chown((source + "/bin/a").c_str(), 12, 34), 0);
  ASSERT_EQ(::link((source + "/bin/a").c_str(), (source + "/bin/b").c_str()), 0);
  ASSERT_EQ(::symlink("/etc/shadow", (source + "/shadow").c_str()), 0);
  ASSERT_TRUE(import(source));
  EXPECT_EQ(content("bin/b"), "text");
  struct stat a{};
  struct stat b{};
  ASSERT_EQ(::lstat((scratch_ / "root/bin/a").c_str(), &a), 0);
  ASSERT_EQ(::lstat((scratch_ / "root/bin/b").c_str(), &b), 0);
  EXPECT_EQ(a.st_ino, b.st_ino);
  EXPECT_EQ(a.st_uid, 12U);
  EXPECT_EQ(a.st_gid, 34U);
  ASSERT_EQ(::lstat((scratch_ / "root/shadow").c_str(), &a), 0);
  EXPECT_TRUE(S_ISLNK(a.st_mode));
  EXPECT_THAT(list_directory(source).value(), ElementsAre("bin", "shadow"));
}

TEST_F(ImportTest, folder_with_a_device_or_too_much_is_refused) {
  const std::string source = scratch_ / "source";
  ASSERT_TRUE(make_directories(source + "/dev"));
  ASSERT_EQ(::mknod((source + "/dev/zero").c_str(), S_IFCHR | 0600, ::makedev(1, 5)), 0);
  EXPECT_THAT(refusal(source), HasSubstr("device file"));
  ASSERT_TRUE(remove_tree(source + "/dev"));
  ASSERT_TRUE(write_file_atomically(source + "/big", std::string(2000, 'x')));
  limits_.max_bytes = 1000;
  EXPECT_THAT(refusal(source), HasSubstr("more than 1000 B"));
}

TEST_F(ImportTest, what_is_nothing_of_the_kind_is_refused) {
  EXPECT_EQ(import(scratch_ / "none").error().code, Code::NotFound);
  EXPECT_THAT(refusal("/dev/null"), HasSubstr("neither a folder nor a plain file"));
  ASSERT_TRUE(write_file_atomically(scratch_ / "text", std::string(5000, 'x')));
  EXPECT_THAT(refusal(scratch_ / "text"), HasSubstr("cannot be read"));
  ASSERT_TRUE(write_file_atomically(scratch_ / "empty.tar", TarMaker().bytes()));
  EXPECT_THAT(refusal(scratch_ / "empty.tar"), HasSubstr("empty archive"));
}

}  // namespace
}  // namespace cofferdam::image
