"""Set-up that all tests share."""

from hypothesis import settings

# The same examples on every machine and no limit on time, so that a slow machine does not fail.
settings.register_profile("project", derandomize=True, deadline=None, database=None)
settings.load_profile("project")
