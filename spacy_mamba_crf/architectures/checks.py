"""Checks of settings that architectures have in common."""


def check_positive(architecture: str, **settings: float) -> None:
    """Raise ValueError for the first setting that is not larger than 0."""
    for name, value in settings.items():
        if value <= 0:
            raise ValueError(f"{architecture}: {name} = {value} must be larger than 0.")
