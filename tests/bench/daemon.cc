#include "tests/bench/daemon.h"

#include "absl/strings/str_cat.h"
#include "tests/bench/rpc_load.h"

namespace interpd::bench {

absl::StatusOr<std::unique_ptr<Daemon>> Daemon::Start(const std::vector<std::string>& args) {
  std::vector<std::string> command = {RunfilePath("daemon/interpd")};
  command.insert(command.end(), args.begin(), args.end());
  absl::StatusOr<std::unique_ptr<ServerProcess>> process = ServerProcess::Start(std::move(command));
  if (!process.ok()) return process.status();
  auto daemon = std::make_unique<Daemon>();
  daemon->process_ = *std::move(process);
  std::shared_ptr<grpc::Channel> channel = Connect(daemon->process_->address());
  daemon->interpreters_ = v1::Interpreters::NewStub(channel);
  daemon->admin_ = v1::Admin::NewStub(channel);
  return daemon;
}

absl::Status Daemon::Create(const std::string& name) {
  grpc::ClientContext context;
  v1::CreateRequest request;
  request.set_interpreter_id(name);
  v1::Interpreter answer;
  return ToAbsl(interpreters_->Create(&context, request, &answer));
}

absl::Status Daemon::Exec(const std::string& name, const std::string& source) {
  grpc::ClientContext context;
  v1::ExecRequest request;
  request.set_name(absl::StrCat("interpreters/", name));
  request.set_source(source);
  std::unique_ptr<grpc::ClientReader<v1::ExecResponse>> reader = interpreters_->Exec(&context, request);
  v1::ExecResponse answer;
  absl::Status raised;
  while (reader->Read(&answer)) {
    if (answer.result().has_exception()) raised = absl::UnknownError(answer.result().exception().formatted());
  }
  absl::Status status = ToAbsl(reader->Finish());
  return status.ok() ? raised : status;
}

absl::Status Daemon::Call(const std::string& name, const std::string& target) {
  grpc::ClientContext context;
  v1::CallRequest request;
  request.set_name(absl::StrCat("interpreters/", name));
  request.set_target(target);
  v1::CallResponse answer;
  if (absl::Status status = ToAbsl(interpreters_->Call(&context, request, &answer)); !status.ok()) return status;
  if (answer.has_exception()) return absl::UnknownError(answer.exception().formatted());
  return absl::OkStatus();
}

absl::Status Daemon::Close(const std::string& name) {
  grpc::ClientContext context;
  v1::CloseRequest request;
  request.set_name(absl::StrCat("interpreters/", name));
  v1::Interpreter answer;
  if (absl::Status status = ToAbsl(interpreters_->Close(&context, request, &answer)); !status.ok()) return status;
  if (answer.state() != v1::Interpreter::CLOSED) {
    return absl::InternalError(absl::StrCat(name, " ended in state ", v1::Interpreter::State_Name(answer.state())));
  }
  return absl::OkStatus();
}

absl::StatusOr<v1::Info> Daemon::GetInfo() {
  grpc::ClientContext context;
  v1::Info info;
  if (absl::Status status = ToAbsl(admin_->GetInfo(&context, {}, &info)); !status.ok()) return status;
  return info;
}

}  // namespace interpd::bench
