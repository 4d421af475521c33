"""exp and log of eight float64 at a time."""

from llvmlite import ir
from numba.core import cgutils

from ...jit import intrinsic
from .doubles import LANES, doubles_type

_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
_INTS = ir.VectorType(ir.IntType(64), LANES)
_FLAGS = ("contract", "nsz")
_LOG2_E = 1.4426950408889634
_LN2 = 0.6931471805599453
# exp of less is no normal number any more.
_LOWEST = -708.0
# Added to a whole number below 2^51, it leaves that number in the last bits of the sum.
_ROUNDER = 6755399441055744.0
_MANTISSA_BITS = 52
# The bits of about sqrt(1/2): mantissas are taken from there up to sqrt(2).
_HALF_ROOT_BITS = 0x3FE6A09E00000000
# Taylor's series of exp, the highest power first: 1/12!, ..., 1/1!, 1/0!.
_EXP = (
    1 / 479001600,
    1 / 39916800,
    1 / 3628800,
    1 / 362880,
    1 / 40320,
    1 / 5040,
    1 / 720,
    1 / 120,
    1 / 24,
    1 / 6,
    1 / 2,
    1.0,
    1.0,
)
# fdlibm's (e_log.c): (log((1 + s) / (1 - s)) - 2 s) / s as a polynomial in s^2, without its 0th.
_LOG = (
    1.479819860511658591e-01,
    1.531383769920937332e-01,
    1.818357216161805012e-01,
    2.222219843214978396e-01,
    2.857142874366239149e-01,
    3.999999999940941908e-01,
    6.666666666666735130e-01,
)


@intrinsic
def exp(typingctx, x):
    """exp of numbers up to 709, lane by lane; 0 below -708. Relative error: 1e-16 (3 + |x|)."""

    def generate(context, builder, signature, arguments):
        x = arguments[0]
        too_low = builder.fcmp_ordered("<", x, _doubles(_LOWEST))
        held = builder.select(too_low, _doubles(_LOWEST), x)
        floor = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_DOUBLES, [_DOUBLES]), f"llvm.floor.v{LANES}f64"
        )
        n = builder.call(floor, [_multiply_add(builder, held, _doubles(_LOG2_E), _doubles(0.5))])
        r = _multiply_add(builder, n, _doubles(-_LN2), held)
        power = _polynomial(builder, _EXP, r)
        whole = builder.bitcast(builder.fadd(n, _doubles(_ROUNDER)), _INTS)
        exponent = builder.shl(builder.add(whole, _ints(1023)), _ints(_MANTISSA_BITS))
        result = builder.fmul(power, builder.bitcast(exponent, _DOUBLES))
        return builder.select(too_low, _doubles(0.0), result)

    return doubles_type(doubles_type), generate


@intrinsic
def log(typingctx, y):
    """log of normal numbers, lane by lane; -inf of 0. The error is 3e-16 (1 + |log y|)."""

    def generate(context, builder, signature, arguments):
        y = arguments[0]
        bits = builder.bitcast(y, _INTS)
        n = builder.ashr(builder.sub(bits, _ints(_HALF_ROOT_BITS)), _ints(_MANTISSA_BITS))
        mantissa = builder.sub(bits, builder.shl(n, _ints(_MANTISSA_BITS)))
        f = builder.fsub(builder.bitcast(mantissa, _DOUBLES), _doubles(1.0))
        s = builder.fdiv(f, builder.fadd(f, _doubles(2.0)))
        z = builder.fmul(s, s)
        rest = builder.fmul(_polynomial(builder, _LOG, z), z)
        of_mantissa = builder.fsub(f, builder.fmul(s, builder.fsub(f, rest)))
        whole = builder.sitofp(n, _DOUBLES)
        result = _multiply_add(builder, whole, _doubles(_LN2), of_mantissa)
        result = builder.select(builder.fcmp_unordered("uno", y, y), y, result)
        zero = builder.fcmp_ordered("==", y, _doubles(0.0))
        return builder.select(zero, _doubles(float("-inf")), result)

    return doubles_type(doubles_type), generate


def _doubles(number):
    return ir.Constant(_DOUBLES, [float(number)] * LANES)


def _ints(number):
    return ir.Constant(_INTS, [number] * LANES)


def _multiply_add(builder, x, y, z):
    return builder.fadd(builder.fmul(x, y, flags=_FLAGS), z, flags=_FLAGS)


def _polynomial(builder, coefficients, x):
    value = _doubles(coefficients[0])
    for coefficient in coefficients[1:]:
        value = _multiply_add(builder, value, x, _doubles(coefficient))
    return value
