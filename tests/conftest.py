"""What every test can ask for."""

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.services"]

# The same examples in every run; no limit on the time of an example or of drawing it, which a busy machine would exceed.
settings.register_profile("curaloop", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("curaloop")
