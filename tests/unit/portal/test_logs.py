"""What the log filters shorten, and what they keep."""

from __future__ import annotations

import logging
import sys

import pytest
from django.core.exceptions import PermissionDenied

from portal.log_filters import ShortenPermissionErrors


@pytest.mark.parametrize(("error", "is_traced"), [(PermissionDenied(), False), (ValueError(), True)])
def test_a_rejected_request_is_logged_in_one_line_and_an_error_with_its_traceback(
    error: Exception, is_traced: bool
) -> None:
    record = logging.LogRecord("django.request", logging.WARNING, "", 0, "Forbidden", (), None)
    try:
        raise error
    except type(error):
        record.exc_info = sys.exc_info()
    assert ShortenPermissionErrors().filter(record)
    assert (record.exc_info is not None) == is_traced
