#include "api/fake_workspace.h"

#include <signal.h>

#include "base/text.h"

namespace cofferdam::api {
namespace {

constexpr std::size_t kPiece = 64U << 10;
constexpr std::size_t kReadAtOnce = 48U << 10;
constexpr std::size_t kMaxQueued = 4;

class FakeProcess final : public vm::GuestProcess {
 public:
  FakeProcess(const loop::asio::any_io_executor& executor, FakeRecord& record, const model::ExecSpec& spec)
      : record_(record), command_(spec.argv[0]), changed_(executor), room_(executor) {
    ++record_.processes_alive;
    if (command_ == "echo") {
      std::string line;
      for (std::size_t i = 1; i < spec.argv.size(); ++i) line += (i > 1 ? " " : "") + spec.argv[i];
      out(vm::Channel::stdout_, line + "\n");
      end(0, 0);
    } else if (command_ == "complain") {
      out(vm::Channel::stderr_, "no\n");
      end(3, 0);
    } else if (command_ == "flood") {
      left_ = static_cast<std::size_t>(parse_int("flood", spec.argv.at(1), 0, 1'000'000).value());
    } else if (command_ != "cat" && command_ != "hang" && command_ != "deaf" && command_ != "size" &&
               command_ != "vanish") {
      out(vm::Channel::stderr_, command_ + ": not found\n");
      end(127, 0);
    }
  }
  FakeProcess(const FakeProcess&) = delete;
  FakeProcess& operator=(const FakeProcess&) = delete;
  ~FakeProcess() override { --record_.processes_alive; }

  Task<std::optional<vm::Output>> read() override {
    ++record_.output_pieces;
    if (command_ == "vanish") co_return fail(Code::Unavailable, "the machine has ended");
    if (command_ == "flood") {
      if (left_ == 0) co_return std::nullopt;
      --left_;
      co_return vm::Output{vm::Channel::stdout_, std::string(kPiece, 'f')};
    }
    while (queue_.empty()) {
      if (ended_) co_return std::nullopt;
      CO_TRY(co_await changed_.wait());
    }
    vm::Output output = std::move(queue_.front());
    queue_.erase(queue_.begin());
    room_.notify();
    co_return output;
  }
  [[nodiscard]] model::ExitStatus exit_status() const override { return exit_; }
  Task<void> write(std::string bytes) override {
    if (command_ != "cat" && command_ != "deaf") co_return fail(Code::Unavailable, "stdin is closed");
    while (!ended_ && (command_ == "deaf" || queue_.size() >= kMaxQueued)) CO_TRY(co_await room_.wait());
    if (ended_) co_return fail(Code::Unavailable, "stdin is closed");
    record_.input_bytes += bytes.size();
    out(vm::Channel::stdout_, std::move(bytes));
    co_return Status{};
  }
  Task<void> close_stdin() override {
    if (command_ == "cat") end(0, 0);
    co_return Status{};
  }
  Status signal(int signal_number) override {
    record_.signals.push_back(signal_number);
    end(128 + signal_number, signal_number);
    return {};
  }
  Status resize(std::uint16_t rows, std::uint16_t cols) override {
    out(vm::Channel::stdout_, cat(rows, "x", cols, "\n"));
    return {};
  }

 private:
  void out(vm::Channel channel, std::string bytes) {
    queue_.push_back({channel, std::move(bytes)});
    changed_.notify();
  }
  void end(int code, int signal_number) {
    exit_.code = code;
    exit_.signal = signal_number;
    ended_ = true;
    changed_.notify();
    room_.notify();
  }

  FakeRecord& record_;
  std::string command_;
  loop::Event changed_, room_;
  std::vector<vm::Output> queue_;
  std::size_t left_ = 0;
  model::ExitStatus exit_;
  bool ended_ = false;
};

using Contents = std::map<std::string, std::pair<std::string, std::uint32_t>>;

class FakeWriter final : public vm::GuestFileWriter {
 public:
  FakeWriter(FakeRecord& record, Contents& contents, std::string path, std::uint32_t mode)
      : record_(record), contents_(contents), path_(std::move(path)), mode_(mode) {}
  FakeWriter(const FakeWriter&) = delete;
  FakeWriter& operator=(const FakeWriter&) = delete;
  ~FakeWriter() override {
    if (!committed_) ++record_.abandoned_writers;
  }
  Task<void> write(std::string bytes) override {
    bytes_ += bytes;
    co_return Status{};
  }
  Task<void> commit() override {
    contents_[path_] = {std::move(bytes_), mode_};
    committed_ = true;
    co_return Status{};
  }

 private:
  FakeRecord& record_;
  Contents& contents_;
  std::string path_, bytes_;
  std::uint32_t mode_;
  bool committed_ = false;
};

class FakeMachine final : public vm::Machine, public vm::GuestFiles {
 public:
  FakeMachine(std::string id, FakeRecord& record) : id_(std::move(id)), record_(record) {
    contents_["/dir/\xff"] = {"odd", 0600};
  }

  [[nodiscard]] const std::string& id() const override { return id_; }
  Task<void> wake(std::string) override { co_return Status{}; }
  Task<void> claim(vm::Claim) override { co_return Status{}; }
  Task<void> set_ttl(std::optional<std::chrono::milliseconds>) override { co_return Status{}; }
  Task<std::unique_ptr<vm::GuestProcess>> start(model::ExecSpec spec) override {
    co_return std::make_unique<FakeProcess>(co_await loop::asio::this_coro::executor, record_, spec);
  }
  vm::GuestFiles& files() override { return *this; }
  Task<vm::GuestMetrics> guest_metrics() override {
    vm::GuestMetrics metrics;
    metrics.memory_total_bytes = 512 * model::kMiB;
    co_return metrics;
  }
  Task<std::vector<vm::GuestProcessInfo>> processes() override {
    vm::GuestProcessInfo one;
    one.pid = 7;
    one.command = "bad\xff name";
    std::vector<vm::GuestProcessInfo> all{one};
    co_return all;
  }
  Task<vm::HostMetrics> host_metrics() override {
    vm::HostMetrics metrics;
    metrics.cpu_ms = 12;
    co_return metrics;
  }
  Task<std::string> console() override { co_return std::string("[    0.0] Linux\n"); }
  Task<void> shut_down(std::chrono::milliseconds) override { co_return Status{}; }
  Task<void> destroy() override { co_return Status{}; }
  Task<vm::MachineExit> wait_for_exit() override { co_return vm::MachineExit{}; }
  [[nodiscard]] bool alive() const override { return true; }

  Task<vm::FileInfo> stat(std::string path) override {
    vm::FileInfo info;
    info.name = path;
    info.modified_ms = INT64_MAX;  // a hostile guest's word
    if (path == "/dir") {
      info.type = vm::FileType::directory;
      co_return info;
    }
    const auto found = contents_.find(path);
    if (found == contents_.end()) co_return fail(Code::NotFound, cat("'", path, "': No such file or directory"));
    info.type = vm::FileType::file;
    info.size = found->second.first.size();
    info.mode = found->second.second;
    co_return info;
  }
  Task<std::vector<vm::FileInfo>> list(std::string path) override {
    std::vector<vm::FileInfo> all;
    for (const auto& [name, content] : contents_) {
      if (!starts_with(name, path + "/")) continue;
      vm::FileInfo info;
      info.name = name.substr(path.size() + 1);
      info.type = vm::FileType::file;
      info.size = content.first.size();
      all.push_back(info);
    }
    co_return all;
  }
  Task<std::string> read(std::string path, std::uint64_t offset) override {
    const auto& bytes = contents_[path].first;
    co_return offset < bytes.size() ? bytes.substr(offset, kReadAtOnce) : std::string{};
  }
  Task<std::unique_ptr<vm::GuestFileWriter>> create(std::string path, std::uint32_t mode, vm::CreateParents,
                                                    std::string) override {
    if (path[0] != '/') co_return fail(Code::InvalidArgument, "the path is not absolute");
    co_return std::make_unique<FakeWriter>(record_, contents_, path, mode);
  }
  Task<void> make_directory(std::string, std::uint32_t, vm::CreateParents, std::string) override { co_return Status{}; }
  Task<void> remove(std::string path, vm::Recursive) override {
    if (contents_.erase(path) == 0) co_return fail(Code::NotFound, cat("'", path, "': No such file or directory"));
    co_return Status{};
  }
  Task<void> rename(std::string from, std::string to) override {
    auto node = contents_.extract(from);
    if (node.empty()) co_return fail(Code::NotFound, cat("'", from, "': No such file or directory"));
    node.key() = to;
    contents_.insert(std::move(node));
    co_return Status{};
  }

 private:
  std::string id_;
  FakeRecord& record_;
  Contents contents_;
};

}  // namespace

struct FakeManager::Entry {
  workspace::Info info;
  std::shared_ptr<vm::Machine> machine;
};

FakeManager::FakeManager(loop::asio::any_io_executor executor, FakeRecord& record)
    : executor_(std::move(executor)), record_(record) {}
FakeManager::~FakeManager() = default;

Result<FakeManager::Entry*> FakeManager::find(const std::string& id) const {
  for (const auto& [key, entry] : entries_) {
    if (key == id || entry->info.spec.name == id) return entry.get();
  }
  return fail(Code::NotFound, cat("there is no workspace '", id, "'"), "list them with `coffer ls`");
}

Task<void> FakeManager::reconcile() { co_return Status{}; }

Task<void> FakeManager::shut_down(Permanent) {
  entries_.clear();
  co_return Status{};
}

Task<workspace::Info> FakeManager::create(model::WorkspaceSpec spec) {
  if (spec.image == "absent") co_return fail(Code::NotFound, "there is no image 'absent'", "build it");
  auto entry = std::make_unique<Entry>();
  auto& info = entry->info;
  info.id = cat("ws_", ++made_);
  info.spec = std::move(spec);
  info.state = model::State::running;
  info.created_at = info.updated_at = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  info.started_at = info.created_at;
  if (info.spec.ttl) info.expires_at = info.created_at + *info.spec.ttl;
  info.hostname = "box";
  entry->machine = std::make_shared<FakeMachine>(info.id, record_);
  co_return (entries_[info.id] = std::move(entry))->info;
}

std::vector<workspace::Info> FakeManager::list() const {
  std::vector<workspace::Info> all;
  for (const auto& [key, entry] : entries_) all.push_back(entry->info);
  return all;
}

Result<workspace::Info> FakeManager::get(const std::string& id) const {
  TRY_ASSIGN(const Entry* entry, find(id));
  return entry->info;
}

Task<workspace::Info> FakeManager::start(std::string id) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.state = model::State::running;
  co_return entry->info;
}

Task<workspace::Info> FakeManager::stop(std::string id) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.state = model::State::stopped;
  co_return entry->info;
}

Task<workspace::Removal> FakeManager::remove(std::string id) {
  CO_TRY_ASSIGN(const Entry* entry, find(id));
  workspace::Removal removal;
  removal.id = entry->info.id;
  removal.took_us = 1500;
  record_.removed.push_back(removal.id);
  entries_.erase(removal.id);
  co_return removal;
}

Task<workspace::Info> FakeManager::set_ttl(std::string id, std::optional<std::chrono::milliseconds> from_now) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.spec.ttl = from_now;
  co_return entry->info;
}

Result<std::shared_ptr<vm::Machine>> FakeManager::machine(const std::string& id) const {
  TRY_ASSIGN(const Entry* entry, find(id));
  if (entry->info.state != model::State::running) {
    return fail(Code::FailedPrecondition, cat("workspace '", id, "' is not running"), "start it first");
  }
  return entry->machine;
}

Task<std::unique_ptr<vm::GuestProcess>> FakeManager::exec(std::string id, model::ExecSpec spec,
                                                          workspace::AfterExec after) {
  record_.last_after = after;
  CO_TRY_ASSIGN(const auto running, machine(id));
  co_return co_await running->start(std::move(spec));
}

workspace::HostInfo FakeManager::host_info() const {
  workspace::HostInfo info;
  info.accelerator = {"tcg", "no KVM here"};
  info.workspaces = static_cast<std::uint32_t>(entries_.size());
  return info;
}

}  // namespace cofferdam::api
