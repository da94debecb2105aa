#include "vm/kvm_probe.h"

#include <fcntl.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "base/file.h"
#include "base/text.h"

// The loop, in the System V convention: rdi is 16 bytes aligned to 16, rsi an xsave area aligned to 64, rdx the number
// of turns. Returns in rax a sum that only this many true turns give. Position-independent: the guest runs a copy.
__asm__(
    ".pushsection .text\n"
    ".globl coffer_probe_loop\n"
    ".globl coffer_probe_loop_end\n"
    ".hidden coffer_probe_loop\n"
    ".hidden coffer_probe_loop_end\n"
    "coffer_probe_loop:\n"
    "  push %rbx\n"
    "  push %r12\n"
    "  mov %rdx, %r12\n"
    "  xor %r8d, %r8d\n"
    "1:\n"
    "  mov (%rdi), %rax\n"
    "  mov 8(%rdi), %rdx\n"
    "  lea 1(%rax), %rbx\n"
    "  lea 2(%rdx), %rcx\n"
    "  lock cmpxchg16b (%rdi)\n"
    "  jnz 2f\n"
    "  add 8(%rdi), %r8\n"
    "  mov $1, %eax\n"
    "  xor %edx, %edx\n"
    "  xsave (%rsi)\n"
    "  dec %r12\n"
    "  jnz 1b\n"
    "2:\n"
    "  mov %r8, %rax\n"
    "  pop %r12\n"
    "  pop %rbx\n"
    "  ret\n"
    "coffer_probe_loop_end:\n"
    ".popsection\n");
extern "C" {
std::uint64_t coffer_probe_loop(void* pair, void* xsave_area, std::uint64_t turns);
extern const char coffer_probe_loop_end[];
}

namespace cofferdam::vm {
namespace {

using std::chrono::steady_clock;

constexpr std::uint64_t kTurns = 100000;
constexpr std::uint64_t kExpected = kTurns * (kTurns + 1);  // 2 + 4 + … + 2 * kTurns

// The guest's memory: page tables, then code, data and stack; all of it mapped one to one by one 2 MiB page.
constexpr std::uint64_t kMemoryBytes = 2U << 20;
constexpr std::uint64_t kPml4 = 0x1000;
constexpr std::uint64_t kPdpt = 0x2000;
constexpr std::uint64_t kPd = 0x3000;
constexpr std::uint64_t kCode = 0x4000;
constexpr std::uint64_t kPair = 0x6000;
constexpr std::uint64_t kXsave = 0x7000;
constexpr std::uint64_t kStack = 0x20000;
constexpr std::uint64_t kPresentWritable = 3;
constexpr std::uint64_t kHugePage = 1U << 7;
constexpr std::uint8_t kDonePort = 0x10;

constexpr std::uint64_t kCr0 = 0x80010033;  // PE, MP, ET, NE, WP, PG
constexpr std::uint64_t kCr4 = 0x40620;     // PAE, OSFXSR, OSXMMEXCPT, OSXSAVE
constexpr std::uint64_t kEfer = 0x500;      // LME, LMA

struct Mapping {
  void* address = MAP_FAILED;
  std::size_t bytes = 0;
  explicit Mapping(std::size_t size, int fd = -1)
      : address(
            ::mmap(nullptr, size, PROT_READ | PROT_WRITE, fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0)),
        bytes(size) {}
  Mapping(const Mapping&) = delete;
  Mapping& operator=(const Mapping&) = delete;
  ~Mapping() {
    if (address != MAP_FAILED) ::munmap(address, bytes);
  }
  [[nodiscard]] std::uint8_t* data() const { return static_cast<std::uint8_t*>(address); }
};

void put_u64(const Mapping& memory, std::uint64_t at, std::uint64_t value) {
  std::memcpy(memory.data() + at, &value, sizeof value);
}

void write_guest(const Mapping& memory) {
  put_u64(memory, kPml4, kPdpt | kPresentWritable);
  put_u64(memory, kPdpt, kPd | kPresentWritable);
  put_u64(memory, kPd, kHugePage | kPresentWritable);
  // "call loop; out %al, $kDonePort; hlt", then the loop.
  const std::array<std::uint8_t, 8> stub = {0xe8, 3, 0, 0, 0, 0xe6, kDonePort, 0xf4};
  std::memcpy(memory.data() + kCode, stub.data(), stub.size());
  const auto* start = reinterpret_cast<const char*>(&coffer_probe_loop);
  std::memcpy(memory.data() + kCode + stub.size(), start, static_cast<std::size_t>(coffer_probe_loop_end - start));
}

Status call(int fd, unsigned long request, void* argument, const char* name) {
  if (::ioctl(fd, request, argument) < 0) return fail_errno(name);
  return {};
}

// kvm_cpuid2 as C sees it. Its flexible array is declared in a way that takes a byte in C++, which would change both
// the layout and, through its size, the numbers of the two calls.
constexpr std::size_t kMaxCpuidEntries = 256;
struct CpuidTable {
  std::uint32_t count;
  std::uint32_t padding;
  std::array<kvm_cpuid_entry2, kMaxCpuidEntries> entries;
};
constexpr unsigned long kCpuidHeaderBytes = 8;
constexpr unsigned long kGetSupportedCpuid = _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0x05, kCpuidHeaderBytes);
constexpr unsigned long kSetCpuid2 = _IOC(_IOC_WRITE, KVMIO, 0x90, kCpuidHeaderBytes);

// Everything the host's KVM can offer.
Status copy_cpuid(int kvm, int vcpu) {
  CpuidTable table{};
  table.count = kMaxCpuidEntries;
  TRY(call(kvm, kGetSupportedCpuid, &table, "KVM_GET_SUPPORTED_CPUID"));
  return call(vcpu, kSetCpuid2, &table, "KVM_SET_CPUID2");
}

Status set_long_mode(int vcpu) {
  kvm_sregs sregs{};
  TRY(call(vcpu, KVM_GET_SREGS, &sregs, "KVM_GET_SREGS"));
  kvm_segment code{};
  code.limit = 0xffffffff;
  code.selector = 8;
  code.type = 11;
  code.present = 1;
  code.s = 1;
  code.l = 1;
  code.g = 1;
  kvm_segment data = code;
  data.selector = 16;
  data.type = 3;
  data.l = 0;
  data.db = 1;
  sregs.cs = code;
  sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
  sregs.cr0 = kCr0;
  sregs.cr3 = kPml4;
  sregs.cr4 = kCr4;
  sregs.efer = kEfer;
  TRY(call(vcpu, KVM_SET_SREGS, &sregs, "KVM_SET_SREGS"));
  kvm_regs regs{};
  regs.rip = kCode;
  regs.rsp = kStack;
  regs.rflags = 2;
  regs.rdi = kPair;
  regs.rsi = kXsave;
  regs.rdx = kTurns;
  return call(vcpu, KVM_SET_REGS, &regs, "KVM_SET_REGS");
}

Result<std::chrono::nanoseconds> run_guest(int vcpu, const kvm_run& run) {
  const auto start = steady_clock::now();
  for (;;) {
    if (::ioctl(vcpu, KVM_RUN, 0) < 0) {
      if (errno == EINTR || errno == EAGAIN) continue;
      return fail_errno("KVM_RUN");
    }
    if (run.exit_reason == KVM_EXIT_IO && run.io.port == kDonePort) break;
    if (run.exit_reason == KVM_EXIT_INTERNAL_ERROR) {
      return fail(Code::Internal, "KVM internal error in the test loop (it cannot run cmpxchg16b or xsave)");
    }
    return fail(Code::Internal, cat("the test loop ended with KVM exit reason ", run.exit_reason));
  }
  const auto taken = steady_clock::now() - start;
  kvm_regs regs{};
  TRY(call(vcpu, KVM_GET_REGS, &regs, "KVM_GET_REGS"));
  if (regs.rax != kExpected) return fail(Code::Internal, "the test loop computed a wrong result under KVM");
  return taken;
}

Result<std::chrono::nanoseconds> run_natively() {
  alignas(64) std::array<std::uint8_t, 16384> xsave{};
  alignas(16) std::array<std::uint64_t, 2> pair{};
  const auto start = steady_clock::now();
  const auto sum = coffer_probe_loop(pair.data(), xsave.data(), kTurns);
  const auto taken = steady_clock::now() - start;
  if (sum != kExpected) return fail(Code::Internal, "the test loop computed a wrong result on the host");
  return taken;
}

}  // namespace

Result<KvmTiming> run_kvm_probe() {
  TRY_ASSIGN(const UniqueFd kvm, open_file("/dev/kvm", O_RDWR));
  if (::ioctl(kvm.get(), KVM_GET_API_VERSION, 0) != KVM_API_VERSION) {
    return fail(Code::FailedPrecondition, "/dev/kvm speaks another API version");
  }
  const UniqueFd vm(::ioctl(kvm.get(), KVM_CREATE_VM, 0));
  if (!vm) return fail_errno("KVM_CREATE_VM");
  const Mapping memory(kMemoryBytes);
  if (memory.address == MAP_FAILED) return fail_errno("mmap the guest's memory");
  write_guest(memory);
  kvm_userspace_memory_region region{};
  region.memory_size = kMemoryBytes;
  region.userspace_addr = reinterpret_cast<std::uintptr_t>(memory.address);
  TRY(call(vm.get(), KVM_SET_USER_MEMORY_REGION, &region, "KVM_SET_USER_MEMORY_REGION"));
  const UniqueFd vcpu(::ioctl(vm.get(), KVM_CREATE_VCPU, 0));
  if (!vcpu) return fail_errno("KVM_CREATE_VCPU");
  const int run_bytes = ::ioctl(kvm.get(), KVM_GET_VCPU_MMAP_SIZE, 0);
  if (run_bytes < static_cast<int>(sizeof(kvm_run))) return fail_errno("KVM_GET_VCPU_MMAP_SIZE");
  const Mapping run(static_cast<std::size_t>(run_bytes), vcpu.get());
  if (run.address == MAP_FAILED) return fail_errno("mmap the virtual CPU");
  TRY(copy_cpuid(kvm.get(), vcpu.get()));
  TRY(set_long_mode(vcpu.get()));
  KvmTiming timing;
  TRY_ASSIGN(timing.native, run_natively());
  TRY_ASSIGN(timing.guest, run_guest(vcpu.get(), *static_cast<const kvm_run*>(run.address)));
  return timing;
}

}  // namespace cofferdam::vm
