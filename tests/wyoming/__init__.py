"""Tests of the Wyoming server."""

import warnings

with warnings.catch_warnings():  # it takes audioop, which Python 3.13 has no more
    warnings.simplefilter("ignore", DeprecationWarning)
    import wyoming.audio  # noqa: F401
