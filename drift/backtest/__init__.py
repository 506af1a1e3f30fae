"""A policy document tried on what the sensors have reported already."""
