#include "api/fake_workspace.h"

#include <signal.h>

#include <algorithm>
#include <set>
#include <utility>

#include "base/text.h"

namespace cofferdam::api {
namespace {

constexpr std::size_t kPiece = 64U << 10;
constexpr std::size_t kReadAtOnce = 48U << 10;
constexpr std::size_t kMaxQueued = 4;

class FakeProcess final : public vm::GuestProcess {
 public:
  [[nodiscard]] std::uint32_t pid() const override { return 77; }
  FakeProcess(const loop::asio::any_io_executor& executor, FakeRecord& record, const model::ExecSpec& spec)
      : record_(record), command_(spec.argv[0]), changed_(executor), room_(executor) {
    ++record_.processes_alive;
    record_.last_spec = spec;
    if (const auto script = record_.scripts.find(command_); script != record_.scripts.end()) {
      out(vm::Channel::stdout_, script->second);
      end(0, 0);
    } else if (command_ == "echo") {
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

// The watchers of one machine, and what each has not read yet.
struct FakeWatchers {
  struct Mailbox {
    explicit Mailbox(const loop::asio::any_io_executor& executor) : arrived(executor) {}
    std::string root;
    std::vector<vm::Change> changes;
    loop::Event arrived;
  };
  std::vector<std::weak_ptr<Mailbox>> open;

  void tell(const std::string& path, vm::ChangeOp op) const {
    for (const auto& entry : open) {
      const auto mailbox = entry.lock();
      if (!mailbox || !starts_with(path, mailbox->root)) continue;
      mailbox->changes.push_back({path, op});
      mailbox->arrived.notify();
    }
  }
};

class FakeWatch final : public vm::GuestWatch {
 public:
  explicit FakeWatch(std::shared_ptr<FakeWatchers::Mailbox> mailbox) : mailbox_(std::move(mailbox)) {}
  Task<std::optional<vm::ChangeBatch>> read() override {
    while (mailbox_->changes.empty()) CO_TRY(co_await mailbox_->arrived.wait());
    vm::ChangeBatch batch;
    batch.changes = std::exchange(mailbox_->changes, {});
    co_return std::optional<vm::ChangeBatch>(std::move(batch));
  }
  [[nodiscard]] const std::string& root() const override { return mailbox_->root; }
  [[nodiscard]] std::uint32_t directory_count() const override { return 1; }

 private:
  std::shared_ptr<FakeWatchers::Mailbox> mailbox_;
};

// Sends back what it gets, and ends when its peer does.
class FakeConnection final : public vm::GuestConnection {
 public:
  explicit FakeConnection(const loop::asio::any_io_executor& executor) : arrived_(executor), room_(executor) {}
  Task<std::optional<std::string>> read() override {
    while (bytes_.empty()) {
      if (ended_) co_return std::optional<std::string>();
      CO_TRY(co_await arrived_.wait());
    }
    std::optional<std::string> piece(bytes_.substr(0, kPiece));
    bytes_.erase(0, kPiece);
    room_.notify();
    co_return piece;
  }
  Task<void> write(std::string bytes) override {
    if (ended_) co_return fail(Code::FailedPrecondition, "its writing side is shut down");
    while (bytes_.size() >= kMaxQueued * kPiece) CO_TRY(co_await room_.wait());
    bytes_ += bytes;
    arrived_.notify();
    co_return Status{};
  }
  Task<void> shut_down_writing() override {
    ended_ = true;
    arrived_.notify();
    co_return Status{};
  }

 private:
  std::string bytes_;
  bool ended_ = false;
  loop::Event arrived_, room_;
};

class FakeHttpConnection final : public vm::GuestConnection {
 public:
  FakeHttpConnection(const loop::asio::any_io_executor& executor, FakeRecord& record)
      : record_(record), arrived_(executor) {
    record_.http_request.clear();
  }
  Task<std::optional<std::string>> read() override {
    while (bytes_.empty()) {
      if (ended_) co_return std::optional<std::string>();
      CO_TRY(co_await arrived_.wait());
    }
    co_return std::optional<std::string>(std::exchange(bytes_, {}));
  }
  Task<void> write(std::string bytes) override {
    if (switched_) {
      bytes_ += bytes;
    } else {
      record_.http_request += bytes;
      if (!answered_ && record_.http_request.find("\r\n\r\n") != std::string::npos) {
        answered_ = true;
        bytes_ += record_.http_answer;
        switched_ = starts_with(record_.http_answer, "HTTP/1.1 101");
        ended_ = !switched_;
      }
    }
    arrived_.notify();
    co_return Status{};
  }
  Task<void> shut_down_writing() override {
    ended_ = true;
    arrived_.notify();
    co_return Status{};
  }

 private:
  FakeRecord& record_;
  std::string bytes_;
  bool answered_ = false, switched_ = false, ended_ = false;
  loop::Event arrived_;
};

class FakeWalk final : public vm::GuestWalk {
 public:
  FakeWalk(std::vector<vm::FileInfo> entries, std::uint32_t max_entries) : entries_(std::move(entries)) {
    summary_.complete = entries_.size() <= max_entries;
    if (!summary_.complete) entries_.resize(max_entries);
  }
  Task<std::optional<std::vector<vm::FileInfo>>> next() override {
    if (entries_.empty()) co_return std::optional<std::vector<vm::FileInfo>>();
    co_return std::optional<std::vector<vm::FileInfo>>(std::exchange(entries_, {}));
  }
  [[nodiscard]] Summary summary() const override { return summary_; }

 private:
  std::vector<vm::FileInfo> entries_;
  Summary summary_;
};

class FakeWriter final : public vm::GuestFileWriter {
 public:
  FakeWriter(FakeRecord& record, Contents& contents, FakeWatchers& watchers, std::string path, std::uint32_t mode,
             std::string begin)
      : record_(record),
        contents_(contents),
        watchers_(watchers),
        path_(std::move(path)),
        bytes_(std::move(begin)),
        mode_(mode) {}
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
    watchers_.tell(path_, contents_.contains(path_) ? vm::ChangeOp::write : vm::ChangeOp::create);
    contents_[path_] = {std::move(bytes_), mode_};
    committed_ = true;
    co_return Status{};
  }

 private:
  FakeRecord& record_;
  Contents& contents_;
  FakeWatchers& watchers_;
  std::string path_, bytes_;
  std::uint32_t mode_;
  bool committed_ = false;
};

class FakeMachine final : public vm::Machine, public vm::GuestFiles {
 public:
  FakeMachine(const loop::asio::any_io_executor& executor, std::string id, FakeRecord& record)
      : id_(std::move(id)), record_(record), ended_(executor) {
    contents_["/dir/\xff"] = {"odd", 0600};
  }

  [[nodiscard]] const std::string& id() const override { return id_; }
  Task<void> wake(std::string) override { co_return Status{}; }
  Task<void> claim(vm::Claim) override { co_return Status{}; }
  Task<void> set_ttl(std::optional<std::chrono::milliseconds>) override { co_return Status{}; }
  Task<void> pause() override { co_return Status{}; }
  Task<void> resume() override { co_return Status{}; }
  Task<std::unique_ptr<vm::GuestProcess>> start(model::ExecSpec spec) override {
    co_return std::make_unique<FakeProcess>(co_await loop::asio::this_coro::executor, record_, spec);
  }
  vm::GuestFiles& files() override { return *this; }
  Task<std::unique_ptr<vm::GuestWatch>> watch(vm::WatchSpec spec) override {
    auto mailbox = std::make_shared<FakeWatchers::Mailbox>(co_await loop::asio::this_coro::executor);
    mailbox->root = std::move(spec.root);
    watchers_.open.push_back(mailbox);
    std::unique_ptr<vm::GuestWatch> watch = std::make_unique<FakeWatch>(std::move(mailbox));
    co_return watch;
  }
  Task<std::unique_ptr<vm::GuestConnection>> dial(std::uint16_t port) override {
    constexpr std::uint16_t kEcho = 7, kHttp = 8080;
    if (port == kHttp) {
      std::unique_ptr<vm::GuestConnection> connection =
          std::make_unique<FakeHttpConnection>(co_await loop::asio::this_coro::executor, record_);
      co_return connection;
    }
    if (port != kEcho)
      co_return fail(Code::FailedPrecondition, cat("connection refused: nobody listens on port ", port));
    std::unique_ptr<vm::GuestConnection> connection =
        std::make_unique<FakeConnection>(co_await loop::asio::this_coro::executor);
    co_return connection;
  }
  Task<void> configure_network(vm::GuestNetwork /*network*/) override {
    co_return fail(Code::Unimplemented, "the fake machine has no network");
  }
  [[nodiscard]] Result<UniqueFd> network_namespace() const override {
    return fail(Code::Unimplemented, "the fake machine has no network");
  }
  Task<vm::SavedMachine> save(vm::SaveWish /*wish*/) override {
    co_return fail(Code::Unimplemented, "the fake machine has no state to keep");
  }
  [[nodiscard]] Result<SecureBytes> disk_passphrase() const override {
    return fail(Code::Unimplemented, "the fake machine has no disk");
  }
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
  Task<vm::Figures> figures() override { co_return vm::Figures{}; }
  Task<std::string> kernel_log() override { co_return std::string("<5>[    0.000000] Linux\n"); }
  Task<std::string> console() override { co_return std::string("[    0.0] Linux\n"); }
  Task<void> shut_down(std::chrono::milliseconds) override { co_return Status{}; }
  Task<void> kill() override { co_return Status{}; }
  Task<void> destroy() override { co_return Status{}; }
  Task<vm::MachineExit> wait_for_exit() override {
    while (alive_) CO_TRY(co_await ended_.wait());
    ended_.notify();
    co_return vm::MachineExit{};
  }
  [[nodiscard]] bool alive() const override { return alive_; }
  void end() {
    alive_ = false;
    ended_.notify();
  }

  Task<vm::FileInfo> stat(std::string path) override {
    vm::FileInfo info;
    info.name = path;
    info.modified_ms = INT64_MAX;  // a hostile guest's word
    if (is_folder(path)) {
      info.type = vm::FileType::directory;
      co_return info;
    }
    const auto found = contents_.find(path);
    if (found == contents_.end()) co_return not_found(path);
    info.type = vm::FileType::file;
    info.size = found->second.first.size();
    info.mode = found->second.second;
    co_return info;
  }
  Task<vm::FileInfo> lstat(std::string path) override {
    const auto link = links_.find(path);
    if (link == links_.end()) co_return co_await stat(std::move(path));
    vm::FileInfo info;
    info.name = path;
    info.type = vm::FileType::symlink;
    info.symlink_target = link->second;
    co_return info;
  }
  Task<std::vector<vm::FileInfo>> list(std::string path) override {
    const std::string before = path == "/" ? "/" : path + "/";
    std::map<std::string, vm::FileInfo> all;
    const auto add = [&](const std::string& name, vm::FileType type) -> vm::FileInfo* {
      if (!starts_with(name, before) || name == before) return nullptr;
      const std::string rest = name.substr(before.size());
      auto& info = all[rest.substr(0, rest.find('/'))];
      info.name = rest.substr(0, rest.find('/'));
      info.type = rest == info.name ? type : vm::FileType::directory;
      return rest == info.name ? &info : nullptr;
    };
    for (const auto& [name, content] : contents_) {
      auto* info = add(name, vm::FileType::file);
      if (info == nullptr) continue;
      info->size = content.first.size();
      info->mode = content.second;
    }
    for (const auto& name : folders_) add(name, vm::FileType::directory);
    for (const auto& [name, target] : links_) {
      if (auto* info = add(name, vm::FileType::symlink)) info->symlink_target = target;
    }
    std::vector<vm::FileInfo> listed;
    for (auto& [name, info] : all) listed.push_back(std::move(info));
    co_return listed;
  }
  Task<std::string> read(std::string path, std::uint64_t offset) override {
    const auto& bytes = contents_[path].first;
    co_return offset < bytes.size() ? bytes.substr(offset, kReadAtOnce) : std::string{};
  }
  Task<std::unique_ptr<vm::GuestFileWriter>> create(std::string path, std::uint32_t mode, vm::CreateParents,
                                                    std::string) override {
    if (path[0] != '/') co_return fail(Code::InvalidArgument, "the path is not absolute");
    co_return std::make_unique<FakeWriter>(record_, contents_, watchers_, path, mode, "");
  }
  Task<std::unique_ptr<vm::GuestFileWriter>> append(std::string path, std::uint32_t mode, vm::CreateParents,
                                                    std::string) override {
    if (path[0] != '/') co_return fail(Code::InvalidArgument, "the path is not absolute");
    const auto found = contents_.find(path);
    if (found == contents_.end()) co_return std::make_unique<FakeWriter>(record_, contents_, watchers_, path, mode, "");
    co_return std::make_unique<FakeWriter>(record_, contents_, watchers_, path, found->second.second,
                                           found->second.first);
  }
  // As the guest does: what is no folder is not passed, what is in the way goes, a folder does not.
  Task<std::unique_ptr<vm::GuestFileWriter>> place(vm::PlacedEntry entry) override {
    const auto below = [&](const std::string& path) { return (entry.root == "/" ? "" : entry.root) + "/" + path; };
    for (std::size_t at = entry.path.find('/'); at != std::string::npos; at = entry.path.find('/', at + 1)) {
      const std::string folder = below(entry.path.substr(0, at));
      if (links_.contains(folder) || contents_.contains(folder)) {
        co_return fail(Code::InvalidArgument, "'" + entry.path + "' lies behind '" + folder + "', which is no folder");
      }
    }
    const std::string path = below(entry.path);
    using Kind = vm::PlacedEntry::Kind;
    if (entry.kind != Kind::folder && is_folder(path)) {
      co_return fail(Code::FailedPrecondition, "there is a folder where '" + path + "' should go");
    }
    links_.erase(path);
    if (entry.kind == Kind::folder) folders_.insert(path);
    if (entry.kind == Kind::symlink) links_.emplace(path, entry.target);
    if (entry.kind == Kind::hard_link) {
      const auto from = contents_.find(below(entry.target));
      if (from == contents_.end()) {
        co_return fail(Code::InvalidArgument, "'" + path + "' is a link to what is no regular file");
      }
      contents_[path] = from->second;
    }
    if (entry.kind != Kind::file) co_return std::unique_ptr<vm::GuestFileWriter>();
    co_return std::make_unique<FakeWriter>(record_, contents_, watchers_, path, entry.mode, "");
  }
  Task<void> make_directory(std::string path, std::uint32_t, vm::CreateParents, std::string) override {
    folders_.insert(std::move(path));
    co_return Status{};
  }
  Task<void> remove(std::string path, vm::Recursive) override {
    if (contents_.erase(path) == 0 && links_.erase(path) == 0 && folders_.erase(path) == 0) co_return not_found(path);
    watchers_.tell(path, vm::ChangeOp::remove);
    co_return Status{};
  }
  Task<void> rename(std::string from, std::string to) override {
    auto node = contents_.extract(from);
    if (node.empty()) co_return not_found(from);
    node.key() = to;
    contents_.insert(std::move(node));
    watchers_.tell(from, vm::ChangeOp::rename);
    watchers_.tell(to, vm::ChangeOp::create);
    co_return Status{};
  }
  Task<void> make_symlink(std::string target, std::string path, vm::CreateParents, std::string) override {
    if (contents_.contains(path) || !links_.emplace(path, std::move(target)).second) {
      co_return fail(Code::AlreadyExists, cat("'", path, "': File exists"));
    }
    watchers_.tell(path, vm::ChangeOp::create);
    co_return Status{};
  }
  Task<void> set_mode(std::string path, std::uint32_t mode) override {
    const auto found = contents_.find(path);
    if (found == contents_.end()) co_return not_found(path);
    found->second.second = mode;
    co_return Status{};
  }
  Task<void> set_modified(std::string path, std::int64_t) override {
    if (!contents_.contains(path) && !links_.contains(path)) co_return not_found(path);
    co_return Status{};
  }
  // Flat: a fake machine has no folders of folders.
  Task<std::unique_ptr<vm::GuestWalk>> walk(std::string root, vm::WalkOptions options) override {
    auto entries = co_await list(std::move(root));
    if (!entries) co_return fail(std::move(entries.error()));
    std::unique_ptr<vm::GuestWalk> walk = std::make_unique<FakeWalk>(std::move(*entries), options.max_entries);
    co_return walk;
  }

 private:
  [[nodiscard]] bool is_folder(const std::string& path) const {
    const auto below = contents_.lower_bound(path == "/" ? path : path + "/");
    return path == "/" || path == "/dir" || folders_.contains(path) ||
           (below != contents_.end() && starts_with(below->first, path + "/"));
  }
  static tl::unexpected<Error> not_found(const std::string& path) {
    return fail(Code::NotFound, cat("'", path, "': No such file or directory"));
  }

  std::string id_;
  FakeRecord& record_;
  FakeWatchers watchers_;
  Contents contents_;
  std::map<std::string, std::string> links_;  // with their targets
  std::set<std::string> folders_;             // that were made
  loop::Event ended_;
  bool alive_ = true;
};

}  // namespace

std::string fake_id(int number) {
  constexpr std::size_t kDigits = 26;
  const auto digits = std::to_string(number);
  return cat("ws_", std::string(kDigits - digits.size(), '0'), digits);
}

namespace {

// Its machine's, as long as it has one.
std::string vm_id_of(const std::string& workspace_id) { return cat("vm_", workspace_id.substr(3)); }

}  // namespace

struct FakeManager::Entry {
  workspace::Info info;
  std::shared_ptr<FakeMachine> machine;
  std::vector<workspace::Snapshot> snapshots;
  std::vector<std::pair<workspace::Archive, std::string>> archives;  // each with its bytes
};

FakeManager::FakeManager(loop::asio::any_io_executor executor, FakeRecord& record)
    : executor_(std::move(executor)), record_(record) {}
FakeManager::~FakeManager() = default;

Result<FakeManager::Entry*> FakeManager::find(const std::string& id) const {
  for (const auto& [key, entry] : entries_) {
    if (key == id || entry->info.spec.name == id || (!id.empty() && entry->info.spec.slug == id)) return entry.get();
  }
  return fail(Code::NotFound, cat("there is no workspace '", id, "'"), "list them with `coffer ls`");
}

Task<void> FakeManager::reconcile() { co_return Status{}; }

Task<void> FakeManager::shut_down(Permanent) {
  entries_.clear();
  co_return Status{};
}

Task<workspace::Info> FakeManager::create(model::WorkspaceSpec spec, std::string idempotency_key) {
  if (!idempotency_key.empty()) {
    if (const auto made = made_for_.find(idempotency_key); made != made_for_.end()) {
      CO_TRY_ASSIGN(auto there, get(made->second));
      there.was_there = true;
      co_return there;
    }
    made_for_[idempotency_key] = fake_id(made_ + 1);
  }
  if (spec.image == "absent") co_return fail(Code::NotFound, "there is no image 'absent'", "build it");
  auto entry = std::make_unique<Entry>();
  auto& info = entry->info;
  info.id = fake_id(++made_);
  info.spec = std::move(spec);
  info.state = model::State::running;
  info.vm_id = vm_id_of(info.id);
  info.created_at = info.updated_at = std::chrono::system_clock::time_point(std::chrono::seconds(1'700'000'000));
  info.started_at = info.created_at;
  if (info.spec.ttl) info.expires_at = info.created_at + *info.spec.ttl;
  info.hostname = "box";
  entry->machine = std::make_shared<FakeMachine>(executor_, info.id, record_);
  const workspace::Info made = (entries_[info.id] = std::move(entry))->info;
  tell(workspace::EventKind::created, made);
  co_return made;
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

// As the real one asks: not for what runs.
Task<void> FakeManager::check_may_run(std::string id) {
  CO_TRY_ASSIGN(const Entry* entry, find(id));
  if (!may_run || entry->info.state == model::State::running) co_return Status{};
  const auto& spec = entry->info.spec;
  const identity::Totals own{1, spec.cpu_millis, spec.memory_mib, spec.disk_mib};
  auto others = usage_of(spec.namespace_id);
  others.workspaces -= own.workspaces;
  others.cpu_millis -= own.cpu_millis;
  others.memory_mib -= own.memory_mib;
  others.disk_mib -= own.disk_mib;
  co_return co_await may_run(spec.namespace_id, others, own);
}

Task<workspace::Info> FakeManager::start(std::string id) {
  CO_TRY(co_await check_may_run(id));
  CO_TRY_ASSIGN(Entry * entry, find(id));
  if (entry->info.state != model::State::running) {
    entry->machine = std::make_shared<FakeMachine>(executor_, entry->info.id, record_);
  }
  entry->info.vm_id = vm_id_of(entry->info.id);
  entry->info.state = model::State::running;
  co_return entry->info;
}

Task<workspace::Info> FakeManager::stop(std::string id) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.state = model::State::stopped;
  entry->info.vm_id.clear();
  entry->machine->end();
  co_return entry->info;
}

Task<workspace::Removal> FakeManager::remove(std::string id) {
  CO_TRY_ASSIGN(const Entry* entry, find(id));
  workspace::Removal removal;
  removal.id = entry->info.id;
  removal.took_us = 1500;
  removal.keys_gone_us = 500;
  record_.removed.push_back(removal.id);
  tell(workspace::EventKind::removed, entry->info);
  entry->machine->end();
  entries_.erase(removal.id);
  co_return removal;
}

Task<workspace::Info> FakeManager::hold(std::string id, std::string reason) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.held = true;
  entry->info.hold_reason = std::move(reason);
  co_return entry->info;
}

Task<workspace::Info> FakeManager::unhold(std::string id) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.held = false;
  co_return entry->info;
}

Task<workspace::Snapshot> FakeManager::snapshot(std::string id, workspace::AfterSnapshot after) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  if (after == workspace::AfterSnapshot::pause) entry->info.state = model::State::paused;
  workspace::Snapshot snapshot;
  snapshot.id = cat("snap_", entry->snapshots.size() + 1);
  snapshot.workspace_id = entry->info.id;
  snapshot.created_at = entry->info.created_at;
  snapshot.pause = std::chrono::microseconds(12'500);
  entry->snapshots.push_back(snapshot);
  entry->info.snapshots = entry->snapshots.size();
  co_return snapshot;
}

Result<std::vector<workspace::Snapshot>> FakeManager::snapshots(const std::string& id) const {
  TRY_ASSIGN(const Entry* entry, find(id));
  return entry->snapshots;
}

Task<void> FakeManager::remove_snapshot(std::string id, std::string snapshot_id) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  std::erase_if(entry->snapshots, [&](const auto& one) { return one.id == snapshot_id; });
  co_return Status{};
}

Task<workspace::Info> FakeManager::restore(std::string id, std::string /*snapshot_id*/) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  if (entry->snapshots.empty()) co_return fail(Code::NotFound, "there is no snapshot");
  co_return entry->info;
}

Task<std::vector<workspace::Info>> FakeManager::fork(std::string id, workspace::ForkWish wish) {
  CO_TRY_ASSIGN(const Entry* entry, find(id));
  std::vector<workspace::Info> all;
  const auto spec = entry->info.spec;
  for (std::uint32_t i = 0; i < wish.count; ++i) {
    auto one = spec;
    one.name = wish.name.empty() ? "" : cat(wish.name, "-", i + 1);
    CO_TRY_ASSIGN(auto made, co_await create(std::move(one), {}));
    all.push_back(std::move(made));
  }
  co_return all;
}

Task<workspace::SealedSnapshot> FakeManager::sealed_snapshot(std::string id, std::string snapshot_id) {
  CO_TRY_ASSIGN(const Entry* entry, find(id));
  for (const auto& snapshot : entry->snapshots) {
    if (!snapshot_id.empty() && snapshot.id != snapshot_id) continue;
    workspace::SealedSnapshot sealed;
    sealed.snapshot = snapshot;
    sealed.key = keys::make_key(keys::kDiskKeyBytes);
    co_return sealed;
  }
  co_return fail(Code::NotFound, "there is no such snapshot");
}

Task<workspace::Info> FakeManager::scratch(std::string id, std::string snapshot_id, workspace::ScratchWish wish) {
  CO_TRY_ASSIGN(const Entry* entry, find(id));
  const auto& all = entry->snapshots;
  if (std::none_of(all.begin(), all.end(), [&](const auto& one) { return one.id == snapshot_id; })) {
    co_return fail(Code::NotFound, "there is no such snapshot");
  }
  auto spec = entry->info.spec;
  spec.name = std::move(wish.name);
  CO_TRY_ASSIGN(auto made, co_await create(std::move(spec), {}));
  CO_TRY_ASSIGN(Entry * kept, find(made.id));
  kept->info.isolated = true;
  co_return kept->info;
}

Task<workspace::Info> FakeManager::scratch_from(workspace::BroughtSnapshot /*brought*/, workspace::ScratchWish wish) {
  model::WorkspaceSpec spec;
  spec.name = std::move(wish.name);
  return create(std::move(spec), {});
}

Task<std::string> FakeManager::console(std::string id) {
  CO_TRY(get(id));
  co_return std::string("a console");
}

Task<workspace::Archive> FakeManager::add_archive(std::string id, workspace::ArchiveWish wish,
                                                  workspace::ArchiveBytes bytes) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  workspace::Archive archive;
  archive.workspace_id = entry->info.id;
  archive.version = wish.version.empty() ? cat(entry->archives.size() + 1) : wish.version;
  archive.created_at = entry->info.created_at;
  archive.paths = wish.paths;
  for (const auto& [one, content] : entry->archives) {
    if (one.version == archive.version) co_return fail(Code::AlreadyExists, "there is such an archive");
  }
  std::string all;
  for (;;) {
    CO_TRY_ASSIGN(const auto piece, co_await bytes());
    if (piece.empty()) break;
    all += piece;
  }
  archive.bytes = all.size();
  entry->archives.emplace_back(archive, std::move(all));
  co_return archive;
}

Result<std::vector<workspace::Archive>> FakeManager::archives(const std::string& id) const {
  TRY_ASSIGN(const Entry* entry, find(id));
  std::vector<workspace::Archive> all;
  for (const auto& [archive, content] : entry->archives) all.push_back(archive);
  return all;
}

Task<workspace::ArchiveBytes> FakeManager::read_archive(std::string id, std::string version) {
  CO_TRY_ASSIGN(const Entry* entry, find(id));
  for (const auto& [archive, content] : entry->archives) {
    if (archive.version != version) continue;
    auto left = std::make_shared<std::string>(content);
    workspace::ArchiveBytes next = [left]() -> Task<std::string> { co_return std::exchange(*left, {}); };
    co_return next;
  }
  co_return fail(Code::NotFound, "there is no such archive");
}

Task<void> FakeManager::remove_archive(std::string id, std::string version) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  std::erase_if(entry->archives, [&](const auto& one) { return one.first.version == version; });
  co_return Status{};
}

Task<workspace::Info> FakeManager::set_ttl(std::string id, std::optional<std::chrono::milliseconds> from_now,
                                           std::optional<model::TtlAction> action) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.spec.ttl = from_now;
  if (action) entry->info.spec.ttl_action = action;
  co_return entry->info;
}

Task<workspace::Info> FakeManager::change_state(std::string id, model::State to) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.state = to;
  co_return entry->info;
}

Task<workspace::Info> FakeManager::restart(std::string id) {
  CO_TRY(co_await check_may_run(id));
  co_return co_await change_state(std::move(id), model::State::running);
}
Task<void> FakeManager::seize(std::string id) {
  CO_TRY(get(id));
  co_return Status{};
}
Task<workspace::Snapshot> FakeManager::preserve(std::string id) {
  return snapshot(std::move(id), workspace::AfterSnapshot::pause);
}
Task<workspace::Info> FakeManager::keep_still(std::string id) {
  return change_state(std::move(id), model::State::paused);
}
Status FakeManager::check_free(const std::string& id) const {
  TRY_ASSIGN(const auto info, get(id));
  const auto because = contained ? contained(info.id) : std::nullopt;
  if (because) return fail(Code::FailedPrecondition, "it is contained: " + *because);
  return {};
}
Task<workspace::Info> FakeManager::pause(std::string id) { return change_state(std::move(id), model::State::paused); }
Task<workspace::Info> FakeManager::suspend(std::string id) {
  return change_state(std::move(id), model::State::suspended);
}
Task<workspace::Info> FakeManager::resume(std::string id) {
  CO_TRY(co_await check_may_run(id));
  co_return co_await change_state(std::move(id), model::State::running);
}

Task<workspace::Info> FakeManager::update(std::string id, workspace::Change change) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  if (change.name) entry->info.spec.name = *change.name;
  if (change.slug) entry->info.spec.slug = *change.slug;
  auto& spec = entry->info.spec;
  if (change.logo) spec.logo = *change.logo;
  spec.on_exit = change.on_exit.value_or(spec.on_exit);
  spec.restart_policy = change.restart_policy.value_or(spec.restart_policy);
  spec.max_restarts = change.max_restarts.value_or(spec.max_restarts);
  co_return entry->info;
}

Task<workspace::Info> FakeManager::set_metadata(std::string id, model::Metadata values, workspace::MetadataChange how) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  if (how == workspace::MetadataChange::replace) entry->info.spec.metadata.clear();
  for (auto& [key, value] : values) entry->info.spec.metadata[key] = value;
  co_return entry->info;
}

Task<workspace::Info> FakeManager::make_permanent(std::string id, std::optional<model::RestartPolicy> restart_policy) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.spec.mode = model::Mode::permanent;
  if (restart_policy) entry->info.spec.restart_policy = *restart_policy;
  co_return entry->info;
}

Task<workspace::Info> FakeManager::make_temporary(std::string id, std::optional<std::chrono::milliseconds> ttl,
                                                  std::optional<model::TtlAction> action,
                                                  std::optional<model::OnExit> on_exit) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.spec.mode = model::Mode::temporary;
  if (ttl) entry->info.spec.ttl = ttl;
  if (action) entry->info.spec.ttl_action = action;
  if (on_exit) entry->info.spec.on_exit = *on_exit;
  co_return entry->info;
}

Task<workspace::Info> FakeManager::set_idle(std::string id, std::optional<model::IdlePolicy> policy) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  entry->info.spec.idle = policy;
  co_return entry->info;
}

Task<workspace::Info> FakeManager::ping(std::string id, std::optional<std::chrono::milliseconds> ttl) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  if (ttl) entry->info.spec.ttl = ttl;
  co_return entry->info;
}

Task<workspace::Resized> FakeManager::resize(std::string id, workspace::Resources resources, workspace::Apply apply) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  workspace::Resized resized;
  resized.relaunched = apply == workspace::Apply::now;
  if (resized.relaunched) {
    auto& spec = entry->info.spec;
    spec.cpu_millis = resources.cpu_millis.value_or(spec.cpu_millis);
    spec.memory_mib = resources.memory_mib.value_or(spec.memory_mib);
    spec.disk_mib = resources.disk_mib.value_or(spec.disk_mib);
  } else {
    entry->info.pending = resources;
  }
  resized.info = entry->info;
  co_return resized;
}

Task<std::shared_ptr<vm::Machine>> FakeManager::wake_machine(std::string id) {
  CO_TRY_ASSIGN(Entry * entry, find(id));
  if (entry->info.state == model::State::suspended) {
    CO_TRY(co_await check_may_run(id));
    entry->info.state = model::State::running;
  }
  co_return machine(id);
}

void FakeManager::touch(const std::string& /*id*/) {}

Task<std::vector<workspace::LogLine>> FakeManager::logs(std::string id, workspace::LogSource source,
                                                        std::size_t /*tail*/) {
  CO_TRY_ASSIGN(const Entry* entry, find(id));
  std::vector<workspace::LogLine> lines;
  lines.push_back({entry->info.created_at, source == workspace::LogSource::boot ? "created" : "output"});
  co_return lines;
}

Task<void> FakeManager::clear_logs(std::string id) {
  CO_TRY_ASSIGN([[maybe_unused]] const Entry* entry, find(id));
  co_return Status{};
}

Result<std::shared_ptr<loop::Feed<workspace::LogLine>>> FakeManager::follow_logs(const std::string& id,
                                                                                 workspace::LogSource /*source*/) {
  TRY_ASSIGN(const Entry* entry, find(id));
  auto feed = std::make_shared<loop::Feed<workspace::LogLine>>(executor_);
  feed->push({entry->info.created_at, "a line"});
  feed->close();
  return feed;
}

identity::Totals FakeManager::usage_of(const std::string& namespace_id) const {
  identity::Totals totals;
  for (const auto& [key, entry] : entries_) {
    const auto& spec = entry->info.spec;
    if (spec.namespace_id != namespace_id) continue;
    ++totals.workspaces;
    totals.cpu_millis += spec.cpu_millis;
    totals.memory_mib += spec.memory_mib;
    totals.disk_mib += spec.disk_mib;
  }
  return totals;
}

void FakeManager::tell(workspace::EventKind kind, const workspace::Info& info) const {
  const workspace::Event event{kind, info.id, info.spec.name, info.spec.namespace_id, info.created_at, ""};
  for (const auto& listener : listeners_) listener(event);
}

void FakeManager::on_event(workspace::OnEvent callback) { listeners_.push_back(std::move(callback)); }

Result<std::shared_ptr<vm::Machine>> FakeManager::machine(const std::string& id) const {
  TRY_ASSIGN(const Entry* entry, find(id));
  if (entry->info.state != model::State::running) {
    return fail(Code::FailedPrecondition, cat("workspace '", id, "' is not running"), "start it first");
  }
  return entry->machine;
}

Task<std::unique_ptr<vm::GuestProcess>> FakeManager::exec(std::string id, model::ExecSpec spec,
                                                          workspace::AfterExec after,
                                                          workspace::KeepOutput /*keep_output*/) {
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
