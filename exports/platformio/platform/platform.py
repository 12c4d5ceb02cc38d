"""A platform of PlatformIO without packages: compilers come from PATH."""

from platformio.public import PlatformBase


class ProofPlatform(PlatformBase):  # type: ignore[misc]
    """Nothing beyond what every platform has."""
