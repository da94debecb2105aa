// One connection of a guest, from its first byte to its last: which rule it falls under, what its first bytes are,
// where it is dialled, and then the relay.
#pragma once
#include <list>
#include <memory>
#include <optional>
#include <string>

#include "gate/control.h"
#include "gate/dialer.h"
#include "gate/event_loop.h"
#include "gate/http_pump.h"
#include "gate/stream_pump.h"

namespace cofferdam::gate {

class Flow;

// What a flow needs of the workspace it belongs to.
class FlowHost {
 public:
  virtual ~FlowHost() = default;
  virtual EventLoop& loop() = 0;
  virtual Resolver& resolver() = 0;
  virtual PipePool& pipes() = 0;
  virtual const Policy& policy() = 0;
  virtual const Settings& settings() = 0;
  // The name a synthetic address stands for; nullopt when it is none of ours. Empty: one of ours that means nothing.
  virtual std::optional<std::string> synthetic_name(const Address& address) = 0;
  // A socket inside `target`, and its guest's address; nullopt when `target` is not there. Told later by
  // Flow::take_socket when there is none at the moment.
  struct InsideSocket {
    UniqueFd socket;  // none: it comes later
    Address guest;
  };
  virtual std::optional<InsideSocket> inside_socket(const std::string& target, Flow& flow) = 0;
  // How many of `wanted` bytes the workspace's rate still has now.
  virtual std::uint64_t byte_budget(std::uint64_t wanted) = 0;
  virtual void count_bytes(std::uint64_t out, std::uint64_t in) = 0;
  // There is more to do: with the next turn, or when the rate has something again.
  enum class Later : std::uint8_t { next_turn, throttled };
  virtual void call_later(Flow& flow, Later when) = 0;
  virtual void record(FlowRecord record) = 0;
  // The daemon's request for an ingress is settled: `none`, it is connected.
  virtual void ingress_settled(std::uint64_t request, FlowReason reason) = 0;
  // The flow is over. It is destroyed after the events of this round, not before.
  virtual void flow_ended(Flow& flow) = 0;
};

class Flow final : public Dialer::Owner {
 public:
  // `near` is the side that began: the guest's connection, or an ingress' client.
  Flow(FlowHost& host, std::uint64_t id, FlowKind kind, UniqueFd near);
  ~Flow() override = default;
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  // A guest's connection, accepted with the address it dialled as the local one.
  void start();
  // The other way round, to the guest's own port. `request` is the daemon's, which waits for an answer.
  // `refused` says why it may not be, so that this is on record.
  void start_ingress(const OpenIngress& wanted, std::uint64_t request, FlowReason refused);
  // The socket that inside_socket() could not give at once.
  void take_socket(UniqueFd socket, const Address& guest);

  // Under the host's policy and settings as they are now: none when it may go on.
  [[nodiscard]] FlowReason recheck();
  // Closes it at once, with a reset to both sides.
  void end(FlowReason reason);
  void tick();
  void resume();

  [[nodiscard]] std::uint64_t id() const { return id_; }
  [[nodiscard]] FlowKind kind() const { return kind_; }
  [[nodiscard]] bool over() const { return state_ == State::over; }
  // Has one that is to be looked at often.
  [[nodiscard]] bool has_deadline() const { return state_ < State::relaying || deadline_ != Clock::time_point(); }
  [[nodiscard]] const std::string& target() const { return target_; }  // of a link
  // To somewhere that only the host's own network leads to.
  [[nodiscard]] bool goes_outside() const { return kind_ == FlowKind::egress; }

  void dialled(UniqueFd socket, const std::optional<Address>& address, std::string via) override;
  void dial_failed(FlowReason reason, const std::optional<Address>& address) override;

  // Kept by the host.
  std::list<Flow>::iterator place;
  bool waits_for_turn = false;

 private:
  enum class State : std::uint8_t { fresh, looking, dialling, relaying, over };

  // One of the two sockets.
  class Side final : public Watcher {
   public:
    explicit Side(Flow& flow) : flow_(flow) {}
    void ready(std::uint32_t events) override;
    UniqueFd fd;
    Readiness readiness;
    bool failed = false;

   private:
    Flow& flow_;
  };

  // Needed only until the relay begins.
  struct Opening {
    std::string head;             // what the near side has sent
    std::uint64_t looked_at = 0;  // bytes of it, those that were handed on too
    std::unique_ptr<Dialer> dialer;
  };
  void on_ready();
  FlowReason choose_rule();
  FlowReason choose_name_rule(const std::string& name);
  void look();
  void look_at_tls();
  void look_at_http();
  void observe_http();
  void not_understood(FlowReason reason);
  void dial();
  void dial_inside();
  void relay();
  // False while it is not known whether the connection is HTTP still.
  bool settle_upgrade();
  void settle_deadline();
  void refuse(FlowReason reason);
  void close_sockets(FlowReason reason);
  [[nodiscard]] FlowRecord make_record(FlowEvent event, FlowReason reason) const;
  [[nodiscard]] std::uint64_t moved_out() const;

  FlowHost& host_;
  std::uint64_t id_;
  std::uint64_t generation_;
  Side near_;
  Side far_;
  StreamPump out_;  // near to far
  StreamPump in_;   // far to near
  std::unique_ptr<Opening> opening_ = std::make_unique<Opening>();
  std::unique_ptr<HttpPump> http_;  // in the place of out_, when requests are looked at one by one
  std::uint64_t http_moved_ = 0;    // by it, before the connection became another
  std::string name_;
  std::string peer_;    // SNI or Host shown, or an ingress' client
  std::string target_;  // of a link
  std::string via_;     // by which proxies it goes outside
  Address address_;     // dialled by the guest, then by us; nobody's while a proxy chose it
  Clock::time_point started_;
  Clock::time_point active_;
  Clock::time_point deadline_;
  std::uint64_t started_us_ = 0;
  std::uint64_t ingress_request_ = 0;
  Address wanted_;  // what the guest dialled
  std::uint16_t port_ = 0;
  FlowKind kind_;
  State state_ = State::fresh;
  Inspect inspect_ = Inspect::require;
  Strict strict_ = Strict::no;
  Upgrade upgrade_ = Upgrade::refuse;
  IngressKind ingress_kind_ = IngressKind::exposed;
  bool verified_ = false;  // the first bytes showed the name
  bool ech_ = false;
  bool chosen_by_proxy_ = false;  // which address it has is not known here
  bool upgraded_ = false;
  bool out_ended_ = false;
  bool in_ended_ = false;
};

// The local address of a socket of IPv4: of a connection that was redirected to us, what the guest dialled.
std::optional<Endpoint> local_endpoint(int fd);
std::uint64_t wall_clock_us();
// Makes the close that follows a reset.
void reset_on_close(int fd);

}  // namespace cofferdam::gate
