"""What holds for all unit tests: property tests leave nothing behind and are not timed one by one."""

from hypothesis import settings

settings.register_profile("unit", database=None, deadline=None)
settings.load_profile("unit")
