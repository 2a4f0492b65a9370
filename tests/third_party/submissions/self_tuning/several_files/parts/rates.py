import dataclasses


@dataclasses.dataclass(frozen=True)
class Rate:
    value: float
