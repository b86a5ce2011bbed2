"""What every test can ask for."""

import os

from hypothesis import HealthCheck, settings

pytest_plugins = ["tests.services"]

# The same examples in every run; no limit on the time of an example or of drawing it, which a busy machine would exceed.
settings.register_profile("curaloop", deadline=None, derandomize=True, database=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("curaloop")

COLOURED = ("FORCE_COLOR", "CLICOLOR_FORCE", "PY_COLORS", "GITHUB_ACTIONS")  # each makes a command colour what it prints, also into a pipe
SETTINGS = ("CURALOOP_", "PREFECT_", "LABEL_STUDIO_")  # of whoever runs the tests
KEPT = ("CURALOOP_LABEL_STUDIO_ENV", "CURALOOP_SCREENSHOT")
for name in list(os.environ):
    if name in COLOURED or (name.startswith(SETTINGS) and name not in KEPT):
        del os.environ[name]
os.environ["COLUMNS"] = "120"  # of what has no width of its own, such as --help
