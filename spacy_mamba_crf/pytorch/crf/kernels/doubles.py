"""Eight float64 side by side as one Numba value, so that kernels say what runs in registers.

LLVM maps the vectors to what the CPU has. Arrays are flat and contiguous. exp and log are beside,
in `exponentials`.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import models, register_model

from ...jit import intrinsic

LANES = 8
_DOUBLES = ir.VectorType(ir.DoubleType(), LANES)
_FLAGS = ("contract", "nsz")


class DoublesType(types.Type):
    """The Numba type of eight float64."""

    def __init__(self):
        super().__init__("float64x8")


doubles_type = DoublesType()


@register_model(DoublesType)
class _DoublesModel(models.PrimitiveModel):
    def __init__(self, manager, numba_type):
        super().__init__(manager, numba_type, _DOUBLES)


@intrinsic
def load(typingctx, array, index):
    """The eight numbers from `index` on of a float64 or float32 array."""
    single = array.dtype == types.float32
    vector = ir.VectorType(ir.FloatType(), LANES) if single else _DOUBLES

    def generate(context, builder, signature, arguments):
        pointer = builder.bitcast(
            _element(context, builder, signature, arguments), vector.as_pointer()
        )
        value = builder.load(pointer, align=array.dtype.bitwidth // 8)
        return builder.fpext(value, _DOUBLES) if single else value

    return doubles_type(array, types.intp), generate


@intrinsic
def store(typingctx, array, index, value):
    """Write eight numbers from `index` on into a float64 array."""

    def generate(context, builder, signature, arguments):
        pointer = _element(context, builder, signature, arguments)
        builder.store(arguments[2], builder.bitcast(pointer, _DOUBLES.as_pointer()), align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, doubles_type), generate


@intrinsic
def splat(typingctx, number):
    """Eight times the same number."""

    def generate(context, builder, signature, arguments):
        undefined = ir.Constant(_DOUBLES, ir.Undefined)
        one = builder.insert_element(undefined, arguments[0], ir.Constant(ir.IntType(32), 0))
        return builder.shuffle_vector(one, undefined, _indices([0] * LANES))

    return doubles_type(types.float64), generate


@intrinsic
def add(typingctx, a, b):
    """a + b, lane by lane."""

    def generate(context, builder, signature, arguments):
        return builder.fadd(*arguments, flags=_FLAGS)

    return doubles_type(doubles_type, doubles_type), generate


@intrinsic
def mul_add(typingctx, a, b, c):
    """a b + c, lane by lane, rounded once where the CPU can."""

    def generate(context, builder, signature, arguments):
        product = builder.fmul(*arguments[:2], flags=_FLAGS)
        return builder.fadd(product, arguments[2], flags=_FLAGS)

    return doubles_type(doubles_type, doubles_type, doubles_type), generate


@intrinsic
def mul(typingctx, a, b):
    """a b, lane by lane."""

    def generate(context, builder, signature, arguments):
        return builder.fmul(*arguments, flags=_FLAGS)

    return doubles_type(doubles_type, doubles_type), generate


@intrinsic
def larger(typingctx, a, b):
    """The larger of a and b, lane by lane; b where one is NaN."""

    def generate(context, builder, signature, arguments):
        return _larger(builder, *arguments)

    return doubles_type(doubles_type, doubles_type), generate


@intrinsic
def largest(typingctx, a):
    """The largest of the eight numbers."""

    def generate(context, builder, signature, arguments):
        return _reduce(builder, arguments[0], lambda a, b: _larger(builder, a, b))

    return types.float64(doubles_type), generate


@intrinsic
def total(typingctx, a):
    """The sum of the eight numbers, pair by pair."""

    def generate(context, builder, signature, arguments):
        return _reduce(builder, arguments[0], builder.fadd)

    return types.float64(doubles_type), generate


@intrinsic
def negative(typingctx, a):
    """-a, lane by lane."""

    def generate(context, builder, signature, arguments):
        return builder.fneg(arguments[0])

    return doubles_type(doubles_type), generate


@intrinsic
def negative_if_finite(typingctx, a):
    """-a, lane by lane, but -inf of -inf, too."""

    def generate(context, builder, signature, arguments):
        negative = builder.fneg(arguments[0])
        lowest = ir.Constant(_DOUBLES, [float("-inf")] * LANES)
        finite = builder.fcmp_ordered(">", arguments[0], lowest)
        return builder.select(finite, negative, lowest)

    return doubles_type(doubles_type), generate


def _reduce(builder, value, join):
    """Join the halves of a vector until one number is left."""
    width = LANES
    while width > 1:
        width //= 2
        undefined = ir.Constant(value.type, ir.Undefined)
        low = builder.shuffle_vector(value, undefined, _indices(range(width)))
        high = builder.shuffle_vector(value, undefined, _indices(range(width, 2 * width)))
        value = join(low, high)
    return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))


def _larger(builder, a, b):
    return builder.select(builder.fcmp_ordered(">", a, b), a, b)


def _indices(lanes):
    return ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), list(lanes))


def _element(context, builder, signature, arguments):
    """A pointer to the number at an index of an array: the first two arguments."""
    data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
    return cgutils.gep(builder, data, arguments[1])
