// The codec, function by function, in an interpreter of the test's own: what travels how, and what is copied.
#include "interp/value_codec.h"

#include <gtest/gtest.h>

#include <optional>
#include <string>

#include "absl/log/check.h"
#include "absl/log/initialize.h"
#include "interp/adopted_text.h"
#include "interp/python_runtime.h"
#include "interp/subinterpreter.h"

namespace interpd::interp {
namespace {

using channels::Kind;
using channels::Value;

PyRef Eval(const std::string& expression) {
  PyRef globals = PyRef::Steal(PyDict_New());
  PyDict_SetItemString(globals.get(), "__builtins__", PyEval_GetBuiltins());
  PyRef result = PyRef::Steal(PyRun_String(expression.c_str(), Py_eval_input, globals.get(), globals.get()));
  CHECK(result) << expression;
  return result;
}

bool Equal(PyObject* a, PyObject* b) { return Py_TYPE(a) == Py_TYPE(b) && PyObject_RichCompareBool(a, b, Py_EQ) == 1; }

int64_t AllocatedBlocks() {
  PyRef count = Eval("__import__('sys').getallocatedblocks()");
  return PyLong_AsLongLong(count.get());
}

constexpr EncodeLimits kNative = {.between_interpreters = true};

class TextTest : public ::testing::TestWithParam<const char*> {};

TEST_P(TextTest, ComesBackEqualAndWithoutASecondCopy) {
  PyRef object = Eval(GetParam());
  for (bool shared : {false, true}) {
    absl::StatusOr<Value> value = Encode(object.get(), kNative);
    ASSERT_TRUE(value.ok()) << value.status();
    Value other = shared ? value->Share() : Value();
    const char* carried = channels::ValueReader(*value).Next().bytes.data();
    PyRef back = Decode(*std::move(value));
    ASSERT_TRUE(back);
    EXPECT_TRUE(Equal(object.get(), back.get()));
    // Usable as any other.
    EXPECT_EQ(PyObject_Hash(object.get()), PyObject_Hash(back.get()));
    PyRef doubled = PyRef::Steal(PySequence_Repeat(back.get(), 2));
    EXPECT_EQ(PyObject_Size(doubled.get()), 2 * PyObject_Size(object.get()));
    const char* arrived = PyBytes_Check(back.get()) ? PyBytes_AS_STRING(back.get())
                                                    : static_cast<const char*>(PyUnicode_DATA(back.get()));
    EXPECT_EQ(carried == arrived, !shared);
  }
}

TEST_P(TextTest, IsAdoptedOutOfContainersWhenItIsLong) {
  PyRef object = Eval("(1, [" + std::string(GetParam()) + "*2000], 'after')");
  absl::StatusOr<Value> value = Encode(object.get(), kNative);
  ASSERT_TRUE(value.ok()) << value.status();
  Value other = value->Share();
  PyRef copied = Decode(*std::move(value));  // shared: it must stay as it is
  PyRef adopted = Decode(std::move(other));
  EXPECT_TRUE(Equal(object.get(), copied.get()));
  EXPECT_TRUE(Equal(object.get(), adopted.get()));
}

TEST_P(TextTest, LeavesTheAllocatorsBooksBalanced) {
  const std::string expression = std::string(GetParam()) + "*100";
  auto round_trip = [&] {
    PyRef object = Eval(expression);
    absl::StatusOr<Value> value = Encode(object.get(), kNative);
    CHECK_OK(value.status());
    PyRef back = Decode(*std::move(value));
    CHECK(Equal(object.get(), back.get()));
  };
  round_trip();
  const int64_t before = AllocatedBlocks();
  for (int i = 0; i < 200; ++i) round_trip();
  EXPECT_NEAR(static_cast<double>(AllocatedBlocks() - before), 0, 20);
}

INSTANTIATE_TEST_SUITE_P(Texts, TextTest,
                         ::testing::Values("b'bytes'", "b'long' * 1000", "'ascii'", "'ascii' * 1000", "'caf\\xe9'",
                                           "'caf\\xe9' * 1000", "'\\u20ac uro'", "'\\u20ac uro' * 1000",
                                           "'\\U0001f40d snake'", "'\\ud800 lone'"));

TEST(ValueCodecTest, ShortTextsAreCPythonsOwn) {
  for (const char* text : {"''", "'a'", "'\\xe9'", "b''", "b'x'"}) {
    PyRef object = Eval(text);
    PyRef back = Decode(*Encode(object.get(), kNative));
    EXPECT_EQ(object.get(), back.get()) << text;
  }
}

TEST(ValueCodecTest, TextForClientsIsUtf8) {
  EXPECT_EQ(Encode(Eval("'caf\\xe9'").get(), {})->kind(), Kind::kStr);
  EXPECT_EQ(Encode(Eval("'\\ud800'").get(), {})->kind(), Kind::kSurrogateStr);
  EXPECT_EQ(Encode(Eval("'caf\\xe9'").get(), kNative)->kind(), Kind::kUcs1Str);
  EXPECT_EQ(Encode(Eval("'\\ud800'").get(), kNative)->kind(), Kind::kUcs2Str);
  // A subclass is not laid out like a str; its text is.
  PyRef subclass = Eval("type('S', (str,), {})('caf\\xe9')");
  EXPECT_TRUE(Equal(Decode(*Encode(subclass.get(), kNative)).get(), Eval("'caf\\xe9'").get()));
}

}  // namespace
}  // namespace interpd::interp

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  absl::InitializeLog();
  CHECK_OK(interpd::interp::PythonRuntime::Start());
  auto interpreter = interpd::interp::SubInterpreter::Create();
  CHECK_OK(interpreter.status());
  int result = RUN_ALL_TESTS();
  interpreter->End();
  interpd::interp::PythonRuntime::Finish();
  return result;
}
