"""Proof of detection: a harmless drift of the sensor's own, which must come through to the portal."""
