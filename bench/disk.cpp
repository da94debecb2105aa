// bench-disk STATE RUN BIN IMAGE SECONDS: the same guest twice, side by side on one host: once on an encrypted disk as
// workspaces have it, once on a plain raw file. Prints operations or MiB a second of each as JSON.
//
// STATE is a state folder with the image built, of which templates are made or taken; nothing else is changed in it.
#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/id.h"
#include "base/text.h"
#include "disk/format.h"
#include "disk/qcow2.h"
#include "disk/volume_store.h"
#include "image/image_store.h"
#include "loop/worker_pool.h"
#include "vm/qemu_driver.h"

namespace {

using namespace cofferdam;
using loop::Task;

constexpr std::uint32_t kDiskMib = 4096;

// Direct I/O: the guest's page cache would answer instead of the disk.
constexpr std::string_view kProgram = R"py(
import mmap, os, random, sys, time
seconds, size = float(sys.argv[1]), 128 << 20
fd = os.open("/root/bench", os.O_RDWR | os.O_CREAT | os.O_DIRECT)
big, small = mmap.mmap(-1, 1 << 20), mmap.mmap(-1, 4096)
big.write(os.urandom(1 << 20)); small.write(os.urandom(4096))
def rate(step):
    begin, done = time.monotonic(), 0
    while time.monotonic() - begin < seconds:
        step(done); done += 1
    os.fsync(fd)
    return done / (time.monotonic() - begin)
for at in range(0, size, 1 << 20): os.pwritev(fd, [big], at)
print("big_write", rate(lambda i: os.pwritev(fd, [big], (i << 20) % size)))
print("big_read", rate(lambda i: os.preadv(fd, [big], (i << 20) % size)))
print("seq_write", rate(lambda i: os.pwritev(fd, [small], (i << 12) % size)))
print("seq_read", rate(lambda i: os.preadv(fd, [small], (i << 12) % size)))
places = [random.randrange(size >> 12) << 12 for _ in range(1 << 16)]
print("rand_write", rate(lambda i: os.pwritev(fd, [small], places[i % len(places)])))
print("rand_read", rate(lambda i: os.preadv(fd, [small], places[i % len(places)])))
)py";

struct Bench {
  loop::asio::io_context io;
  loop::WorkerPool workers{2};
  std::unique_ptr<vm::MachineDriver> driver;
  image::Image image;
  std::string state, seconds;
};

Task<std::shared_ptr<vm::Machine>> start(Bench& bench, vm::MachineSpec spec, std::shared_ptr<const vm::Seed> seed) {
  spec.id = new_id("vm");
  spec.image = bench.image;
  spec.disk_bytes = kDiskMib * model::kMiB;
  spec.disk_file_bytes = disk::largest_file(spec.disk_bytes);
  spec.stage = vm::Stage::standby;
  spec.urgency = vm::Urgency::awaited;
  spec.seed = std::move(seed);
  auto machine = co_await bench.driver->create(std::move(spec));
  if (!machine) co_return fail(std::move(machine.error()));
  CO_TRY(co_await (*machine)->wake("bench"));
  co_return machine;
}

Task<std::string> measure(Bench& bench, std::shared_ptr<vm::Machine> machine) {
  model::ExecSpec spec;
  spec.argv = {"python3", "-c", std::string(kProgram), bench.seconds};
  spec.env = {"PATH=/usr/local/bin:/usr/bin:/bin"};
  spec.user = "root";
  auto process = co_await machine->start(std::move(spec));
  if (!process) co_return fail(std::move(process.error()));
  std::string text;
  for (;;) {
    CO_TRY_ASSIGN(const auto output, co_await (*process)->read());
    if (!output) break;
    text += output->bytes;
  }
  if ((*process)->exit_status().code != 0) co_return fail(Code::Internal, text);
  co_return text;
}

std::string to_json(const std::string& lines) {
  std::string json;
  for (const auto& line : split(lines, '\n')) {
    const auto blank = line.find(' ');
    if (blank == std::string::npos) continue;
    json += cat(json.empty() ? "" : ", ", "\"", line.substr(0, blank), "\": ", line.substr(blank + 1));
  }
  return cat("{", json, "}");
}

Task<std::string> run(Bench& bench) {
  CO_TRY_ASSIGN(const auto volumes, disk::VolumeStore::open(bench.state + "/bench-disks"));
  const vm::EmptyDisk empty{kDiskMib, std::string(disk::format_version()),
                            [&volumes] { return volumes.empty_disk(kDiskMib); }};
  CO_TRY_ASSIGN(const auto seed, co_await bench.driver->seed(bench.image, model::Shape{}, empty));
  CO_TRY_ASSIGN(const auto volume, volumes.make_copy(seed->disk.get(), kDiskMib));
  vm::MachineSpec encrypted;
  CO_TRY_ASSIGN(encrypted.disk, volume.descriptor());
  encrypted.disk_passphrase = volume.passphrase();
  CO_TRY_ASSIGN(const auto ours, co_await start(bench, std::move(encrypted), seed));
  vm::MachineSpec plain;
  const auto path = bench.state + "/bench-disks/plain";
  CO_TRY_ASSIGN(plain.disk, open_file(path, O_RDWR | O_CREAT | O_TRUNC));
  CO_TRY(copy_sparse(seed->disk.get(), plain.disk.get()));
  (void)::unlink(path.c_str());
  CO_TRY_ASSIGN(const auto theirs, co_await start(bench, std::move(plain), seed));
  // In turns: a slow minute of the machine is a slow minute of both.
  std::string rows;
  for (int round = 0; round < 3; ++round) {
    CO_TRY_ASSIGN(const auto a, co_await measure(bench, ours));
    CO_TRY_ASSIGN(const auto b, co_await measure(bench, theirs));
    rows += cat(rows.empty() ? "" : ", ", "{\"encrypted\": ", to_json(a), ", \"plain\": ", to_json(b), "}");
  }
  for (const auto& machine : {ours, theirs}) CO_TRY(co_await machine->destroy());
  CO_TRY(co_await bench.driver->release());
  co_return cat("[", rows, "]");
}

int fail_with(const Error& error) {
  std::fprintf(stderr, "bench-disk: %s\n", error.message.c_str());
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: bench-disk STATE RUN BIN IMAGE SECONDS\n");
    return 2;
  }
  Bench bench;
  bench.state = argv[1];
  bench.seconds = argv[5];
  image::StoreOptions images;
  images.state_dir = bench.state;
  images.guest_binary = cat(argv[3], "/coffer-guest");
  auto store = image::ImageStore::open(std::move(images));
  if (!store) return fail_with(store.error());
  auto image = store->find(argv[4]);
  if (!image) return fail_with(image.error());
  bench.image = std::move(*image);
  vm::QemuDriverOptions options;
  options.state_dir = bench.state;
  options.run_dir = argv[2];
  options.jail_binary = cat(argv[3], "/coffer-jail");
  auto driver = vm::QemuDriver::make(bench.io.get_executor(), bench.workers, std::move(options));
  if (!driver) return fail_with(driver.error());
  bench.driver = std::move(*driver);
  std::optional<Result<std::string>> answer;
  loop::asio::co_spawn(bench.io, run(bench), [&](const std::exception_ptr& thrown, Result<std::string> result) {
    if (thrown) std::rethrow_exception(thrown);
    answer.emplace(std::move(result));
  });
  bench.io.run();
  if (!answer || !*answer)
    return fail_with(answer ? answer->error() : Error{Code::Internal, "nothing was answered", {}});
  std::printf("%s\n", (*answer)->c_str());
  return 0;
}
