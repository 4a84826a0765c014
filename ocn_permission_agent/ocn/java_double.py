"""Floating-point numbers as Java prints them (ocn-protocol.md c.3 rule 3).

Java prints ``15.0``, ``1.0E-4``, ``1.23456789E7``: plain from 0.001 up to 10^7, else one digit, a point, at least one
more digit and the exponent. Which digits depends on the JDK. From 19 on they are the shortest that lead back to the
same double (at least two of them). Before, they come out of a digit loop with a few habits of its own, which show from
10^16 upward and among the very small: ``2e23`` is ``1.9999999999999998E23`` there.
"""

import itertools
import math
import struct
from dataclasses import dataclass
from decimal import ROUND_FLOOR, Decimal

from ocn_permission_agent.ocn.version import NodeVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """A binary floating-point format."""

    fraction_bits: int
    bias: int


_DOUBLE = _Format(fraction_bits=52, bias=1023)
_SINGLE = _Format(fraction_bits=23, bias=127)


def double_text(number: float, version: NodeVersion) -> str:
    """``Double.toString`` on the Java of that node line; ``Infinity`` and ``NaN`` are for the caller to quote."""
    special = _special(number)
    if special is not None:
        return special
    if version is NodeVersion.V2 or 1e-3 <= abs(number) < 1e7:
        # In the plain range both JDKs give the shortest digits, and so does repr (proved in tests/peers).
        digits, exponent = _shortest(number)
    else:
        (bits,) = struct.unpack(">Q", struct.pack(">d", abs(number)))
        digits, exponent = _classic(bits, _DOUBLE)
    return _laid_out(number < 0, digits, exponent)


def single_text(number: float, version: NodeVersion) -> str:
    """``Float.toString`` of the nearest 32-bit float, as typed bodies are written (ocn-protocol.md b.5)."""
    try:
        packed = struct.pack(">f", number)
    except OverflowError:
        return "Infinity" if number > 0 else "-Infinity"
    (single,) = struct.unpack(">f", packed)
    special = _special(single)
    if special is not None:
        return special
    if version is NodeVersion.V2:
        digits, exponent = _shortest_single(abs(single))
    else:
        (bits,) = struct.unpack(">I", struct.pack(">f", abs(single)))
        digits, exponent = _classic(bits, _SINGLE)
    return _laid_out(single < 0, digits, exponent)


def _special(number: float) -> str | None:
    if number == 0:
        return "-0.0" if math.copysign(1, number) < 0 else "0.0"
    if math.isnan(number):
        return "NaN"
    if math.isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    return None


def _laid_out(negative: bool, digits: str, exponent: int) -> str:
    """Put digits into Java's form; the number is 0.DIGITS times ten to the `exponent`."""
    sign = "-" if negative else ""
    if 0 < exponent < 8:
        padded = digits.ljust(exponent, "0")
        return f"{sign}{padded[:exponent]}.{padded[exponent:] or '0'}"
    if -3 < exponent <= 0:
        return f"{sign}0.{'0' * -exponent}{digits}"
    return f"{sign}{digits[0]}.{digits[1:] or '0'}E{exponent - 1}"


def _split_scientific(text: str) -> tuple[str, int]:
    mantissa, _, exponent = text.partition("e")
    return mantissa.replace(".", "").rstrip("0"), int(exponent) + 1


def _shortest(number: float) -> tuple[str, int]:
    """The shortest digits; where one would do, the two that come closest (``4.9E-324``, JDK 19 and later)."""
    text = repr(abs(number))
    whole, _, fraction = text.partition(".")
    if "e" in text:
        digits, exponent = _split_scientific(text)
    elif whole == "0":
        digits = fraction.lstrip("0")
        exponent = len(digits) - len(fraction)
    else:
        digits, exponent = (whole + fraction).rstrip("0"), len(whole)
    if len(digits) == 1:
        return _split_scientific(f"{abs(number):.1e}")
    return digits, exponent


def _shortest_single(number: float) -> tuple[str, int]:
    """As `_shortest` for a number that is a 32-bit float."""
    exact = Decimal(number)
    for length in itertools.count(2):  # nine digits always lead back
        step = Decimal((0, (1,), exact.adjusted() - length + 1))
        below = exact.quantize(step, rounding=ROUND_FLOOR)
        fitting = [decimal for decimal in (below, below + step) if _as_single(decimal) == number]
        if fitting:
            nearest = min(fitting, key=lambda decimal: (abs(decimal - exact), decimal.as_tuple().digits[-1] % 2))
            return _split_scientific(f"{nearest:e}")
    raise AssertionError("count never ends")  # pragma: no cover


def _as_single(decimal: Decimal) -> float:
    try:
        (single,) = struct.unpack(">f", struct.pack(">f", float(decimal)))
    except OverflowError:
        return math.inf
    return float(single)


def _classic(bits: int, form: _Format) -> tuple[str, int]:
    """The digits of JDK 8 to 18 for the bits of a positive finite number, and its exponent as in `_laid_out`."""
    fraction = bits & ((1 << form.fraction_bits) - 1)
    power = bits >> form.fraction_bits
    if power:
        fraction |= 1 << form.fraction_bits
        significant = form.fraction_bits + 1
        power -= form.bias
    else:
        significant = fraction.bit_length()
        power = significant - form.fraction_bits - form.bias
    while not fraction & 1:
        fraction >>= 1
    width = fraction.bit_length()
    below_point = max(0, width - power - 1)
    if below_point == 0 and power <= 62:
        return _whole_number_digits(fraction << (power - width + 1), power, significant)
    return _loop_digits(fraction, power, significant, below_point)


def _whole_number_digits(value: int, power: int, significant: int) -> tuple[str, int]:
    """Whole numbers below 2^63 are printed exactly, but for the decimal places that the format cannot hold."""
    dropped = len(str(2 ** (power - significant - 1))) - 1 if power - significant > 2 else 0
    if dropped:
        value, rest = divmod(value, 10**dropped)
        value += rest >= 10**dropped // 2
    text = str(value)
    return text.rstrip("0"), len(text) + dropped


def _estimate(fraction: int, power: int) -> int:
    """The decimal exponent by a straight line through the logarithm: at most one too high, mended by the loop."""
    mantissa = fraction / (1 << (fraction.bit_length() - 1))
    return math.floor((mantissa - 1.5) * 0.289529654 + 0.176091259 + power * 0.301029995663981)


def _loop_digits(fraction: int, power: int, significant: int, below_point: int) -> tuple[str, int]:
    """One digit after the other until what is left lies within half a unit in the last place of the number.

    ``value / scale`` is what is left, ``margin / scale`` half a unit, all scaled to whole numbers.
    """
    decimal = _estimate(fraction, power)
    fives_up, fives_down = max(0, -decimal), max(0, decimal)
    value_twos = fives_up + below_point + power
    scale_twos = fives_down + below_point
    margin_twos = value_twos - significant
    value_twos -= fraction.bit_length() - 1
    common = min(value_twos, scale_twos)
    value_twos, scale_twos, margin_twos = value_twos - common, scale_twos - common, margin_twos - common
    if fraction == 1:
        margin_twos -= 1  # below a power of two the neighbours are twice as close
    if margin_twos < 0:
        value_twos, scale_twos, margin_twos = value_twos - margin_twos, scale_twos - margin_twos, 0
    value = fraction * 5**fives_up << value_twos
    scale = 5**fives_down << scale_twos
    margin = 5**fives_up << margin_twos
    bits = max(
        _bits(fraction.bit_length() + value_twos, fives_up),
        _bits(scale_twos + 1, fives_down + 1),
    )
    return _digit_loop(value, scale, margin, decimal=decimal, word=32 if bits < 32 else 64 if bits < 64 else None)


def _digit_loop(value: int, scale: int, margin: int, *, decimal: int, word: int | None) -> tuple[str, int]:
    """The loop itself.

    Numbers that fit go through machine integers of `word` bits, which overflow and compare the upper bound strictly;
    big ones (None) do neither.
    """
    tens = scale * 10
    digits: list[int] = []
    low = high = False
    first = True
    while not (low or high):
        digit, rest = divmod(value, scale)
        value, margin = rest * 10, _wrapped(margin * 10, word)
        if margin > 0:
            low = value < margin
            high = value + margin >= tens if word is None else _wrapped(value + margin, word) > tens
        else:
            low = high = True
        if first and digit == 0 and not high:
            decimal -= 1  # the estimate was one too high
        else:
            digits.append(digit)
        if first and (decimal < -3 or decimal >= 8):
            low = high = False  # the form with an exponent shows at least two digits
        first = False
    half = _wrapped(_wrapped(value * 2, word) - tens, word)
    if high and (not low or half > 0 or (half == 0 and digits[-1] % 2 == 1)):
        return _rounded_up(digits, decimal + 1)
    return "".join(map(str, digits)), decimal + 1


def _bits(bits: int, fives: int) -> int:
    """How many bits a number of so many bits times so many fives is taken to have."""
    if fives == 0:
        return bits
    return bits + ((5**fives).bit_length() if fives < 27 else fives * 3)


def _wrapped(number: int, word: int | None) -> int:
    """A number as a signed machine integer of so many bits holds it."""
    if word is None:
        return number
    return (number + (1 << (word - 1))) % (1 << word) - (1 << (word - 1))


def _rounded_up(digits: list[int], exponent: int) -> tuple[str, int]:
    place = len(digits) - 1
    while digits[place] == 9 and place > 0:
        digits[place] = 0
        place -= 1
    if digits[place] == 9:
        digits[place] = 1
        return "".join(map(str, digits)), exponent + 1
    digits[place] += 1
    return "".join(map(str, digits)), exponent
