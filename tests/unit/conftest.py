"""What holds for all unit tests: property tests leave nothing behind and are not timed one by one."""

from hypothesis import HealthCheck, settings

settings.register_profile("unit", database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unit")
