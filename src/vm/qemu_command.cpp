#include "vm/qemu_command.h"

#include "base/text.h"

namespace cofferdam::vm {
namespace {

// The translation buffer of TCG; QEMU's own default would be a gigabyte.
constexpr int kTranslationBufferMib = 64;
constexpr int kConsoleBytes = 64 << 10;

std::string fd_path(int number) { return cat("/proc/self/fd/", number); }

std::string kernel_command_line(const QemuSpec& spec) {
  // Nothing of a workspace is ever in here: all its clones share this line.
  std::string line =
      "console=hvc0 quiet loglevel=4 panic=-1 reboot=t audit=0 psi=0 noautogroup lsm=landlock,yama cryptomgr.notests "
      "random.trust_cpu=on";
  if (spec.accelerator == AcceleratorKind::tcg) {
    // The calibration of the TSC against the PIT fails on a loaded host, and the guest then hangs. There is no
    // speculation to mitigate in an interpreter.
    line += cat(" tsc_early_khz=", spec.host_tsc_khz, " tsc=nowatchdog mitigations=off");
  }
  return line;
}

}  // namespace

std::string cpu_model(AcceleratorKind accelerator) {
  // Without the fast string instructions, which TCG runs byte by byte, a guest copies memory with ordinary moves.
  return accelerator == AcceleratorKind::kvm ? "host,-arch-capabilities" : "max,la57=off,-erms,-fsrm";
}

std::uint64_t vmm_overhead_bytes(AcceleratorKind accelerator) {
  constexpr std::uint64_t kVmm = 128;
  return (kVmm + (accelerator == AcceleratorKind::tcg ? kTranslationBufferMib : 0)) * model::kMiB;
}

std::vector<std::string> qemu_argv(const QemuSpec& spec) {
  const bool clone = spec.role == Role::clone;
  const bool tcg = spec.accelerator == AcceleratorKind::tcg;
  const auto memory = cat(spec.shape.memory_mib, "M");
  std::vector<std::string> argv{spec.program};
  auto add = [&argv](const char* option, std::string value) {
    argv.emplace_back(option);
    argv.push_back(std::move(value));
  };
  add("-L", spec.firmware_folder);
  for (const char* flag : {"-nodefaults", "-no-user-config", "-no-reboot"}) argv.emplace_back(flag);
  add("-display", "none");
  add("-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
  const bool without_foot = clone && spec.state == StateForm::devices;
  add("-M",
      cat("microvm,pit=on,pic=on,rtc=on,isa-serial=off,memory-backend=ram", without_foot ? ",suppress-vmdesc=on" : ""));
  add("-accel", tcg ? cat("tcg,thread=multi,tb-size=", kTranslationBufferMib) : "kvm");
  add("-cpu", cpu_model(spec.accelerator));
  add("-smp", cat(spec.shape.vcpus));
  add("-m", memory);
  add("-object", cat("memory-backend-file,id=ram,size=", memory, ",mem-path=", fd_path(fd_number::kMemory),
                     ",share=", clone ? "off" : "on"));
  add("-global", "virtio-mmio.force-legacy=false");
  if (clone) {
    // The monitor says what comes in, once it has said that guest memory does not.
    add("-incoming", "defer");
    argv.emplace_back("-S");
    if (spec.state == StateForm::devices) add("-global", "migration.send-configuration=off");
  } else {
    add("-kernel", fd_path(fd_number::kKernel));
    add("-initrd", fd_path(fd_number::kInitrd));
    add("-append", kernel_command_line(spec));
    // What the guest's init says when it fails before its console is there; the VMM's output is the jail's to keep.
    add("-chardev", "stdio,id=early,signal=off");
    add("-device", "isa-debugcon,iobase=0xe9,chardev=early");
  }

  add("-add-fd", cat("fd=", fd_number::kRoot, ",set=1"));
  add("-blockdev", "driver=file,node-name=root-file,filename=/dev/fdset/1,read-only=on,locking=off");
  add("-blockdev", "driver=raw,node-name=root,file=root-file,read-only=on");
  const bool throttled = clone && (spec.io.bytes_per_second != 0 || spec.io.operations_per_second != 0);
  if (spec.disk != DiskSlot::empty) {
    add("-add-fd", cat("fd=", fd_number::kDisk, ",set=2"));
    add("-blockdev", "driver=file,node-name=disk-file,filename=/dev/fdset/2,locking=off,discard=unmap");
  }
  const char* const node = throttled ? "disk-image" : kDiskNode;
  if (spec.disk == DiskSlot::plain) {
    add("-blockdev", cat("driver=raw,node-name=", node, ",file=disk-file,discard=unmap"));
  } else if (spec.disk == DiskSlot::encrypted) {
    add("-object", cat("secret,id=disk-key,file=", fd_path(fd_number::kDiskKey)));
    // Whatever the image may say of a file behind it: there is none. One that says it is not encrypted is refused.
    add("-blockdev", cat(R"({"driver":"qcow2","node-name":")", node,
                         R"(","file":"disk-file","backing":null,"discard":"unmap",)"
                         R"("encrypt":{"format":"luks","key-secret":"disk-key"}})"));
  } else {
    // Takes the slot that a clone's own disk will have.
    add("-blockdev", cat("driver=null-co,node-name=", kDiskNode, ",size=0,read-zeroes=on"));
  }
  if (throttled) {
    std::string limits = "throttle-group,id=limits";
    if (spec.io.bytes_per_second != 0) limits += cat(",x-bps-total=", spec.io.bytes_per_second);
    if (spec.io.operations_per_second != 0) limits += cat(",x-iops-total=", spec.io.operations_per_second);
    add("-object", limits);
    add("-blockdev", cat("driver=throttle,node-name=", kDiskNode, ",throttle-group=limits,file=disk-image"));
  }

  // An error of the host's disk is the guest's error: by default a full one would stop the guest, without a word.
  // The guest finds the buses from the highest down: the root is /dev/vda, the disk /dev/vdb. Bus 0 stays empty:
  // QEMU 7.2 maps pin 0 of every I/O APIC to the timer's pin, so its interrupt would arrive as bus 2's.
  add("-device", "virtio-blk-device,bus=virtio-mmio-bus.5,drive=root,id=blk-root");
  add("-device",
      cat("virtio-blk-device,bus=virtio-mmio-bus.4,drive=", kDiskNode, ",id=blk-disk,werror=report,rerror=report"));
  add("-device", "virtio-serial-device,bus=virtio-mmio-bus.2,id=serial");
  add("-chardev", cat("socket,id=agent,fd=", fd_number::kAgent, ",server=on,wait=off"));
  add("-device", "virtserialport,bus=serial.0,nr=1,chardev=agent,name=cofferdam.agent");
  add("-chardev", cat("ringbuf,id=", kConsoleChardev, ",size=", kConsoleBytes));
  add("-device", cat("virtconsole,bus=serial.0,nr=2,chardev=", kConsoleChardev));
  add("-object", "rng-builtin,id=rng");
  add("-device", "virtio-rng-device,bus=virtio-mmio-bus.3,rng=rng");
  add("-netdev", cat("tap,id=net,fd=", fd_number::kTap));
  add("-device", "virtio-net-device,bus=virtio-mmio-bus.1,netdev=net,mac=02:00:00:00:00:01,guest_announce=off");
  add("-chardev", cat("socket,id=monitor,fd=", fd_number::kMonitor, ",server=on,wait=off"));
  add("-mon", "chardev=monitor,mode=control");
  return argv;
}

}  // namespace cofferdam::vm
