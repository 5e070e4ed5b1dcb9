// Constants through the C++ client, against the real daemon.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/client.h"
#include "tests/bench/child_process.h"

namespace interpd::client {
namespace {

using ::testing::ElementsAre;

class ConstantClientTest : public testing::Test {
 protected:
  ConstantClientTest() {
    auto daemon = bench::ServerProcess::Start({bench::RunfilePath("daemon/interpd")});
    EXPECT_TRUE(daemon.ok()) << daemon.status();
    daemon_ = *std::move(daemon);
    auto client = Client::Connect(daemon_->address());
    EXPECT_TRUE(client.ok()) << client.status();
    client_ = *std::move(client);
  }

  std::unique_ptr<bench::ServerProcess> daemon_;
  std::unique_ptr<Client> client_;
};

TEST_F(ConstantClientTest, PutGetListDelete) {
  v1::Value list;
  list.set_container(v1::LIST);
  for (int i = 0; i < 3; ++i) list.add_items()->set_int_(1000 * i);
  absl::StatusOr<v1::PutConstantResponse> put = client_->PutConstant("numbers", *ConstantOf(list));
  ASSERT_TRUE(put.ok()) << put.status();
  EXPECT_EQ(put->constant().name(), "constants/numbers");
  EXPECT_TRUE(client_->PutConstant("constants/numbers", *ConstantOf(list))->unchanged());
  ASSERT_TRUE(client_->PutConstant("text", ConstantOfBytes(absl::Cord("text"))).ok());
  EXPECT_EQ(client_->GetConstant("numbers")->digest(), put->constant().digest());
  std::vector<std::string> names;
  const absl::StatusOr<std::vector<v1::Constant>> constants = client_->ListConstants();
  ASSERT_TRUE(constants.ok());
  for (const v1::Constant& constant : *constants) names.push_back(constant.name());
  EXPECT_THAT(names, ElementsAre("constants/numbers", "constants/text"));
  EXPECT_EQ(client_->DeleteConstant("text")->state(), v1::Constant::RETIRED);
  EXPECT_EQ(ErrorReason(client_->GetConstant("text").status()), "CONSTANT_NOT_FOUND");

  ASSERT_TRUE(client_
                  ->Create([] {
                    v1::CreateRequest request;
                    request.set_interpreter_id("one");
                    request.mutable_config()->set_setup_source(
                        "import interpd\ndef total(name): return sum(interpd.constants[name])");
                    return request;
                  }())
                  .ok());
  v1::CallRequest call;
  call.set_name("one");
  call.set_target("total");
  call.add_args()->set_str("numbers");
  EXPECT_EQ(client_->Call(call)->result().int_(), 3000);
}

TEST_F(ConstantClientTest, ProgressIsToldPieceByPiece) {
  // Of many parts, as a Cord may be, and not of whole pieces.
  const std::string part(3000, 'x');
  absl::Cord bytes;
  for (int i = 0; i < 1000; ++i) bytes.Append(absl::MakeCordFromExternal(part, [] {}));
  const absl::Cord constant = ConstantOfBytes(bytes);
  std::vector<int64_t> told;
  PutConstantOptions options;
  options.on_progress = [&](int64_t sent, int64_t total) {
    EXPECT_EQ(total, static_cast<int64_t>(constant.size()));
    told.push_back(sent);
  };
  ASSERT_TRUE(client_->PutConstant("c", constant, options).ok());
  EXPECT_THAT(told, ElementsAre(1 << 20, 2 << 20, static_cast<int64_t>(constant.size())));
}

TEST_F(ConstantClientTest, ErrorsSayWhy) {
  v1::Value list;
  list.set_container(v1::LIST);
  list.add_items()->set_pickle("x");
  absl::Status status = client_->PutConstant("c", *ConstantOf(list)).status();
  EXPECT_EQ(ErrorReason(status), "INVALID_VALUE");
  EXPECT_EQ(ErrorMetadata(status).at("path"), "data[0]");
  PutConstantOptions persist;
  persist.persist = true;
  EXPECT_EQ(ErrorReason(client_->PutConstant("c", ConstantOfBytes({}), persist).status()), "INVALID_FIELD");
  EXPECT_EQ(ErrorReason(client_->PutConstant("", ConstantOfBytes({})).status()), "INVALID_FIELD");
}

}  // namespace
}  // namespace interpd::client
