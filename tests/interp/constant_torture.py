"""What hosted code may do with a constant, all of it, again and again. Its memory is mapped read-only: what CPython
writes to it ends the process. Run in many interpreters at once by constant_torture_stress_test."""

import copy, functools, gc, io, itertools, json, marshal, math, operator, pickle, random, re, string, sys, types
import weakref

MANY = 2000
TEXTS = ['', 'a', 'é', 'plain', 'not_used_as_a_name_elsewhere', 'snøfall', 'Ελληνικά', '汉字', '🐍 snake',
         '\udc80 lone', 'x' * 5000, 'ß' * 100, '1234', '-17.25', 'white \t space ', 'MiXeD CaSe', '__class__', 'id',
         'self']


def build():
    "The graph, of ordinary objects."
    numbers = [0, 1, -1, 255, 256, 257, -5, -6, 2**30, 2**31, -2**62, 2**63, -2**63, 2**64, 10**50, -10**50, True,
               False, 0.0, -0.0, 1.5, math.inf, -math.inf, 1e300, 1j, 2.5 - 3j, 0j]
    shared = ('shared', ('by', 'all'))
    return {
        'texts': TEXTS,
        'numbers': numbers,
        'nan': float('nan'),
        'bytes': [b'', b'b', b'bytes', bytes(range(256)) * 40, b'\0'],
        'tuples': [(), (1,), shared, (shared, shared), tuple(range(1000, 1100)), (None, ((), ((),)))],
        'sets': [set(), {1}, set(TEXTS), frozenset(range(1000)), {(1, 'two'), (frozenset({3}), b'4')}],
        'by text': {text: index for index, text in enumerate(TEXTS)},
        'by number': {number: str(number) for number in numbers},
        'by tuple': {(i, str(i)): [i] for i in range(100)},
        'mixed': {1: 'one', 'one': 1, (1,): 'tuple', b'one': 'bytes', None: 'none', 1.5: 'float', frozenset(): 'set'},
        'empty': {},
        'nested': {'a': {'b': {'c': [{'d': {}}]}}, 'list': [[[[1, 2], 3], 4], {5}]},
        'names': {f'name_{i}': i for i in range(64)},
        'many': {f'key {i}': (i, f'value {i % 10}', i / 7) for i in range(MANY)},
        'records': [{'id': 100_000 + i, 'name': f'record {i}', 'tags': ['x', 'y']} for i in range(200)],
    }


def frozen(value):
    "What publishing makes of a value, in ordinary objects."
    if isinstance(value, (list, tuple)): return tuple(map(frozen, value))
    if isinstance(value, (set, frozenset)): return frozenset(map(frozen, value))
    if isinstance(value, (dict, types.MappingProxyType)):
        return types.MappingProxyType({frozen(k): frozen(v) for k, v in value.items()})
    return value


def thawed(value):
    if type(value) is tuple: return [thawed(v) for v in value]
    if type(value) is types.MappingProxyType: return {k: thawed(v) for k, v in value.items()}
    return value


def raises(kind, function, *args):
    try: function(*args)
    except kind: return
    raise AssertionError(f'{kind.__name__} was not raised')


def everything(value):
    yield value
    if type(value) in (tuple, frozenset):
        for v in value: yield from everything(v)
    elif type(value) is types.MappingProxyType:
        for k, v in value.items():
            yield from everything(k)
            yield from everything(v)


# ---- the operations: each takes the constant, its equal of ordinary objects, and a source of chance -----------------

def look_up(c, own, chance):
    for name in c:
        assert name in c and c[name] is c.get(name) and c.get(name + '?') is None
    keys = chance.sample(range(MANY), 500)
    for i in keys:
        assert c['many'][f'key {i}'] == own['many'][f'key {i}']
        assert c['by tuple'].get((i % 120, str(i % 120))) == own['by tuple'].get((i % 120, str(i % 120)))
    for mapping in ('by number', 'mixed', 'by text'):
        for key in own[mapping]: assert c[mapping][key] == own[mapping][key]
    raises(KeyError, lambda: c['nothing'])
    raises(TypeError, lambda: c[[]])


def iterate(c, own, chance):
    assert list(c) == list(own) and list(reversed(c)) == list(reversed(own))
    for name in ('by text', 'mixed', 'many'):
        assert list(c[name].items()) == list(own[name].items()) and list(c[name].values()) == list(own[name].values())
        iterator = iter(c[name])
        assert operator.length_hint(iterator) == len(own[name])
        for _ in range(chance.randrange(5)): next(iterator)
        assert len(list(iterator)) > len(own[name]) - 5
    for t in c['tuples']: assert [x for x in t] == list(itertools.chain(t)) and list(reversed(t)) == list(t)[::-1]
    for s in c['sets']: assert sorted(map(repr, s)) == sorted(repr(x) for x in iter(s)) and sum(1 for _ in s) == len(s)
    first, *rest = c['tuples'][4]
    assert first == 1000 and len(rest) == 99 and {**c['names']} == dict(own['names'])
    for i, (a, b) in enumerate(zip(c['texts'], own['texts'])): assert a == b and [*a] == [*b], i
    for b in c['bytes']: assert list(b) == list(memoryview(b))


def copy_and_deepcopy(c, own, chance):
    for t in (*c['tuples'], *c['texts'], *c['bytes'], *c['numbers'], *c['sets']):
        assert copy.copy(t) is t or t != t
        again = copy.deepcopy(t)
        assert again == t and type(again) is type(t)
    for name in ('by text', 'mixed', 'by number', 'many', 'empty'):
        mine = c[name].copy()
        assert type(mine) is dict and mine == own[name]
        mine['one more'] = [mine]
        for k in list(mine)[:3]: del mine[k]
        mine.update(c['names'], **c['names']); mine.update(c[name]); mine.popitem(); mine.clear()
        mine = dict(c[name]); mine.setdefault('x', []).append(1)
        merged = c[name] | {'x': 1}
        assert merged['x'] == 1 and 'x' not in c[name]
        merged |= c['names']
    raises(TypeError, copy.copy, c)
    raises(TypeError, copy.deepcopy, c['nested'])
    assert copy.deepcopy(thawed(c['nested'])) == thawed(own['nested'])
    assert {*c['sets'][2]} == set(c['sets'][2]) == c['sets'][2].copy() and c['sets'][2].copy() is c['sets'][2]


def slice_and_concatenate(c, own, chance):
    t, text, b = c['tuples'][4], c['texts'][10], c['bytes'][3]
    i, j = sorted(chance.sample(range(100), 2))
    assert t[i:j] == own['tuples'][4][i:j] and t[:] is t and t[::-1][::-1] == t and t * 2 == t + t and t + () == t
    assert text[i:j] == own['texts'][10][i:j] and text[:] is text and (text + text)[5000:] == text
    assert text * 2 == text + text
    assert b[i:j] == own['bytes'][3][i:j] and b[:] is b and b * 2 == b + b and bytearray(b)[i:j] == b[i:j]
    text += 'more'; t += (1,); b += b'more'     # what += would do in place, were they mortal
    assert c['texts'][10] == own['texts'][10] and c['bytes'][3] == own['bytes'][3] and len(c['tuples'][4]) == 100
    n = c['numbers'][8]; n += 1; n -= 1; f = c['numbers'][20]; f += 1.0; f *= 2.0
    assert n == c['numbers'][8] and c['numbers'][20] == 1.5


def compare(c, own, chance):
    for name in own:
        if name == 'nan': continue
        assert c[name] == own[name] and own[name] == c[name] and not c[name] != own[name], name
    assert c['nan'] != c['nan'] and c['nan'] in (c['nan'],)
    assert c['tuples'] > c['tuples'][:2] and c['texts'][3] < c['texts'][3] + '!' and c['bytes'][2] >= b'bytes'
    a, zero, empty = 'a', 0, ()
    assert c['texts'][1] is a and c['numbers'][0] is zero and c['tuples'][0] is empty and c['numbers'][16] is True
    for a, b in itertools.combinations(c['texts'], 2): assert (a < b) != (b < a) and a != b
    match c['records'][3]:
        case {'id': 100_003, 'name': str(name), 'tags': ('x', *_)}: assert name == 'record 3'
        case _: raise AssertionError


def hash_all(c, own, chance):
    for name in ('texts', 'numbers', 'bytes', 'sets'):
        for a, b in zip(c[name], own[name]): assert hash(a) == hash(b)
    assert hash(c['tuples']) == hash(own['tuples'])
    raises(TypeError, hash, c)
    raises(TypeError, hash, c['records'])
    mine = {x: i for i, x in enumerate(itertools.chain(c['texts'], c['tuples'], c['sets'], c['bytes']))}
    assert all(x in mine for x in own['sets']) and len(set(c['many'])) == MANY
    assert functools.lru_cache(lambda *a: len(a))(*c['texts']) == len(TEXTS)


def format_all(c, own, chance):
    assert repr(c['tuples']) == repr(own['tuples']) and str(c['nested']) == str(own['nested'])
    # Not of 1e300, whose digits make CPython 3.14 keep memory past an interpreter's end, constant or not.
    assert f"{c['numbers'][20]:.3f} {c['texts'][3]!r:>12}" == f"{1.5:.3f} {'plain'!r:>12}"
    assert '%s|%r' % (c['texts'][5], c['bytes'][2]) == "snøfall|b'bytes'"
    assert '{:>4}'.format(c['texts'][1]) == '   a' and 'x'.ljust(3, c['texts'][1]) == 'xaa'
    assert c['texts'][3].join(c['texts'][4:6]) == own['texts'][3].join(own['texts'][4:6])
    assert '{plain}'.format_map(c['by text']) == '3' and string.Template('$plain').substitute(c['by text']) == '3'
    print(*c['texts'][:9], sep=c['texts'][3], file=io.StringIO())


def intern_and_name(c, own, chance):
    class Thing: pass
    class Slots: __slots__ = tuple(c['names'])
    thing, slots = Thing(), Slots()
    for text in itertools.chain(c['texts'], c['many'], c['names']):
        assert sys.intern(text) is text and sys.intern(text) == text
    for name, value in c['names'].items():
        setattr(thing, name, value); setattr(slots, name, value); setattr(Thing, 'class_' + name, name)
        assert getattr(thing, name) == getattr(slots, name) == value and hasattr(thing, name)
        assert getattr(thing, ''.join(name)) == value and operator.attrgetter(name)(thing) == value
    assert vars(thing) == c['names'] and list(vars(thing)) == list(c['names'])
    delattr(thing, 'name_3')
    def takes(name_0, name_1=None, **rest): return name_0, name_1, rest
    assert takes(**c['names'])[:2] == (0, 1) and takes(**c['names'])[2]['name_63'] == 63
    assert (lambda **kw: kw)(**c['names']) == c['names']
    made = type(c['texts'][4], (), dict(c['names']))
    assert made.name_5 == 5 and made.__name__ == 'not_used_as_a_name_elsewhere'
    scope = dict(c['names'])
    exec('total = name_1 + name_2', scope)
    assert scope['total'] == 3 and eval('name_7', {}, c['names']) == 7
    module = types.ModuleType(c['texts'][3]); setattr(module, c['texts'][4], 1); module.__dict__.update(c['names'])
    assert getattr(module, 'name_9') == 9 and globals().get(c['texts'][4]) is None
    code = compile(f"{c['texts'][4]} = 1", c['texts'][3], 'exec')
    assert code.co_names == (c['texts'][4],) and code.co_filename == 'plain'
    sys.modules[c['texts'][4]] = module
    assert __import__(c['texts'][4]) is module
    del sys.modules[c['texts'][4]]


def pickle_and_json(c, own, chance):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        for name in ('tuples', 'texts', 'numbers', 'bytes', 'sets'):
            assert pickle.loads(pickle.dumps(c[name], protocol)) == own[name]
        assert pickle.loads(pickle.dumps(dict(c['many']), protocol)) == own['many']
    raises(TypeError, pickle.dumps, c['many'])
    assert json.loads(json.dumps(c['nested']['a'], default=dict)) == thawed(own['nested']['a'])
    assert json.loads(json.dumps(dict(c['by text']))) == own['by text']
    assert json.dumps(c['texts']) == json.dumps(own['texts'])
    assert json.loads(json.dumps(c['records'], default=dict)) == thawed(own['records'])
    assert marshal.loads(marshal.dumps(c['tuples'])) == own['tuples']
    assert marshal.loads(marshal.dumps(c['texts'])) == own['texts']


def collect(c, own, chance):
    rubbish = [c]; rubbish.append(rubbish); rubbish.extend(c.values()); del rubbish
    for generation in (0, 1, 2): gc.collect(generation)
    for value in (c, c['tuples'], c['sets'][3], c['texts'], c['many']):
        assert not gc.is_tracked(value) and not gc.is_finalized(value)
        gc.get_referents(value); sys.getsizeof(value); sys.getrefcount(value)
    gc.freeze(); gc.unfreeze()
    keep = [weakref.ref(c['many'].__class__)]
    for value in everything(c): pass
    del keep


def weak_references(c, own, chance):
    for value in (c, c['texts'][4], c['tuples'], c['bytes'][2], c['numbers'][14], c['numbers'][21], *c['sets']):
        raises(TypeError, weakref.ref, value)
        raises(TypeError, weakref.ref, value, print)
        raises(TypeError, weakref.proxy, value)
        raises(TypeError, weakref.WeakSet().add, value)
    class Set(frozenset): pass
    mine = Set(c['sets'][2])
    assert weakref.ref(mine)() is mine and mine == c['sets'][2]


def sort(c, own, chance):
    mine = list(c['texts']); chance.shuffle(mine)
    mine.sort(); assert mine == sorted(own['texts'])
    mine.sort(key=len, reverse=True); mine.sort(key=c['by text'].__getitem__)
    assert mine == list(own['texts'])
    assert sorted(c['many'], key=c['many'].get, reverse=True) == sorted(own['many'], key=own['many'].get, reverse=True)
    assert max(c['tuples'][4]) == 1099 and sum(c['tuples'][4]) == sum(range(1000, 1100))


def text_methods(c, own, chance):
    for a, b in zip(c['texts'], own['texts']):
        if '\udc80' in a:
            raises(UnicodeEncodeError, a.encode)
            assert a.encode('utf-8', 'surrogatepass') == b.encode('utf-8', 'surrogatepass')
        else:
            assert a.encode() == b.encode() and bytes(a, 'utf-8').decode() == a
            assert a.encode('utf-16') == b.encode('utf-16')
            raises((FileNotFoundError, OSError, ValueError), open, '/nowhere/' + a)
            raises((OSError, ValueError), open, a)          # the name as UTF-8, which a str keeps
            raises((ImportError, ValueError), __import__, a or '?')
        assert a.upper() == b.upper() and a.casefold() == b.casefold() and a.split() == b.split()
        assert a.isidentifier() == b.isidentifier() and a.translate({97: 98}) == b.translate({97: 98})
        assert a.replace('a', 'aa') == b.replace('a', 'aa') and a.find('a') == b.find('a') and a.zfill(3) == b.zfill(3)
        assert re.sub('[aeiou]', '', a) == re.sub('[aeiou]', '', b) and ascii(a) == ascii(b) and str(a) is a
    assert int(c['texts'][12]) == 1234 and float(c['texts'][13]) == -17.25
    for b in c['bytes']:
        assert b.hex() == bytearray(b).hex() and b.upper() == bytearray(b).upper() and bytes(b) is b
    view = memoryview(c['bytes'][3])
    assert view.readonly and view.cast('I')[1] == int.from_bytes(b'\4\5\6\7', sys.byteorder)
    raises(TypeError, operator.setitem, view, 0, 1)


def set_algebra(c, own, chance):
    for a, b in itertools.product(range(len(own['sets'])), repeat=2):
        x, y, p, q = c['sets'][a], c['sets'][b], own['sets'][a], own['sets'][b]
        assert x | y == p | q and x & y == p & q and x - y == p - q and x ^ y == p ^ q
        assert (x <= y) == (p <= q) and x.isdisjoint(y) == p.isdisjoint(q) and set(x) | set(y) == p | q
        mine = set(x); mine |= y; mine -= x; mine ^= y; mine.update(c['texts']); mine.discard('a')
    assert c['many'].keys() & c['names'].keys() == set() and c['names'].keys() | {'x'} == {*own['names'], 'x'}
    assert c['names'].items() >= {('name_1', 1)}


def numbers(c, own, chance):
    for a, b in zip(c['numbers'], own['numbers']):
        assert a * 2 == b * 2 and -a == -b and repr(a) == repr(b) and a + 0 == b and type(a) is type(b)
        if isinstance(a, int): assert a << 3 == b << 3 and a ^ 5 == b ^ 5 and a.bit_length() == b.bit_length()
        if isinstance(a, float) and math.isfinite(a): assert a.as_integer_ratio() == b.as_integer_ratio()
    assert math.isnan(c['nan']) and math.copysign(1, c['numbers'][19]) == -1 and range(10**6)[c['numbers'][5]] == 257
    assert pow(c['numbers'][14], 3, 1009) == pow(10**50, 3, 1009) and divmod(c['numbers'][15], 7) == divmod(-10**50, 7)


OPERATIONS = [look_up, iterate, copy_and_deepcopy, slice_and_concatenate, compare, hash_all, format_all,
              intern_and_name, pickle_and_json, collect, weak_references, sort, text_methods, set_algebra, numbers]


def mapped(address):
    "How the memory there is mapped: 'r--p'."
    with open('/proc/self/maps') as maps:
        for line in maps:
            low, high = (int(x, 16) for x in line.split()[0].split('-'))
            if low <= address < high: return line.split()[1]


def torture(c, seed, rounds):
    chance = random.Random(seed)
    own = frozen(build())
    assert mapped(id(c)) == mapped(id(c['many'])) == mapped(id(c['texts'][3])) == 'r--p'
    for _ in range(rounds):
        for operation in chance.sample(OPERATIONS, len(OPERATIONS)): operation(c, own, chance)
