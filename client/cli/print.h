// How interpctl shows messages of the daemon: tables for people, JSON for scripts.
//
// Who includes this: the commands of interpctl.
#ifndef INTERPD_CLIENT_CLI_PRINT_H_
#define INTERPD_CLIENT_CLI_PRINT_H_

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "google/protobuf/message.h"
#include "interpd/v1/admin.pb.h"
#include "interpd/v1/channels.pb.h"
#include "interpd/v1/constants.pb.h"
#include "interpd/v1/interpreters.pb.h"

namespace interpd::client {

// One JSON document with the proto's own field names, all fields present, without a line end.
std::string MessageToJson(const google::protobuf::Message& message);

// A message as a JSON document over several lines, with a line end; several as an array.
std::string JsonDocument(const google::protobuf::Message& message);
std::string JsonDocument(std::span<const v1::Interpreter> interpreters);
std::string JsonDocument(std::span<const v1::Channel> channels);
std::string JsonDocument(std::span<const v1::Constant> constants);

// Columns aligned by spaces; the first row holds the headings. Control characters in the cells are escaped.
std::string Table(std::vector<std::vector<std::string>> rows);

// "key: value" lines, the values aligned.
std::string Fields(const std::vector<std::pair<std::string, std::string>>& fields);

// NAME STATE PENDING COMPLETED CPU AGE, one line an interpreter.
std::string InterpreterTable(std::span<const v1::Interpreter> interpreters, absl::Time now);
std::string InterpreterFields(const v1::Interpreter& interpreter, absl::Time now);

// NAME KIND STATE LENGTH CAPACITY SENT; and what has gone through them and who waits. One line a channel.
std::string ChannelTable(std::span<const v1::Channel> channels);
std::string ChannelStatsTable(std::span<const v1::Channel> channels);
std::string ChannelFields(const v1::Channel& channel);

// NAME STATE VERSION OBJECTS BYTES INTERPRETERS RETIRED, one line a constant.
std::string ConstantTable(std::span<const v1::Constant> constants);
std::string ConstantFields(const v1::Constant& constant, absl::Time now);

std::string InfoFields(const v1::Info& info, absl::Time now);

// "3.4s", "12m", "5h", "3d": two figures or so.
std::string ShortDuration(absl::Duration duration);

// "1.5 MiB"
std::string ShortBytes(int64_t bytes);

}  // namespace interpd::client

#endif  // INTERPD_CLIENT_CLI_PRINT_H_
