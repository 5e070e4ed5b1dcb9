// The generated services with every method asynchronous and its messages left as bytes; rpc.h parses them.
//
// Who includes this: each service of the daemon and its RPCs.
#ifndef INTERPD_DAEMON_RAW_SERVICES_H_
#define INTERPD_DAEMON_RAW_SERVICES_H_

#include "grpc/health/v1/health.grpc.pb.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"
#include "interpd/v1/admin.grpc.pb.h"
#include "interpd/v1/channels.grpc.pb.h"
#include "interpd/v1/constants.grpc.pb.h"
#include "interpd/v1/interpreters.grpc.pb.h"
#include "interpd/v1/jobs.grpc.pb.h"

namespace interpd::daemon {

// Each of these wraps the next; a method that is left out here would be answered UNIMPLEMENTED.
struct RawInterpreters
    : v1::Interpreters::WithRawMethod_Create<
          v1::Interpreters::WithRawMethod_Get<v1::Interpreters::WithRawMethod_List<v1::Interpreters::WithRawMethod_Exec<
              v1::Interpreters::WithRawMethod_Call<v1::Interpreters::WithRawMethod_CallStream<
                  v1::Interpreters::WithRawMethod_Interrupt<v1::Interpreters::WithRawMethod_Close<
                      v1::Interpreters::WithRawMethod_Logs<v1::Interpreters::Service>>>>>>>>> {};

struct RawChannels
    : v1::Channels::WithRawMethod_Create<v1::Channels::WithRawMethod_Get<v1::Channels::WithRawMethod_List<
          v1::Channels::WithRawMethod_Close<v1::Channels::WithRawMethod_Send<v1::Channels::WithRawMethod_SendMany<
              v1::Channels::WithRawMethod_Receive<v1::Channels::WithRawMethod_Attach<v1::Channels::Service>>>>>>>> {};

struct RawConstants
    : v1::Constants::WithRawMethod_Put<v1::Constants::WithRawMethod_Get<
          v1::Constants::WithRawMethod_List<v1::Constants::WithRawMethod_Delete<v1::Constants::Service>>>> {};

struct RawJobs : v1::Jobs::WithRawMethod_Submit<
                     v1::Jobs::WithRawMethod_Get<v1::Jobs::WithRawMethod_List<v1::Jobs::WithRawMethod_Watch<
                         v1::Jobs::WithRawMethod_Logs<v1::Jobs::WithRawMethod_Results<v1::Jobs::WithRawMethod_Cancel<
                             v1::Jobs::WithRawMethod_Retry<v1::Jobs::WithRawMethod_Delete<v1::Jobs::Service>>>>>>>>> {};

struct RawAdmin : v1::Admin::WithRawMethod_GetInfo<
                      v1::Admin::WithRawMethod_GetStats<v1::Admin::WithRawMethod_Drain<v1::Admin::Service>>> {};

struct RawHealth : grpc::health::v1::Health::WithRawMethod_Check<
                       grpc::health::v1::Health::WithRawMethod_Watch<grpc::health::v1::Health::Service>> {};

struct RawReflection : grpc::reflection::v1alpha::ServerReflection::WithRawMethod_ServerReflectionInfo<
                           grpc::reflection::v1alpha::ServerReflection::Service> {};

}  // namespace interpd::daemon

#endif  // INTERPD_DAEMON_RAW_SERVICES_H_
