// One command in the ledger: that it was started and how it ended, or that it was refused.
#pragma once
#include <functional>
#include <memory>
#include <string>

#include "ledger/recorder.h"
#include "vm/machine.h"

namespace cofferdam::workspace {

class ExecRecord {
 public:
  // As it was asked for, before anything is filled in. `recorder` outlives this and the process that it follows.
  ExecRecord(ledger::Recorder& recorder, const model::ExecSpec& asked);

  // Just before the guest is asked. `secrets`: the names of those that go along.
  void started(model::Subject about, std::vector<std::string> secrets);
  // It did not come to a process.
  void failed(const Error& error, model::Subject about);
  // Whether the machine is gone for now alone: what ends with it goes on later, and is resumed then.
  using Sleeps = std::function<bool()>;
  // The same process; its end is written down, and told only when the start is durable.
  std::unique_ptr<vm::GuestProcess> follow(std::unique_ptr<vm::GuestProcess> process, Sleeps sleeps = {});

  // What a later daemon needs to write its end down, and `rest` behind it.
  [[nodiscard]] std::string tag(std::string_view rest) const;
  struct Left {
    std::unique_ptr<vm::GuestProcess> process;
    std::string rest;
  };
  // One that was left with such a tag, which is the guest's word. InvalidArgument: it is none.
  static Result<Left> resume(ledger::Recorder& recorder, model::Subject about, vm::LeftProcess left,
                             Sleeps sleeps = {});

 private:
  ledger::Recorder& recorder_;
  model::Origin by_;
  model::Subject about_;
  model::ExecStarted event_;
  bool started_ = false;
};

}  // namespace cofferdam::workspace
