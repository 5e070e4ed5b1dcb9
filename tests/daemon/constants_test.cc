// Constants over gRPC: what is put is seen, versions, what is refused, what gives up.
#include <gmock/gmock.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/daemon/test_server.h"

namespace interpd::daemon {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

v1::Value Str(std::string text) {
  v1::Value value;
  value.set_str(std::move(text));
  return value;
}

v1::Value Numbers(int64_t count) {
  v1::Value list;
  list.set_container(v1::LIST);
  for (int64_t i = 0; i < count; ++i) list.add_items()->set_int_(1000 + i);
  return list;
}

class ConstantsTest : public ServerTest {
 protected:
  ~ConstantsTest() override {
    const v1::ListConstantsResponse left = List();
    for (const v1::Constant& constant : left.constants()) {
      if (constant.state() == v1::Constant::ACTIVE) Delete(constant.name());
    }
    EXPECT_EQ(List().constants_size(), 0) << "something is still held";
  }

  // In pieces of so many bytes; `size` for other than the true size.
  grpc::Status PutBytes(const std::string& name, const std::string& content, v1::PutConstantResponse* response,
                        bool persist = false, size_t piece = 1 << 20, int64_t size = -1) {
    grpc::ClientContext context;
    Patience(context);
    auto writer = constants_->Put(&context, response);
    v1::PutConstantRequest request;
    request.mutable_options()->set_name(name);
    request.mutable_options()->set_size_bytes(size < 0 ? static_cast<int64_t>(content.size()) : size);
    request.mutable_options()->set_persist(persist);
    size_t at = 0;
    do {
      request.set_data(content.substr(at, piece));
      at += piece;
      if (!writer->Write(request)) break;
      request.Clear();
    } while (at < content.size());
    writer->WritesDone();
    return writer->Finish();
  }
  grpc::Status Put(const std::string& name, const v1::Value& value, v1::PutConstantResponse* response = nullptr,
                   bool persist = false) {
    v1::PutConstantResponse ignored;
    return PutBytes(name, value.SerializeAsString(), response == nullptr ? &ignored : response, persist);
  }
  grpc::Status Get(const std::string& name, v1::Constant* constant) {
    grpc::ClientContext context;
    Patience(context);
    v1::GetConstantRequest request;
    request.set_name(name);
    return constants_->Get(&context, request, constant);
  }
  v1::Constant Get(const std::string& name) {
    v1::Constant constant;
    grpc::Status status = Get(name, &constant);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return constant;
  }
  grpc::Status Delete(const std::string& name, v1::Constant* deleted = nullptr) {
    grpc::ClientContext context;
    Patience(context);
    v1::DeleteConstantRequest request;
    request.set_name(name);
    v1::Constant ignored;
    return constants_->Delete(&context, request, deleted == nullptr ? &ignored : deleted);
  }
  v1::ListConstantsResponse List(const v1::ListConstantsRequest& request = {}) {
    grpc::ClientContext context;
    Patience(context);
    v1::ListConstantsResponse page;
    EXPECT_TRUE(constants_->List(&context, request, &page).ok());
    return page;
  }
  v1::Info Info() {
    grpc::ClientContext context;
    Patience(context);
    v1::Info info;
    EXPECT_TRUE(admin_->GetInfo(&context, {}, &info).ok());
    return info;
  }
};

TEST_F(ConstantsTest, WhatIsPutIsSeenInVersions) {
  Start();
  v1::PutConstantResponse first, same, second;
  ASSERT_TRUE(Put("constants/c", Numbers(3), &first).ok());
  EXPECT_EQ(first.constant().name(), "constants/c");
  EXPECT_EQ(first.constant().state(), v1::Constant::ACTIVE);
  EXPECT_EQ(first.constant().version(), 1);
  EXPECT_EQ(first.constant().type(), "tuple");
  EXPECT_EQ(first.constant().object_count(), 4);
  EXPECT_EQ(first.constant().digest().size(), 64);
  EXPECT_GT(first.constant().size_bytes(), 0);
  EXPECT_GT(first.constant().update_time().seconds(), 0);
  EXPECT_FALSE(first.constant().persistent());
  EXPECT_FALSE(first.unchanged());
  EXPECT_EQ(Get("constants/c").ShortDebugString(), first.constant().ShortDebugString());
  EXPECT_EQ(Info().constant_count(), 1);
  EXPECT_EQ(Info().constant_bytes(), first.constant().size_bytes());

  ASSERT_TRUE(Put("constants/c", Numbers(3), &same).ok());
  EXPECT_TRUE(same.unchanged());
  EXPECT_EQ(same.constant().ShortDebugString(), first.constant().ShortDebugString());

  ASSERT_TRUE(Put("constants/c", Numbers(4), &second).ok());
  EXPECT_EQ(second.constant().version(), 2);
  EXPECT_NE(second.constant().digest(), first.constant().digest());
  EXPECT_EQ(second.constant().retired_count(), 0) << "nobody has seen the first";
  v1::Constant deleted;
  ASSERT_TRUE(Delete("constants/c", &deleted).ok());
  EXPECT_EQ(deleted.state(), v1::Constant::RETIRED);
  EXPECT_EQ(InfoOf(Delete("constants/c")).reason(), "CONSTANT_NOT_FOUND");
  EXPECT_EQ(InfoOf(Get("constants/c", &deleted)).reason(), "CONSTANT_NOT_FOUND");
  EXPECT_EQ(Info().constant_count(), 0);
}

TEST_F(ConstantsTest, HostedCodeUsesItAndHoldsItsMemory) {
  Start();
  ASSERT_TRUE(Create("one").ok());
  v1::Value dict;
  dict.set_container(v1::DICT);
  *dict.add_items() = Str("numbers");
  *dict.add_items() = Numbers(100);
  ASSERT_TRUE(Put("constants/c", dict).ok());
  EXPECT_EQ(Get("constants/c").interpreter_count(), 0);
  EXPECT_EQ(Exec("one", "import interpd\nprint(sum(interpd.constants['c']['numbers']))"), "104950\n");
  EXPECT_EQ(Get("constants/c").interpreter_count(), 1);
  ASSERT_TRUE(Put("constants/c", Numbers(1)).ok());
  EXPECT_EQ(Get("constants/c").interpreter_count(), 0);
  EXPECT_EQ(Get("constants/c").retired_count(), 1);
  EXPECT_GT(Get("constants/c").retired_bytes(), 0);
  ASSERT_TRUE(Delete("constants/c").ok());
  v1::ListConstantsResponse page = List();
  ASSERT_EQ(page.constants_size(), 1);
  EXPECT_EQ(page.constants(0).state(), v1::Constant::RETIRED);
  EXPECT_GT(page.constants(0).retired_bytes(), 0);
  EXPECT_GT(Info().retired_constant_bytes(), 0);
  Close("one");
  EXPECT_EQ(List().constants_size(), 0);
  EXPECT_EQ(Info().retired_constant_bytes(), 0);
}

TEST_F(ConstantsTest, ContentComesInPiecesOfAnySize) {
  Start();
  const std::string content = Numbers(50).SerializeAsString();
  v1::PutConstantResponse whole, pieces;
  ASSERT_TRUE(PutBytes("constants/c", content, &whole).ok());
  ASSERT_TRUE(PutBytes("constants/c", content, &pieces, false, /*piece=*/1).ok());
  EXPECT_TRUE(pieces.unchanged());
}

TEST_F(ConstantsTest, ListsComeInPages) {
  Start();
  for (const char* id : {"e", "b", "d", "a", "c"}) ASSERT_TRUE(Put(std::string("constants/") + id, Str(id)).ok());
  std::vector<std::string> names;
  v1::ListConstantsRequest request;
  request.set_page_size(2);
  do {
    v1::ListConstantsResponse page = List(request);
    EXPECT_LE(page.constants_size(), 2);
    for (const v1::Constant& constant : page.constants()) names.push_back(constant.name());
    request.set_page_token(page.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(names, ElementsAre("constants/a", "constants/b", "constants/c", "constants/d", "constants/e"));
}

TEST_F(ConstantsTest, MalformedPutsSayWhatIsWrongAndLeaveNothing) {
  ServerOptions options;
  options.max_constant_bytes = 1 << 20;
  Start(std::move(options));
  v1::PutConstantResponse response;
  const auto field = [](const grpc::Status& status) {
    EXPECT_EQ(InfoOf(status).reason(), "INVALID_FIELD") << status.error_message();
    return InfoOf(status).metadata().at("field");
  };
  const std::string content = Str("x").SerializeAsString();
  EXPECT_EQ(field(PutBytes("c", content, &response)), "options.name");
  EXPECT_EQ(field(PutBytes("constants/a b", content, &response)), "options.name");
  EXPECT_EQ(field(PutBytes("constants/c", "", &response)), "options.size_bytes");
  EXPECT_EQ(field(PutBytes("constants/c", content, &response, false, 1 << 20, 2)), "data");
  EXPECT_EQ(field(PutBytes("constants/c", content, &response, false, 1 << 20, 99)), "data");
  EXPECT_EQ(field(PutBytes("constants/c", content, &response, /*persist=*/true)), "options.persist");
  for (bool options_come_late : {false, true}) {
    grpc::ClientContext context;
    Patience(context);
    auto writer = constants_->Put(&context, &response);
    v1::PutConstantRequest request;
    if (options_come_late) {
      request.mutable_options()->set_name("constants/c");
      request.mutable_options()->set_size_bytes(2);
      writer->Write(request);
    } else {
      request.set_data("x");
    }
    writer->Write(request);
    writer->WritesDone();
    EXPECT_EQ(field(writer->Finish()), "options");
  }
  v1::Value bad = Numbers(3);
  bad.mutable_items(2)->set_pickle("x");
  grpc::Status refused = Put("constants/c", bad);
  EXPECT_EQ(InfoOf(refused).reason(), "INVALID_VALUE");
  EXPECT_EQ(InfoOf(refused).metadata().at("path"), "data[2]");
  grpc::Status large = PutBytes("constants/c", std::string((1 << 20) + 1, 'x'), &response);
  EXPECT_EQ(InfoOf(large).reason(), "CONSTANT_TOO_LARGE");
  EXPECT_EQ(large.error_code(), grpc::RESOURCE_EXHAUSTED);
  EXPECT_EQ(InfoOf(large).metadata().at("limit"), "1048576");
  EXPECT_EQ(List().constants_size(), 0);
}

TEST_F(ConstantsTest, PutsUnderWayHoldOnlySoMuch) {
  ServerOptions options;
  options.max_constant_bytes = int64_t{8} << 20;
  Start(std::move(options));
  v1::PutConstantResponse response;
  v1::PutConstantRequest request;
  request.mutable_options()->set_name("constants/c");
  request.mutable_options()->set_size_bytes(int64_t{8} << 20);
  // What is only said to come takes no room from others.
  constexpr size_t kPuts = 4;
  grpc::ClientContext contexts[kPuts];
  std::unique_ptr<grpc::ClientWriter<v1::PutConstantRequest>> writers[kPuts];
  for (size_t i = 0; i < kPuts; ++i) {
    Patience(contexts[i]);
    writers[i] = constants_->Put(&contexts[i], &response);
    ASSERT_TRUE(writers[i]->Write(request));
  }
  ASSERT_TRUE(Put("constants/c", Str("room")).ok());
  // Two have room for all of theirs but a byte. Nothing more can be written to one that is refused.
  request.clear_options();
  request.set_data(std::string((8 << 20) - 1, 'x'));
  for (auto& writer : writers) writer->Write(request);
  request.set_data("");
  std::vector<size_t> refused;
  for (size_t next = 0; refused.size() < kPuts - 2; next = (next + 1) % kPuts) {
    if (std::find(refused.begin(), refused.end(), next) == refused.end() && !writers[next]->Write(request)) {
      refused.push_back(next);
    }
  }
  for (size_t i = 0; i < kPuts; ++i) {
    if (std::find(refused.begin(), refused.end(), i) != refused.end()) {
      EXPECT_EQ(InfoOf(writers[i]->Finish()).reason(), "TOO_MANY_PUTS");
    } else {
      contexts[i].TryCancel();
      EXPECT_EQ(writers[i]->Finish().error_code(), grpc::CANCELLED);
    }
  }
  ASSERT_TRUE(Put("constants/c", Str("room again")).ok());
}

TEST_F(ConstantsTest, APutThatStallsEnds) {
  ServerOptions options;
  options.put_patience = absl::Milliseconds(100);
  Start(std::move(options));
  grpc::ClientContext context;
  Patience(context);
  v1::PutConstantResponse response;
  auto writer = constants_->Put(&context, &response);
  v1::PutConstantRequest request;
  request.mutable_options()->set_name("constants/c");
  request.mutable_options()->set_size_bytes(1 << 20);
  request.set_data("x");
  ASSERT_TRUE(writer->Write(request));
  grpc::Status status = writer->Finish();
  EXPECT_EQ(status.error_code(), grpc::DEADLINE_EXCEEDED);
  EXPECT_EQ(InfoOf(status).reason(), "CANCELLED_BY_CLIENT");
}

TEST_F(ConstantsTest, AClientThatDiesHalfWayPutsNothing) {
  Start();
  // A prefix of a list that is a list itself.
  const std::string content = Numbers(1000).SerializeAsString();
  v1::PutConstantResponse response;
  {
    grpc::ClientContext context;
    auto writer = constants_->Put(&context, &response);
    v1::PutConstantRequest request;
    request.mutable_options()->set_name("constants/c");
    request.mutable_options()->set_size_bytes(static_cast<int64_t>(content.size()));
    v1::Value prefix = Numbers(500);
    request.set_data(prefix.SerializeAsString());
    writer->Write(request);
    context.TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::CANCELLED);
  }
  ASSERT_TRUE(PutBytes("constants/d", content, &response).ok());  // the daemon has seen the end of the other by now
  EXPECT_EQ(List().constants_size(), 1);
}

TEST_F(ConstantsTest, OthersAreServedWhileALargeOneIsBuilt) {
  Start();
  ASSERT_TRUE(Create("one").ok());
  const std::string content = Numbers(1'000'000).SerializeAsString();
  std::thread putter([&] {
    v1::PutConstantResponse response;
    grpc::Status status = PutBytes("constants/large", content, &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(response.constant().object_count(), 1'000'001);
  });
  for (int i = 0; i < 20; ++i) EXPECT_EQ(Exec("one", "print(1)"), "1\n");
  putter.join();
  Close("one");
}

TEST_F(ConstantsTest, ManyAtOnceUnderOneName) {
  Start();
  std::vector<std::thread> putters;
  for (int i = 0; i < 8; ++i) {
    putters.emplace_back([this, i] { EXPECT_TRUE(Put("constants/c", Numbers(10 + i)).ok()); });
  }
  for (std::thread& putter : putters) putter.join();
  EXPECT_EQ(Get("constants/c").version(), 8);
}

TEST_F(ConstantsTest, ADrainingDaemonTakesNone) {
  Start();
  ASSERT_TRUE(Put("constants/c", Numbers(1)).ok());
  server_->BeginDrain();
  EXPECT_EQ(InfoOf(Put("constants/c", Numbers(2))).reason(), "SERVER_DRAINING");
  EXPECT_EQ(InfoOf(Delete("constants/c")).reason(), "SERVER_DRAINING");
  EXPECT_TRUE(interpd::testing::Host().constants().Delete("c").ok());
}

}  // namespace
}  // namespace interpd::daemon
