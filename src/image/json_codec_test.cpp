#include "image/json_codec.h"

#include <gmock/gmock.h>

#include "base/text.h"

namespace cofferdam::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

const std::string kDigest(64, 'a');

StoredImage sample() {
  StoredImage image;
  image.name = "x";
  image.key = "k";
  image.digest = kDigest;
  image.size_bytes = 4096;
  image.created = "2026-01-01T00:00:00.000Z";
  image.source = "recipe";
  image.config.env = {"A=\"quoted\"\n"};
  image.config.workdir = "/w";
  image.config.user = "user";
  image.config.entrypoint = {"/bin/sh", "-c"};
  image.config.cmd = {"true"};
  return image;
}

TEST(ImageManifest, decoding_gives_back_what_was_encoded) {
  const auto image = decode_image(encode_image(sample()));
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(encode_image(*image), encode_image(sample()));
  EXPECT_THAT(image->config.env, ElementsAre("A=\"quoted\"\n"));
}

TEST(ImageManifest, digest_that_is_a_path_is_refused) {
  auto image = sample();
  image.digest = "../../../etc/passwd";
  EXPECT_FALSE(decode_image(encode_image(image)));
}

TEST(KernelManifest, decoding_gives_back_what_was_encoded) {
  Kernel kernel;
  kernel.version = "6.1";
  kernel.package_version = "6.1-1";
  kernel.digest = kDigest;
  kernel.modules = {"a.ko", "b.ko"};
  const auto decoded = decode_kernel(encode_kernel(kernel));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(encode_kernel(*decoded), encode_kernel(kernel));
}

TEST(OciIndex, entries_with_platform) {
  const auto index =
      decode_oci_index(cat(R"({"schemaVersion":2,"manifests":[{"mediaType":"m","digest":"sha256:)", kDigest,
                           R"(","size":7,"platform":{"architecture":"amd64","os":"linux"}}]})"));
  ASSERT_TRUE(index) << index.error().message;
  ASSERT_EQ(index->size(), 1U);
  EXPECT_EQ(index->front().sha256, kDigest);
  EXPECT_EQ(index->front().size, 7U);
  EXPECT_EQ(index->front().architecture, "amd64");
}

TEST(OciIndex, what_cannot_be_is_refused_by_field) {
  const auto error = [](const std::string& entry) {
    const auto index = decode_oci_index(cat(R"({"manifests":[)", entry, "]}"));
    return index ? "accepted" : index.error().message;
  };
  EXPECT_THAT(error(R"({"digest":"sha256:../../x","size":1})"), HasSubstr("'digest'"));
  EXPECT_THAT(error(R"({"digest":"md5:aa","size":1})"), HasSubstr("'digest'"));
  EXPECT_THAT(error(cat(R"({"digest":"sha256:)", std::string(64, 'A'), R"(","size":1})")), HasSubstr("'digest'"));
  EXPECT_THAT(error(cat(R"({"digest":"sha256:)", kDigest, R"(","size":-1})")), HasSubstr("'size'"));
  EXPECT_THAT(error(cat(R"({"digest":"sha256:)", kDigest, R"(","size":1.5})")), HasSubstr("'size'"));
  EXPECT_THAT(error("7"), HasSubstr("'manifests'"));
  EXPECT_FALSE(decode_oci_index("{}"));
  EXPECT_FALSE(decode_oci_index("[]"));
  EXPECT_FALSE(decode_oci_index(std::string(100'000, '[')));
  EXPECT_FALSE(decode_oci_index(cat("{\"a\":\"", std::string(kMaxOciJsonBytes, 'x'), "\"}")));
}

TEST(OciConfig, process_settings_are_taken) {
  const auto config = decode_oci_config(
      R"({"architecture":"amd64","os":"linux","config":{"Env":["PATH=/bin"],"WorkingDir":"/w","User":"1:2",)"
      R"("Entrypoint":["/e"],"Cmd":null},"rootfs":{"type":"layers","diff_ids":[]}})");
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_THAT(config->config.env, ElementsAre("PATH=/bin"));
  EXPECT_EQ(config->config.workdir, "/w");
  EXPECT_EQ(config->config.user, "1:2");
  EXPECT_THAT(config->config.entrypoint, ElementsAre("/e"));
  EXPECT_TRUE(config->config.cmd.empty());
}

TEST(OciConfig, settings_that_cannot_be_are_refused) {
  const auto error = [](const std::string& settings) {
    const auto config = decode_oci_config(cat(R"({"config":{)", settings, R"(},"rootfs":{"diff_ids":[]}})"));
    return config ? "accepted" : config.error().message;
  };
  EXPECT_THAT(error(R"("Env":["NOVALUE"])"), HasSubstr("'Env'"));
  EXPECT_THAT(error(R"("Env":["=x"])"), HasSubstr("'Env'"));
  EXPECT_THAT(error(R"("Env":["A=\u0000"])"), HasSubstr("NUL"));
  EXPECT_THAT(error(R"("Env":"A=B")"), HasSubstr("'Env'"));
  EXPECT_THAT(error(R"("WorkingDir":"relative")"), HasSubstr("'WorkingDir'"));
  EXPECT_THAT(error(R"("Cmd":[1])"), HasSubstr("'Cmd'"));
  EXPECT_EQ(error(R"("Cmd":["x"])"), "accepted");
}

}  // namespace
}  // namespace cofferdam::image
