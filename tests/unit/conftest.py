"""What holds for all unit tests: property tests leave nothing behind and are not timed one by one."""

import os

from hypothesis import HealthCheck, settings

# The same few examples each time, so that a run neither fails nor covers a line by chance; the nightly run looks for new ones.
settings.register_profile(
    "unit", database=None, deadline=None, derandomize=True, max_examples=40, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("quick", settings.get_profile("unit"), max_examples=10)
settings.register_profile("nightly", settings.get_profile("unit"), derandomize=False, max_examples=400, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "unit"))
