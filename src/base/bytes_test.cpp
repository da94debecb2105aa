#include "base/bytes.h"

#include <gtest/gtest.h>

namespace cofferdam {
namespace {

TEST(Bytes, round_trip) {
  std::string out;
  ByteWriter writer(out);
  writer.u8(1);
  writer.u16(0xbeef);
  writer.u32(0xdeadbeef);
  writer.u64(1ULL << 60);
  writer.i32(-5);
  writer.text("text");
  ByteReader reader(as_bytes(out));
  EXPECT_EQ(reader.u8(), 1);
  EXPECT_EQ(reader.u16(), 0xbeef);
  EXPECT_EQ(reader.u32(), 0xdeadbeefU);
  EXPECT_EQ(reader.u64(), 1ULL << 60);
  EXPECT_EQ(reader.i32(), -5);
  EXPECT_EQ(reader.text(4), "text");
  EXPECT_TRUE(reader.at_end());
}

TEST(Bytes, a_read_past_the_end_fails_for_good) {
  ByteReader reader(as_bytes("ab"));
  EXPECT_EQ(reader.u32(), 0U);
  EXPECT_FALSE(reader.ok());
  EXPECT_EQ(reader.u8(), 0U);
  EXPECT_FALSE(reader.at_end());
}

TEST(Bytes, a_text_over_its_bound_fails) {
  std::string out;
  ByteWriter(out).text("12345");
  ByteReader reader(as_bytes(out));
  EXPECT_EQ(reader.text(4), "");
  EXPECT_FALSE(reader.ok());
}

}  // namespace
}  // namespace cofferdam
