"""Documents to compare on: from a seed, so that a failure can be repeated."""

import json
import random
import struct

_CHARACTERS = "aZ09 _-./\\\"\b\f\n\r\t\x00\x1f\x7f\x80äß€\u2028\ufeff\ufffd\uffff東🚗<>&'"
_SPACES = ("", "", "", "", " ", "\n", "\t", "\r\n ")
_NAMES = ("id", "kwh", "last_updated", "0", "10", "", "ä", "a b", "country_code")


def documents(seed: int, count: int) -> list[str]:
    """Texts that are mostly JSON; every fifth is damaged in one place."""
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    made = []
    for number in range(count):
        text = _space(chance) + _value(chance, depth=4) + _space(chance)
        made.append(_damaged(chance, text) if number % 5 == 4 else text)
    return made


def doubles(seed: int, count: int) -> list[float]:
    """Positive doubles of every kind: any bits, amounts, whole numbers, short decimals, powers of two, the smallest."""
    chance = random.Random(seed)  # noqa: S311  repeatable, not secret
    made = [float(f"{digit}e{power}") for power in range(-323, 309) for digit in (1, 2, 5, 9)]
    made += [_from_bits((power << 52) + step) for power in range(2046) for step in (0, 1, 2)][1:]
    while len(made) < count:
        made += [
            _from_bits(chance.getrandbits(63) % 0x7FF0_0000_0000_0000 or 1),
            _from_bits(chance.getrandbits(chance.randint(1, 52)) or 1),
            round(10 ** chance.uniform(-3, 9), chance.randint(0, 6)) or 0.5,
            10 ** chance.uniform(-4, 24),
            float(chance.getrandbits(chance.randint(1, 90)) or 1),
            float(f"{chance.randint(1, 9999)}e{chance.randint(-320, 300)}"),
        ]
    return made


def _from_bits(bits: int) -> float:
    (number,) = struct.unpack(">d", struct.pack(">Q", bits))
    return float(number)


def _space(chance: random.Random) -> str:
    return chance.choice(_SPACES)


def _value(chance: random.Random, *, depth: int) -> str:
    kind = chance.randrange(8 if depth else 6)
    if kind < 2:
        return _number(chance)
    if kind < 4:
        return _string(chance)
    if kind < 6:
        return chance.choice(("true", "false", "null", "0", '""', "[]", "{}", "[ ]"))
    inner = [_value(chance, depth=depth - 1) for _ in range(chance.randrange(5))]
    if kind == 6:
        return "[" + ",".join(_space(chance) + value + _space(chance) for value in inner) + "]"
    return "{" + ",".join(f"{_space(chance)}{_name(chance)}{_space(chance)}:{value}" for value in inner) + "}"


def _name(chance: random.Random) -> str:
    return json.dumps(chance.choice(_NAMES)) if chance.random() < 0.7 else _string(chance)


def _number(chance: random.Random) -> str:
    sign = chance.choice(("", "", "-"))
    match chance.randrange(6):
        case 0:
            return sign + str(chance.getrandbits(chance.randint(1, 90)))
        case 1:
            return sign + f"{10 ** chance.uniform(-4, 9):.{chance.randrange(1, 8)}f}"
        case 2:
            return sign + repr(_from_bits(chance.getrandbits(63) % 0x7FF0_0000_0000_0000))
        case 3:
            exponent = f"{chance.choice('eE')}{chance.choice(('', '+', '-'))}{chance.randrange(330)}"
            return f"{sign}{chance.randrange(10**6)}{exponent}"
        case 4:
            return sign + f"{chance.randrange(100)}.{chance.getrandbits(80)}{chance.choice(('', 'e5', 'E-7', 'e+20'))}"
        case _:
            return sign + chance.choice(
                ("0", "0.0", "0e9", "1e400", "0.001", "9999999.9", "1e7", "15.00", "0.00099", "1e-400")
            )


def _string(chance: random.Random) -> str:
    pieces = []
    for _ in range(chance.randrange(8)):
        char = chance.choice(_CHARACTERS)
        spelled = json.dumps(char, ensure_ascii=chance.random() < 0.3)[1:-1]
        pieces.append("\\/" if char == "/" and chance.random() < 0.5 else spelled)
    if chance.random() < 0.03:
        pieces.insert(chance.randrange(len(pieces) + 1), chance.choice(("\\ud83d", "\\udc00", "\\uD83D\\uDE97")))
    return '"' + "".join(pieces) + '"'


def _damaged(chance: random.Random, text: str) -> str:
    place = chance.randrange(len(text) + 1)
    junk = chance.choice(
        ("", "", ",", "}", "]", '"', "\\", "0", ".", "-", "e", "+", "NaN", "'", "/*x*/", "\x01", ":", "{", "x")
    )
    return text[:place] + junk + text[place + chance.randrange(2) :]
