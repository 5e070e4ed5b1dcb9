// The module `interpd` as a module: its help, its stub, its place among modules.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "tests/interp/run_python.h"

namespace interpd {
namespace {

using testing::PythonInterpreter;

constexpr char kCompare[] = R"(
import ast, inspect

# What every class has, or has by another slot than its stub says.
IMPLIED = {'__doc__', '__module__', '__weakref__', '__weaklistoffset__', '__new__', '__init__', '__dict__', '__repr__',
           '__lt__', '__le__', '__gt__', '__ge__', '__ne__'}

def compare(stub):
    "What interpd.pyi and the module say differently."
    wrong = []
    tree = ast.parse(stub)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}   # the last of overloads
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    objects = {node.target.id: node.annotation for node in tree.body if isinstance(node, ast.AnnAssign)}
    del classes['Task']  # what jobs make, and what `task` is only there
    if ast.unparse(objects['task']) != 'Task | None' or interpd.task is not None: wrong.append('task')
    public = {name for name in vars(interpd) if not name.startswith('_')}
    named = {*functions, *classes, *objects}
    if public != named: wrong.append(f'names: {public ^ named}')
    for name, annotation in objects.items():
        if name == 'task': continue
        kind = type(getattr(interpd, name)).__name__
        if ast.unparse(annotation) != f'Final[{kind}]': wrong.append(f'{name} is a {kind}')
    for name, node in functions.items(): signature(name, getattr(interpd, name), node, wrong)
    for name, node in classes.items():
        kind = getattr(interpd, name)
        if not kind.__doc__: wrong.append(f'{name} has no docstring')
        if not issubclass(kind, (Exception, tuple)): members(name, kind, node, wrong)
    return wrong

def members(name, kind, node, wrong):
    methods = {item.name: item for item in node.body if isinstance(item, ast.FunctionDef)}
    here = {member for member in vars(kind) if not (member.startswith('_') and not member.endswith('__'))} - IMPLIED
    if here != set(methods): wrong.append(f'{name}: {here ^ set(methods)}')
    for method, item in methods.items():
        if method.startswith('__') or method not in here: continue
        member = inspect.getattr_static(kind, method)
        if not member.__doc__: wrong.append(f'{name}.{method} has no docstring')
        if not inspect.isgetsetdescriptor(member): signature(f'{name}.{method}', member, item, wrong)

def signature(name, function, node, wrong):
    a = node.args
    stub = ([(p.arg, 0 if p in a.posonlyargs else 1) for p in a.posonlyargs + a.args] +
            [(p.arg, 3) for p in a.kwonlyargs])
    kinds = {inspect.Parameter.POSITIONAL_ONLY: 0, inspect.Parameter.POSITIONAL_OR_KEYWORD: 1,
             inspect.Parameter.KEYWORD_ONLY: 3}
    real = [(p.name, kinds[p.kind]) for p in inspect.signature(function).parameters.values()]
    # `self` is by position alone where C says so; nobody names it.
    without_self = lambda parameters: [p for p in parameters if p[0] != 'self']
    if without_self(stub) != without_self(real): wrong.append(f'{name}: {stub} in the stub, {real} in the module')
)";

std::string ReadFile(const char* path) {
  std::ifstream file(path);
  EXPECT_TRUE(file.good()) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(HostModuleTest, TheStubSaysWhatTheModuleHas) {
  PythonInterpreter python;
  python.Run(kCompare);
  channels::ValueBuilder args;
  args.Begin(channels::Kind::kTuple, 1);
  args.Str(ReadFile("interp/interpd.pyi"));
  auto wrong = python.Call("compare", std::move(args).Finish());
  ASSERT_TRUE(wrong.ok()) << wrong.status();
  ASSERT_EQ(wrong->exception, nullptr) << wrong->exception->formatted;
  channels::ValueReader reader(wrong->value);
  for (size_t left = reader.Next().count; left > 0; --left) ADD_FAILURE() << reader.Next().bytes;
}

TEST(HostModuleTest, HelpIsHelpful) {
  PythonInterpreter python;
  python.Run(R"(
import pydoc
text = pydoc.plain(pydoc.render_doc(interpd))
for line in ('send(self, /, value, timeout=None, *, pickle=False)', 'recv_many(self, /, max, timeout=None)',
             'channel(name=None, capacity=1024, *, broadcast=False)', 'select(cases, timeout=None',
             'class ChannelClosed', 'async for', 'No thread waits for it'):
    assert line in text, line
)");
}

TEST(HostModuleTest, BelongsToItsInterpreter) {
  PythonInterpreter one, two;
  one.Run("interpd.mark = 1; interpd.Channel\nimport sys; assert 'interpd' in sys.builtin_module_names");
  two.Run("assert not hasattr(interpd, 'mark')");
  // Types cannot be changed under others, nor made or derived by hand.
  two.Run(R"(
for kind in (interpd.Channel, interpd.Buffer):
    raises(TypeError, setattr, kind, 'send', None)
    raises(TypeError, kind)
    raises(TypeError, type, 'Mine', (kind,), {})
)");
  // A second import after it was thrown out makes another module; channels of the first still do.
  two.Run(R"(
import sys, gc, pickle
ch = interpd.channel()
first = sys.modules.pop('interpd')
del interpd
import interpd
assert interpd is not first
other = interpd.channel()
other.send(ch); got = other.recv()
assert got == ch
ch.send(1); assert got.recv() == 1
sys.modules['interpd'] = 'nothing'
raises(ImportError, other.recv) if not other.send(ch) else None
sys.modules['interpd'] = interpd
del first, ch, got
gc.collect()
raises(TypeError, pickle.dumps, other)
)");
}

TEST(HostModuleTest, ExceptionsStandAlone) {
  PythonInterpreter python;
  python.Run(R"(
import sys
assert 'queue' not in sys.modules and 'threading' in sys.modules and 'asyncio' not in sys.modules
ch = interpd.channel(capacity=1)
error = raises(interpd.ChannelEmpty, ch.try_recv)
assert type(error) is interpd.ChannelEmpty
import queue
error = raises(queue.Empty, ch.try_recv)
assert isinstance(error, interpd.ChannelEmpty) and type(error).__name__ == 'ChannelEmpty'
ch.send(1)
raises(queue.Full, ch.try_send, 1)
for name in ('ChannelClosed', 'ChannelFull', 'ChannelEmpty'):
    assert issubclass(getattr(interpd, name), interpd.ChannelError)
ch.close(); ch.recv()
assert 'closed' in str(raises(interpd.ChannelClosed, ch.recv))
assert "'named.one'" in str(raises(interpd.ChannelEmpty, interpd.channel('named.one').try_recv))
interpd.channel('named.one').close()
)");
}

}  // namespace
}  // namespace interpd
