// Constants as they are built, in an interpreter of the test's own: what becomes what, what is refused, what the digest
// says, and that nobody can write to one.
#include "interp/constant_builder.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/log/check.h"
#include "absl/log/initialize.h"
#include "absl/strings/str_cat.h"
#include "channels/error.h"
#include "interp/constant_content.h"
#include "interp/constant_layout.h"
#include "interp/python_runtime.h"
#include "interp/subinterpreter.h"
#include "interp/value_codec.h"

namespace interpd::interp {
namespace {

using channels::Kind;
using channels::Ref;
using channels::Value;
using channels::ValueBuilder;

PyRef Eval(const std::string& expression) {
  PyRef globals = PyRef::Steal(PyDict_New());
  PyDict_SetItemString(globals.get(), "__builtins__", PyEval_GetBuiltins());
  PyRef result = PyRef::Steal(PyRun_String(expression.c_str(), Py_eval_input, globals.get(), globals.get()));
  if (!result) PyErr_Print();
  CHECK(result) << expression;
  return result;
}

Ref<BuiltConstant> Build(PyObject* object) {
  auto built = BuildConstant(object, {});
  CHECK_OK(built.status());
  return *std::move(built);
}
Ref<BuiltConstant> Build(const Value& value) {
  auto built = BuildConstant(value, {}, nullptr);
  CHECK_OK(built.status());
  return *std::move(built);
}

std::string Digest(const std::string& expression) { return Build(Eval(expression).get())->facts().digest; }

std::string Repr(PyObject* object) {
  PyRef text = PyRef::Steal(PyObject_ASCII(object));
  return PyUnicode_AsUTF8(text.get());
}

size_t AddressSpaceKb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("VmSize:")) return std::stoul(line.substr(7));
  }
  return 0;
}

// ---- what becomes what --------------------------------------------------------------------------------------------

struct Case {
  const char* object;  // as it is given
  const char* frozen;  // what is equal to the constant and of the same types; null: the same
};

class FormTest : public ::testing::TestWithParam<Case> {
 protected:
  void ExpectIs(PyObject* constant, PyObject* expected) {
    EXPECT_EQ(Py_TYPE(constant), Py_TYPE(expected));
    EXPECT_EQ(PyObject_RichCompareBool(constant, expected, Py_EQ), 1);
    EXPECT_TRUE(PyUnstable_IsImmortal(constant));
    EXPECT_EQ(PyObject_GC_IsTracked(constant), 0);
    const Py_hash_t hash = PyObject_Hash(expected);
    PyErr_Clear();
    EXPECT_EQ(PyObject_Hash(constant), hash);
    PyErr_Clear();
    if (PyAnySet_Check(constant)) return;  // which may be written in another order
    EXPECT_EQ(Repr(constant), Repr(expected));
  }
};

TEST_P(FormTest, FromAnObject) {
  PyRef expected = Eval(GetParam().frozen != nullptr ? GetParam().frozen : GetParam().object);
  ExpectIs(Build(Eval(GetParam().object).get())->root(), expected.get());
}

TEST_P(FormTest, FromAValue) {
  PyRef expected = Eval(GetParam().frozen != nullptr ? GetParam().frozen : GetParam().object);
  for (bool between_interpreters : {false, true}) {
    // Mappings do not travel as such.
    if (std::string_view(GetParam().object).find("MappingProxy") != std::string_view::npos) continue;
    auto value = Encode(Eval(GetParam().object).get(), {.between_interpreters = between_interpreters});
    ASSERT_TRUE(value.ok()) << value.status();
    ExpectIs(Build(*value)->root(), expected.get());
  }
}

TEST_P(FormTest, AndBackToAValue) {
  Ref<BuiltConstant> constant = Build(Eval(GetParam().object).get());
  ConstantObject object(constant, constant->root());
  Value content;
  ASSERT_TRUE(object.Expand(16 << 20, &content));
  Ref<BuiltConstant> again = Build(content);
  EXPECT_EQ(again->facts().digest, constant->facts().digest);
  ExpectIs(again->root(), constant->root());
}

TEST_P(FormTest, TheSizeIsCPythons) {
  PyRef expected = Eval(GetParam().frozen != nullptr ? GetParam().frozen : GetParam().object);
  // But for mappings, whose size is their dict's, and the UTF-8 form of a str, which an ordinary one does not have yet.
  if (Py_TYPE(expected.get()) == &PyDictProxy_Type) return;
  if (PyUnicode_Check(expected.get())) PyUnicode_AsUTF8(expected.get());
  PyErr_Clear();
  auto size = [](PyObject* object) {
    PyRef result = PyRef::Steal(PyObject_CallMethod(object, "__sizeof__", nullptr));
    return PyLong_AsLong(result.get());
  };
  EXPECT_EQ(size(Build(Eval(GetParam().object).get())->root()), size(expected.get()));
}

#define MAPPING "__import__('types').MappingProxyType"

INSTANTIATE_TEST_SUITE_P(
    All, FormTest,
    ::testing::Values(Case{"None"}, Case{"True"}, Case{"False"}, Case{"0"}, Case{"-5"}, Case{"256"}, Case{"257"},
                      Case{"-6"}, Case{"2**30-1"}, Case{"2**30"}, Case{"-2**30"}, Case{"2**60"}, Case{"2**63-1"},
                      Case{"-2**63"}, Case{"2**63"}, Case{"-2**63-1"}, Case{"2**64"}, Case{"10**1000"},
                      Case{"-10**1000"}, Case{"0.0"}, Case{"-0.0"}, Case{"1.5"}, Case{"1e400"}, Case{"1+2j"},
                      Case{"''"}, Case{"'a'"}, Case{"'\\xe9'"}, Case{"'ab'"}, Case{"'a'*1000"}, Case{"'\\xe9'*3"},
                      Case{"'\\xe9'*5000"}, Case{"'\\u0142'"}, Case{"'\\u6c49\\u5b57'"}, Case{"'\\U0001f40d'"},
                      Case{"'\\U0001f40d a'"}, Case{"'\\udc80'"}, Case{"'a\\ud800b'"}, Case{"'nul\\0'"}, Case{"b''"},
                      Case{"b'x'"}, Case{"b'xy'"}, Case{"b'\\0'*5000"}, Case{"()"}, Case{"(1,)"},
                      Case{"(None, (1000, ('x', 2.5)), ())"}, Case{"[1, [2, []]]", "(1, (2, ()))"}, Case{"frozenset()"},
                      Case{"set()", "frozenset()"}, Case{"{1, 2, 3}", "frozenset({1, 2, 3})"},
                      Case{"set(range(1000))", "frozenset(range(1000))"},
                      Case{"{('a', frozenset({1}))}", "frozenset({('a', frozenset({1}))})"}, Case{"{}", MAPPING "({})"},
                      Case{"{'a': 1}", MAPPING "({'a': 1})"},
                      Case{"{'b': [1], 2: {3}, (4,): {'c': {}}}",
                           MAPPING "({'b': (1,), 2: frozenset({3}), (4,): " MAPPING "({'c': " MAPPING "({})})})"},
                      Case{"{i: i for i in range(1000)}", MAPPING "({i: i for i in range(1000)})"},
                      Case{"{f'key {i}': i for i in range(70000)}", MAPPING "({f'key {i}': i for i in range(70000)})"},
                      Case{MAPPING "({'x': 1})"}));

TEST(ConstantBuilderTest, WhatIsOneStaysOne) {
  PyRef object = Eval("(lambda t, d, b: [t, t, d, [d], b, b])([1000], {'k': 'v'}, b'long' * 100)");
  Ref<BuiltConstant> constant = Build(object.get());
  PyObject* root = constant->root();
  auto item = [&](Py_ssize_t i) { return PyTuple_GET_ITEM(root, i); };
  EXPECT_EQ(item(0), item(1));
  EXPECT_EQ(item(2), PyTuple_GET_ITEM(item(3), 0));
  EXPECT_EQ(item(4), item(5));
}

TEST(ConstantBuilderTest, EqualStringsBecomeOne) {
  ValueBuilder builder;
  builder.Begin(Kind::kList, 200);
  for (int i = 0; i < 100; ++i) {
    builder.Str("a name");
    builder.Str("näme");
  }
  Ref<BuiltConstant> constant = Build(std::move(builder).Finish());
  EXPECT_EQ(constant->facts().object_count, 3);
}

TEST(ConstantBuilderTest, OfEqualKeysTheFirstKeyAndTheLastValueStay) {
  ValueBuilder builder;
  builder.Begin(Kind::kDict, 8);
  for (int64_t value : {1, 2}) {
    builder.Int(1000);
    builder.Int(value);
    builder.Float(1000);
    builder.Str(absl::StrCat("float ", value));
  }
  EXPECT_EQ(Repr(Build(std::move(builder).Finish())->root()), "mappingproxy({1000: 'float 2'})");
}

TEST(ConstantBuilderTest, AConstantWithinAValueIsCopied) {
  Ref<BuiltConstant> inner = Build(Eval("{'a': [1000]}").get());
  ValueBuilder builder;
  builder.Begin(Kind::kList, 1);
  builder.Constant(channels::MakeRef<ConstantObject>(inner, inner->root()));
  Ref<BuiltConstant> outer = Build(std::move(builder).Finish());
  inner = nullptr;
  EXPECT_EQ(Repr(outer->root()), "(mappingproxy({'a': (1000,)}),)");
}

// ---- facts --------------------------------------------------------------------------------------------------------

TEST(ConstantBuilderTest, TheFactsAreThose) {
  Ref<BuiltConstant> constant = Build(Eval("{'key': ['text', 1000, 5, None]}").get());
  EXPECT_EQ(constant->facts().type_name, "mappingproxy");
  EXPECT_EQ(constant->facts().object_count, 6) << "two strings, an int, a tuple, a dict and the mapping";
  EXPECT_EQ(constant->facts().byte_count, 4096);
  EXPECT_EQ(Build(Eval("None").get())->facts().type_name, "NoneType");
}

TEST(ConstantDigestTest, SaysTheContentAndNothingElse) {
  const std::string list = Digest("[1, 'two', {3.0: b'4'}]");
  EXPECT_EQ(list.size(), 64u);
  EXPECT_EQ(list, Digest("(1, 'two', {3.0: b'4'})"));
  EXPECT_EQ(Build(*Encode(Eval("[1, 'two', {3.0: b'4'}]").get(), {}))->facts().digest, list);
  // Of one size, so the table's order tells what was added first.
  EXPECT_EQ(Digest("{0, 8, 16, 'x'}"), Digest("{'x', 16, 8, 0}"));
  EXPECT_EQ(Digest("(lambda x: [x, x])([1, [2]])"), Digest("[[1, [2]], [1, [2]]]"));
  EXPECT_EQ(Digest("(lambda x: [x, 'abc', x])([1, {2: x for x in 'a'}])"),
            Digest("[[1, {2: 'a'}], 'abc', [1, {2: 'a'}]]"));
  EXPECT_EQ(Digest("'\\xe9\\u0142'[:1] * 2"), Digest("'\\xe9\\xe9'"));
}

TEST(ConstantDigestTest, DiffersWithTheContent) {
  const std::vector<std::string> expressions = {"1",
                                                "True",
                                                "1.0",
                                                "1+0j",
                                                "'1'",
                                                "b'1'",
                                                "()",
                                                "(1,)",
                                                "((1,),)",
                                                "(1, 1)",
                                                "{1}",
                                                "{1: 1}",
                                                "{}",
                                                "set()",
                                                "0",
                                                "0.0",
                                                "-0.0",
                                                "False",
                                                "None",
                                                "-1",
                                                "255",
                                                "-256",
                                                "2**63",
                                                "-2**63",
                                                "2**64",
                                                "[]  and 0 or ''",
                                                "b''",
                                                "{1: 2, 3: 4}",
                                                "{3: 4, 1: 2}",
                                                "{1, 2}",
                                                "({1}, {2})",
                                                "('ab', 'c')",
                                                "('a', 'bc')",
                                                "'\\udc80'",
                                                "'\\x80'"};
  std::map<std::string, std::string> seen;
  for (const std::string& expression : expressions) {
    auto [place, is_new] = seen.emplace(Digest(expression), expression);
    EXPECT_TRUE(is_new) << expression << " is as " << place->second;
  }
}

// As constant_content.h describes it, in other words.
constexpr char kDigest[] = R"(
import hashlib, struct

def sha(data): return hashlib.sha256(data).digest()
def number(n, size=8): return n.to_bytes(size, 'little')
def sized(letter, data): return letter + number(len(data)) + data

def whole(n):
    size = next(size for size in range(1, 999) if -(1 << 8 * size - 1) <= n < 1 << 8 * size - 1)
    return n.to_bytes(size, 'little', signed=True)

def container(v):
    if isinstance(v, tuple): return b't' + number(len(v)) + b''.join(map(item, v))
    if isinstance(v, dict): return b'm' + number(2 * len(v)) + b''.join(item(k) + item(x) for k, x in v.items())
    return b'z' + number(len(v)) + number(sum(int.from_bytes(sha(item(x)), 'little') for x in v) % 2**256, 32)

def item(v):
    if v is None or v is True or v is False: return {None: b'N', True: b'T', False: b'F'}[v]
    if isinstance(v, int): return sized(b'i', whole(v))
    if isinstance(v, float): return b'f' + struct.pack('<d', v)
    if isinstance(v, complex): return b'c' + struct.pack('<dd', v.real, v.imag)
    if isinstance(v, str): return sized(b's', v.encode('utf-8', 'surrogatepass'))
    if isinstance(v, bytes): return sized(b'b', v)
    return container(v)[:1] + sha(container(v))

def digest(v): return sha(container(v) if isinstance(v, (tuple, dict, frozenset)) else item(v)).hex()
)";

TEST(ConstantDigestTest, IsWhatItsDescriptionSays) {
  PyRef globals = Eval("{}");
  ASSERT_TRUE(PyRef::Steal(PyRun_String(kDigest, Py_file_input, globals.get(), globals.get())));
  PyRef digest = PyRef::Borrow(PyDict_GetItemString(globals.get(), "digest"));
  for (const char* expression :
       {"None", "True", "7", "-129", "2**100", "-2**63", "1.5", "2j", "'snøfall \\udc80'", "b'bytes' * 5000", "()",
        "(1, ('two', (None, True)), b'')", "frozenset({1, 'a', (2, frozenset())})", "{'a': (1,), 2: {'b': {}}}",
        "tuple(range(5000))", "{f'k{i}': (i, float(i)) for i in range(3000)}"}) {
    PyRef object = Eval(expression);
    PyRef text = PyRef::Steal(PyObject_CallOneArg(digest.get(), object.get()));
    if (!text) PyErr_Print();
    ASSERT_TRUE(text) << expression;
    EXPECT_EQ(Build(object.get())->facts().digest, PyUnicode_AsUTF8(text.get())) << expression;
  }
}

TEST(ConstantDigestTest, ManyPathsToOneObjectAreNoWorkOfTheirOwn) {
  // 2^300 paths.
  PyRef object = Eval("__import__('functools').reduce(lambda x, _: [x, x], range(300), 'end')");
  Ref<BuiltConstant> constant = Build(object.get());
  EXPECT_EQ(constant->facts().object_count, 301);
  Value content;
  EXPECT_FALSE(ConstantObject(constant, constant->root()).Expand(1 << 20, &content)) << "as a tree it has no end";
}

// ---- refusals -----------------------------------------------------------------------------------------------------

channels::ErrorInfo Refusal(const Value& value, const ConstantLimits& limits = {}) {
  auto built = BuildConstant(value, limits, nullptr);
  EXPECT_FALSE(built.ok());
  return channels::GetErrorInfo(built.status());
}

TEST(ConstantBuilderTest, RefusesWhatAValueMayHoldAndAConstantMayNot) {
  ValueBuilder pickle;
  pickle.Begin(Kind::kDict, 2);
  pickle.Str("it's");
  pickle.Begin(Kind::kList, 2);
  pickle.None();
  pickle.Text(Kind::kPickle, "....");
  auto refusal = Refusal(std::move(pickle).Finish());
  EXPECT_EQ(refusal.reason, "VALUE_NOT_SHAREABLE");
  EXPECT_EQ(refusal.metadata["path"], "['it\\'s'][1]");
  EXPECT_EQ(refusal.metadata["type"], "object");

  ValueBuilder key;
  key.Begin(Kind::kList, 1);
  key.Begin(Kind::kDict, 2);
  key.Begin(Kind::kTuple, 1);
  key.Begin(Kind::kDict, 0);
  key.None();
  refusal = Refusal(std::move(key).Finish());
  EXPECT_EQ(refusal.reason, "VALUE_NOT_SHAREABLE");
  EXPECT_EQ(refusal.metadata["path"], "[0].keys()");

  ValueBuilder deep;
  for (int i = 0; i < 3; ++i) deep.Begin(Kind::kList, 1);
  deep.Begin(Kind::kDict, 0);
  refusal = Refusal(std::move(deep).Finish(), {.max_depth = 3});
  EXPECT_EQ(refusal.metadata["path"], "[0][0][0]");
}

TEST(ConstantBuilderTest, LeavesNothingOfWhatIsTooLarge) {
  ValueBuilder builder;
  builder.Begin(Kind::kDict, 4);
  builder.Str("small");
  builder.Int(1);
  builder.Str("large");
  builder.Begin(Kind::kTuple, 100'000);
  for (int i = 0; i < 100'000; ++i) builder.Int(1000 + i);
  const Value value = std::move(builder).Finish();
  const size_t before = AddressSpaceKb();
  for (int i = 0; i < 20; ++i) {
    auto refusal = Refusal(value, {.max_bytes = 1 << 20});
    EXPECT_EQ(refusal.reason, "CONSTANT_TOO_LARGE");
    EXPECT_TRUE(refusal.metadata["path"].starts_with("['large'][32")) << refusal.metadata["path"];
    EXPECT_EQ(refusal.metadata["limit"], "1048576");
  }
  EXPECT_LT(AddressSpaceKb(), before + 8192);
  EXPECT_EQ(Build(value)->facts().object_count, 100'005);
  EXPECT_EQ(PyErr_Occurred(), nullptr);
}

TEST(ConstantBuilderTest, TellsHowFarItIsAndGivesUpWhenTold) {
  ValueBuilder builder;
  builder.Begin(Kind::kTuple, 100'000);
  for (int i = 0; i < 100'000; ++i) builder.Int(1000 + i);
  const Value value = std::move(builder).Finish();
  std::vector<double> parts;
  auto built = BuildConstant(value, {}, [&](double part) { return parts.push_back(part), true; });
  ASSERT_TRUE(built.ok());
  EXPECT_GT(parts.size(), 5u);
  EXPECT_TRUE(std::is_sorted(parts.begin(), parts.end()));
  EXPECT_GT(parts.front(), 0);
  EXPECT_LE(parts.back(), 1);
  built = BuildConstant(value, {}, [](double part) { return part < 0.5; });
  EXPECT_EQ(built.status().code(), absl::StatusCode::kCancelled);
}

// ---- memory -------------------------------------------------------------------------------------------------------

TEST(ConstantMemoryDeathTest, NobodyCanWriteToAConstant) {
  Ref<BuiltConstant> constant = Build(Eval("[1000]").get());
  EXPECT_DEATH(*const_cast<char*>(constant->memory().begin()) = 1, "");
  EXPECT_DEATH(PyTuple_GET_ITEM(constant->root(), 0)->ob_refcnt = 5, "");
}

TEST(ConstantMemoryTest, IsFilledUpToItsLimitAndCutToPages) {
  ConstantMemory memory(10'000);
  auto* first = static_cast<char*>(memory.Allocate(5));
  ASSERT_NE(first, nullptr);
  EXPECT_EQ(memory.Allocate(9'993), nullptr);
  auto* second = static_cast<char*>(memory.Allocate(9'992));
  EXPECT_EQ(second, first + 8);
  EXPECT_EQ(std::string_view(second, 9'992).find_first_not_of('\0'), std::string_view::npos);
  EXPECT_EQ(memory.Allocate(1), nullptr);
  EXPECT_FALSE(memory.is_exhausted());
  ASSERT_TRUE(memory.Seal());
  EXPECT_EQ(memory.size(), 12'288u);
  EXPECT_TRUE(memory.Contains(first) && memory.Contains(first + 9'999));
  EXPECT_FALSE(memory.Contains(first - 1) || memory.Contains(first + 10'000));
}

TEST(SeenConstantsTest, FindTheConstantOfAnAddress) {
  SeenConstants seen;
  std::vector<Ref<BuiltConstant>> constants;
  for (int i = 0; i < 10; ++i) constants.push_back(Build(Value::Int(1000 + i)));
  for (const auto& constant : constants) {
    EXPECT_EQ(seen.Find(constant->root()), nullptr);
    seen.Add(constant);
    seen.Add(constant);
    EXPECT_EQ(constant->seen_by(), 1);
  }
  for (const auto& constant : constants) {
    EXPECT_EQ(seen.Find(constant->root()), constant.get());
    EXPECT_EQ(seen.Find(constant->memory().end()), nullptr);
  }
  EXPECT_EQ(seen.Find(Py_None), nullptr);
  EXPECT_EQ(seen.Find(nullptr), nullptr);
  seen.Forget();
  EXPECT_EQ(constants[3]->seen_by(), 0);
  EXPECT_EQ(seen.Find(constants[3]->root()), nullptr);
}

}  // namespace
}  // namespace interpd::interp

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  absl::InitializeLog();
  CHECK_OK(interpd::interp::PythonRuntime::Start());
  CHECK_OK(interpd::interp::PythonRuntime::constants_status());
  int result;
  {
    auto interpreter = interpd::interp::SubInterpreter::Create();
    CHECK_OK(interpreter.status());
    result = RUN_ALL_TESTS();
    interpreter->End();
  }
  interpd::interp::PythonRuntime::Finish();
  return result;
}
