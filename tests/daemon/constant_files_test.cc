// The directory of constants: what is written is read, what is damaged is named, one daemon at a time.
#include "daemon/constant_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"

namespace interpd::daemon {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class ConstantFilesTest : public testing::Test {
 protected:
  ConstantFilesTest() {
    char directory[] = "/tmp/interpd-XXXXXX";
    EXPECT_NE(mkdtemp(directory), nullptr);
    root_ = directory;
    directory_ = root_ + "/constants";
    Open();
  }
  ~ConstantFilesTest() override {
    files_.reset();
    std::filesystem::remove_all(root_);
  }

  void Open() {
    files_.reset();
    auto opened = ConstantFiles::Open(directory_);
    ASSERT_TRUE(opened.ok()) << opened.status();
    files_ = *std::move(opened);
  }

  void Put(const std::string& id, const std::string& content) {
    absl::StatusOr<std::string> aside = files_->WriteAside(id, content);
    ASSERT_TRUE(aside.ok()) << aside.status();
    EXPECT_TRUE(files_->Commit(*aside, id).ok());
  }

  std::string FileOf(const std::string& name) {
    std::ifstream file(directory_ + "/" + name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  void Write(const std::string& name, const std::string& bytes) {
    std::ofstream(directory_ + "/" + name, std::ios::binary) << bytes;
  }

  // What reading it says; it must be an error that names the file.
  std::string Complaint(const std::string& id) {
    absl::Status status = files_->Read(id).status();
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(std::string(status.message()), HasSubstr(files_->PathOf(id)));
    return std::string(status.message());
  }

  std::string root_;
  std::string directory_;
  std::unique_ptr<ConstantFiles> files_;
};

TEST_F(ConstantFilesTest, WhatIsWrittenIsRead) {
  const std::string content("\0\n\xff with a NUL", 15);
  Put("b", content);
  Put("a.b-c", "");
  Put("b2", std::string(100'000, 'x'));
  Open();
  EXPECT_THAT(*files_->List(), ElementsAre("a.b-c", "b", "b2"));
  EXPECT_EQ(*files_->Read("b"), content);
  EXPECT_EQ(*files_->Read("a.b-c"), "");
  EXPECT_EQ(files_->Read("b2")->size(), 100'000);
  Put("b", "new");
  EXPECT_EQ(*files_->Read("b"), "new");
  EXPECT_TRUE(files_->Remove("b").ok());
  EXPECT_TRUE(files_->Remove("b").ok());
  EXPECT_THAT(*files_->List(), ElementsAre("a.b-c", "b2"));
}

TEST_F(ConstantFilesTest, OnlyTheOwnerMayRead) {
  Put("a", "x");
  struct stat facts;
  ASSERT_EQ(stat(directory_.c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700);
  ASSERT_EQ(stat(files_->PathOf("a").c_str(), &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0600);
}

TEST_F(ConstantFilesTest, WhatIsWrittenAsideIsNotThereYet) {
  Put("a", "old");
  absl::StatusOr<std::string> first = files_->WriteAside("a", "new"), second = files_->WriteAside("a", "newer");
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*files_->Read("a"), "old");
  EXPECT_THAT(*files_->List(), ElementsAre("a"));
  files_->Drop(*first);
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/" + *first));
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/" + *second));
  // A daemon that dies here leaves no more than that, and the next one removes it.
  Open();
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/" + *second));
  EXPECT_EQ(*files_->Read("a"), "old");
}

TEST_F(ConstantFilesTest, DamageIsFoundAndTheFileNamed) {
  Put("a", "some content");
  const std::string good = FileOf("a.constant");
  Write("a.constant", good.substr(0, good.size() - 1));
  EXPECT_THAT(Complaint("a"), HasSubstr("11 bytes of content, not 12"));
  Write("a.constant", good + "x");
  EXPECT_THAT(Complaint("a"), HasSubstr("13 bytes"));
  std::string flipped = good;
  flipped.back() ^= 1;
  Write("a.constant", flipped);
  EXPECT_THAT(Complaint("a"), HasSubstr("checksum"));
  for (const char* bad : {"", "\n", "interpd-constant 1 12\nx", "{\"json\": 1}\n", "interpd-constant 1 x y\n"}) {
    Write("a.constant", bad);
    EXPECT_THAT(Complaint("a"), HasSubstr("first line")) << bad;
  }
  Write("a.constant", "interpd-constant 2 0 00000000\n");
  EXPECT_THAT(Complaint("a"), HasSubstr("later interpd"));
  EXPECT_THAT(Complaint("missing"), HasSubstr("No such file"));
}

TEST_F(ConstantFilesTest, WhatIsNoConstantIsNamed) {
  std::filesystem::create_directory(directory_ + "/lost+found");
  Write(".hidden", "x");
  EXPECT_THAT(*files_->List(), IsEmpty());
  for (const char* name : {"prices.json", "a b.constant", "constant"}) {
    Write(name, "x");
    EXPECT_THAT(std::string(files_->List().status().message()), HasSubstr(absl::StrCat(directory_, "/", name)));
    std::filesystem::remove(directory_ + "/" + name);
  }
}

TEST_F(ConstantFilesTest, BelongsToOneDaemon) {
  absl::Status status = ConstantFiles::Open(directory_).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(std::string(status.message()), HasSubstr("another daemon"));
  files_.reset();
  EXPECT_TRUE(ConstantFiles::Open(directory_).ok());
}

TEST_F(ConstantFilesTest, ADirectoryThatCannotBeIsNamed) {
  EXPECT_THAT(std::string(ConstantFiles::Open(root_ + "/no/such").status().message()), HasSubstr(root_ + "/no/such"));
  std::ofstream(root_ + "/file") << "x";
  EXPECT_THAT(std::string(ConstantFiles::Open(root_ + "/file").status().message()), HasSubstr(root_ + "/file"));
}

TEST_F(ConstantFilesTest, WhatCannotBeWrittenIsAnError) {
  std::filesystem::remove_all(directory_);  // under our feet
  EXPECT_FALSE(files_->WriteAside("a", "x").ok());
}

}  // namespace
}  // namespace interpd::daemon
