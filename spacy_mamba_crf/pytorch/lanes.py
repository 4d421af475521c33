"""Sixteen float32 side by side as one Numba value, so that kernels say what runs in registers.

LLVM maps the vectors to what the CPU has: one AVX-512 register, two of AVX, four of SSE or NEON.
Numba's own vectoriser gives up where it cannot prove that arrays do not overlap.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from .jit import inlined, intrinsic

LANES = 16
_FLOATS = ir.VectorType(ir.FloatType(), LANES)
_INTS = ir.VectorType(ir.IntType(32), LANES)
_FLAGS = ("contract", "nsz")
# Cephes' polynomial for exp on [-ln(2)/2, ln(2)/2], the highest power first.
_EXP = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5)


class LanesType(types.Type):
    """The Numba type of sixteen float32."""

    def __init__(self):
        super().__init__("float32x16")


lanes_type = LanesType()


@register_model(LanesType)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, _FLOATS)


@intrinsic
def load(typingctx, array, index):
    """The sixteen numbers from `index` on of a contiguous (n,) float32 array."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        return builder.load(pointer, align=4)

    return lanes_type(array, types.intp), generate


@intrinsic
def store(typingctx, array, index, value):
    """Write sixteen numbers from `index` on into a contiguous (n,) float32 array."""

    def generate(context, builder, signature, arguments):
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        builder.store(arguments[2], pointer, align=4)
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes_type), generate


@intrinsic
def splat(typingctx, value):
    """Sixteen times the same number."""

    def generate(context, builder, signature, arguments):
        return _splat(builder, arguments[0])

    return lanes_type(types.float32), generate


@intrinsic
def broadcast(typingctx, array, index):
    """Sixteen times the number at `index` of a contiguous (n,) float32 array."""

    def generate(context, builder, signature, arguments):
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return _splat(builder, builder.load(cgutils.gep(builder, data, arguments[1])))

    return lanes_type(array, types.intp), generate


@intrinsic
def mul(typingctx, a, b):
    """a b, lane by lane."""

    def generate(context, builder, signature, arguments):
        return builder.fmul(*arguments, flags=_FLAGS)

    return lanes_type(lanes_type, lanes_type), generate


@intrinsic
def mul_add(typingctx, a, b, c):
    """a b + c, lane by lane, rounded once where the CPU can."""

    def generate(context, builder, signature, arguments):
        product = builder.fmul(*arguments[:2], flags=_FLAGS)
        return builder.fadd(product, arguments[2], flags=_FLAGS)

    return lanes_type(lanes_type, lanes_type, lanes_type), generate


@intrinsic
def add(typingctx, a, b):
    """a + b, lane by lane."""

    def generate(context, builder, signature, arguments):
        return builder.fadd(*arguments, flags=_FLAGS)

    return lanes_type(lanes_type, lanes_type), generate


@intrinsic
def exp(typingctx, a):
    """exp, lane by lane, within 3e-7 relative; e^-87.3 for all that is below, e^88.3 above."""

    def generate(context, builder, signature, arguments):
        def constant(number):
            return ir.Constant(_FLOATS, [number] * LANES)

        def multiply_add(x, y, z):
            return builder.fadd(builder.fmul(x, y, flags=_FLAGS), z, flags=_FLAGS)

        x = arguments[0]
        for order, bound in (("<", -87.33654), (">", 88.37626)):
            beyond = builder.fcmp_ordered(order, x, constant(bound))
            x = builder.select(beyond, constant(bound), x)
        floor = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_FLOATS, [_FLOATS]), f"llvm.floor.v{LANES}f32"
        )
        n = builder.call(floor, [multiply_add(x, constant(1.44269504), constant(0.5))])
        x = multiply_add(n, constant(-0.693359375), x)  # ln(2) in two parts, the first exact
        x = multiply_add(n, constant(2.12194440e-4), x)
        power = constant(_EXP[0])
        for coefficient in _EXP[1:]:
            power = multiply_add(power, x, constant(coefficient))
        power = multiply_add(builder.fmul(power, x), x, builder.fadd(x, constant(1.0)))
        exponent = builder.add(builder.fptosi(n, _INTS), ir.Constant(_INTS, [127] * LANES))
        scale = builder.shl(exponent, ir.Constant(_INTS, [23] * LANES))
        return builder.fmul(power, builder.bitcast(scale, _FLOATS))

    return lanes_type(lanes_type), generate


@intrinsic
def div(typingctx, a, b):
    """a / b, lane by lane."""

    def generate(context, builder, signature, arguments):
        return builder.fdiv(*arguments, flags=_FLAGS)

    return lanes_type(lanes_type, lanes_type), generate


@intrinsic
def total(typingctx, a):
    """The sum of the sixteen numbers, pair by pair."""

    def generate(context, builder, signature, arguments):
        value, width = arguments[0], LANES
        while width > 1:
            width //= 2
            half = ir.VectorType(ir.IntType(32), width)
            low = ir.Constant(half, list(range(width)))
            high = ir.Constant(half, list(range(width, 2 * width)))
            undefined = ir.Constant(value.type, ir.Undefined)
            value = builder.fadd(
                builder.shuffle_vector(value, undefined, low),
                builder.shuffle_vector(value, undefined, high),
            )
        return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))

    return types.float32(lanes_type), generate


def _splat(builder, number):
    undefined = ir.Constant(_FLOATS, ir.Undefined)
    one = builder.insert_element(undefined, number, ir.Constant(ir.IntType(32), 0))
    return builder.shuffle_vector(one, undefined, ir.Constant(_INTS, [0] * LANES))


def _pointer(context, builder, array_type, array, index):
    """A pointer to sixteen floats at an index of a contiguous array."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(cgutils.gep(builder, data, index), _FLOATS.as_pointer())


@inlined
def sigmoid(a):
    """1 / (1 + exp(-a)), lane by lane."""
    one = splat(np.float32(1.0))
    return div(one, add(one, exp(mul(a, splat(np.float32(-1.0))))))
