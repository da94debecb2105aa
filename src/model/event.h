// Everything the ledger can say, one struct for each kind of entry, with the names and numbers of its fields.
//
// Numbers are for ever: a field or kind that is no longer written keeps its number, a new one takes a new number. Texts
// may hold anything: the ledger makes them UTF-8, takes secrets out and cuts them before they are written.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "model/origin.h"

namespace cofferdam::model {

using Texts = std::vector<std::string>;

struct EventKind {
  std::uint16_t number;
  std::string_view name;  // "exec.started"
};

// What it is about; empty: the host.
struct Subject {
  std::string workspace_id, namespace_id;
};

// Declares the fields of an event for whoever encodes, names or changes them: `visit(number, name, field)`. A field is
// a std::int64_t, a std::string or Texts; 1 to 15 are the numbers of what every entry has.
#define COFFER_EVENT(number, name, ...)             \
  static constexpr EventKind kKind{number, name};   \
  template <class Self, class Visit>                \
  static void fields(Self& e, const Visit& visit) { \
    (void)e, (void)visit;                           \
    __VA_ARGS__                                     \
  }

// -- the daemon ------------------------------------------------------------------------------------------------------
struct DaemonStarted {
  std::string version, config_digest, accelerator;
  std::int64_t pid = 0;
  COFFER_EVENT(1, "daemon.started", visit(16, "version", e.version); visit(17, "config_digest", e.config_digest);
               visit(18, "accelerator", e.accelerator); visit(19, "pid", e.pid);)
};
struct DaemonStopped {
  std::string reason;
  COFFER_EVENT(2, "daemon.stopped", visit(16, "reason", e.reason);)
};
// A copy of the daemon's state was handed out, sealed.
struct StateBackedUp {
  std::string backup;        // "bak_…"
  std::int64_t keys = 0;     // of the key tree, that are in it
  std::int64_t entries = 0;  // of the ledger, that are in it
  COFFER_EVENT(3, "state.backed_up", visit(16, "backup", e.backup); visit(17, "keys", e.keys);
               visit(18, "entries", e.entries);)
};
// The state is that of a backup. What the newer ledger, if there was one, says has ended since has ended here too.
struct StateRestored {
  std::string backup;
  std::int64_t made_us = 0;          // when the backup was made, since 1970
  std::string ledger;                // "of the backup", or "newer": the one that was there goes on
  std::int64_t ended_at = -1;        // up to which entry what has ended was looked for; -1: in no newer ledger
  std::int64_t keys = 0, ended = 0;  // keys that were put back; keys, tokens, secrets and workspaces that were not
  COFFER_EVENT(4, "state.restored", visit(16, "backup", e.backup); visit(17, "made_us", e.made_us);
               visit(18, "ledger", e.ledger); visit(19, "ended_at", e.ended_at); visit(20, "keys", e.keys);
               visit(21, "ended", e.ended);)
};

// -- the API ---------------------------------------------------------------------------------------------------------
// A request that may have changed something, after it was answered; also one that failed.
struct ApiChanged {
  std::string method, route, path;  // the table's pattern, and the path itself without its query
  std::int64_t status = 0;
  std::string code;    // of the error, when it failed
  std::string detail;  // what of the query or body says what was changed: the path of a file
  COFFER_EVENT(10, "api.changed", visit(16, "method", e.method); visit(17, "route", e.route); visit(18, "path", e.path);
               visit(19, "status", e.status); visit(20, "code", e.code); visit(21, "detail", e.detail);)
};
// A request whose credentials did not suffice, whatever it asked for.
struct ApiRefused {
  std::string method, path;
  std::int64_t status = 0;
  std::string code, reason;
  COFFER_EVENT(11, "api.refused", visit(16, "method", e.method); visit(17, "path", e.path);
               visit(18, "status", e.status); visit(19, "code", e.code); visit(20, "reason", e.reason);)
};

// -- tokens and API keys ---------------------------------------------------------------------------------------------
struct TokenIssued {
  std::string token, token_kind, scope, verbs, sources, label;
  std::int64_t expires_at = 0;  // seconds since 1970; 0: never
  COFFER_EVENT(20, "token.issued", visit(16, "token", e.token); visit(17, "token_kind", e.token_kind);
               visit(18, "scope", e.scope); visit(19, "verbs", e.verbs); visit(20, "sources", e.sources);
               visit(21, "label", e.label); visit(22, "expires_at", e.expires_at);)
};
struct TokenRotated {
  std::string token;
  std::int64_t grace_s = 0;
  COFFER_EVENT(21, "token.rotated", visit(16, "token", e.token); visit(17, "grace_s", e.grace_s);)
};
struct TokenRevoked {
  std::string token;
  std::string reason;  // why, when nobody asked for it: "its workspace was removed"
  COFFER_EVENT(22, "token.revoked", visit(16, "token", e.token); visit(17, "reason", e.reason);)
};
struct TokenExpired {
  std::string token;
  COFFER_EVENT(23, "token.expired", visit(16, "token", e.token);)
};
// A credential that was presented and not taken. Never the credential itself.
struct TokenRefused {
  std::string credential;  // what it claims to be: "control token", "client secret of key_…"
  std::string reason;
  std::int64_t times = 1;  // so often from this address since the last such entry
  COFFER_EVENT(24, "token.refused", visit(16, "credential", e.credential); visit(17, "reason", e.reason);
               visit(18, "times", e.times);)
};

// -- secrets ---------------------------------------------------------------------------------------------------------
struct SecretSet {
  std::string name;
  COFFER_EVENT(30, "secret.set", visit(16, "name", e.name);)
};
// Handed to a workspace, or by the broker to a service (`destination`).
struct SecretUsed {
  Texts names;
  std::string destination;
  COFFER_EVENT(31, "secret.used", visit(16, "names", e.names); visit(17, "destination", e.destination);)
};
struct SecretRemoved {
  std::string name;
  COFFER_EVENT(32, "secret.removed", visit(16, "name", e.name);)
};

// -- workspaces ------------------------------------------------------------------------------------------------------
struct WorkspaceCreated {
  std::string name, image, mode;
  std::int64_t cpu_millis = 0, memory_mib = 0, disk_mib = 0;
  COFFER_EVENT(40, "workspace.created", visit(16, "name", e.name); visit(17, "image", e.image);
               visit(18, "mode", e.mode); visit(19, "cpu_millis", e.cpu_millis); visit(20, "memory_mib", e.memory_mib);
               visit(21, "disk_mib", e.disk_mib);)
};
// A step of its life that has no entry of its own: `step` is "started", "stopped", "paused", "resized", …
struct WorkspaceStepped {
  std::string step, detail;
  COFFER_EVENT(41, "workspace.stepped", visit(16, "step", e.step); visit(17, "detail", e.detail);)
};
struct WorkspaceRemoved {
  std::string name;
  COFFER_EVENT(42, "workspace.removed", visit(16, "name", e.name);)
};
struct WorkspaceForked {
  std::string parent, snapshot;
  COFFER_EVENT(43, "workspace.forked", visit(16, "parent", e.parent); visit(17, "snapshot", e.snapshot);)
};
struct SnapshotTaken {
  std::string snapshot, digest;
  std::int64_t bytes = 0;
  COFFER_EVENT(44, "snapshot.taken", visit(16, "snapshot", e.snapshot); visit(17, "digest", e.digest);
               visit(18, "bytes", e.bytes);)
};
struct SnapshotRestored {
  std::string snapshot, digest;
  COFFER_EVENT(45, "snapshot.restored", visit(16, "snapshot", e.snapshot); visit(17, "digest", e.digest);)
};
struct SnapshotRemoved {
  std::string snapshot;
  COFFER_EVENT(46, "snapshot.removed", visit(16, "snapshot", e.snapshot);)
};
// Of a workload; its runs are commands and have their own entries.
struct WorkloadStepped {
  std::string step, detail;
  COFFER_EVENT(47, "workload.stepped", visit(16, "step", e.step); visit(17, "detail", e.detail);)
};

// -- commands --------------------------------------------------------------------------------------------------------
struct ExecStarted {
  std::string exec;  // "cmd_…", the same at its end
  Texts argv;
  std::string user, cwd;  // empty: the image's
  std::string via;        // "exec", "runtime", "terminal", "workload"
  Texts env_names;        // that the command was given beyond its workspace's; never the values
  COFFER_EVENT(60, "exec.started", visit(16, "exec", e.exec); visit(17, "argv", e.argv); visit(18, "user", e.user);
               visit(19, "cwd", e.cwd); visit(20, "via", e.via); visit(21, "env_names", e.env_names);)
};
struct ExecEnded {
  std::string exec;
  std::int64_t exit = 0, signal = 0;
  std::int64_t started_us = 0;  // since 1970
  std::int64_t took_us = 0;
  std::int64_t bytes_out = 0;
  std::string how;  // "exited", "timed out", "output limit", "out of memory", "given up", "machine ended"
  COFFER_EVENT(61, "exec.ended", visit(16, "exec", e.exec); visit(17, "exit", e.exit); visit(18, "signal", e.signal);
               visit(19, "started_us", e.started_us); visit(20, "took_us", e.took_us);
               visit(21, "bytes_out", e.bytes_out); visit(22, "how", e.how);)
};
struct ExecRefused {
  Texts argv;
  std::string user, via, reason;
  COFFER_EVENT(62, "exec.refused", visit(16, "argv", e.argv); visit(17, "user", e.user); visit(18, "via", e.via);
               visit(19, "reason", e.reason);)
};

// -- the network -----------------------------------------------------------------------------------------------------
struct ConnectionAllowed {
  std::string direction;  // "out", "in", "link"
  std::string protocol;   // "tcp", "tls", "http", "dns"
  std::string name, ip;   // what was asked for, and what it was connected to
  std::int64_t port = 0;
  std::string shown;                // the SNI or Host; a link's target; who came in
  std::int64_t policy_version = 0;  // its generation
  COFFER_EVENT(70, "connection.allowed", visit(16, "direction", e.direction); visit(17, "protocol", e.protocol);
               visit(18, "name", e.name); visit(19, "ip", e.ip); visit(20, "port", e.port); visit(21, "shown", e.shown);
               visit(22, "policy_version", e.policy_version);)
};
struct ConnectionRefused {
  std::string direction, protocol, name, ip;
  std::int64_t port = 0;
  std::string reason;
  std::int64_t policy_version = 0;
  std::int64_t times = 1;  // alike, since the last such entry
  COFFER_EVENT(71, "connection.refused", visit(16, "direction", e.direction); visit(17, "protocol", e.protocol);
               visit(18, "name", e.name); visit(19, "ip", e.ip); visit(20, "port", e.port);
               visit(21, "reason", e.reason); visit(22, "policy_version", e.policy_version);
               visit(23, "times", e.times);)
};
struct ConnectionClosed {
  std::string direction, protocol, name, ip;
  std::int64_t port = 0, bytes_out = 0, bytes_in = 0, took_us = 0;
  std::string why;  // "ended", "policy changed", "idle", "contained"
  COFFER_EVENT(72, "connection.closed", visit(16, "direction", e.direction); visit(17, "protocol", e.protocol);
               visit(18, "name", e.name); visit(19, "ip", e.ip); visit(20, "port", e.port);
               visit(21, "bytes_out", e.bytes_out); visit(22, "bytes_in", e.bytes_in); visit(23, "took_us", e.took_us);
               visit(24, "why", e.why);)
};
struct PolicyChanged {
  std::int64_t policy_version = 0;
  std::string digest, summary;
  COFFER_EVENT(73, "policy.changed", visit(16, "policy_version", e.policy_version); visit(17, "digest", e.digest);
               visit(18, "summary", e.summary);)
};
struct LinkChanged {
  std::string link, action;  // "created", "removed", "expired"
  std::string from, to;      // workspace ids
  std::int64_t port = 0;     // the only one, if it is one
  std::string ports;         // "5432,8000-8010"
  COFFER_EVENT(74, "link.changed", visit(16, "link", e.link); visit(17, "action", e.action); visit(18, "from", e.from);
               visit(19, "to", e.to); visit(20, "port", e.port); visit(21, "ports", e.ports);)
};
struct PortChanged {
  std::string action;   // "opened", "closed"
  std::string address;  // of the host
  std::int64_t port = 0, guest_port = 0;
  COFFER_EVENT(75, "port.changed", visit(16, "action", e.action); visit(17, "address", e.address);
               visit(18, "port", e.port); visit(19, "guest_port", e.guest_port);)
};

// -- keys ------------------------------------------------------------------------------------------------------------
struct KeyCreated {
  std::string key, purpose, holder;
  COFFER_EVENT(80, "key.created", visit(16, "key", e.key); visit(17, "purpose", e.purpose);
               visit(18, "holder", e.holder);)
};
// With the receipt of its erasure.
struct KeyDestroyed {
  std::string key, purpose;
  std::string header_digest;            // SHA-256 of what could only be read with it
  std::string tree_before, tree_after;  // roots of the key tree
  std::int64_t files = 0, bytes = 0;    // that were discarded
  std::string receipt;                  // the receipt whole, as its room writes it
  COFFER_EVENT(81, "key.destroyed", visit(16, "key", e.key); visit(17, "purpose", e.purpose);
               visit(18, "header_digest", e.header_digest); visit(19, "tree_before", e.tree_before);
               visit(20, "tree_after", e.tree_after); visit(21, "files", e.files); visit(22, "bytes", e.bytes);
               visit(23, "receipt", e.receipt);)
};

// -- images ----------------------------------------------------------------------------------------------------------
struct ImageChanged {
  std::string action;  // "built", "imported", "removed"
  std::string image, digest;
  COFFER_EVENT(85, "image.changed", visit(16, "action", e.action); visit(17, "image", e.image);
               visit(18, "digest", e.digest);)
};

// -- the ledger about itself -----------------------------------------------------------------------------------------
// A signing key takes over; `link` is the note that the one before signed (ledger/key_chain.h). The first is entry 0.
struct LedgerKeyed {
  std::int64_t epoch = 0;
  std::string link;
  COFFER_EVENT(90, "ledger.keyed", visit(16, "epoch", e.epoch); visit(17, "link", e.link);)
};
// What could not be written down.
struct LedgerGap {
  std::int64_t dropped = 0, since_us = 0, until_us = 0;
  Texts kinds;  // "connection.refused 12"
  COFFER_EVENT(91, "ledger.gap", visit(16, "dropped", e.dropped); visit(17, "since_us", e.since_us);
               visit(18, "until_us", e.until_us); visit(19, "kinds", e.kinds);)
};
// What a daemon that died had left: half an entry, and whole ones that nobody had signed.
struct LedgerRecovered {
  std::int64_t cut_bytes = 0, unsigned_from = 0, unsigned_count = 0;
  COFFER_EVENT(92, "ledger.recovered", visit(16, "cut_bytes", e.cut_bytes); visit(17, "unsigned_from", e.unsigned_from);
               visit(18, "unsigned_count", e.unsigned_count);)
};
// The wall clock was moved: times of entries before and after do not compare.
struct ClockJumped {
  std::int64_t by_us = 0;
  COFFER_EVENT(93, "clock.jumped", visit(16, "by_us", e.by_us);)
};
struct LedgerPruned {
  std::int64_t from = 0, to = 0;  // the entries that went, both included
  std::string root;               // of the tree that ends with them, hexadecimal
  COFFER_EVENT(94, "ledger.pruned", visit(16, "from", e.from); visit(17, "to", e.to); visit(18, "root", e.root);)
};
struct WitnessFailed {
  std::string witness, reason;
  std::int64_t times = 1;
  COFFER_EVENT(95, "witness.failed", visit(16, "witness", e.witness); visit(17, "reason", e.reason);
               visit(18, "times", e.times);)
};

// -- the watch -------------------------------------------------------------------------------------------------------
struct AlertRaised {
  std::string alert, rule, subject, cause, evidence;
  COFFER_EVENT(110, "alert.raised", visit(16, "alert", e.alert); visit(17, "rule", e.rule);
               visit(18, "subject", e.subject); visit(19, "cause", e.cause); visit(20, "evidence", e.evidence);)
};
struct AlertAcknowledged {
  std::string alert, rule;
  COFFER_EVENT(111, "alert.acknowledged", visit(16, "alert", e.alert); visit(17, "rule", e.rule);)
};

// -- incidents -------------------------------------------------------------------------------------------------------
// A workspace was cut off from everything, after the last step; `steps`: "vcpus 3 ms", or "hold failed: why".
struct WorkspaceContained {
  std::string incident, why;
  Texts steps;
  COFFER_EVENT(100, "workspace.contained", visit(16, "incident", e.incident); visit(17, "why", e.why);
               visit(18, "steps", e.steps);)
};
struct WorkspaceReleased {
  std::string incident, why;
  COFFER_EVENT(101, "workspace.released", visit(16, "incident", e.incident); visit(17, "why", e.why);)
};
// What was handed out as evidence: the SHA-256 of its manifest, hexadecimal; and whose keys it was encrypted to.
struct EvidenceSealed {
  std::string incident, manifest, snapshot;
  Texts recipients;
  COFFER_EVENT(102, "evidence.sealed", visit(16, "incident", e.incident); visit(17, "manifest", e.manifest);
               visit(18, "snapshot", e.snapshot); visit(19, "recipients", e.recipients);)
};
// Evidence became a workspace without any network (the one this is about), for looking into.
struct EvidenceOpened {
  std::string from, snapshot;  // the workspace it was taken of
  std::string signed_by;       // the first key of the ledger that sealed it; empty: it never left this host
  COFFER_EVENT(103, "evidence.opened", visit(16, "from", e.from); visit(17, "snapshot", e.snapshot);
               visit(18, "signed_by", e.signed_by);)
};

// -- drills ----------------------------------------------------------------------------------------------------------
// A snapshot was brought back for a moment, to know whether it could be; `error` is empty when it could.
struct DrillEnded {
  std::string snapshot, error;
  std::int64_t restore_us = 0, check_us = 0, took_us = 0;
  COFFER_EVENT(120, "drill.ended", visit(16, "snapshot", e.snapshot); visit(17, "error", e.error);
               visit(18, "restore_us", e.restore_us); visit(19, "check_us", e.check_us);
               visit(20, "took_us", e.took_us);)
};

#undef COFFER_EVENT

template <class... E>
struct EventList {
  static constexpr std::size_t kCount = sizeof...(E);
};
using AllEvents = EventList<DaemonStarted, DaemonStopped, StateBackedUp, StateRestored, ApiChanged, ApiRefused,
                            TokenIssued, TokenRotated, TokenRevoked, TokenExpired, TokenRefused, SecretSet, SecretUsed,
                            SecretRemoved, WorkspaceCreated, WorkspaceStepped, WorkspaceRemoved, WorkspaceForked,
                            SnapshotTaken, SnapshotRestored, SnapshotRemoved, WorkloadStepped, ExecStarted, ExecEnded,
                            ExecRefused, ConnectionAllowed, ConnectionRefused, ConnectionClosed, PolicyChanged,
                            LinkChanged, PortChanged, KeyCreated, KeyDestroyed, ImageChanged, LedgerKeyed, LedgerGap,
                            LedgerRecovered, ClockJumped, LedgerPruned, WitnessFailed, AlertRaised, AlertAcknowledged,
                            WorkspaceContained, WorkspaceReleased, EvidenceSealed, EvidenceOpened, DrillEnded>;

// What is called for each field of an event, in order.
class FieldVisitor {
 public:
  virtual ~FieldVisitor() = default;
  virtual void visit(std::uint8_t number, std::string_view name, std::int64_t& field) = 0;
  virtual void visit(std::uint8_t number, std::string_view name, std::string& field) = 0;
  virtual void visit(std::uint8_t number, std::string_view name, Texts& field) = 0;
};

// One of the structs above. No std::variant, whose forty ways to be copied every file that writes something down would
// compile anew.
class Event {
 public:
  template <class E>
    requires requires { E::kKind; }
  Event(E event)  // NOLINT(google-explicit-constructor): each of them is an event
      : held_(std::make_unique<Held<E>>(std::move(event))) {}
  Event(const Event& other) : held_(other.held_->copy()) {}
  Event(Event&&) noexcept = default;
  Event& operator=(const Event& other) { return *this = Event(other); }
  Event& operator=(Event&&) noexcept = default;
  ~Event() = default;

  [[nodiscard]] EventKind kind() const { return held_->kind(); }
  // nullptr: it is of another kind.
  template <class E>
  E* as() {
    return kind().number == E::kKind.number ? &static_cast<Held<E>&>(*held_).event : nullptr;
  }
  template <class E>
  const E* as() const {
    return kind().number == E::kKind.number ? &static_cast<const Held<E>&>(*held_).event : nullptr;
  }
  // Calls visit(number, name, field) for each field.
  template <class Visit>
  void each_field(const Visit& visit) {
    Caller<Visit> caller(visit);
    held_->each(caller);
  }
  template <class Visit>
  void each_field(const Visit& visit) const {
    const auto read = [&visit](std::uint8_t number, std::string_view name, const auto& field) {
      visit(number, name, field);
    };
    Caller<decltype(read)> caller(read);
    held_->each(caller);
  }

 private:
  struct Holder {
    virtual ~Holder() = default;
    [[nodiscard]] virtual EventKind kind() const = 0;
    [[nodiscard]] virtual std::unique_ptr<Holder> copy() const = 0;
    virtual void each(FieldVisitor& visitor) = 0;
  };
  template <class E>
  struct Held final : Holder {
    explicit Held(E given) : event(std::move(given)) {}
    [[nodiscard]] EventKind kind() const override { return E::kKind; }
    [[nodiscard]] std::unique_ptr<Holder> copy() const override { return std::make_unique<Held>(event); }
    void each(FieldVisitor& visitor) override {
      E::fields(event, [&visitor](std::uint8_t number, std::string_view name, auto& field) {
        visitor.visit(number, name, field);
      });
    }
    E event;
  };
  template <class Visit>
  struct Caller final : FieldVisitor {
    explicit Caller(const Visit& given) : call(given) {}
    void visit(std::uint8_t number, std::string_view name, std::int64_t& field) override { call(number, name, field); }
    void visit(std::uint8_t number, std::string_view name, std::string& field) override { call(number, name, field); }
    void visit(std::uint8_t number, std::string_view name, Texts& field) override { call(number, name, field); }
    const Visit& call;
  };
  std::unique_ptr<Holder> held_;
};

struct Entry {
  Origin by;
  Subject about;
  Event event;
};

// Calls visit(field) for every text of the entry, to read or change it.
template <class Visit>
void each_text(Entry& entry, const Visit& visit) {
  for (auto* text : {&entry.by.actor, &entry.by.address, &entry.by.request_id, &entry.about.workspace_id,
                     &entry.about.namespace_id}) {
    visit(*text);
  }
  const auto field = [&](std::uint8_t, std::string_view, auto& value) {
    using Field = std::decay_t<decltype(value)>;
    if constexpr (std::is_same_v<Field, std::string>) visit(value);
    if constexpr (std::is_same_v<Field, Texts>) {
      for (auto& text : value) visit(text);
    }
  };
  entry.event.each_field(field);
}

struct FieldInfo {
  std::uint8_t number;
  std::string_view name;
  enum class Type { number, text, texts } type;
};
// In order; empty: a kind of a newer program.
const std::vector<FieldInfo>& fields_of(std::uint16_t kind);
// Names by number; empty: a kind or field of a newer program.
std::string_view kind_name(std::uint16_t kind);
std::string_view field_name(std::uint16_t kind, std::uint8_t field);
// 0: there is no such kind.
std::uint16_t kind_number(std::string_view name);
std::vector<std::string_view> all_kind_names();

}  // namespace cofferdam::model
