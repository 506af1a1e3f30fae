"""Proof of detection: the sensor runs a harmless drift of its own, which must arrive at the portal (docs/proof.md)."""
