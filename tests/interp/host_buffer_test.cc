// Buffers and memoryviews: the same memory in several interpreters, and for how long it lives.
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/interp/run_python.h"

namespace interpd {
namespace {

using testing::PythonInterpreter;

// References are dropped in the interpreter that has them, when it next comes to a safe point.
void ExpectLive(int64_t expected) {
  for (int i = 0; i < 1000 && testing::LiveObjects() != expected; ++i) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_EQ(testing::LiveObjects(), expected);
}

TEST(HostBufferTest, IsABufferOfBytes) {
  PythonInterpreter python;
  python.Run(R"(
import struct
buf = interpd.buffer(100)
assert len(buf) == buf.nbytes == 100 and not buf.readonly and 'Buffer' in repr(buf)
assert bytes(buf) == bytes(100)
struct.pack_into('<I', buf, 4, 77)
view = memoryview(buf)
assert view[4] == 77 and view.obj is buf and not view.readonly
del buf
view[0:2] = b'ab'
assert bytes(view[:5]) == b'ab\0\0M'
assert bytes(interpd.buffer(0)) == b''
raises((MemoryError, OverflowError), interpd.buffer, 2**62)
)");
}

TEST(HostBufferTest, TwoInterpretersSeeOneMemory) {
  PythonInterpreter one, two;
  one.Run(R"(
ch, back = interpd.channel('shared.memory'), interpd.channel('shared.memory.back')
buf = interpd.buffer(4096)
view = memoryview(buf).cast('d')
view[3] = 1.5
ch.send(view)
ch.send(memoryview(buf)[100:200])
ch.send(memoryview(buf).toreadonly())
ch.send(memoryview(buf).cast('B', (2, 32, 64)))
ch.send(buf)
ch.send({'in': ['a tuple', memoryview(buf)]})
)");
  two.Run(R"(
ch = interpd.channel('shared.memory')
doubles = ch.recv()
assert type(doubles) is memoryview and doubles.format == 'd' and doubles.shape == (512,) and doubles[3] == 1.5
doubles[4] = 2.5
part = ch.recv(); part[0] = 255
assert part.nbytes == 100
readonly = ch.recv()
assert readonly.readonly and readonly[100] == 255
raises(TypeError, readonly.__setitem__, 0, 1)
shaped = ch.recv()
assert shaped.shape == (2, 32, 64) and shaped[0, 1, 36] == 255
whole = ch.recv()
assert type(whole) is interpd.Buffer and len(whole) == 4096
nested = ch.recv()['in'][1]
nested[4095] = 7
ch.close()
interpd.channel('shared.memory.back').send(doubles)      # what was received can be sent on
)");
  one.Run("assert view[4] == 2.5 and memoryview(buf)[4095] == 7 and memoryview(buf)[100] == 255");
  one.Run("again = back.recv(); again[0] = 9.5; assert view[0] == 9.5; back.close()");
}

TEST(HostBufferTest, OutlivesTheInterpreterThatMadeIt) {
  const int64_t before = testing::LiveObjects();
  {
    PythonInterpreter two;
    {
      PythonInterpreter one;
      one.Run(R"(
view = memoryview(interpd.buffer(1 << 21))
view[5] = 5
interpd.channel('heir').send(view)
)");
    }
    two.Run(R"(
view = interpd.channel('heir').recv(); interpd.channel('heir').close()
assert view[5] == 5
view[6] = 6
)");
    ExpectLive(before + 1);  // the buffer
    two.Run("del view");
    ExpectLive(before);
  }
  EXPECT_EQ(testing::LiveObjects(), before);
}

TEST(HostBufferTest, BytesAreSharedWithoutACopy) {
  const int64_t before = testing::LiveObjects();
  {
    PythonInterpreter one, two;
    one.Run(R"(
import ctypes, sys
data = bytes(range(256)) * 4096
count = sys.getrefcount(data)
def address(data): return ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p).value
ch = interpd.channel('pinned')
ch.send(memoryview(data))
ch.send(memoryview(data)[1000:2000])
ch.send(address(data))
assert sys.getrefcount(data) == count + 2
)");
    two.Run(R"(
import ctypes
ch = interpd.channel('pinned')
view, part, address = ch.recv(), ch.recv(), ch.recv()
assert view.readonly and view == bytes(range(256)) * 4096 and part == view[1000:2000]
info = ctypes.create_string_buffer(200)
get = ctypes.pythonapi.PyObject_GetBuffer
get.argtypes = [ctypes.py_object, ctypes.c_void_p, ctypes.c_int]
assert get(view, info, 0) == 0
assert ctypes.c_void_p.from_buffer(info).value == address       # the sender's own bytes
release = ctypes.pythonapi.PyBuffer_Release
release.argtypes = [ctypes.c_void_p]
release(info)
)");
    // Dropped here, released there, even while that interpreter is idle.
    two.Run("del view, part");
    ExpectLive(before + 1);  // the channel
    one.Run(R"(
deadline = time.monotonic() + 30
while sys.getrefcount(data) != count and time.monotonic() < deadline: time.sleep(0.001)
assert sys.getrefcount(data) == count
ch.close()
)");
  }
  EXPECT_EQ(testing::LiveObjects(), before);
}

TEST(HostBufferTest, BytesOutliveTheirInterpreter) {
  const int64_t before = testing::LiveObjects();
  {
    PythonInterpreter two;
    {
      PythonInterpreter one;
      // Some are referenced by nothing else, some by what goes only at the very end; small ones are copied.
      one.Run(R"(
import builtins
ch = interpd.channel('left')
builtins.kept = data = b'kept' * 10_000
ch.send(memoryview(data))
ch.send(memoryview(b'constant of the code ' * 1000))
ch.send(memoryview(b'small'))
ch.send_many([memoryview(bytes([i]) * 5000) for i in range(200)])
class AtTheEnd:
    def __del__(self):
        ch.send(memoryview(b'from a finalizer ' * 1000))
builtins.at_the_end = AtTheEnd()
)");
    }
    two.Run(R"(
ch = interpd.channel('left')
views = ch.recv_many(1000)
ch.close()
assert views[0] == b'kept' * 10_000 and views[1] == b'constant of the code ' * 1000 and views[2] == b'small'
assert all(view == bytes([i]) * 5000 for i, view in enumerate(views[3:203]))
if len(views) > 203: assert views[203] == b'from a finalizer ' * 1000
)");
    two.Run("del views, ch");
    ExpectLive(before);
  }
  EXPECT_EQ(testing::LiveObjects(), before);
}

TEST(HostBufferTest, DroppedWhileTheMakerEnds) {
  // The two ways a pinned object ends, at the same time.
  const int64_t before = testing::LiveObjects();
  {
    PythonInterpreter two;
    two.Run("import gc");
    for (int round = 0; round < 20; ++round) {
      auto one = std::make_unique<PythonInterpreter>();
      one->Run("interpd.channel('race').send_many([memoryview(bytes([i]) * 20_000) for i in range(100)])");
      auto dropping = two.Start("n = 0\nwhile n < 100: n += len(interpd.channel('race').recv_many(3))");
      one.reset();
      EXPECT_EQ(testing::Failure(*dropping), "");
    }
    two.Run("interpd.channel('race').close()");
  }
  ExpectLive(before);
}

TEST(HostBufferTest, WhatCannotBeSharedIsRefused) {
  PythonInterpreter python;
  python.Run(R"(
import array
ch = interpd.channel()
for view, why in ((memoryview(bytearray(10)), 'interpd.Buffer'), (memoryview(array.array('d', [1])), 'interpd.Buffer'),
                  (memoryview(bytes(1000))[::2], 'contiguous')):
    error = raises(interpd.NotShareableError, ch.send, [view])
    assert why in str(error) and '[0]' in str(error), error
released = memoryview(b'x'); released.release()
raises(interpd.NotShareableError, ch.send, released)
)");
}

}  // namespace
}  // namespace interpd
