#include "image/content_store.h"

#include <gmock/gmock.h>
#include <sys/wait.h>

#include "crypto/digest.h"
#include "image/testing.h"

namespace cofferdam::image {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class ContentStoreTest : public ::testing::Test {
 protected:
  ContentStoreTest() : store_(ContentStore::open(scratch_.path()).value()) {}

  Result<StoredImage> publish(const std::string& name, const std::string& bytes) {
    const auto build = store_.make_build_folder().value();
    const std::string file = build.path() + "/rootfs.erofs";
    EXPECT_TRUE(write_file_atomically(file, bytes));
    StoredImage image;
    image.name = name;
    image.key = "key";
    image.created = "now";
    image.source = "recipe";
    return store_.publish(std::move(image), file);
  }
  [[nodiscard]] std::vector<std::string> files(const std::string& folder) const {
    return list_directory(scratch_ / ("images/" + folder)).value();
  }

  ScratchFolder scratch_;
  ContentStore store_;
};

TEST_F(ContentStoreTest, published_image_is_read_back_and_whole) {
  const auto image = publish("a", "content");
  ASSERT_TRUE(image) << image.error().message;
  EXPECT_EQ(image->digest, crypto::sha256_hex("content"));
  EXPECT_EQ(image->size_bytes, 7U);
  const auto read = store_.read("a");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->digest, image->digest);
  EXPECT_TRUE(store_.is_whole(*read));
  EXPECT_THAT(files("tmp"), IsEmpty());
}

TEST_F(ContentStoreTest, cut_file_is_not_whole) {
  const auto image = publish("a", "content").value();
  ASSERT_TRUE(write_file_atomically(store_.rootfs_path(image.digest), "cont"));
  EXPECT_FALSE(store_.is_whole(image));
}

TEST_F(ContentStoreTest, equal_content_is_kept_once_and_as_long_as_a_name_needs_it) {
  ASSERT_TRUE(publish("a", "same"));
  ASSERT_TRUE(publish("b", "same"));
  EXPECT_THAT(files("rootfs"), ElementsAre(crypto::sha256_hex("same") + ".erofs"));
  ASSERT_TRUE(store_.remove("a"));
  EXPECT_TRUE(store_.is_whole(store_.read("b").value()));
  ASSERT_TRUE(store_.remove("b"));
  EXPECT_THAT(files("rootfs"), IsEmpty());
  EXPECT_EQ(store_.remove("b").error().code, Code::NotFound);
  EXPECT_EQ(store_.read("b").error().code, Code::NotFound);
}

TEST_F(ContentStoreTest, replaced_image_frees_its_old_file) {
  ASSERT_TRUE(publish("a", "old"));
  ASSERT_TRUE(publish("a", "new"));
  EXPECT_THAT(files("rootfs"), ElementsAre(crypto::sha256_hex("new") + ".erofs"));
}

TEST_F(ContentStoreTest, damaged_manifest_is_data_loss_and_costs_no_other_image) {
  ASSERT_TRUE(publish("a", "1"));
  ASSERT_TRUE(publish("b", "2"));
  ASSERT_TRUE(write_file_atomically(scratch_ / "images/names/a.json", "{"));
  EXPECT_EQ(store_.read("a").error().code, Code::DataLoss);
  ASSERT_TRUE(publish("c", "3"));
  EXPECT_THAT(files("rootfs").size(), 3U);
  ASSERT_TRUE(publish("a", "4"));
  EXPECT_TRUE(store_.is_whole(store_.read("b").value()));
}

TEST_F(ContentStoreTest, leftovers_of_a_dead_builder_go_and_a_living_ones_stay) {
  const auto living = store_.make_build_folder().value();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto dead = store_.make_build_folder();
    if (!dead || !write_file_atomically(dead->path() + "/half", "x")) ::_exit(1);
    ::_exit(0);  // no destructor: as a kill leaves it
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_EQ(status, 0);
  ASSERT_TRUE(write_file_atomically(store_.rootfs_path(std::string(64, 'b')), "nobody's"));
  EXPECT_EQ(files("tmp").size(), 4U);
  ASSERT_TRUE(store_.remove_leftovers());
  EXPECT_EQ(files("tmp").size(), 2U);
  EXPECT_TRUE(path_exists(living.path()));
  EXPECT_THAT(files("rootfs"), IsEmpty());
}

TEST(ImageName, what_could_be_a_path_or_an_option_is_refused) {
  for (const auto* good : {"a", "debian-12", "python-3.11", "x_y"}) EXPECT_TRUE(check_image_name(good)) << good;
  for (const auto* bad : {"", ".", "..", "-x", ".x", "a/b", "A", "a b", "a\n", "é"}) {
    EXPECT_FALSE(check_image_name(bad)) << bad;
  }
  EXPECT_FALSE(check_image_name(std::string(65, 'a')));
}

}  // namespace
}  // namespace cofferdam::image
