// The form of a disk, held against QEMU's own reading of it.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"
#include "crypto/digest.h"
#include "crypto/random.h"
#include "disk/format.h"
#include "disk/luks.h"
#include "disk/qcow2.h"
#include "keys/key_store.h"
#include "model/units.h"

namespace cofferdam::disk {
namespace {

constexpr std::uint64_t kBytes = 64 * model::kMiB;
constexpr std::uint64_t kCluster = 16384;

class ImageTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "coffer-image-XXXXXX";
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
  }
  void TearDown() override { (void)remove_tree(dir_); }

  struct Image {
    std::string path;
    UniqueFd file;
    keys::Key key = keys::make_key(keys::kDiskKeyBytes);
    LuksHeader header;
  };
  Image make(const std::string& name, int source) {
    Image image;
    image.path = dir_ + "/" + name;
    image.file = open_file(image.path, O_RDWR | O_CREAT | O_EXCL).value();
    image.header = make_luks_header(passphrase_of(image.key.bytes)).value();
    const auto written = write_image(image.file.get(), kBytes, image.header, source);
    EXPECT_TRUE(written) << written.error().message;
    return image;
  }
  // What QEMU reads, with a key that is `key`.
  Result<std::string> read(const Image& image, const keys::Key& key, std::uint64_t bytes = kBytes) {
    const auto secret = dir_ + "/secret";
    TRY(write_file_atomically(secret, passphrase_of(key.bytes).view()));
    RunOptions convert;
    convert.argv = {"/usr/bin/qemu-img",
                    "convert",
                    "-O",
                    "raw",
                    "--object",
                    cat("secret,id=k,file=", secret),
                    "--image-opts",
                    cat("driver=qcow2,file.filename=", image.path, ",encrypt.format=luks,encrypt.key-secret=k"),
                    dir_ + "/plain"};
    TRY(run_checked(convert));
    return read_file(dir_ + "/plain", bytes);
  }
  // QEMU finds nothing wrong with its tables.
  void check(const Image& image) {
    const auto secret = dir_ + "/secret";
    ASSERT_TRUE(write_file_atomically(secret, passphrase_of(image.key.bytes).view()));
    RunOptions check;
    check.argv = {"/usr/bin/qemu-img",
                  "check",
                  "--object",
                  cat("secret,id=k,file=", secret),
                  "--image-opts",
                  cat("driver=qcow2,file.filename=", image.path, ",encrypt.format=luks,encrypt.key-secret=k")};
    const auto checked = run_checked(check);
    ASSERT_TRUE(checked) << checked.error().message;
    EXPECT_NE(checked->find("No errors"), std::string::npos) << *checked;
  }
  UniqueFd disk_with(std::uint64_t offset, std::string_view text) {
    UniqueFd file = open_file(cat(dir_, "/source-", offset), O_RDWR | O_CREAT | O_TRUNC).value();
    EXPECT_EQ(::ftruncate(file.get(), kBytes), 0);
    EXPECT_EQ(::pwrite(file.get(), text.data(), text.size(), static_cast<off_t>(offset)),
              static_cast<ssize_t>(text.size()));
    return file;
  }
  std::string dir_;
};

TEST_F(ImageTest, qemu_reads_what_was_written) {
  const UniqueFd formatted = open_format(dir_ + "/formats", 64).value();
  const auto image = make("one", formatted.get());
  const auto plain = read(image, image.key);
  ASSERT_TRUE(plain) << plain.error().message;
  EXPECT_EQ(::lseek(formatted.get(), 0, SEEK_SET), 0);
  EXPECT_EQ(crypto::sha256_hex(*plain), crypto::sha256_fd_hex(formatted.get()).value());
  check(image);
}

TEST_F(ImageTest, an_empty_one_reads_as_zeros_and_takes_little) {
  const auto image = make("one", -1);
  EXPECT_TRUE(read(image, image.key).value() == std::string(kBytes, '\0'));
  struct stat st{};
  ASSERT_EQ(::fstat(image.file.get(), &st), 0);
  EXPECT_LT(static_cast<std::uint64_t>(st.st_blocks) * 512, model::kMiB);
}

TEST_F(ImageTest, no_other_key_opens_it) {
  const auto image = make("one", -1);
  const auto other = make("two", -1);
  EXPECT_FALSE(read(image, other.key));
  EXPECT_EQ(open_luks_header(image.header.bytes, passphrase_of(other.key.bytes)).error().code, Code::PermissionDenied);
  const auto opened = open_luks_header(image.header.bytes, passphrase_of(image.key.bytes)).value();
  EXPECT_TRUE(opened.view() == image.header.volume_key.view());
  EXPECT_EQ(open_luks_header("no header", passphrase_of(image.key.bytes)).error().code, Code::DataLoss);
}

TEST_F(ImageTest, the_same_text_at_the_same_place_differs_between_disks_and_is_on_none_of_them) {
  const std::string text(4096, 'm');
  const UniqueFd source = disk_with(model::kMiB, text);
  const auto one = make("one", source.get());
  const auto two = make("two", source.get());
  const auto one_bytes = read_file(one.path, kBytes).value();
  const auto two_bytes = read_file(two.path, kBytes).value();
  EXPECT_EQ(one_bytes.find("mmmmmmmm"), std::string::npos);
  EXPECT_EQ(read(one, one.key).value().substr(model::kMiB, 4096), text);
  // In front of the counts, which are the same, lies what is encrypted.
  const auto at = one_bytes.size() - 2 * kCluster;
  EXPECT_NE(one_bytes.substr(at, 4096), two_bytes.substr(at, 4096));
  EXPECT_FALSE(one.header.volume_key.view() == two.header.volume_key.view());
}

TEST_F(ImageTest, a_copy_under_another_key_holds_the_same) {
  const UniqueFd source = disk_with(kBytes - 4096, "the end");
  const auto one = make("one", source.get());
  Image two;
  two.path = dir_ + "/two";
  two.file = open_file(two.path, O_RDWR | O_CREAT | O_EXCL).value();
  two.header = make_luks_header(passphrase_of(two.key.bytes)).value();
  const EncryptedSource from{one.file.get(), kBytes, one.header.volume_key};
  ASSERT_TRUE(rewrite_image(two.file.get(), 2 * kBytes, two.header, from));
  const auto read_back = read(two, two.key, 2 * kBytes);
  ASSERT_TRUE(read_back) << read_back.error().message;
  EXPECT_EQ(read_back->substr(kBytes - 4096, 7), "the end");
  EXPECT_EQ(read_back->size(), 2 * kBytes);
  EXPECT_FALSE(read(two, one.key, 2 * kBytes));
}

TEST_F(ImageTest, one_with_much_in_it_has_as_many_counts_as_it_needs) {
  constexpr std::uint64_t kMuch = 256 * model::kMiB;
  UniqueFd source = open_file(dir_ + "/much", O_RDWR | O_CREAT).value();
  ASSERT_EQ(::ftruncate(source.get(), kMuch), 0);
  const std::string piece(model::kMiB, 'p');
  for (std::uint64_t at = 0; at < kMuch; at += piece.size()) {
    ASSERT_EQ(::pwrite(source.get(), piece.data(), piece.size(), static_cast<off_t>(at)),
              static_cast<ssize_t>(piece.size()));
  }
  Image image;
  image.path = dir_ + "/one";
  image.file = open_file(image.path, O_RDWR | O_CREAT | O_EXCL).value();
  image.header = make_luks_header(passphrase_of(image.key.bytes)).value();
  ASSERT_TRUE(write_image(image.file.get(), kMuch, image.header, source.get()));
  check(image);
}

TEST_F(ImageTest, what_is_cut_or_no_image_is_named) {
  const UniqueFd source = disk_with(model::kMiB, "text");
  const auto image = make("one", source.get());
  EXPECT_TRUE(check_image(image.file.get(), kBytes));
  EXPECT_EQ(check_image(image.file.get(), kBytes / 2).error().code, Code::DataLoss);
  struct stat st{};
  ASSERT_EQ(::fstat(image.file.get(), &st), 0);
  ASSERT_EQ(::ftruncate(image.file.get(), st.st_size - static_cast<off_t>(kCluster) - 4096), 0);
  const auto cut = check_image(image.file.get(), kBytes);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Code::DataLoss);
  EXPECT_NE(cut.error().message.find("cut"), std::string::npos);
  ASSERT_EQ(::ftruncate(image.file.get(), 100), 0);
  EXPECT_EQ(check_image(image.file.get(), kBytes).error().code, Code::DataLoss);
  EXPECT_EQ(check_image(source.get(), kBytes).error().code, Code::DataLoss);
}

}  // namespace
}  // namespace cofferdam::disk
