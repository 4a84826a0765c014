"""Numbers as JavaScript prints them (`Number::toString`), for the notary of platforms (ocn-protocol.md d.3)."""

import math


def js_number_text(number: float) -> str:
    """``15`` for 15.00, ``0.0001``, ``1e-7``, ``1e+21``; whole numbers beyond 2^53 lose their last digits as there."""
    try:
        number = float(number)
    except OverflowError:
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0:
        return "0"
    if not math.isfinite(number):
        return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"
    sign = "-" if number < 0 else ""
    digits, exponent = _shortest(abs(number))
    if len(digits) <= exponent <= 21:
        return sign + digits.ljust(exponent, "0")
    if 0 < exponent <= 21:
        return f"{sign}{digits[:exponent]}.{digits[exponent:]}"
    if -6 < exponent <= 0:
        return f"{sign}0.{'0' * -exponent}{digits}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{exponent - 1:+d}"


def _shortest(number: float) -> tuple[str, int]:
    """The shortest digits that lead back to the number, which is 0.DIGITS times ten to the exponent."""
    mantissa, _, power = repr(number).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    exponent = int(power or 0) + len(digits) - len(fraction)
    return digits.rstrip("0"), exponent
