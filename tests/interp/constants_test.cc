// Immortal constants in hosted interpreters: looked up, sent, published, retired.
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "channels/error.h"
#include "channels/value.h"
#include "interp/constant_pool.h"
#include "tests/interp/run_python.h"

namespace interpd {
namespace {

using channels::Kind;
using channels::Value;
using channels::ValueBuilder;
using interp::ConstantInfo;
using interp::ConstantPool;
using testing::PythonInterpreter;

ConstantPool& Pool() { return testing::Host().constants(); }

// {"apple": 3, "nested": [1.5, {"x"}], "text": "snøfall"}
Value Prices(int64_t apple) {
  ValueBuilder builder;
  builder.Begin(Kind::kDict, 6);
  builder.Str("apple");
  builder.Int(apple);
  builder.Str("nested");
  builder.Begin(Kind::kList, 2);
  builder.Float(1.5);
  builder.Begin(Kind::kSet, 1);
  builder.Str("x");
  builder.Str("text");
  builder.Str("snøfall");
  return std::move(builder).Finish();
}

interp::PublishResult Put(std::string_view name, const Value& value) {
  auto built = Pool().Build(value, {});
  EXPECT_TRUE(built.ok()) << built.status();
  auto published = Pool().Publish(name, *std::move(built));
  EXPECT_TRUE(published.ok()) << published.status();
  return *std::move(published);
}

class PublishingInterpreter : public PythonInterpreter {
 public:
  PublishingInterpreter() : PythonInterpreter({.may_publish = true}) {}
};

class ConstantsTest : public ::testing::Test {
 protected:
  ~ConstantsTest() override {
    for (const ConstantInfo& info : Pool().List("", 1000)) {
      if (info.deleted) continue;
      EXPECT_TRUE(Pool().Delete(info.name).ok());
    }
    EXPECT_EQ(Pool().totals().retired_count, 0) << "every interpreter of the test has ended";
  }
};

TEST_F(ConstantsTest, AreAMappingOfTheVerySameObjects) {
  Put("prices", Prices(3));
  Put("other", Value::Int(7));
  PythonInterpreter one, two;
  for (PythonInterpreter* python : {&one, &two}) {
    python->Run(R"(
import types
c = interpd.constants
assert list(c) == ['other', 'prices'] and len(c) == 2 and 'prices' in c and 'pear' not in c and 7 not in c
p = c['prices']
assert type(p) is types.MappingProxyType and p is c['prices'] is c.get('prices')
assert dict(p) == {'apple': 3, 'nested': (1.5, frozenset('x')), 'text': 'snøfall'}
assert list(p) == ['apple', 'nested', 'text']
assert type(p['nested']) is tuple and type(p['nested'][1]) is frozenset
assert c['other'] == 7 and c.version('prices') == 1
assert c.keys() == ['other', 'prices'] and c.values() == [7, p]
assert dict(c.items()) == dict(c) == {'other': 7, 'prices': p}
assert c.get('pear') is None and c.get('pear', 5) == 5
for bad in (lambda: c['pear'], lambda: c[7], lambda: c.version('pear'), lambda: c['\ud800'],
            lambda: c['prices\0more']): raises(KeyError, bad)
def assign(mapping): mapping["apple"] = 4
raises(TypeError, assign, p); raises(TypeError, assign, c)
assert repr(c) == "<interpd.constants: ['other', 'prices']>"
)");
  }
  const std::string address = "print([id(x) for x in (p, p['nested'], p['text'], *p)])";
  EXPECT_EQ(one.Run(address), two.Run(address));
  EXPECT_EQ(Pool().Get("prices")->seen_by, 2);
  EXPECT_EQ(two.Close(), interp::State::kClosed);
  EXPECT_EQ(Pool().Get("prices")->seen_by, 1);
}

TEST_F(ConstantsTest, HaveVersions) {
  EXPECT_EQ(Put("prices", Prices(3)).info.version, 1);
  PythonInterpreter python;
  python.Run("old = interpd.constants['prices']");
  auto same = Put("prices", Prices(3));
  EXPECT_FALSE(same.is_new);
  EXPECT_EQ(same.info.version, 1);
  auto next = Put("prices", Prices(4));
  EXPECT_TRUE(next.is_new);
  EXPECT_EQ(next.info.version, 2);
  EXPECT_EQ(next.info.seen_by, 0);
  EXPECT_EQ(next.info.retired_count, 1);
  EXPECT_GT(next.info.retired_bytes, 0);
  python.Run(R"(
assert old['apple'] == 3 and interpd.constants['prices']['apple'] == 4 and interpd.constants.version('prices') == 2
assert old['text'] == interpd.constants['prices']['text']
)");
  ASSERT_TRUE(Pool().Delete("prices").ok());
  python.Run("assert old['apple'] == 3; raises(KeyError, lambda: interpd.constants['prices'])");
  auto listed = Pool().List("", 10);
  ASSERT_EQ(listed.size(), 1u);
  EXPECT_TRUE(listed[0].deleted);
  EXPECT_EQ(listed[0].retired_count, 2);
  EXPECT_EQ(Put("prices", Prices(5)).info.version, 1);
  python.Run("assert interpd.constants['prices']['apple'] == 5");
}

TEST_F(ConstantsTest, GoAtOnceIfNobodyHasSeenThem) {
  Put("prices", Prices(3));
  auto next = Put("prices", Prices(4));
  EXPECT_EQ(next.info.version, 2);
  EXPECT_EQ(next.info.retired_count, 0);
  EXPECT_EQ(next.info.retired_bytes, 0);
  ASSERT_TRUE(Pool().Delete("prices").ok());
  EXPECT_TRUE(Pool().List("", 10).empty());
}

TEST_F(ConstantsTest, SayWhatIsNotThere) {
  Put("pears", Value::Int(1000));
  auto missing = Pool().Get("apples");
  EXPECT_EQ(channels::GetErrorInfo(missing.status()).reason, "CONSTANT_NOT_FOUND");
  EXPECT_EQ(missing.status().message(), "there is no constant 'apples'; there are: pears");
  EXPECT_EQ(channels::GetErrorInfo(Pool().Delete("apples")).reason, "CONSTANT_NOT_FOUND");
  EXPECT_EQ(channels::GetErrorInfo(Pool().Reference("apples").status()).reason, "CONSTANT_NOT_FOUND");
  auto built = Pool().Build(Value::Int(1), {});
  EXPECT_EQ(channels::GetErrorInfo(Pool().Publish("not a name", *std::move(built)).status()).reason, "INVALID_FIELD");
}

TEST_F(ConstantsTest, TravelByReference) {
  Put("prices", Prices(3));
  PythonInterpreter one, two;
  one.Run(R"(
p = interpd.constants['prices']
ch = interpd.channel('constants-travel')
whole = [p, p['nested'], p['text'], list(p)[0], p['nested'][1]]
for value in (p, p['nested'], p['text'], list(p)[0], p['nested'][1], whole, {'deep': (p, [p])}, 1.5, p['apple']):
    ch.send(value)
    got = ch.recv()
    assert got == value and (got is value or value in (1.5, 3) or value is whole or type(value) is dict), value
for value in (whole, {'deep': (p, [p])}): ch.send(value)
print([id(x) for x in whole])
)");
  two.Run(R"(
ch = interpd.channel('constants-travel')
whole, deep = ch.recv(), ch.recv()
assert deep['deep'][0] is whole[0] is deep['deep'][1][0] is interpd.constants['prices']
)");
  EXPECT_EQ(one.Run("print([id(x) for x in whole])"), two.Run("print([id(x) for x in whole])"));
}

TEST_F(ConstantsTest, AreSeenByWhoeverReceivesThem) {
  Put("prices", Prices(3));
  {
    auto two = std::make_unique<PythonInterpreter>();
    {
      PythonInterpreter one;
      one.Run("interpd.channel('constants-seen').send(interpd.constants['prices']['nested'])");
    }
    EXPECT_EQ(Pool().Get("prices")->seen_by, 0);
    ASSERT_TRUE(Pool().Delete("prices").ok());
    EXPECT_EQ(Pool().totals().retired_count, 1) << "the value in the channel holds it";
    two->Run("nested = interpd.channel('constants-seen').recv(); assert nested == (1.5, frozenset('x')); del nested");
    EXPECT_EQ(Pool().totals().retired_count, 1) << "an interpreter that has seen it may use it until its end";
    EXPECT_EQ(two->Close(), interp::State::kClosed);
  }
  EXPECT_EQ(Pool().totals().retired_count, 0);
}

TEST_F(ConstantsTest, ArriveInCallsByReferenceAndLeaveAsContent) {
  Put("prices", Prices(3));
  PythonInterpreter python;
  python.Run("def f(a, *, k): return [a is interpd.constants['prices'] is k, a, a['nested']]");
  ValueBuilder args, kwargs;
  args.Begin(Kind::kTuple, 1);
  args.Constant(*Pool().Reference("prices"));
  kwargs.Begin(Kind::kDict, 2);
  kwargs.Str("k");
  kwargs.Constant(*Pool().Reference("prices"));
  auto result = python.Call("f", std::move(args).Finish(), std::move(kwargs).Finish());
  ASSERT_TRUE(result.ok()) << result.status();
  ASSERT_EQ(result->exception, nullptr) << result->exception->formatted;
  ValueBuilder expected;
  expected.Begin(Kind::kList, 3);
  expected.Bool(true);
  for (bool whole : {true, false}) {
    if (whole) {
      expected.Begin(Kind::kDict, 6);
      expected.Str("apple");
      expected.Int(3);
      expected.Str("nested");
    }
    expected.Begin(Kind::kTuple, 2);
    expected.Float(1.5);
    expected.Begin(Kind::kFrozenSet, 1);
    expected.Str("x");
    if (whole) {
      expected.Str("text");
      expected.Str("snøfall");
    }
  }
  EXPECT_EQ(result->value, std::move(expected).Finish());
}

TEST_F(ConstantsTest, BytesAreSharedByMemoryviewsWithoutACopy) {
  ValueBuilder builder;
  builder.Begin(Kind::kDict, 2);
  builder.Str("data");
  builder.Bytes(std::string(80'000, 'x'));
  Put("array", std::move(builder).Finish());
  PythonInterpreter one, two;
  one.Run(R"(
view = memoryview(interpd.constants['array']['data']).cast('d')
assert len(view) == 10_000 and view.readonly
interpd.channel('constants-views').send(view)
)");
  two.Run(R"(
view = interpd.channel('constants-views').recv()
assert view.readonly and view.format == 'd' and bytes(view) == b'x' * 80_000
)");
  ASSERT_TRUE(Pool().Delete("array").ok());
  EXPECT_EQ(one.Close(), interp::State::kClosed);
  EXPECT_EQ(Pool().totals().retired_count, 1);
  two.Run("assert bytes(view[:2]) == b'x' * 16; del view");
  EXPECT_EQ(Pool().totals().retired_count, 0) << "memory alone was seen, and is let go";
}

TEST_F(ConstantsTest, HostedCodeMayPublishIfItIsAllowed) {
  PythonInterpreter not_allowed;
  not_allowed.Run("raises(PermissionError, interpd.publish, 'rules', {}); assert 'rules' not in interpd.constants");
  PublishingInterpreter python;
  python.Run(R"(
shared = ['a', {1, 2}]
rules = {'one': shared, 'two': shared, 3: None, 'big': 1 << 100, 'c': 1j, 'b': b'bytes', 'long': 'x' * 1000}
assert interpd.publish('rules', rules) == 1
assert interpd.publish(name='rules', value=rules) == 1, 'nothing has changed'
c = interpd.constants['rules']
assert c['one'] == ('a', frozenset({1, 2})) and c['one'] is c['two'] and c['big'] == 1 << 100 and c['c'] == 1j
assert c['b'] == b'bytes' and c['long'] == 'x' * 1000 and list(c) == list(rules) and c[3] is None
rules[3] = True
assert interpd.publish('rules', rules) == 2 and c[3] is None and interpd.constants['rules'][3] is True
assert interpd.publish('rules', interpd.constants['rules']) == 2, 'a constant can be published again'
assert interpd.publish('from', {**c, 'one': c['one'] + (c,)}) == 1
assert interpd.constants['from']['one'][2]['one'] == c['one']
assert type(shared) is list and type(rules) is dict
)");
  not_allowed.Run("assert interpd.constants['rules']['one'] is interpd.constants['rules']['two']");
}

TEST_F(ConstantsTest, WhatCannotBeInOneIsRefusedWithItsPath) {
  PublishingInterpreter python;
  python.Run(R"(
import array, collections, datetime, enum, types
def refusal(value): return str(raises(interpd.NotShareableError, interpd.publish, 'bad', value))
def deep(levels):
    value = ()
    for _ in range(levels): value = (value,)
    return value
cycle = [1]; cycle.append({'again': cycle})
class Thing: pass
WHAT = (' cannot; what can are None, bool, int, float, complex, str, bytes, tuple, list, set, frozenset, dict and '
        'types.MappingProxyType')
for value, text in [
    (Thing(), "the value cannot be in a constant: a Thing" + WHAT),
    ([1, {'owner': Thing()}], "the element at [1]['owner'] cannot be in a constant: a Thing" + WHAT),
    ({'a': {'b': (0, bytearray(1))}}, "the element at ['a']['b'][1] cannot be in a constant: a bytearray" + WHAT),
    ({1.5: [memoryview(b'')]}, "the element at [...][0] cannot be in a constant: a memoryview" + WHAT),
    ({datetime.date(2026, 1, 1): 1}, "the element at .keys() cannot be in a constant: a datetime.date" + WHAT),
    ([{(Thing,)}], "the element at [0]{...}[0] cannot be in a constant: a type" + WHAT),
    (cycle, "the element at [1]['again'] cannot be in a constant: the list contains itself"),
    (interpd.channel('constants-refused'), "the value cannot be in a constant: a interpd.Channel" + WHAT),
    (types.MappingProxyType(collections.UserDict()),
     "the value cannot be in a constant: what is behind the mappingproxy is no dict"),
]:
    assert refusal(value) == text, refusal(value)
assert refusal(deep(1000)).endswith('[0][0] cannot be in a constant: it is nested deeper than 1000 levels')
assert interpd.publish('deep', deep(999)) == 1
class Text(str): __hash__ = None
class Kind(enum.IntEnum): ONE = 1000
Pair = collections.namedtuple('Pair', 'a b')
assert interpd.publish('subclasses', [Text('t'), Kind.ONE, Pair(1, 2), collections.OrderedDict(a=1), True]) == 1
c = interpd.constants['subclasses']
assert c == ('t', 1000, (1, 2), {'a': 1}, True)
assert [type(x).__name__ for x in c] == ['str', 'int', 'tuple', 'mappingproxy', 'bool']
raises(ValueError, interpd.publish, 'not a name', 1); raises(TypeError, interpd.publish, 5, 1)
assert 'bad' not in interpd.constants
)");
  EXPECT_EQ(Pool().totals().count, 2);
}

}  // namespace
}  // namespace interpd
