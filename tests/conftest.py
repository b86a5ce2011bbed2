"""What every test can ask for."""

from hypothesis import settings

pytest_plugins = ["tests.services"]

settings.register_profile("curaloop", deadline=None)  # time limits of single examples fail on busy machines
settings.load_profile("curaloop")
