"""What holds for all unit tests: property tests leave nothing behind and are not timed one by one."""

import os

from hypothesis import HealthCheck, settings

settings.register_profile("unit", database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("quick", settings.get_profile("unit"), max_examples=10)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))
