"""What a pretraining is asked to do."""

from dataclasses import asdict, dataclass

_SHARES = ("mask_rate", "dropout")


@dataclass(frozen=True)
class PretrainSettings:
    """epochs: times that the text is read; batch_tokens: about the tokens of an update;
    piece_tokens: longest piece of text that is read at once, neighbouring lines joined; mask_rate:
    share of tokens to predict; mask_length: longest run of tokens that is masked together;
    vocab_size: of the most frequent tokens, which alone are predicted; hidden: width of the layer
    before the prediction; learn_rate: at its highest, after warmup_steps, from where it falls to 0;
    max_tokens: of the text, what comes after is not read; bf16: multiply in bfloat16 on a CPU.
    """

    epochs: int = 1
    batch_tokens: int = 8192
    piece_tokens: int = 160
    mask_rate: float = 0.2
    mask_length: int = 3
    vocab_size: int = 6000
    hidden: int = 256
    learn_rate: float = 0.002
    warmup_steps: int = 200
    dropout: float = 0.0
    L2: float = 0.01
    max_tokens: int | None = None
    bf16: bool = False
    seed: int = 0

    def check(self) -> None:
        """Raise ValueError for a setting that cannot be used."""
        for name, value in asdict(self).items():
            if name in _SHARES:
                if not 0 <= value < 1:
                    raise ValueError(f"{name} = {value} is not in [0, 1).")
            elif name not in ("seed", "L2", "bf16") and value is not None and value <= 0:
                raise ValueError(f"{name} = {value} must be larger than 0.")
        if not self.mask_rate:
            raise ValueError("mask_rate = 0 leaves nothing to predict.")
