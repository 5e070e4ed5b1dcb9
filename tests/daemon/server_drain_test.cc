// Draining, which a host does once: so a program of its own.
#include <optional>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "grpc/health/v1/health.grpc.pb.h"
#include "tests/daemon/test_server.h"

namespace interpd::daemon {
namespace {

using grpc::health::v1::Health;
using grpc::health::v1::HealthCheckRequest;
using grpc::health::v1::HealthCheckResponse;

TEST_F(ServerTest, ADrainRefusesNewWorkAndFinishesTheOld) {
  std::optional<absl::Duration> asked;
  ServerOptions options;
  options.on_drain = [&asked](std::optional<absl::Duration> grace) { asked = grace; };
  Start(options);
  ASSERT_TRUE(Create("one").ok());

  auto health = Health::NewStub(channel_);
  grpc::ClientContext watch_context;
  Patience(watch_context);
  auto watch = health->Watch(&watch_context, HealthCheckRequest());
  HealthCheckResponse health_now;
  ASSERT_TRUE(watch->Read(&health_now));
  EXPECT_EQ(health_now.status(), HealthCheckResponse::SERVING);

  grpc::ClientContext exec_context;
  Patience(exec_context);
  v1::ExecRequest exec;
  exec.set_name("interpreters/one");
  exec.set_source("import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.001)");
  auto running = interpreters_->Exec(&exec_context, exec);
  v1::ExecResponse message;
  ASSERT_TRUE(running->Read(&message));

  // An idle stream, which must not hold up the end.
  grpc::ClientContext idle_context;
  Patience(idle_context);
  auto idle = interpreters_->CallStream(&idle_context);
  ASSERT_TRUE(idle->Write(v1::CallStreamRequest()));

  grpc::ClientContext drain_context;
  v1::DrainRequest drain;
  v1::DrainResponse drained;
  drain.mutable_grace_period()->set_seconds(-1);
  EXPECT_EQ(InfoOf(admin_->Drain(&drain_context, drain, &drained)).metadata().at("field"), "grace_period");
  grpc::ClientContext again_context;
  drain.mutable_grace_period()->set_seconds(7);
  EXPECT_TRUE(admin_->Drain(&again_context, drain, &drained).ok());
  EXPECT_EQ(asked, absl::Seconds(7));

  server_->BeginDrain();
  ASSERT_TRUE(watch->Read(&health_now));
  EXPECT_EQ(health_now.status(), HealthCheckResponse::NOT_SERVING);
  v1::CallResponse response;
  for (const grpc::Status& status : {Create("two"), Call(CallOf("one", "f"), &response)}) {
    EXPECT_EQ(status.error_code(), grpc::UNAVAILABLE);
    EXPECT_EQ(InfoOf(status).reason(), "SERVER_DRAINING");
  }
  grpc::ClientContext info_context;
  v1::Info info;
  ASSERT_TRUE(admin_->GetInfo(&info_context, {}, &info).ok());
  EXPECT_TRUE(info.draining());

  absl::Notification closed;
  interpd::testing::Host().CloseAll(absl::Milliseconds(100), [&closed] { closed.Notify(); });
  closed.WaitForNotification();
  absl::Time before = absl::Now();
  std::thread shutdown([this] { server_->Shutdown(); });
  while (running->Read(&message)) {
  }
  EXPECT_EQ(message.result().exception().type(), "KeyboardInterrupt");
  EXPECT_TRUE(running->Finish().ok());
  EXPECT_FALSE(watch->Read(&health_now));
  EXPECT_EQ(watch->Finish().error_code(), grpc::UNAVAILABLE);
  v1::CallStreamResponse answer;
  EXPECT_FALSE(idle->Read(&answer));
  EXPECT_EQ(InfoOf(idle->Finish()).reason(), "SERVER_DRAINING");
  shutdown.join();
  // Not held up by connections of clients that keep them open.
  EXPECT_LT(absl::Now() - before, absl::Milliseconds(1500));
}

}  // namespace
}  // namespace interpd::daemon
