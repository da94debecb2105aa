#include "image/modules.h"

#include <gmock/gmock.h>

namespace cofferdam::image {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr auto kDep =
    "kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko\n"
    "kernel/drivers/virtio/virtio_ring.ko:\n"
    "kernel/drivers/char/hw_random/virtio-rng.ko.xz: kernel/drivers/virtio/virtio.ko "
    "kernel/drivers/virtio/virtio_ring.ko\n"
    "kernel/fs/erofs/erofs.ko: kernel/lib/libcrc32c.ko\n"
    "kernel/lib/libcrc32c.ko:\n";
constexpr auto kBuiltin = "kernel/fs/ext4/ext4.ko\nkernel/drivers/char/hw_random/rng-core.ko\n";

TEST(ModuleLoadOrder, every_file_once_and_after_what_it_needs) {
  const auto order = module_load_order(kDep, kBuiltin, {"virtio_rng", "virtio", "erofs"});
  ASSERT_TRUE(order) << order.error().message;
  EXPECT_THAT(*order, ElementsAre("kernel/drivers/virtio/virtio_ring.ko", "kernel/drivers/virtio/virtio.ko",
                                  "kernel/drivers/char/hw_random/virtio-rng.ko.xz", "kernel/lib/libcrc32c.ko",
                                  "kernel/fs/erofs/erofs.ko"));
}

TEST(ModuleLoadOrder, builtin_needs_no_file_and_dash_is_underscore) {
  const auto order = module_load_order(kDep, kBuiltin, {"ext4", "rng_core"});
  ASSERT_TRUE(order) << order.error().message;
  EXPECT_THAT(*order, IsEmpty());
}

TEST(ModuleLoadOrder, unknown_module_is_named) {
  const auto order = module_load_order(kDep, kBuiltin, {"nonesuch"});
  ASSERT_FALSE(order);
  EXPECT_EQ(order.error().code, Code::NotFound);
  EXPECT_THAT(order.error().message, HasSubstr("nonesuch"));
}

TEST(ModuleLoadOrder, circle_is_data_loss) {
  const auto order = module_load_order("a.ko: b.ko\nb.ko: a.ko\n", "", {"a"});
  ASSERT_FALSE(order);
  EXPECT_EQ(order.error().code, Code::DataLoss);
}

TEST(ModuleLoadOrder, needed_file_without_a_line_is_data_loss) {
  const auto order = module_load_order("a.ko: b.ko\n", "", {"a"});
  ASSERT_FALSE(order);
  EXPECT_EQ(order.error().code, Code::DataLoss);
}

}  // namespace
}  // namespace cofferdam::image
