#include "disk/sealed_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/random.h"
#include "crypto/random.h"

namespace cofferdam::disk {
namespace {

class SealedFileTest : public testing::Test {
 protected:
  void SetUp() override { file_ = UniqueFd(::memfd_create("sealed", MFD_CLOEXEC)); }
  void write(std::string_view bytes) {
    SealedWriter writer(file_.get(), key_.clone(), "a snapshot's memory");
    ASSERT_TRUE(writer.write(bytes.substr(0, bytes.size() / 3)));
    ASSERT_TRUE(writer.write(bytes.substr(bytes.size() / 3)));
    ASSERT_TRUE(writer.finish());
  }
  Result<std::string> read(const SecureBytes& key, const std::string& name = "a snapshot's memory") {
    SealedReader reader(file_.get(), key.clone(), name);
    std::string all;
    for (;;) {
      TRY_ASSIGN(const auto block, reader.next());
      if (!block) return all;
      all += *block;
    }
  }
  void flip(off_t at) {
    char byte = 0;
    ASSERT_EQ(::pread(file_.get(), &byte, 1, at), 1);
    byte = static_cast<char>(byte ^ 1);
    ASSERT_EQ(::pwrite(file_.get(), &byte, 1, at), 1);
  }
  std::uint64_t size() const {
    struct stat st{};
    EXPECT_EQ(::fstat(file_.get(), &st), 0);
    return static_cast<std::uint64_t>(st.st_size);
  }
  UniqueFd file_;
  SecureBytes key_ = crypto::random_secret(32);
};

TEST_F(SealedFileTest, what_was_written_is_read) {
  for (const std::size_t bytes :
       {std::size_t{0}, std::size_t{1}, kSealedBlock - 1, kSealedBlock, kSealedBlock + 1, 3 * kSealedBlock}) {
    SetUp();
    std::string text(bytes, '\0');
    fill_random(text);
    write(text);
    EXPECT_TRUE(read(key_).value() == text) << bytes;
  }
}

TEST_F(SealedFileTest, nothing_of_it_can_be_read_without_the_key) {
  write(std::string(5000, 'm'));
  std::string raw(size(), '\0');
  ASSERT_EQ(::pread(file_.get(), raw.data(), raw.size(), 0), static_cast<ssize_t>(raw.size()));
  EXPECT_EQ(raw.find("mmmm"), std::string::npos);
  EXPECT_EQ(read(crypto::random_secret(32)).error().code, Code::DataLoss);
  EXPECT_EQ(read(key_, "another file").error().code, Code::DataLoss);
}

TEST_F(SealedFileTest, a_flipped_bit_is_found_and_its_block_named) {
  write(std::string(3 * kSealedBlock, 'x'));
  flip(static_cast<off_t>(kSealedBlock + kSealedBlock / 2));
  const auto damaged = read(key_);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, Code::DataLoss);
  EXPECT_NE(damaged.error().message.find("block 1 of a snapshot's memory"), std::string::npos)
      << damaged.error().message;
}

TEST_F(SealedFileTest, every_flipped_bit_of_a_small_file_is_found) {
  write("short");
  const auto bytes = size();
  for (std::uint64_t at = 0; at < bytes; ++at) {
    flip(static_cast<off_t>(at));
    EXPECT_FALSE(read(key_)) << at;
    flip(static_cast<off_t>(at));
  }
  EXPECT_EQ(read(key_).value(), "short");
}

TEST_F(SealedFileTest, blocks_that_are_swapped_or_cut_off_are_found) {
  const std::string text(3 * kSealedBlock, 'x');
  write(text);
  const auto whole = size();
  const auto block = static_cast<off_t>(whole / 3);
  std::string first(static_cast<std::size_t>(block), '\0');
  std::string second = first;
  ASSERT_EQ(::pread(file_.get(), first.data(), first.size(), 0), block);
  ASSERT_EQ(::pread(file_.get(), second.data(), second.size(), block), block);
  ASSERT_EQ(::pwrite(file_.get(), second.data(), second.size(), 0), block);
  ASSERT_EQ(::pwrite(file_.get(), first.data(), first.size(), block), block);
  EXPECT_NE(read(key_).error().message.find("block 0"), std::string::npos);
  ASSERT_EQ(::pwrite(file_.get(), first.data(), first.size(), 0), block);
  ASSERT_EQ(::pwrite(file_.get(), second.data(), second.size(), block), block);
  EXPECT_TRUE(read(key_).value() == text);
  // At the border of a block: nothing but the missing mark tells.
  ASSERT_EQ(::ftruncate(file_.get(), 2 * block), 0);
  EXPECT_NE(read(key_).error().message.find("block 2"), std::string::npos);
  ASSERT_EQ(::ftruncate(file_.get(), 2 * block - 7), 0);
  EXPECT_NE(read(key_).error().message.find("cut off"), std::string::npos);
}

}  // namespace
}  // namespace cofferdam::disk
